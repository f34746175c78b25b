//! The programs that are measured, and how a pair of them is started.

use crate::load::{Congestion, set_congestion};
use socket2::{Domain, Socket, Type};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};
use striper_tests::TempDir;

/// A program, or a number of connections, that carries the load over the route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Peer {
    /// One connection, with the machine's congestion control.
    Direct,
    Ours,
    /// As many bare connections as there are stripes, with this congestion control.
    Bare(&'static str),
    /// `agg-tunnel`, with as many links as there are stripes.
    Aggligator,
    /// HAProxy at both ends, over the kernel's Multipath TCP.
    Mptcp,
}

impl Peer {
    pub const ALL: [Peer; 6] = [
        Peer::Direct,
        Peer::Ours,
        Peer::Bare("cubic"),
        Peer::Bare("bbr"),
        Peer::Aggligator,
        Peer::Mptcp,
    ];

    /// Its name in the table and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Direct => "direct",
            Peer::Ours => "ours",
            Peer::Bare("cubic") => "bare-cubic",
            Peer::Bare(_) => "bare-bbr",
            Peer::Aggligator => "aggligator",
            Peer::Mptcp => "mptcp",
        }
    }

    pub fn congestion(self) -> Congestion {
        match self {
            Peer::Bare(congestion) => Some(congestion),
            _ => None,
        }
    }
}

/// The addresses of a run.
pub struct Places<'a> {
    /// The port of the sink, at the server.
    pub sink: u16,
    /// The port at which the pair takes the load, on the client's loopback.
    pub entry: u16,
    /// The server's side of the pair, on each path.
    pub server: &'a [SocketAddr],
    pub stripes: usize,
}

pub struct Programs {
    pub striper: PathBuf,
    pub congestion: Option<OsString>,
    pub key: Key,
}

pub enum Key {
    None,
    File(OsString),
    /// The content of a key file.
    Made(Vec<u8>),
}

impl Programs {
    /// A new key of the program to measure.
    pub fn make_key(&self) -> Result<Key, String> {
        let folder = TempDir::create();
        let file = folder.join("key");
        let output = self.striper().arg("keygen").arg(&file).output();
        let output = output.map_err(|error| format!("making a key: {error}"))?;
        if !output.status.success() {
            return Err(format!("making a key: {}", String::from_utf8_lossy(&output.stderr)));
        }
        fs::read(file).map(Key::Made).map_err(|error| format!("reading the new key: {error}"))
    }

    /// Why this peer cannot be measured here.
    pub fn missing(&self, peer: Peer) -> Option<String> {
        match peer {
            Peer::Bare(_) => {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None);
                let socket = socket.map_err(|error| error.to_string());
                socket.and_then(|socket| set_congestion(&socket, peer.congestion())).err()
            }
            Peer::Aggligator => not_found(AGGLIGATOR),
            Peer::Mptcp if !Path::new(MPTCP).exists() => Some(format!("there is no {MPTCP}")),
            Peer::Mptcp => not_found(MPTCPIZE).or_else(|| not_found(HAPROXY)),
            Peer::Direct | Peer::Ours => None,
        }
    }

    /// The server's and the client's side, in this order; `None` if there are no proxies.
    pub fn pair(&self, peer: Peer, places: &Places) -> Option<[Start; 2]> {
        match peer {
            Peer::Ours => Some(self.ours(places)),
            Peer::Aggligator => Some(aggligator(places)),
            Peer::Mptcp => Some(mptcp(places)),
            Peer::Direct | Peer::Bare(_) => None,
        }
    }

    fn ours(&self, places: &Places) -> [Start; 2] {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port)).to_string();
        let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, places.server[0].port()));
        let targets = places.server.iter().map(SocketAddr::to_string).collect::<Vec<_>>();
        let server = ["-s", &listen.to_string(), &loopback(places.sink)].map(str::to_owned);
        let stripes = places.stripes.to_string();
        let client = ["-n", &stripes, "-c", &loopback(places.entry), &targets.join(",")];
        [server.to_vec(), client.map(str::to_owned).to_vec()].map(|side| {
            let mut command = self.striper();
            command.arg("-q").args(side);
            if let Some(name) = &self.congestion {
                command.arg("--congestion").arg(name);
            }
            let input = match &self.key {
                Key::None => Vec::new(),
                Key::File(file) => {
                    command.arg("--key").arg(file);
                    Vec::new()
                }
                Key::Made(key) => {
                    command.args(["--key", INPUT]);
                    key.clone()
                }
            };
            Start { command, input }
        })
    }

    /// `striper-cli` without its environment variables.
    fn striper(&self) -> Command {
        let mut command = Command::new(&self.striper);
        let names = env::vars_os().map(|(name, _)| name);
        for name in names.filter(|name| name.to_string_lossy().starts_with("STRIPER_")) {
            command.env_remove(name);
        }
        command
    }
}

