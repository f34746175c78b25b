use super::*;
use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};

pub(crate) struct Folder(pub PathBuf);

impl Folder {
    pub(crate) fn new(name: &str) -> Folder {
        let name = format!("striper-{name}-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    /// A file of this content that everybody can read.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        path
    }

    fn names(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<_> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn create_ours(path: &Path) -> io::Result<File> {
    create(path, b"ours")
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

#[test]
fn a_new_file_and_one_that_replaces_ours_are_readable_for_this_user_alone() {
    let folder = Folder::new("mode");
    let new = folder.0.join("new");
    let (ours, empty) = (folder.file("ours", "ours, with much in it"), folder.file("empty", ""));
    for path in [&new, &ours, &empty] {
        let file = create_ours(path).unwrap();
        assert_eq!((file.metadata().unwrap().len(), mode(path)), (0, 0o600), "{}", path.display());
    }
    assert_eq!(folder.names(), ["empty", "new", "ours"], "nothing is left beside them");
}

#[test]
fn a_file_that_is_not_ours_or_write_protected_stays_as_it_is() {
    let folder = Folder::new("other");
    for (name, content, bits) in [("a", "a key, not ours", 0o644), ("b", "ours, to be kept", 0o400)]
    {
        let path = folder.file(name, content);
        fs::set_permissions(&path, Permissions::from_mode(bits)).unwrap();
        assert_eq!(create_ours(&path).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
    assert_eq!(folder.names(), ["a", "b"]);
}

#[test]
fn a_name_that_leads_elsewhere_is_not_followed() {
    let folder = Folder::new("links");
    let ours = folder.file("ours", "ours");
    let link = |name: &str, to: &Path| {
        let path = folder.0.join(name);
        symlink(to, &path).unwrap();
        path
    };
    for path in [link("to-ours", &ours), link("to-nothing", &folder.0.join("nothing"))] {
        assert_eq!(create_ours(&path).unwrap_err().to_string(), "it is a symbolic link");
        assert!(path.is_symlink());
    }
    assert_eq!(fs::read_to_string(&ours).unwrap(), "ours");
    assert_eq!(folder.names(), ["ours", "to-nothing", "to-ours"]);
}

#[test]
fn a_hard_link_to_what_is_replaced_keeps_its_content() {
    let folder = Folder::new("hard");
    let (ours, kept) = (folder.file("ours", "ours"), folder.0.join("kept"));
    fs::hard_link(&ours, &kept).unwrap();
    create_ours(&ours).unwrap();
    assert_eq!(fs::read_to_string(&kept).unwrap(), "ours");
}

/// No process makes the pipe: it would hold the other tests' files until it has begun. rustix
/// makes no pipes on Apple's systems.
#[cfg(not(target_vendor = "apple"))]
#[test]
fn a_folder_and_a_pipe_are_errors_and_make_nobody_wait() {
    use rustix::fs::{CWD, Mode, mkfifoat};
    let folder = Folder::new("irregular");
    assert_eq!(create_ours(&folder.0).unwrap_err().kind(), ErrorKind::IsADirectory);
    let pipe = folder.0.join("pipe");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).unwrap();
    assert_eq!(create_ours(&pipe).unwrap_err().kind(), ErrorKind::InvalidInput);
    assert!(create_ours(Path::new("/dev/null")).is_ok(), "a device keeps nothing");
}

#[test]
fn a_slow_device_makes_its_writer_wait() {
    let device = create_ours(Path::new("/dev/null")).unwrap();
    let flags = fcntl_getfl(&device).unwrap();
    assert!(!flags.contains(OFlags::NONBLOCK), "{flags:?}");
}

#[test]
fn a_file_that_is_still_written_to_is_not_replaced() {
    let folder = Folder::new("busy");
    let path = folder.0.join("ours");
    let first = create_ours(&path).unwrap();
    assert_eq!(create_ours(&path).unwrap_err().kind(), ErrorKind::ResourceBusy);
    assert_eq!(folder.names(), ["ours"]);
    drop(first);
    assert!(create_ours(&path).is_ok());
}

/// Such a race is lost by the file that comes later, not by the one that has the name.
#[test]
fn of_two_drafts_of_a_new_file_the_first_that_is_kept_gets_the_name() {
    let folder = Folder::new("race");
    let path = folder.0.join("ours");
    let [first, second] = [(); 2].map(|()| Draft::new(&path, b"ours").unwrap());
    first.file().write_all(b"ours, the first").unwrap();
    let first = first.keep().unwrap();
    assert_eq!(second.keep().unwrap_err().kind(), ErrorKind::ResourceBusy);
    assert_eq!(fs::read_to_string(&path).unwrap(), "ours, the first");
    assert_eq!(folder.names(), ["ours"]);
    drop(first);
}

#[test]
fn a_file_that_has_taken_the_name_since_the_draft_began_stays() {
    let folder = Folder::new("since");
    let (new, ours) = (folder.0.join("new"), folder.file("ours", "ours"));
    let drafts = [&new, &ours].map(|path| Draft::new(path, b"ours").unwrap());
    for path in [&new, &ours] {
        let other = folder.file("other", "a key, not ours");
        fs::rename(other, path).unwrap();
    }
    let errors = drafts.map(|draft| draft.keep().unwrap_err().kind());
    assert_eq!(errors, [ErrorKind::AlreadyExists, ErrorKind::ResourceBusy]);
    for path in [&new, &ours] {
        assert_eq!(fs::read_to_string(path).unwrap(), "a key, not ours");
    }
    assert_eq!(folder.names(), ["new", "ours"]);
}

#[test]
fn a_draft_that_is_not_kept_leaves_everything_as_it_was() {
    let folder = Folder::new("draft");
    let ours = folder.file("ours", "ours, the first");
    for path in [ours.clone(), folder.0.join("new"), folder.0.join("x".repeat(255))] {
        let draft = Draft::new(&path, b"ours").unwrap();
        draft.file().write_all(b"ours, the second").unwrap();
        assert_eq!(folder.names().len(), 2, "{:?}", folder.names());
    }
    assert_eq!(folder.names(), ["ours"]);
    assert_eq!(fs::read_to_string(&ours).unwrap(), "ours, the first");
}
