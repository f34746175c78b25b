//! Finds running proxies of this machine, and asks them.

use super::place::{self, Env};
use super::request::{Answer, Request};
use super::table;
use crate::failure::{Failure, code, shell_word};
use crate::socket;
use crate::state::State;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a proxy may take for an answer.
const LIMIT: Duration = Duration::from_secs(30);
/// The same where an answer only adds to a list of names.
const BRIEF: Duration = Duration::from_millis(500);

/// The longest answer in bytes. The largest state has about a tenth of it.
const MAX_ANSWER: u64 = 64 << 20;

/// Finds the socket of the only proxy, or of the named one. Its name is a path, or that of a
/// socket in one of the usual folders, with or without its ending.
pub(crate) fn find(named: Option<&Path>, env: Env<'_>) -> Result<PathBuf, Failure> {
    if let Some(path) = named.filter(|path| path.components().count() > 1 || path.exists()) {
        return Ok(path.to_owned());
    }
    let mut searched = Vec::new();
    let mut found = Vec::new();
    for folder in place::folders(env) {
        look(&folder.path, &mut found, &mut searched);
    }
    found.retain(|path| !socket::is_left_behind(path));
    let is_named = |path: &Path| {
        named.is_none_or(|name| {
            path.file_name() == Some(name.as_os_str()) || path.file_stem() == Some(name.as_os_str())
        })
    };
    let matching: Vec<&PathBuf> = found.iter().filter(|path| is_named(path)).collect();
    match matching[..] {
        [one] => Ok(one.clone()),
        [] => Err(nobody(named, &found, &searched)),
        _ => Err(several(&matching)),
    }
}

/// Adds the sockets of a folder and its subfolders to those found, but for those that another user
/// may have put there. Adds what was searched, or why it was not.
fn look(folder: &Path, found: &mut Vec<PathBuf>, searched: &mut Vec<String>) {
    let shown = folder.display();
    let missing = |error: io::Error| error.kind() == ErrorKind::NotFound;
    if folder.symlink_metadata().is_err_and(missing) {
        return searched.push(shown.to_string());
    }
    let sockets = place::answerers(folder)
        .and_then(|_| place::sockets(folder).map_err(|error| format!("{shown}: {error}")));
    searched.push(sockets.as_ref().err().cloned().unwrap_or_else(|| shown.to_string()));
    for socket in sockets.unwrap_or_default() {
        match place::answerers(place::parent(&socket)) {
            Ok(_) => found.push(socket),
            Err(why) if searched.contains(&why) => {}
            Err(why) => searched.push(why),
        }
    }
}

fn nobody(named: Option<&Path>, found: &[PathBuf], searched: &[String]) -> Failure {
    let cause = match named {
        Some(name) => format!("there is no control socket {}", name.display()),
        None => "no proxy runs here that could be asked".to_owned(),
    };
    let cure = if found.is_empty() {
        format!(
            "start one, ask as the user who runs it, or write its socket last; searched: {}",
            searched.join(", ")
        )
    } else {
        format!("name one of {}", names(found.iter()))
    };
    Failure { code: code::NOBODY, ..Failure::usage(cause, cure) }
}

fn several(found: &[&PathBuf]) -> Failure {
    let cause = format!("{} proxies run here", found.len());
    Failure::usage(cause, format!("name one of them: {}", names(found.iter().copied())))
}

fn names<'a>(sockets: impl Iterator<Item = &'a PathBuf>) -> String {
    let name =
        |path: &PathBuf| match Connection::within(path, BRIEF).and_then(|mut it| it.status(0)) {
            Ok(state) => format!("{} ({})", shell_word(path), table::summary(&state)),
            Err(_) => shell_word(path),
        };
    sockets.map(name).collect::<Vec<_>>().join(", ")
}

/// A connection to the control socket of a proxy. It blocks.
pub(crate) struct Connection {
    socket: BufReader<UnixStream>,
    path: PathBuf,
}

impl Connection {
    pub(crate) fn open(path: &Path) -> Result<Self, Failure> {
        Connection::within(path, LIMIT)
    }

    /// An answer may take this long.
    fn within(path: &Path, limit: Duration) -> Result<Self, Failure> {
        let open = || {
            let socket = socket::connect(path)?;
            socket.set_read_timeout(Some(limit))?;
            socket.set_write_timeout(Some(limit))?;
            Ok(socket)
        };
        let socket = open().map_err(|error| unreachable(path, &error))?;
        let user = user_of(&socket).map_err(|error| unreachable(path, &error))?;
        if user.is_some_and(|user| !place::is_believed(path, user)) {
            return Err(strange(path, user.unwrap_or_default()));
        }
        Ok(Connection { socket: BufReader::new(socket), path: path.to_owned() })
    }

    /// Sends a request, and waits for its answer.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<serde_json::Value, Failure> {
        self.ask_for(request)
    }

    /// The state with at most so many flows.
    pub(crate) fn status(&mut self, flows: usize) -> Result<State, Failure> {
        self.ask_for(&Request::Status { flows })
    }

    fn ask_for<T: serde::de::DeserializeOwned>(&mut self, request: &Request) -> Result<T, Failure> {
        let shown = self.path.display();
        let failed = |error: io::Error| {
            let why = match error.kind() {
                ErrorKind::WouldBlock => "it did not answer in time".to_owned(),
                ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => {
                    "it has ended, or is no striper-cli".to_owned()
                }
                _ => error.to_string(),
            };
            let cause = format!("{shown}: {why}");
            Failure { code: code::NOBODY, ..Failure::usage(cause, "ask again: striper-cli status") }
        };
        let line = exchange(&mut self.socket, request).map_err(failed)?;
        match serde_json::from_slice(&line) {
            Ok(Answer::Ok(value)) => Ok(value),
            Ok(Answer::Error(trouble)) => Err(trouble.into_failure()),
            Err(error) => {
                Err(Failure::unexpected(format!("{shown}: the answer is garbled: {error}")))
            }
        }
    }
}

