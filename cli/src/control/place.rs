//! The places of control sockets. A socket stands in a folder that only its user can write to:
//! elsewhere another user could put a socket of his own in its place.

use super::private::{self, Users};
use crate::failure::{Failure, code, shell_word};
use crate::socket;
use crate::state::Role;
use rustix::fs::{FileType, Mode, Stat, lstat, mkdir, stat};
use rustix::io::Errno;
use rustix::process::{Pid, geteuid, test_kill_process};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Looks an environment variable up.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

/// The folders of sockets whose place is not named, in order of preference. `Folder::make` says
/// whether it is ours to make.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Folder {
    pub path: PathBuf,
    make: bool,
}

/// All folders where a socket of this user may be. A service has one of its own, which the manager
/// of services makes; if it has several, colons separate them.
pub(super) fn folders(env: Env<'_>) -> Vec<Folder> {
    let set = |name| env(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(all) = set("RUNTIME_DIRECTORY") {
        let all = all.to_string_lossy();
        let first = all.split(':').next().unwrap_or_default();
        return vec![Folder { path: first.into(), make: false }];
    }
    let user = geteuid();
    let own = if user.is_root() {
        Some(PathBuf::from("/run/striper"))
    } else {
        set("XDG_RUNTIME_DIR").map(|folder| folder.join("striper"))
    };
    let last = PathBuf::from(format!("/tmp/striper-{}", user.as_raw()));
    own.into_iter().chain([last]).map(|path| Folder { path, make: true }).collect()
}

/// The path of a socket for this process. The error is the cause.
pub(super) fn own(role: Role, env: Env<'_>) -> Result<PathBuf, String> {
    let mut causes = Vec::new();
    for folder in folders(env) {
        match folder.prepare() {
            Ok(()) => {
                tidy(&folder.path);
                return Ok(folder.path.join(name(role, std::process::id())));
            }
            Err(cause) => causes.push(cause),
        }
    }
    Err(causes.join("; "))
}

fn name(role: Role, process: u32) -> String {
    let role = match role {
        Role::Client => "client",
        Role::Server => "server",
        Role::Relay => "relay",
    };
    format!("{role}-{process}.sock")
}

impl Folder {
    /// Makes it if need be. The error says why no socket may stand there.
    fn prepare(&self) -> Result<(), String> {
        let shown = self.path.display();
        match lstat(&self.path) {
            // The system makes links to folders of its own.
            Ok(stat) if self.make && is_link(&stat) => return Err(format!("{shown} is no folder")),
            Err(Errno::NOENT) if self.make => {
                let mode = Mode::from_raw_mode(0o700);
                mkdir(&self.path, mode).map_err(|error| format!("cannot make {shown}: {error}"))?;
            }
            _ => {}
        }
        ensure_private(&self.path)
    }
}

/// The users by whose processes commands of this user believe what they are told at a socket in
/// this folder. Beside this one, root believes the user of a service, who has a folder of its own.
/// The error says why it is nobody.
pub(super) fn answerers(folder: &Path) -> Result<Vec<u32>, String> {
    let Users { own, .. } = us();
    let refused = match ensure_private(folder) {
        Ok(()) => return Ok(vec![0, own]),
        Err(why) => why,
    };
    let guest = stat(folder).ok().filter(|_| own == 0).map(|stat| stat.st_uid);
    match private::ensure_private(folder, &Users { own, guest }) {
        Ok(()) => Ok([own].into_iter().chain(guest).collect()),
        Err(_) => Err(refused),
    }
}

/// Whether a command believes what a process of this user says at a socket.
pub(super) fn is_believed(socket: &Path, user: u32) -> bool {
    let own = [0, us().own];
    own.contains(&user)
        || answerers(parent(socket)).is_ok_and(|answerers| answerers.contains(&user))
}

/// Whether others could put something into this folder, or another folder in its place. The error
/// says how.
fn ensure_private(folder: &Path) -> Result<(), String> {
    private::ensure_private(folder, &us())
}

fn us() -> Users {
    Users { own: geteuid().as_raw(), guest: None }
}

fn is_link(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Symlink
}

/// The folder in which a socket stands.
pub(super) fn parent(path: &Path) -> &Path {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

/// The failure if a socket may not stand at a path that was named.
pub(super) fn check(path: &Path) -> Result<(), Failure> {
    let parent = parent(path);
    if stat(parent).is_err() {
        // Listening says what is wrong with it.
        return Ok(());
    }
    ensure_private(parent).map_err(|why| {
        let cause = format!("cannot listen on {}: {why}", path.display());
        let cure = match private::ensure_way(parent, &us()) {
            Ok(()) => format!(
                "name a socket in a folder that only you can write to: mkdir -m 700 {}",
                shell_word(&parent.join("striper"))
            ),
            Err(_) => "name a socket in a folder that only you can write to, where also the \
                       folders above it belong to you or root"
                .to_owned(),
        };
        Failure { code: code::BIND, ..Failure::usage(cause, cure) }
    })
}

/// The sockets in a folder and in its subfolders, one level deep: services have one each.
pub(super) fn sockets(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "sock") {
            found.push(path);
        } else if path.is_dir() {
            let inner = fs::read_dir(&path).into_iter().flatten().flatten();
            let inner = inner.map(|entry| entry.path());
            found.extend(inner.filter(|path| path.extension().is_some_and(|end| end == "sock")));
        }
    }
    found.sort();
    Ok(found)
}

