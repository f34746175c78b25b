//! Files that a command writes. A file appears under its name only when it is whole.
//!
//! Invariant: nothing is replaced but an empty file and an earlier file of the same kind.

use std::io::{ErrorKind, Write};
use std::path::Path;
use striper_runtime::files;

#[derive(Clone, Copy, Debug)]
pub struct FileKind<'a> {
    pub name: &'a str,
    /// How a file of it begins. A file that begins otherwise is not replaced, unless it is empty.
    pub begins: &'a str,
}

/// A whole file under a name of its own, which is removed unless it is [kept](Draft::keep).
pub struct Draft<'a> {
    path: &'a Path,
    kind: FileKind<'a>,
    draft: files::Draft<'a>,
}

impl<'a> Draft<'a> {
    /// Writes a file beside the one that it shall become. The error names the file and a cure.
    pub fn write(path: &'a Path, kind: FileKind<'a>, text: &str) -> Result<Draft<'a>, String> {
        let draft = files::Draft::new(path, kind.begins.as_bytes());
        let failed = |error| failed(path, kind, &error);
        let draft = draft.map_err(failed)?;
        draft.file().write_all(text.as_bytes()).map_err(failed)?;
        Ok(Draft { path, kind, draft })
    }

    pub fn keep(self) -> Result<(), String> {
        let Draft { path, kind, draft } = self;
        draft.keep().map(drop).map_err(|error| failed(path, kind, &error))
    }
}

/// Whether a file can be written there. It is asked first, so that no long run ends in vain.
pub fn check(path: &Path, kind: FileKind) -> Result<(), String> {
    Draft::write(path, kind, "").map(drop)
}

pub fn write(path: &Path, kind: FileKind, text: &str) -> Result<(), String> {
    Draft::write(path, kind, text)?.keep()
}

fn failed(path: &Path, kind: FileKind, error: &std::io::Error) -> String {
    let (cause, cure) = match error.kind() {
        ErrorKind::AlreadyExists => {
            (format!("it exists and is not {}", kind.name), "remove it, or name a new file")
        }
        ErrorKind::NotFound => (error.to_string(), "make its folder first"),
        other => (error.to_string(), files::cure(other)),
    };
    format!("can't write {}: {cause}; {cure}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;
    use std::{fs, io};

    const PAGE: FileKind = FileKind { name: "a page", begins: "<!DOCTYPE html>\n<title>" };
    const TRACE: FileKind = FileKind { name: "a trace", begins: "striper trace 1\n" };

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
    fn a_file_replaces_an_empty_one_or_one_of_its_kind_and_no_other() {
        let folder = Folder::new("kinds");
        let page = folder.0.join("page");
        let text = |end: &str| format!("{}{end}", PAGE.begins);
        for end in ["one", "two"] {
            write(&page, PAGE, &text(end)).expect("a page");
            assert_eq!(fs::read_to_string(&page).expect("a page"), text(end));
        }
        let empty = folder.0.join("empty");
        fs::write(&empty, "").expect("a file");
        write(&empty, PAGE, &text("one")).expect("a page in the place of an empty file");
        for content in ["[package]\n", "striper trace 1\n", "<!DOCTYPE html>\n<html>\n"] {
            let other = folder.0.join("other");
            fs::write(&other, content).expect("a file");
            for result in [check(&other, PAGE), write(&other, PAGE, &text("three"))] {
                let error = result.expect_err(content);
                assert!(error.contains("other: it exists and is not a page"), "{error}");
            }
            assert_eq!(fs::read_to_string(&other).expect("a file"), content);
        }
        assert!(write(&page, TRACE, "striper trace 1\n").is_err());
        assert_eq!(folder.names().len(), 3, "{:?}", folder.names());
    }

    #[test]
    fn a_folder_and_a_link_are_left_alone_and_a_device_is_written_to() {
        let folder = Folder::new("special");
        let (inner, link) = (folder.0.join("inner"), folder.0.join("link"));
        fs::create_dir(&inner).expect("a folder");
        std::os::unix::fs::symlink("nowhere", &link).expect("a link");
        for (path, said) in [
            (&inner, "inner: it is a folder; name a file in that folder"),
            (&link, "link: it is a symbolic link; name another file"),
        ] {
            let error = write(path, TRACE, "striper trace 1\n").expect_err("no file");
            assert!(error.ends_with(said), "{error}");
        }
        assert_eq!(write(Path::new("/dev/null"), TRACE, "striper trace 1\n"), Ok(()));
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
        assert!(error.starts_with("can't write /nowhere/page.html: "), "{error}");
        assert!(error.ends_with("; make its folder first"), "{error}");
    }
}
