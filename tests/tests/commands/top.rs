//! `top` on a terminal, beside a running pair.

use rustix::process::Signal;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use striper_tests::{LIMIT, Origin, Process, Proxy, TempDir, Terminal, binary, expect_reset, run};

/// The beginning of a colour that is none of the terminal's own.
const COLOUR: &str = "\u{1b}[38;5;";

/// From here on the terminal shows what it showed before.
const MAIN_SCREEN: &str = "\u{1b}[?1049l";

const COLUMNS: u16 = 120;

/// The program on a terminal. It has drawn its first screen.
struct Top {
    terminal: Terminal,
    process: Process,
    columns: u16,
    /// The bytes that it has drawn so far.
    drawn: String,
}

impl Top {
    fn start(socket: &str, options: &[&str]) -> Top {
        let mut terminal = Terminal::open(COLUMNS, 40);
        let mut command = Command::new(binary::path());
        command.args(["top", socket]).args(options).env("TERM", "xterm").env_remove("NO_COLOR");
        command.stdin(terminal.program()).stdout(terminal.program()).stderr(terminal.program());
        let process = Process::start(&mut command);
        let drawn = terminal.read_until("FLOWS");
        Top { terminal, process, columns: COLUMNS, drawn }
    }

    fn read_until(&mut self, part: &str) {
        self.drawn += &self.terminal.read_until(part);
    }

    /// Waits until this part is on the screen. With another size the whole screen is drawn anew,
    /// at the latest after the second in which `top` looks again.
    fn wait_for(&mut self, part: &str) {
        let mut screen = String::new();
        for _ in 0..LIMIT.as_secs() {
            self.columns = 241 - self.columns;
            self.terminal.resize(self.columns, 40);
            screen = self.terminal.read_until("FLOWS") + &self.terminal.read_until("quit");
            if screen.contains(part) {
                return;
            }
        }
        panic!("{part:?} does not come on the screen: {screen}");
    }

    fn exit_code(&mut self) -> Option<i32> {
        self.process.wait(LIMIT).expect("its end").code()
    }
}

/// A client with its socket, its server, and a connection.
struct Watched {
    client: Proxy,
    _server: Proxy,
    local: TcpStream,
    _target: TcpStream,
    folder: TempDir,
}

impl Watched {
    fn start() -> Watched {
        let (origin, folder) = (Origin::start(), TempDir::create());
        let _server = Proxy::server(origin.addr(), &["--control", "off"]);
        let client = Proxy::client(_server.addr(), &["--control", &folder.text("client.sock")]);
        let (local, _target) = client.open(&origin);
        Watched { client, _server, local, _target, folder }
    }

    fn socket(&self) -> String {
        self.folder.text("client.sock")
    }
}

#[test]
fn a_flow_is_shown_explained_and_closed_and_the_terminal_is_as_it_was() {
    let mut watched = Watched::start();
    let before = Terminal::open(80, 24).settings();
    let mut top = Top::start(&watched.socket(), &[]);
    assert!(top.drawn.contains(COLOUR), "there are colours: {:?}", top.drawn);
    top.read_until(&watched.local.local_addr().expect("an address").to_string());
    top.terminal.write("\r");
    top.read_until("arrived");
    top.terminal.write("x");
    top.read_until("Reset");
    top.terminal.write("y");
    expect_reset(&mut watched.local);
    top.terminal.write("q");
    assert_eq!(top.exit_code(), Some(0));
    top.read_until(MAIN_SCREEN);
    assert_eq!(top.terminal.settings(), before);
}

#[test]
fn a_proxy_that_has_started_again_is_shown_with_its_new_flows() {
    let mut watched = Watched::start();
    let mut top = Top::start(&watched.socket(), &[]);
    watched.client.kill();
    top.wait_for("no answer since");
    let (origin, options) = (Origin::start(), ["--control", &watched.socket()]);
    let server = Proxy::server(origin.addr(), &["--control", "off"]);
    let client = Proxy::client(server.addr(), &options);
    let (local, _target) = client.open(&origin);
    top.wait_for(&local.local_addr().expect("an address").to_string());
}

#[test]
fn a_signal_ends_it_and_gives_the_terminal_back() {
    let watched = Watched::start();
    for (signal, code) in [(Signal::TERM, 143), (Signal::HUP, 129), (Signal::INT, 130)] {
        let mut top = Top::start(&watched.socket(), &["--no-color"]);
        assert!(!top.drawn.contains(COLOUR), "there are no colours: {:?}", top.drawn);
        top.process.signal(signal);
        assert_eq!(top.exit_code(), Some(code));
        top.read_until(MAIN_SCREEN);
        let before = Terminal::open(80, 24).settings();
        assert_eq!(top.terminal.settings(), before);
    }
}

#[test]
fn without_a_terminal_or_a_proxy_it_says_so() {
    let nowhere = run(&["top"], &[]);
    assert_eq!(nowhere.code, Some(2), "{nowhere:?}");
    assert!(nowhere.stderr.contains("standard input is not one"), "{nowhere:?}");
    assert!(nowhere.stderr.contains("striper-cli status"), "{nowhere:?}");
    let terminal = Terminal::open(80, 24);
    let folder = TempDir::create();
    let mut command = Command::new(binary::path());
    command.args(["top", &folder.text("x.sock")]).env("TERM", "xterm");
    command.stdin(terminal.program()).stdout(terminal.program()).stderr(Stdio::piped());
    let before = terminal.settings();
    let mut process = Process::start(&mut command);
    let status = process.wait(LIMIT).expect("its end");
    assert!(status.code().is_some_and(|code| code > 2), "{status:?}");
    assert_eq!(terminal.settings(), before, "it has never had the terminal");
}
