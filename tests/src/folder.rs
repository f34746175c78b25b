//! Folders for the files of tests.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs};

pub struct TempDir(PathBuf);

impl TempDir {
    /// An empty one that only this user can enter.
    pub fn create() -> TempDir {
        use std::os::unix::fs::DirBuilderExt;
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let path = TempDir::numbered(NEXT.fetch_add(1, Ordering::Relaxed));
            match fs::DirBuilder::new().mode(0o700).create(&path) {
                // A process of the same number was killed before it could remove it.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                created => {
                    created.expect("a new folder");
                    return TempDir(path);
                }
            }
        }
    }

    fn numbered(number: u64) -> PathBuf {
        env::temp_dir().join(format!("striper-tests-{}-{number}", std::process::id()))
    }

    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn text(&self, name: &str) -> String {
        self.join(name).to_str().expect("a UTF-8 path").to_owned()
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.join(name), content).expect("a file to be written");
        self.text(name)
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.join(name)).unwrap_or_else(|error| panic!("reading {name}: {error}"))
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_a_killed_run_has_left_is_passed_over() {
        let left: Vec<PathBuf> = (0..20).map(TempDir::numbered).collect();
        // Other tests of this process may have some of them.
        let left = left.into_iter().filter(|path| fs::create_dir(path).is_ok());
        let left: Vec<TempDir> = left.map(TempDir).collect();
        let new = TempDir::create();
        assert!(left.iter().all(|folder| folder.0 != new.0));
        assert_eq!(fs::read_dir(&new.0).expect("a folder").count(), 0);
    }
}
