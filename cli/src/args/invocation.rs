//! What a command line comes to: plain types, which know nothing of how they are typed.

use super::keys::KeyOptions;
use super::limits::Limits;
use crate::log::{LogFormat, Verbosity};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;
use striper_runtime::HostPort;
use striper_runtime::keys::KeyKind;

/// What is to be done, and how.
#[derive(Clone, PartialEq, Debug)]
pub struct Invocation {
    /// The command.
    pub command: Command,
    /// The options that it was given.
    pub options: Options,
}

/// What the program is asked to do.
#[derive(Clone, PartialEq, Debug)]
pub enum Command {
    /// Explain the program, or one of its commands.
    Help(Option<Verb>),
    /// Say which version this is.
    Version,
    /// The server-facing side: stripes in, plain TCP out.
    Server {
        /// Where stripes come in.
        listen: SocketAddr,
        /// Where connections go to.
        target: HostPort,
    },
    /// The client-facing side: plain TCP in, stripes out.
    Client {
        /// Where connections come in; at least one.
        listens: Vec<SocketAddr>,
        /// The server side's addresses, at least one; stripes are spread over them.
        servers: Vec<HostPort>,
    },
    /// A relay without stripes, plain or with datagrams on one side.
    Relay {
        /// Where connections come in.
        listen: SocketAddr,
        /// Where they go to.
        target: HostPort,
        /// Which side speaks datagrams.
        framing: Framing,
    },
    /// Make a key file.
    Keygen {
        /// The file that is made.
        file: PathBuf,
        /// For both sides, or for one.
        kind: KeyKind,
    },
    /// Print the public half of a private key.
    Pubkey {
        /// Its file.
        file: PathBuf,
    },
    /// Show on loopback what striping does.
    Demo,
}

/// Which side of a relay speaks datagrams, if one does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Framing {
    /// Neither: plain bytes on both.
    Plain,
    /// Where connections come in: the server-facing side of a datagram proxy.
    Near,
    /// Where they go to: its client-facing side.
    Far,
}

/// What holds for every mode.
#[derive(Clone, PartialEq, Debug)]
pub struct Options {
    /// How many stripes the client side keeps, 1–64.
    pub stripes: usize,
    /// How a stripe is chosen for data.
    pub scheduler: SchedulerKind,
    /// How much to say.
    pub verbosity: Verbosity,
    /// How log lines look.
    pub log: LogFormat,
    /// How long connecting to a target, or waiting for a session, may take.
    pub connect_timeout: Duration,
    /// How long connections may go on after the first signal to stop.
    pub drain_timeout: Duration,
    /// Where sessions are recorded.
    pub trace: Option<PathBuf>,
    /// What controls congestion on stripes, by name, or auto or system; auto if none.
    pub congestion: Option<String>,
    /// What strangers and peers may cost the server side.
    pub limits: Limits,
    /// Who may talk to whom.
    pub keys: KeyOptions,
}

/// A command by what it does, however it is spelt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// `-s`, `server`.
    Server,
    /// `-c`, `client`.
    Client,
    /// `relay`.
    Relay,
    /// `datagram`.
    Datagram,
    /// `keygen`.
    Keygen,
    /// `pubkey`.
    Pubkey,
    /// `demo`.
    Demo,
}

impl Verb {
    /// All of them, in the order of the help.
    pub const ALL: &[Verb] = &[
        Self::Server,
        Self::Client,
        Self::Relay,
        Self::Datagram,
        Self::Keygen,
        Self::Pubkey,
        Self::Demo,
    ];

    /// How it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Verb::Server => "-s",
            Verb::Client => "-c",
            _ => self.word(),
        }
    }

    /// The word for it.
    pub fn word(self) -> &'static str {
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
