//! Files that a command writes. A file appears under its name only when it is whole.
//!
//! Invariant: nothing is replaced but an earlier file of the same kind.

use crate::picture::page;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A kind of file that a command writes.
#[derive(Clone, Copy, Debug)]
pub struct Kind<'a> {
    /// What it is called, with its article.
    pub name: &'a str,
    /// How a file of it begins. A file that does not begin so is never replaced.
    pub begins: &'a str,
}

/// A page with charts.
pub const PAGE: Kind<'static> = Kind { name: "a page of the simulator", begins: page::BEGINS };

/// A trace as it was recorded. A trace with a comment at its top is somebody's work.
pub const TRACE: Kind<'static> = Kind { name: "a trace as recorded", begins: "striper trace " };

/// A whole file under a name of its own. It is removed with this value unless it is
/// [kept](Draft::keep).
pub struct Draft<'a> {
    path: PathBuf,
    kind: Kind<'a>,
    draft: PathBuf,
}

impl<'a> Draft<'a> {
    /// Writes a file beside the one that it shall become. The error names the file and says what to
    /// do.
    pub fn write(path: &Path, kind: Kind<'a>, text: &str) -> Result<Draft<'a>, String> {
        refuse(path, kind)?;
        let failed = |error| failed(path, &error);
        let (mut file, draft) = create(path).map_err(failed)?;
        let draft = Draft { path: path.into(), kind, draft };
        file.write_all(text.as_bytes()).map_err(failed)?;
        Ok(draft)
    }

    /// Gives the file its name.
    pub fn keep(self) -> Result<(), String> {
        refuse(&self.path, self.kind)?;
        fs::rename(&self.draft, &self.path).map_err(|error| failed(&self.path, &error))
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        // It is not there if it was kept.
        let _ = fs::remove_file(&self.draft);
    }
}

/// Says whether a file can be written there, so that no long run ends in vain.
pub fn check(path: &Path, kind: Kind) -> Result<(), String> {
    Draft::write(path, kind, "").map(drop)
}

/// Writes a file. The error names it and says what to do.
pub fn write(path: &Path, kind: Kind, text: &str) -> Result<(), String> {
    Draft::write(path, kind, text)?.keep()
}

/// A new file in the same folder. Its name does not depend on that of the other, which may be of
/// any length.
fn create(beside: &Path) -> io::Result<(File, PathBuf)> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = beside.with_file_name(format!(".striper-{}-{number}", std::process::id()));
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            // A process of the same number was killed before it could remove it.
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            result => return result.map(|file| (file, path)),
        }
    }
}

/// Says no if something is there that is not of this kind.
fn refuse(path: &Path, kind: Kind) -> Result<(), String> {
    let there = match fs::symlink_metadata(path) {
        Ok(there) => there,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(path, &error)),
    };
    let name = path.display();
    if !there.is_file() {
        let what = if there.is_dir() { "a folder" } else { "no regular file" };
        return Err(format!("can't write {name}: it is {what}; name a new file"));
    }
    let mut start = vec![0; kind.begins.len()];
    match File::open(path).and_then(|mut file| file.read_exact(&mut start)) {
        Ok(()) if start == kind.begins.as_bytes() => Ok(()),
        Err(error) if error.kind() != ErrorKind::UnexpectedEof => Err(failed(path, &error)),
        _ => Err(format!(
            "can't write {name}: it exists and is not {}; remove it, or name a new file",
            kind.name
        )),
    }
}

fn failed(path: &Path, error: &io::Error) -> String {
    let cure = match error.kind() {
        ErrorKind::StorageFull => "make room, or name a file on another disk",
        _ => "name a file in a folder that is there and that you may write to",
    };
    format!("can't write {}: {error}; {cure}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An empty folder that goes with this value.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let name = format!("striper-files-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).expect("a new folder");
            Folder(path)
        }

        fn names(&self) -> Vec<String> {
            let entries = fs::read_dir(&self.0).expect("a folder");
            let name = |entry: io::Result<fs::DirEntry>| entry.expect("an entry").file_name();
            entries.map(|entry| name(entry).into_string().expect("text")).collect()
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_file_replaces_an_earlier_one_of_its_kind_and_no_other() {
        let folder = Folder::new("kinds");
        let page = folder.0.join("page");
        let text = |end: &str| format!("{}{end}", PAGE.begins);
        for end in ["one", "two"] {
            write(&page, PAGE, &text(end)).expect("a page");
            assert_eq!(fs::read_to_string(&page).expect("a page"), text(end));
        }
        for content in ["", "[package]\n", "striper trace 1\n", "<!DOCTYPE html>\n<html>\n"] {
            let other = folder.0.join("other");
            fs::write(&other, content).expect("a file");
            for result in [check(&other, PAGE), write(&other, PAGE, &text("three"))] {
                let error = result.expect_err(content);
                assert!(error.contains("other: it exists and is not a page"), "{error}");
            }
            assert_eq!(fs::read_to_string(&other).expect("a file"), content);
        }
        assert!(write(&page, TRACE, "striper trace 1\n").is_err());
        assert_eq!(folder.names().len(), 2, "{:?}", folder.names());
    }

    #[cfg(unix)]
    #[test]
    fn a_folder_a_link_and_a_device_are_left_alone() {
        let folder = Folder::new("special");
        let (inner, link) = (folder.0.join("inner"), folder.0.join("link"));
        fs::create_dir(&inner).expect("a folder");
        std::os::unix::fs::symlink("nowhere", &link).expect("a link");
        for (path, what) in
            [(&*inner, "a folder"), (&*link, "no regular"), ("/dev/null".as_ref(), "no regular")]
        {
            let error = write(path, TRACE, "striper trace 1\n").expect_err("no file");
            assert!(error.contains(what) && error.contains("name a new file"), "{error}");
        }
        assert_eq!(folder.names().len(), 2, "{:?}", folder.names());
    }

    #[test]
    fn a_check_and_a_draft_that_is_not_kept_leave_nothing_behind() {
        let folder = Folder::new("drafts");
        let path = folder.0.join("x".repeat(255));
        check(&path, TRACE).expect("a place to write to");
        let draft = Draft::write(&path, TRACE, "striper trace 1\n").expect("a draft");
        assert_eq!(folder.names().len(), 1);
        fs::write(&path, "mine").expect("a file");
        assert!(draft.keep().expect_err("somebody's file").contains("it exists and is not"));
        assert_eq!(folder.names().len(), 1, "{:?}", folder.names());
        assert_eq!(fs::read_to_string(&path).expect("a file"), "mine");
    }

    #[test]
    fn a_missing_folder_is_said() {
        let error = check(Path::new("/nowhere/page.html"), PAGE).expect_err("no folder");
        assert!(
            error.contains("/nowhere/page.html") && error.contains("in a folder that is there"),
            "{error}"
        );
    }
}
