//! The command line and the environment, read into an [`Invocation`]. Pure: what it reads is handed
//! in, what is wrong comes back as a [`Failure`].
//!
//! Both spellings of a mode (`-s` and `server`) and of CONNECT (`HOST:PORT` and `HOST PORT`) are
//! the same thing after this file.

mod command;
mod limits;
mod line;
mod options;
mod values;

use crate::failure::Failure;
use crate::keys::KeyOptions;
pub use limits::Limits;
use line::Line;
pub use options::{Declared, OPTIONS};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;
use striper_runtime::HostPort;
use striper_runtime::keys::KeyKind;
use values::{congestion, log_format, positive_time, scheduler, stripes, switch, time};

/// What is to be done, and how.
#[derive(Clone, PartialEq, Debug)]
pub struct Invocation {
    /// What.
    pub command: Command,
    /// How.
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
        /// Where.
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

/// How much to say.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// Also when connections begin and end.
    Normal,
    /// Also when stripes come and go.
    Verbose,
}

/// How log lines look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LogFormat {
    /// For a person.
    Human,
    /// One object a line, with stable keys.
    Json,
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

const SEE_HELP: &str = "striper-cli --help explains all";

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
            Verb::Relay => "relay",
            Verb::Datagram => "datagram",
            Verb::Keygen => "keygen",
            Verb::Pubkey => "pubkey",
            Verb::Demo => "demo",
        }
    }
}

#[derive(Default)]
struct Given {
    stripes: Option<usize>,
    scheduler: Option<SchedulerKind>,
    verbosity: Option<Verbosity>,
    log: Option<LogFormat>,
    connect_timeout: Option<Duration>,
    drain_timeout: Option<Duration>,
    trace: Option<PathBuf>,
    congestion: Option<String>,
    /// Lists of limits, as they came.
    limits: Vec<String>,
    keys: KeyOptions,
}

/// Reads the arguments (without the program's name); `env` looks a variable up.
pub fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Invocation, Failure> {
    let Line { chosen, words, listens, pair, help, version, options, given } = Line::read(args)?;
    let command = if help {
        Command::Help(chosen.map(|chosen| chosen.verb))
    } else if version {
        Command::Version
    } else {
        let Some(chosen) = chosen else {
            return Err(Failure::usage(
                "nothing to do",
                "striper-cli demo shows what it does; ".to_owned() + SEE_HELP,
            ));
        };
        options.iter().try_for_each(|option| option.check(chosen.verb, &chosen.name))?;
        given.keys.check()?;
        command::assemble(&chosen, &words, &listens, pair)?
    };
    let skip_environment = matches!(command, Command::Help(_) | Command::Version);
    let env = |name: &str| if skip_environment { None } else { env(name) };
    let options = given.complete(&command, env)?;
    Ok(Invocation { command, options })
}

impl Given {
    /// Fills in what the command line leaves open: from the environment, or else the default.
    fn complete<E>(self, command: &Command, env: E) -> Result<Options, Failure>
    where
        E: Fn(&str) -> Option<OsString>,
    {
        fn twin<T>(
            given: Option<T>,
            env: &impl Fn(&str) -> Option<OsString>,
            name: &str,
            read: fn(&str) -> Result<T, String>,
        ) -> Result<Option<T>, Failure> {
            if given.is_some() {
                return Ok(given);
            }
            // An empty variable counts as unset, so that a script can switch one off. Those of keys
            // are read elsewhere: an empty one would switch off what keeps strangers out.
            let Some(raw) = env(name).filter(|raw| !raw.is_empty()) else { return Ok(None) };
            let wrong = |why: String| {
                let cure = format!("correct it, or do without it: unset {name}; {SEE_HELP}");
                Failure::config(format!("the environment variable {name}: {why}"), cure)
            };
            let word = raw.to_str().ok_or_else(|| wrong("is no UTF-8".into()))?;
            read(word).map(Some).map_err(wrong)
        }
        let verbosity = match self.verbosity {
            Some(verbosity) => verbosity,
            None => match (
                twin(None, &env, "STRIPER_QUIET", switch)?,
                twin(None, &env, "STRIPER_VERBOSE", switch)?,
            ) {
                (Some(true), _) => Verbosity::Quiet,
                (_, Some(true)) => Verbosity::Verbose,
                _ => Verbosity::Normal,
            },
        };
        let mut limits = twin(None, &env, "STRIPER_LIMITS", |list| {
            let mut limits = Limits::default();
            limits.set(list).map(|()| limits)
        })?
        .unwrap_or_default();
        for list in &self.limits {
            limits.set(list).map_err(|why| Failure::usage(format!("--limit: {why}"), SEE_HELP))?;
        }
        let keys = match command {
            Command::Server { .. } | Command::Client { .. } => self.keys.complete(&env)?,
            _ => self.keys,
        };
        Ok(Options {
            stripes: twin(self.stripes, &env, "STRIPER_STRIPES", stripes)?.unwrap_or(4),
            scheduler: twin(self.scheduler, &env, "STRIPER_SCHEDULER", scheduler)?
                .unwrap_or_default(),
            verbosity,
            log: twin(self.log, &env, "STRIPER_LOG", log_format)?.unwrap_or(LogFormat::Human),
            connect_timeout: twin(
                self.connect_timeout,
                &env,
                "STRIPER_CONNECT_TIMEOUT",
                positive_time,
            )?
            .unwrap_or(Duration::from_secs(10)),
            drain_timeout: twin(self.drain_timeout, &env, "STRIPER_DRAIN_TIMEOUT", time)?
                .unwrap_or(Duration::from_secs(30)),
            trace: self.trace,
            congestion: twin(self.congestion, &env, "STRIPER_CONGESTION", congestion)?,
            limits,
            keys,
        })
    }
}

#[cfg(test)]
mod tests;
