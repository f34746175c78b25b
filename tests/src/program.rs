//! Programs of the system, which may be missing, and a place for their files.

use crate::process::Finished;
use crate::skip;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{env, fs};

/// A program that is installed here.
pub struct Program(PathBuf);

impl Program {
    /// Looks these up, also where only an administrator's shell would look. If one is missing, says
    /// so and finds none.
    pub fn find<const N: usize>(names: [&str; N]) -> Option<[Program; N]> {
        let found = names.map(|name| (name, Self::look_up(name)));
        if let Some((name, _)) = found.iter().find(|(_, path)| path.is_none()) {
            skip(format!("{name} is not installed"));
            return None;
        }
        Some(found.map(|(_, path)| Program(path.unwrap_or_default())))
    }

    fn look_up(name: &str) -> Option<PathBuf> {
        let folders = env::var_os("PATH").unwrap_or_default();
        let extra = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
        env::split_paths(&folders)
            .chain(extra)
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A command that runs it.
    pub fn command(&self) -> Command {
        Command::new(&self.0)
    }

    /// Runs it to its good end, and returns what it wrote to standard output.
    pub fn run<'a>(&self, args: impl IntoIterator<Item = &'a str>) -> String {
        Finished::of(self.command().args(args)).success()
    }
}

/// A folder that goes with this value.
pub struct TempDir(PathBuf);

impl Default for TempDir {
    fn default() -> Self {
        TempDir::new()
    }
}

impl TempDir {
    /// An empty one that only this user can enter.
    pub fn new() -> TempDir {
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

    /// Where something of this name is or will be in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The same as text.
    pub fn text(&self, name: &str) -> String {
        self.join(name).to_str().expect("a UTF-8 path").to_owned()
    }

    /// Writes a file into it and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        fs::write(self.join(name), content).expect("a file to be written");
        self.text(name)
    }

    /// Reads a file of it.
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
        let new = TempDir::new();
        assert!(left.iter().all(|folder| folder.0 != new.0));
        assert_eq!(fs::read_dir(&new.0).expect("a folder").count(), 0);
    }
}
