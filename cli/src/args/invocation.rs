//! The result of reading a command line, without the way in which it was typed.

use super::file::Value;
use super::keys::KeyOptions;
use super::limits::Limits;
use crate::log::{LogFormat, Verbosity};
use clap_complete::Shell;
use ipnet::IpNet;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;
use striper_runtime::keys::KeyKind;
use striper_runtime::ways::proxy_protocol::Version;
use striper_runtime::{HostPort, Rules, Target};

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Invocation {
    pub command: Command,
    pub options: Options,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Command {
    /// The page of a command, or the manual.
    Help(Option<String>),
    Version,
    /// The page of a command for man, or that of the program.
    Man(Option<String>),
    Completions(Shell),
    /// Takes stripes. Without a target it reaches only those that clients name and rules allow.
    Server {
        listen: SocketAddr,
        target: Option<HostPort>,
    },
    /// Takes connections and dials stripes. All `servers` are addresses of one server.
    Client {
        ways: Vec<Way>,
        servers: Vec<HostPort>,
    },
    /// Passes connections on without stripes, maybe with datagrams on one leg.
    Relay {
        listen: SocketAddr,
        target: HostPort,
        framing: Framing,
    },
    /// Asks a running proxy by its control socket, or the only one that runs.
    Ask {
        question: Question,
        socket: Option<PathBuf>,
    },
    /// Shows a running proxy live.
    Top {
        socket: Option<PathBuf>,
        no_color: bool,
    },
    Keygen {
        file: PathBuf,
        kind: KeyKind,
    },
    Pubkey {
        file: PathBuf,
    },
    Demo {
        /// The figures as JSON, and no table.
        json: bool,
    },
    /// Says whether the command of a file could begin.
    Check(Box<Command>),
    /// Prints a file to begin with, for the command of this name.
    Example(&'static str),
    /// Prints what holds with a file.
    Values {
        values: Vec<Value>,
        json: bool,
    },
}

impl Command {
    /// Its name as a section of a file.
    pub(crate) fn role(&self) -> &'static str {
        match self {
            Command::Server { .. } => "server",
            Command::Client { .. } => "client",
            Command::Relay { .. } => "relay",
            _ => "",
        }
    }

    /// Whether variables have a meaning for it.
    pub(super) fn reads_variables(&self) -> bool {
        !matches!(
            self,
            Command::Help(_)
                | Command::Version
                | Command::Ask { .. }
                | Command::Top { .. }
                | Command::Man(_)
                | Command::Completions(_)
                | Command::Example(_)
                | Command::Values { .. }
        )
    }
}

impl Command {
    /// The TCP ports of this machine that it listens on.
    pub(super) fn listens_on(&self) -> Vec<SocketAddr> {
        match self {
            Command::Server { listen, .. } | Command::Relay { listen, .. } => vec![*listen],
            Command::Client { ways, .. } => ways.iter().filter_map(Way::listens_on).collect(),
            _ => Vec::new(),
        }
    }
}

/// The word for a running proxy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Question {
    Status {
        json: bool,
    },
    Drain,
    Reload,
    /// Resets the connection with this number.
    Close(u64),
    /// Records new sessions to this file; without one, records nothing any more.
    Trace(Option<PathBuf>),
}

/// Where the control socket of a proxy is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Control {
    /// In a folder of this user, if there is one.
    Somewhere,
    At(PathBuf),
    Off,
}

/// A way by which connections come into a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// All connections to this place go to one target.
    Forward { listen: Place, target: Target },
    /// Each connection names its target by SOCKS or HTTP.
    Proxy { listen: SocketAddr },
    /// Connections that a firewall redirected here go to their original destination.
    Transparent { listen: SocketAddr },
    /// The server listens here. Its connections go to a target of this side.
    Remote { listen: SocketAddr, target: Target },
    /// Standard input and output are the one connection.
    Stdio { target: Target },
}

/// Where local programs connect.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl Way {
    /// Whether the client chooses targets of the server.
    pub(crate) fn names_targets(&self) -> bool {
        !matches!(self, Way::Forward { target: Target::Default, .. })
    }

    /// The address that it listens on, if that is one of TCP.
    pub(crate) fn listens_on(&self) -> Option<SocketAddr> {
        match self {
            Way::Forward { listen: Place::Tcp(listen), .. }
            | Way::Proxy { listen }
            | Way::Transparent { listen } => Some(*listen),
            Way::Forward { listen: Place::Unix(_), .. }
            | Way::Stdio { .. }
            | Way::Remote { .. } => None,
        }
    }

    /// The address that the server listens on.
    pub(crate) fn server_listens_on(&self) -> Option<SocketAddr> {
        match self {
            Way::Remote { listen, .. } => Some(*listen),
            _ => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => address.fmt(f),
            Place::Unix(path) => path.display().fmt(f),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Framing {
    Plain,
    /// The leg to the program that connects.
    Near,
    /// The leg to the target.
    Far,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Options {
    /// The file of `run`, which may be read again. The command line has none otherwise.
    pub file: Option<PathBuf>,
    pub stripes: usize,
    pub scheduler: SchedulerKind,
    pub verbosity: Verbosity,
    pub log: LogFormat,
    pub connect_timeout: Duration,
    pub drain_timeout: Duration,
    pub trace: Option<PathBuf>,
    /// A name, `auto` or `system`; `auto` if none.
    pub congestion: Option<String>,
    pub limits: Limits,
    pub keys: KeyOptions,
    pub control: Control,
    pub rules: Rules,
    /// The names and passwords of programs that may use `-D`.
    pub proxy_users: Option<PathBuf>,
    /// Connections from these addresses begin with a header of the PROXY protocol.
    pub accept_proxy_protocol: Vec<IpNet>,
    /// Connections to targets begin with a header of this version.
    pub proxy_protocol: Option<Version>,
    /// The state is served here.
    pub http_status: Option<SocketAddr>,
}