/// Removes what processes left behind in a folder of ours. Processes that run are not disturbed.
fn tidy(folder: &Path) {
    for path in sockets(folder).unwrap_or_default() {
        let is_own = path.parent() == Some(folder) && !process(&path).is_some_and(runs);
        if is_own && socket::is_left_behind(&path) {
            let _ = fs::remove_file(path);
        }
    }
}

/// The process whose socket has this name.
fn process(socket: &Path) -> Option<Pid> {
    let (_, process) = socket.file_stem()?.to_str()?.rsplit_once('-')?;
    Pid::from_raw(process.parse().ok()?)
}

fn runs(process: Pid) -> bool {
    test_kill_process(process) != Err(Errno::SRCH)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    /// A folder that is removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path =
                std::env::temp_dir().join(format!("striper-place-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::DirBuilder::new().mode(0o700).create(&path).unwrap();
            Scratch(path)
        }

        fn set_mode(&self, mode: u32) {
            fs::set_permissions(&self.0, fs::Permissions::from_mode(mode)).unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_folder_that_others_can_write_to_has_no_socket() {
        let scratch = Scratch::new("shared");
        let path = scratch.0.join("x.sock");
        assert_eq!(check(&path), Ok(()));
        for mode in [0o770, 0o702, 0o1777] {
            scratch.set_mode(mode);
            let failure = check(&path).unwrap_err();
            assert_eq!(failure.code, code::BIND);
            let text = failure.to_string();
            assert!(text.contains("others can write to the folder"), "{text}");
            // A folder in a sticky one is safe from others.
            assert_eq!(text.contains("mkdir -m 700"), mode == 0o1777, "{text}");
            let folder = Folder { path: scratch.0.clone(), make: true };
            assert!(folder.prepare().unwrap_err().contains("others can write"));
        }
        scratch.set_mode(0o755);
        assert_eq!(check(&path), Ok(()));
    }

    #[test]
    fn a_folder_that_others_can_put_another_one_in_place_of_has_no_socket() {
        let scratch = Scratch::new("above");
        let inner = scratch.0.join("inner");
        fs::DirBuilder::new().mode(0o700).create(&inner).unwrap();
        assert_eq!(check(&inner.join("x.sock")), Ok(()));
        scratch.set_mode(0o777);
        let text = check(&inner.join("x.sock")).unwrap_err().to_string();
        assert!(text.contains("others can write to the folder"), "{text}");
        assert!(text.contains("the folders above it"), "{text}");
        let folder = Folder { path: inner, make: true };
        assert!(folder.prepare().unwrap_err().contains("others can write"));
    }

    #[test]
    fn a_folder_of_ours_is_made_and_a_link_in_its_place_is_not_followed() {
        let scratch = Scratch::new("made");
        let (made, link) = (scratch.0.join("striper"), scratch.0.join("link"));
        let folder = |path: &Path, make| Folder { path: path.to_owned(), make };
        assert!(folder(&made, false).prepare().is_err(), "the system makes that one");
        assert_eq!(folder(&made, true).prepare(), Ok(()));
        assert_eq!(fs::metadata(&made).unwrap().permissions().mode() & 0o777, 0o700);
        symlink(&made, &link).unwrap();
        assert!(folder(&link, true).prepare().unwrap_err().contains("is no folder"));
        assert_eq!(folder(&link, false).prepare(), Ok(()), "systemd makes a link");
    }

    #[test]
    fn a_service_uses_its_own_folder_and_no_other() {
        let env = |name: &str| match name {
            "RUNTIME_DIRECTORY" => Some("/run/striper/a:/run/other".into()),
            _ => None,
        };
        let own = Folder { path: "/run/striper/a".into(), make: false };
        assert_eq!(folders(&env), [own]);
        let made = folders(&|_| None);
        assert!(!made.is_empty() && made.iter().all(|folder| folder.make));
    }

    #[test]
    fn sockets_that_processes_left_behind_are_removed_and_others_stay() {
        let scratch = Scratch::new("tidy");
        // No process has such a high number.
        let dead = |role: &str| scratch.0.join(format!("{role}-2147483647.sock"));
        let _live = UnixListener::bind(dead("server")).unwrap();
        drop(UnixListener::bind(dead("client")).unwrap());
        drop(UnixListener::bind(scratch.0.join("relay-1.sock")).unwrap());
        fs::write(scratch.0.join("file.sock"), "").unwrap();
        fs::create_dir(scratch.0.join("service")).unwrap();
        fs::write(scratch.0.join("service/inner.sock"), "").unwrap();
        tidy(&scratch.0);
        let names = ["file.sock", "relay-1.sock", "server-2147483647.sock", "service/inner.sock"];
        assert_eq!(sockets(&scratch.0).unwrap(), names.map(|name| scratch.0.join(name)));
    }
}