fn exchange(socket: &mut BufReader<UnixStream>, request: &Request) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    socket.get_mut().write_all(&line)?;
    line.clear();
    socket.take(MAX_ANSWER).read_until(b'\n', &mut line)?;
    if line.last() == Some(&b'\n') { Ok(line) } else { Err(ErrorKind::UnexpectedEof.into()) }
}

/// The user whose process listens at the other end, if the system says so.
#[cfg(target_os = "linux")]
fn user_of(socket: &UnixStream) -> io::Result<Option<u32>> {
    Ok(Some(rustix::net::sockopt::socket_peercred(socket)?.uid.as_raw()))
}

#[cfg(not(target_os = "linux"))]
fn user_of(_socket: &UnixStream) -> io::Result<Option<u32>> {
    Ok(None)
}

/// The failure where the process of another user listens: its answers may be made up.
fn strange(path: &Path, user: u32) -> Failure {
    let cause =
        format!("{}: the process behind it belongs to another user ({user})", path.display());
    let cure = "name the socket of a proxy of yours, or ask as that user";
    Failure { code: code::NOBODY, ..Failure::usage(cause, cure) }
}

fn unreachable(path: &Path, error: &io::Error) -> Failure {
    let (why, cure) = match error.kind() {
        ErrorKind::NotFound => {
            ("there is no such socket".to_owned(), "striper-cli status finds it")
        }
        ErrorKind::ConnectionRefused if path.is_file() || path.is_dir() => {
            ("it is no socket".to_owned(), "name the control socket of a running striper-cli")
        }
        ErrorKind::ConnectionRefused => {
            ("the proxy that had this socket has ended".to_owned(), "start it again")
        }
        ErrorKind::PermissionDenied => {
            ("it belongs to another user".to_owned(), "ask as that user, or as root: sudo")
        }
        ErrorKind::WouldBlock => ("it takes no connections now".to_owned(), "try again"),
        _ => (error.to_string(), "name the control socket of a running striper-cli"),
    };
    Failure { code: code::NOBODY, ..Failure::usage(format!("{}: {why}", path.display()), cure) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;
    use std::os::unix::net::UnixListener;

    fn folder(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("striper-ask-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn find_in(folder: &Path, named: Option<&str>) -> Result<PathBuf, Failure> {
        let env = |name: &str| (name == "RUNTIME_DIRECTORY").then(|| OsString::from(folder));
        find(named.map(Path::new), &env)
    }

    #[test]
    fn a_socket_is_named_by_its_path_or_by_a_part_of_it() {
        let folder = folder("named");
        let [one, other] = ["server-1.sock", "client-2.sock"].map(|name| folder.join(name));
        let _listening = [&one, &other].map(|path| UnixListener::bind(path).unwrap());
        assert_eq!(find_in(&folder, Some("server-1")), Ok(one.clone()));
        assert_eq!(find_in(&folder, Some("client-2.sock")), Ok(other));
        assert_eq!(find_in(&folder, Some(one.to_str().unwrap())), Ok(one));
        assert_eq!(find_in(&folder, Some("/x/y.sock")), Ok("/x/y.sock".into()));
        let failure = find_in(&folder, Some("server-7")).unwrap_err();
        assert_eq!(
            (failure.code, failure.cause.as_str()),
            (code::NOBODY, "there is no control socket server-7")
        );
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_socket_that_another_user_may_have_put_there_is_not_found() {
        use std::os::unix::fs::PermissionsExt;
        let folder = folder("shared");
        let inner = folder.join("inner");
        std::fs::create_dir(&inner).unwrap();
        let _listening = [&folder, &inner].map(|at| UnixListener::bind(at.join("x.sock")).unwrap());
        let set = |at: &Path, mode| {
            std::fs::set_permissions(at, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        set(&inner, 0o777);
        assert_eq!(find_in(&folder, None), Ok(folder.join("x.sock")));
        for mode in [0o1777, 0o777] {
            set(&folder, mode);
            let failure = find_in(&folder, None).unwrap_err();
            assert_eq!(failure.code, code::NOBODY);
            let part = format!("others can write to the folder {}", folder.display());
            assert!(failure.to_string().contains(&part), "{failure}");
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn an_answer_that_is_none_has_its_cause() {
        let folder = folder("answers");
        let path = folder.join("x.sock");
        let listener = UnixListener::bind(&path).unwrap();
        for (answer, part) in [
            (&b""[..], "it has ended, or is no striper-cli"),
            (b"SSH-2.0-x\n", "the answer is garbled"),
            (b"{\"ok\":", "it has ended"),
            (b"{\"error\":{\"code\":8,\"cause\":\"no key\",\"cure\":null}}\n", "no key"),
        ] {
            let mut connection = Connection::open(&path).unwrap();
            let (mut socket, _) = listener.accept().unwrap();
            socket.write_all(answer).unwrap();
            socket.shutdown(std::net::Shutdown::Write).unwrap();
            let failure = connection.ask(&Request::Reload).unwrap_err();
            assert!(failure.to_string().contains(part), "{failure}");
        }
        drop(listener);
        let failure = Connection::open(&path).err().unwrap();
        assert!(failure.cause.contains("has ended") && failure.code == code::NOBODY, "{failure}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
