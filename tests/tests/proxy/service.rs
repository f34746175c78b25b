//! The program under a service manager: messages about its state, and sockets that are open before
//! it starts.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::process::{Command, Stdio};
use striper_tests::{LIMIT, Origin, Proxy, TempDir, UP, binary};

/// The socket of a service manager.
struct Manager {
    socket: UnixDatagram,
    path: String,
    _folder: TempDir,
}

impl Manager {
    fn start() -> Manager {
        let folder = TempDir::create();
        let path = folder.text("notify");
        Manager::at(UnixDatagram::bind(&path), path, folder)
    }

    /// Its socket has a name and no file.
    #[cfg(target_os = "linux")]
    fn abstract_one() -> Manager {
        use std::os::linux::net::SocketAddrExt;
        let folder = TempDir::create();
        let name = folder.text("notify");
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name);
        let socket = address.and_then(|address| UnixDatagram::bind_addr(&address));
        Manager::at(socket, format!("@{name}"), folder)
    }

    fn at(socket: std::io::Result<UnixDatagram>, path: String, folder: TempDir) -> Manager {
        let socket = socket.expect("a socket");
        socket.set_read_timeout(Some(LIMIT)).expect("a socket");
        Manager { socket, path, _folder: folder }
    }

    fn next(&self) -> Vec<String> {
        let mut message = [0; 1000];
        let len = self.socket.recv(&mut message).expect("a message");
        let text = std::str::from_utf8(&message[..len]).expect("a text");
        text.lines().map(str::to_owned).collect()
    }

    fn next_with(&self, line: &str) {
        while !self.next().iter().any(|other| other == line) {}
    }
}

