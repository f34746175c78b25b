//! Whether a folder is private: nobody but its user and root can put something into it, or another
//! folder in its place.

use rustix::fs::{FileType, Mode, Stat, lstat, readlink};
use std::ffi::OsString;
use std::fmt::Display;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

/// The most symbolic links on the way to a folder. The system follows as many.
const LINKS: usize = 40;

/// Users by their numbers.
pub(super) struct Users {
    /// The user of this process. Root is trusted in any case.
    pub own: u32,
    /// Another one who may have the folder, but only where others can't make folders: in `/tmp`
    /// somebody else could have been the first with a name.
    pub guest: Option<u32>,
}

/// Whether only these users can change the content of a folder. The error names the folder on the
/// way to it that somebody else can change.
pub(super) fn ensure_private(folder: &Path, users: &Users) -> Result<(), String> {
    ensure(folder, users, true)
}

/// Whether these users can have a private folder in this one.
pub(super) fn ensure_way(folder: &Path, users: &Users) -> Result<(), String> {
    ensure(folder, users, false)
}

/// `closed`: others can't add to the folder.
fn ensure(folder: &Path, users: &Users, closed: bool) -> Result<(), String> {
    let failed = |at: &Path, error: &dyn Display| format!("{}: {error}", at.display());
    let absolute = std::path::absolute(folder).map_err(|error| failed(folder, &error))?;
    let mut left = parts(&absolute);
    let mut at = PathBuf::from("/");
    let (mut links, mut shared) = (0, false);
    loop {
        let stat = lstat(&at).map_err(|error| failed(&at, &error))?;
        users.ensure_owner(&at, &stat, shared)?;
        if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
            links += 1;
            if links > LINKS {
                return Err(failed(&absolute, &"too many symbolic links are on the way to it"));
            }
            let target = readlink(&at, Vec::new()).map_err(|error| failed(&at, &error))?;
            let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
            left.extend(parts(&target));
            if target.is_absolute() {
                at = PathBuf::from("/");
            } else {
                at.pop();
            }
            continue;
        }
        shared = ensure_closed(&at, &stat, closed && left.is_empty())?;
        match left.pop() {
            None => return Ok(()),
            Some(up) if up == ".." => _ = at.pop(),
            Some(name) => at.push(name),
        }
    }
}

/// The parts of a path below the root, the last one first.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path
        .components()
        .rev()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    parts.map(|part| part.as_os_str().to_owned()).collect()
}

impl Users {
    /// `shared`: others can make folders beside it.
    fn ensure_owner(&self, at: &Path, stat: &Stat, shared: bool) -> Result<(), String> {
        let guest = self.guest.filter(|_| !shared);
        if [Some(0), Some(self.own), guest].contains(&Some(stat.st_uid)) {
            return Ok(());
        }
        Err(format!("the folder {} belongs to another user ({})", at.display(), stat.st_uid))
    }
}

/// Whether others can't replace what is in this folder. `closed`: they can't add to it either.
/// Returns whether they can add to it.
fn ensure_closed(at: &Path, stat: &Stat, closed: bool) -> Result<bool, String> {
    let shown = at.display();
    let mode = Mode::from_raw_mode(stat.st_mode);
    let is_open = mode.intersects(Mode::WGRP | Mode::WOTH);
    if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
        Err(format!("{shown} is no folder"))
    } else if is_open && (closed || !mode.contains(Mode::SVTX)) {
        Err(format!("others can write to the folder {shown} (mode {:o})", stat.st_mode & 0o7777))
    } else {
        Ok(is_open)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::process::geteuid;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink};

    /// A folder that is removed at the end. `/tmp`, where it is, is open to all and sticky.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let name = format!("striper-private-{name}-{}", std::process::id());
            let path = std::env::temp_dir().join(name);
            let _ = fs::remove_dir_all(&path);
            fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
            Scratch(path)
        }

        fn make(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            fs::create_dir_all(&path).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn own(folder: &Path) -> Result<(), String> {
        ensure_private(folder, &Users { own: geteuid().as_raw(), guest: None })
    }

    fn refused(folder: &Path, part: &str) {
        let why = own(folder).unwrap_err();
        assert!(why.contains(part), "{part} in {why}");
    }

    #[test]
    fn nobody_else_can_write_to_a_folder_on_the_way() {
        let scratch = Scratch::new("modes");
        let inner = scratch.make("outer/inner", 0o700);
        for (mode, why) in [
            (0o755, None),
            (0o777, Some("/outer (mode 777)")),
            (0o775, Some("/outer (mode 775)")),
            (0o1777, None),
        ] {
            scratch.make("outer", mode);
            match why {
                None => assert_eq!(own(&inner), Ok(()), "{mode:o}"),
                Some(why) => refused(&inner, why),
            }
        }
        refused(&inner.join(".."), "/outer (mode 1777)");
        refused(&scratch.0.join("none"), "No such file");
        fs::write(scratch.0.join("file"), "").unwrap();
        refused(&scratch.0.join("file"), "is no folder");
    }

    #[test]
    fn the_way_goes_through_links_as_that_of_the_system_does() {
        let scratch = Scratch::new("links");
        let inner = scratch.make("outer/inner", 0o700);
        let link = |target: &str, name: &str| {
            let path = scratch.0.join(name);
            symlink(target, &path).unwrap();
            path
        };
        let links = [
            link("outer/inner", "relative"),
            link(inner.to_str().unwrap(), "absolute"),
            link("relative/../inner", "up"),
            link(".", "here"),
        ];
        for link in &links {
            assert_eq!(own(link), Ok(()), "{}", link.display());
        }
        scratch.make("outer", 0o777);
        links[..3].iter().for_each(|link| refused(link, "/outer (mode 777)"));
        scratch.make("", 0o1777);
        refused(&links[3], "(mode 1777)");
        refused(&link("loop", "loop"), "too many symbolic links");
    }

    #[test]
    fn a_folder_on_the_way_that_belongs_to_another_user_is_refused() {
        const STRANGER: u32 = 4_242;
        if !geteuid().is_root() {
            return;
        }
        let scratch = Scratch::new("owners");
        let inner = scratch.make("outer/inner", 0o700);
        chown(scratch.0.join("outer"), Some(STRANGER), None).unwrap();
        refused(&inner, "/outer belongs to another user (4242)");
        symlink("/", scratch.0.join("link")).unwrap();
        rustix::fs::chownat(
            rustix::fs::CWD,
            scratch.0.join("link"),
            Some(rustix::process::Uid::from_raw(STRANGER)),
            None,
            rustix::fs::AtFlags::SYMLINK_NOFOLLOW,
        )
        .unwrap();
        refused(&scratch.0.join("link"), "link belongs to another user (4242)");

        let guest = |folder: &Path, guest| ensure_private(folder, &Users { own: 0, guest });
        assert_eq!(guest(&scratch.0.join("outer"), Some(STRANGER)), Ok(()));
        assert_eq!(guest(&inner, Some(STRANGER)), Ok(()));
        assert!(guest(&inner, Some(STRANGER + 1)).is_err());
        // Where everybody makes folders, he may have taken the name of another.
        scratch.make("", 0o1777);
        assert!(guest(&inner, Some(STRANGER)).is_err());
    }
}