/// Where a program finds its input: keys and settings need no file that would have to be removed.
const INPUT: &str = "/dev/stdin";

const AGGLIGATOR: &str = "agg-tunnel";

fn aggligator(places: &Places) -> [Start; 2] {
    let mut server = Command::new(AGGLIGATOR);
    let (entry, sink) = (places.entry.to_string(), places.sink.to_string());
    server.args(["--cfg", INPUT, "server", "--no-monitor", "-p", &sink, "--tcp"]);
    server.arg(places.server[0].port().to_string());
    let mut client = Command::new(AGGLIGATOR);
    client.args(["--cfg", INPUT, "client", "--no-monitor", "-4"]);
    for address in places.server {
        client.arg("--tcp").arg(address.to_string());
    }
    let links = (places.stripes / places.server.len()).max(1).to_string();
    client.args(["--tcp-links", &links, "-p", &format!("{sink}:{entry}")]);
    [server, client].map(|command| Start { command, input: TUNED.as_bytes().to_vec() })
}

/// Settings with which `agg-tunnel` is faster on all routes than with its own: larger writes, a
/// larger first window, and a millisecond until it flushes, where it waits 50.
const TUNED: &str = r#"{"io_write_size": 32768, "link": {"unacked_init": 262144,
    "flush_delay": {"secs": 0, "nanos": 1000000},
    "ack_flush_interval": {"secs": 0, "nanos": 1000000}}}"#;

const MPTCPIZE: &str = "mptcpize";
const HAPROXY: &str = "haproxy";
/// The kernel has Multipath TCP if this is there.
const MPTCP: &str = "/proc/sys/net/mptcp";

fn mptcp(places: &Places) -> [Start; 2] {
    let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, places.server[0].port()));
    [(listen, loopback(places.sink)), (loopback(places.entry), places.server[0])].map(|(at, to)| {
        let mut command = Command::new(MPTCPIZE);
        command.args(["run", HAPROXY, "-f", INPUT]);
        let settings = format!(
            "defaults\n mode tcp\n timeout connect 10s\n timeout client 1h\n timeout server 1h\n \
             option splice-auto\nlisten all\n bind {at}\n server other {to}\n"
        );
        Start { command, input: settings.into_bytes() }
    })
}

/// The commands to iproute2 at the server and at the client before the pair starts.
///
/// Multipath TCP opens a subflow for each address. On one path, the client has further addresses
/// for them. On several, the server tells its address on each.
pub fn network(peer: Peer, places: &Places) -> [String; 2] {
    if peer != Peer::Mptcp {
        return Default::default();
    }
    let limits = "mptcp limits set subflows 7 add_addr_accepted 7\n";
    let (mut server, mut client) = (limits.to_owned(), limits.to_owned());
    for (path, address) in places.server.iter().enumerate().skip(1) {
        server += &format!("mptcp endpoint add {} dev lab{path} signal\n", address.ip());
    }
    // The kernel has at most eight endpoints.
    for host in 11..10 + places.stripes.min(8) * usize::from(places.server.len() == 1) {
        client += &format!(
            "address add 10.99.0.{host}/24 dev lab0\n\
             mptcp endpoint add 10.99.0.{host} dev lab0 subflow\n"
        );
    }
    [server, client]
}

/// Says so if a program is not there.
fn not_found(program: &str) -> Option<String> {
    let mut command = Command::new(program);
    let tried = command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    tried.err().map(|error| format!("{program}: {error}"))
}

/// A program that can be started.
pub struct Start {
    command: Command,
    input: Vec<u8>,
}

impl Start {
    /// Starts it in the namespace of the calling thread.
    pub fn start(mut self) -> Result<Running, String> {
        let mut start = || {
            let (mut input, log) = (nameless_file()?, nameless_file()?);
            input.write_all(&self.input)?;
            input.rewind()?;
            self.command.stdin(input).stdout(Stdio::null()).stderr(log.try_clone()?);
            Ok(Running { child: self.command.spawn()?, log })
        };
        let started = start();
        started.map_err(|error: io::Error| {
            format!("starting {}: {error}", self.command.get_program().display())
        })
    }
}

pub struct Running {
    child: Child,
    log: File,
}

impl Running {
    /// Fails if it has ended, with its last words.
    pub fn check(&mut self) -> Result<(), String> {
        let Ok(Some(status)) = self.child.try_wait() else { return Ok(()) };
        let mut text = String::new();
        let _ = self.log.seek(SeekFrom::Start(0)).and_then(|_| self.log.read_to_string(&mut text));
        Err(format!("a proxy ended by itself, {status}:\n{}", text.trim()))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A file for this user alone, as a key must be. It is gone when its last handle is closed.
fn nameless_file() -> io::Result<File> {
    let folder = TempDir::create();
    let mut new = OpenOptions::new();
    new.read(true).write(true).create_new(true).mode(0o600).open(folder.join("file"))
}