#[test]
fn a_service_manager_hears_of_the_start_of_a_reload_and_of_the_stop() {
    let origin = Origin::start().addr().to_string();
    for args in [["-s", "127.0.0.1:0", &origin], ["-c", "127.0.0.1:0", &origin]] {
        let manager = Manager::start();
        let mut proxy = Proxy::start_with(&args, &[("NOTIFY_SOCKET", &manager.path)]);
        assert_eq!(manager.next(), ["READY=1", "STATUS=serving"]);
        proxy.hang_up();
        let reload = manager.next();
        assert_eq!((reload.len(), reload[0].as_str()), (2, "RELOADING=1"));
        let at = reload[1].strip_prefix("MONOTONIC_USEC=").expect("the time of the reload");
        assert!(at.parse::<u64>().is_ok_and(|at| at > 0), "{at}");
        assert_eq!(manager.next(), ["READY=1"]);
        proxy.terminate();
        assert_eq!(manager.next(), ["STOPPING=1", "STATUS=stopping, 0 connections"]);
        assert_eq!(proxy.exit_code(), Some(0));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_manager_whose_socket_is_abstract_hears_of_the_start() {
    let (manager, origin) = (Manager::abstract_one(), Origin::start());
    let args = ["relay", "127.0.0.1:0", &origin.addr().to_string()];
    let _proxy = Proxy::start_with(&args, &[("NOTIFY_SOCKET", &manager.path)]);
    assert_eq!(manager.next(), ["READY=1", "STATUS=serving"]);
}

#[test]
fn a_watchdog_is_told_again_and_again_that_the_program_makes_progress() {
    let (manager, origin) = (Manager::start(), Origin::start());
    let variables = [("NOTIFY_SOCKET", manager.path.as_str()), ("WATCHDOG_USEC", "20000")];
    let args = ["relay", "127.0.0.1:0", &origin.addr().to_string()];
    let _proxy = Proxy::start_with(&args, &variables);
    for _ in 0..3 {
        manager.next_with("WATCHDOG=1");
    }
}

#[test]
fn a_manager_that_is_not_there_is_a_warning_and_no_more() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let variables = [("NOTIFY_SOCKET", &*folder.text("nobody"))];
    let proxy =
        Proxy::start_with(&["relay", "127.0.0.1:0", &origin.addr().to_string()], &variables);
    proxy.wait_for("supervisor_unreachable");
    proxy.assert_works(&origin);
}

/// The queue of the manager's socket takes few messages.
#[test]
fn a_manager_that_does_not_read_stops_nothing_and_hears_of_the_state_later() {
    let (manager, origin) = (Manager::start(), Origin::start());
    let variables = [("NOTIFY_SOCKET", manager.path.as_str()), ("WATCHDOG_USEC", "2000")];
    let args = ["relay", "127.0.0.1:0", &origin.addr().to_string()];
    let mut proxy = Proxy::start_with(&args, &variables);
    let warning = proxy.wait_for("supervisor_unreachable");
    assert_eq!(warning.text("reason"), "it does not read its messages");
    proxy.assert_works(&origin);
    let connection = proxy.open(&origin);
    proxy.terminate();
    proxy.wait_for("stopping");
    manager.next_with("READY=1");
    manager.next_with("STOPPING=1");
    drop(connection);
    assert_eq!(proxy.exit_code(), Some(0));
    assert_eq!(proxy.count("supervisor_unreachable"), 1, "it is said once");
}

/// The program with an open socket as its third file descriptor, as a service manager starts it.
fn with_socket(socket: OwnedFd, args: &[&str]) -> Command {
    let mut command = Command::new("sh");
    let script = "exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    command.args(["-c", script]).arg(binary::path()).args(args).args(["--log", "json"]);
    command.stdin(Stdio::from(socket));
    command
}

#[test]
fn a_listening_socket_of_the_manager_is_used_if_it_has_an_address_of_the_command() {
    let origin = Origin::start();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let here = listener.local_addr().expect("an address").to_string();
    // A connection that comes before the program is there waits in the socket.
    let mut early = std::net::TcpStream::connect(&here).expect("a connection");
    let args = ["relay", &here, &origin.addr().to_string()];
    let mut command = with_socket(listener.into(), &args);
    let proxy = Proxy::start_as(&mut command, args.join(" "));
    // Its end in the command would keep the port open.
    drop(command);
    UP.send(&mut early, 0..1000);
    UP.expect(&mut origin.accept(), 0..1000);
    proxy.assert_works(&origin);
}

#[test]
fn a_unix_socket_of_the_manager_is_used_and_stays_at_the_end() {
    let (origin, folder) = (Origin::start(), TempDir::create());
    let server = Proxy::server(origin.addr(), &[]);
    let path = folder.text("local");
    let listener = UnixListener::bind(&path).expect("a socket");
    let args = ["client", &server.addr().to_string(), "-L", &path];
    let mut command = with_socket(listener.into(), &args);
    let mut proxy = Proxy::start_as(&mut command, args.join(" "));
    drop(command);
    let mut local = UnixStream::connect(&path).expect("a connection");
    UP.send(&mut local, 0..1000);
    let mut target = origin.accept();
    UP.expect(&mut target, 0..1000);
    drop((local, target));
    // A process that replaces this one leaves it there too.
    proxy.upgrade();
    proxy.stop_last();
    proxy.exit_code();
    assert!(std::path::Path::new(&path).exists(), "it belongs to the manager");
}

#[test]
fn a_socket_that_fits_no_address_of_the_command_is_an_error_with_both() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let here = listener.local_addr().expect("an address");
    let all = format!("0.0.0.0:{}", here.port());
    let here = here.to_string();
    for address in ["127.0.0.1:0", &all] {
        let socket = listener.try_clone().expect("a socket");
        assert_unused(socket.into(), address, &here);
    }
}

/// A program that is to listen at this address ends because the manager has opened another one.
fn assert_unused(socket: OwnedFd, address: &str, here: &str) {
    let mut command = with_socket(socket, &["relay", address, "a:1"]);
    let mut process = striper_tests::Process::start(command.stderr(Stdio::piped()));
    let mut said = String::new();
    let stderr = process.child().stderr.as_mut().expect("a pipe");
    std::io::Read::read_to_string(stderr, &mut said).expect("a text");
    assert_eq!(process.wait(LIMIT).and_then(|status| status.code()), Some(6), "{said}");
    assert!(said.contains(&format!("listens on {here}, ")), "{said}");
    assert!(said.contains(&format!("this command on {address}")), "{said}");
}

#[test]
fn more_sockets_than_a_process_may_have_are_an_error() {
    let told = binary::run(&["relay", "127.0.0.1:0", "a:1"], &[("LISTEN_FDS", "30000000")]);
    assert_eq!(told.code, Some(6), "{told:?}");
    assert!(told.stderr.contains("LISTEN_FDS=30000000: this process has at most"), "{told:?}");
}

#[test]
fn a_second_instance_by_mistake_is_refused() {
    let origin = Origin::start();
    let server = Proxy::server(origin.addr(), &[]);
    let here = server.addr().to_string();
    let second = binary::run(&["-s", &here, &origin.addr().to_string()], &[]);
    assert_eq!(second.code, Some(3), "{second:?}");
}
