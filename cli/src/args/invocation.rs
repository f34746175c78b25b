//! The result of reading a command line, without the way in which it was typed.

use super::keys::KeyOptions;
use super::limits::Limits;
use crate::log::{LogFormat, Verbosity};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;
use striper_runtime::HostPort;
use striper_runtime::keys::KeyKind;

#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Invocation {
    pub command: Command,
    pub options: Options,
}

#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Command {
    Help(Option<Verb>),
    Version,
    Server {
        listen: SocketAddr,
        target: HostPort,
    },
    /// Takes connections and dials stripes. All `servers` are addresses of one server.
    Client {
        listens: Vec<SocketAddr>,
        servers: Vec<HostPort>,
    },
    /// Passes connections on without stripes, maybe with datagrams on one leg.
    Relay {
        listen: SocketAddr,
        target: HostPort,
        framing: Framing,
    },
    Keygen {
        file: PathBuf,
        kind: KeyKind,
    },
    Pubkey {
        file: PathBuf,
    },
    Demo,
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
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verb {
    Server,
    Client,
    Relay,
    Datagram,
    Keygen,
    Pubkey,
    Demo,
}

impl Verb {
    pub(crate) const ALL: &[Verb] = &[
        Self::Server,
        Self::Client,
        Self::Relay,
        Self::Datagram,
        Self::Keygen,
        Self::Pubkey,
        Self::Demo,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Server => "-s",
            Verb::Client => "-c",
            _ => self.word(),
        }
    }

    pub(crate) fn word(self) -> &'static str {
        match self {
            Verb::Server => "server",
            Verb::Client => "client",
            Verb::Relay => "relay",
            Verb::Datagram => "datagram",
            Verb::Keygen => "keygen",
            Verb::Pubkey => "pubkey",
            Verb::Demo => "demo",
        }
    }
}
