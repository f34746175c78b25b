//! The command line and the environment, read into an [`Invocation`]. Pure: what it reads is handed in, what is wrong comes back
//! as a [`Failure`].
//!
//! Both spellings of a mode (`-s` and `server`) and of CONNECT (`HOST:PORT` and `HOST PORT`) are the same thing after this file.

mod limits;
mod values;

use crate::endpoint::{self, BadAddress};
use crate::failure::Failure;
use crate::keys::KeyOptions;
use lexopt::{Arg, Parser};
pub use limits::Limits;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;
use striper_runtime::HostPort;
use striper_runtime::keys::KeyKind;
use values::{congestion, did_you_mean, log_format, positive_time, scheduler, stripes, switch, time};

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
    /// Explain the program.
    Help,
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

/// Options by name, for "did you mean".
const LONG_OPTIONS: &[&str] = &[
    "stripes",
    "scheduler",
    "verbose",
    "quiet",
    "log",
    "connect-timeout",
    "drain-timeout",
    "trace",
    "congestion",
    "limit",
    "key",
    "peers",
    "plain",
    "pair",
    "listen",
    "help",
    "version",
];

/// Commands by name, for "did you mean".
const COMMANDS: &[&str] = &["server", "client", "relay", "datagram", "keygen", "pubkey", "demo", "help"];

const SEE_HELP: &str = "striper-cli --help explains all";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Server,
    Client,
    Relay,
    /// With its side, once that is known.
    Datagram(Option<Framing>),
    Keygen,
    Pubkey,
    Demo,
    Help,
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
    let mut parser = Parser::from_args(args);
    let mut given = Given::default();
    let mut mode: Option<(Mode, String)> = None;
    let mut words: Vec<String> = Vec::new();
    let mut listens: Vec<String> = Vec::new();
    let mut version = false;
    let mut help = false;
    let mut pair = false;
    while let Some(arg) = parser.next().map_err(from_lexopt)? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => help = true,
            Arg::Short('V') | Arg::Long("version") => version = true,
            Arg::Short('v') | Arg::Long("verbose") => given.verbosity = Some(Verbosity::Verbose),
            Arg::Short('q') | Arg::Long("quiet") => given.verbosity = Some(Verbosity::Quiet),
            Arg::Short('s') => choose(&mut mode, Mode::Server, "-s")?,
            Arg::Short('c') => choose(&mut mode, Mode::Client, "-c")?,
            Arg::Short('n') | Arg::Long("stripes") => {
                given.stripes = Some(value(&mut parser, "--stripes", stripes)?);
            }
            Arg::Long("scheduler") => {
                given.scheduler = Some(value(&mut parser, "--scheduler", scheduler)?);
            }
            Arg::Long("log") => given.log = Some(value(&mut parser, "--log", log_format)?),
            Arg::Long("connect-timeout") => {
                given.connect_timeout = Some(value(&mut parser, "--connect-timeout", positive_time)?);
            }
            Arg::Long("drain-timeout") => {
                given.drain_timeout = Some(value(&mut parser, "--drain-timeout", time)?);
            }
            Arg::Long("congestion") => {
                given.congestion = Some(value(&mut parser, "--congestion", congestion)?);
            }
            Arg::Long("limit") => {
                given.limits.push(value(&mut parser, "--limit", |word| {
                    Limits::default().set(word).map(|()| word.to_owned())
                })?);
            }
            Arg::Short('k') | Arg::Long("key") => {
                let file = parser.value().map_err(|_| Failure::usage("--key needs a value", SEE_HELP))?;
                given.keys.files.push(file.into());
            }
            Arg::Long("peers") => {
                let file = parser.value().map_err(|_| Failure::usage("--peers needs a value", SEE_HELP))?;
                given.keys.peers = Some(file.into());
            }
            Arg::Long("plain") => given.keys.plain = true,
            Arg::Long("pair") => pair = true,
            Arg::Long("trace") => {
                let file = parser.value().map_err(|_| Failure::usage("--trace needs a value", SEE_HELP))?;
                given.trace = Some(file.into());
            }
            Arg::Short('L') | Arg::Long("listen") => {
                listens.push(value(&mut parser, "-L", |word| Ok(word.to_owned()))?);
            }
            Arg::Value(word) => {
                let word = text(word)?;
                if mode.is_none() && words.is_empty() {
                    mode = Some((command(&word)?, word));
                } else {
                    words.push(word);
                }
            }
            Arg::Short(letter) => {
                return Err(Failure::usage(format!("there is no option -{letter}"), SEE_HELP));
            }
            Arg::Long(name) => {
                return Err(Failure::usage(
                    format!("there is no option --{name}"),
                    did_you_mean(name, LONG_OPTIONS)
                        .map_or(SEE_HELP.into(), |near| format!("did you mean --{near}?")),
                ));
            }
        }
    }
    let command = if help || matches!(mode, Some((Mode::Help, _))) {
        Command::Help
    } else if version {
        Command::Version
    } else {
        let Some((mode, name)) = mode else {
            return Err(Failure::usage(
                "nothing to do",
                "striper-cli demo shows what it does; ".to_owned() + SEE_HELP,
            ));
        };
        if pair && mode != Mode::Keygen {
            return Err(Failure::usage(
                format!("--pair belongs to the command keygen, not to {name}"),
                "striper-cli keygen --pair FILE",
            ));
        }
        assemble(mode, &name, &words, &listens, pair)?
    };
    given.keys.check(&command)?;
    if given.trace.is_some() && matches!(command, Command::Relay { .. } | Command::Demo) {
        return Err(Failure::usage("--trace records sessions, and here is none", "give it to -s or -c"));
    }
    if given.congestion.is_some() && matches!(command, Command::Relay { .. }) {
        return Err(Failure::usage(
            "--congestion is that of stripes, and here are none",
            "give it to -s or -c",
        ));
    }
    if !given.limits.is_empty()
        && matches!(command, Command::Client { .. } | Command::Relay { .. } | Command::Demo)
    {
        return Err(Failure::usage("--limit is for the server side", "give it to -s"));
    }
    let skip_environment = matches!(command, Command::Help | Command::Version);
    let env = |name: &str| if skip_environment { None } else { env(name) };
    Ok(Invocation { command, options: given.complete(env)? })
}

/// Sets the mode, or the side of a datagram proxy, once.
fn choose(mode: &mut Option<(Mode, String)>, new: Mode, name: &str) -> Result<(), Failure> {
    if let Some((Mode::Datagram(side @ None), earlier)) = mode {
        *side = Some(if new == Mode::Client { Framing::Far } else { Framing::Near });
        *earlier = format!("datagram {name}");
        return Ok(());
    }
    if let Some((_, earlier)) = mode {
        return Err(Failure::usage(format!("{earlier} and {name} exclude each other"), "choose one of them"));
    }
    *mode = Some((new, name.to_owned()));
    Ok(())
}

fn command(word: &str) -> Result<Mode, Failure> {
    Ok(match word {
        "server" => Mode::Server,
        "client" => Mode::Client,
        "relay" => Mode::Relay,
        "datagram" => Mode::Datagram(None),
        "keygen" => Mode::Keygen,
        "pubkey" => Mode::Pubkey,
        "demo" => Mode::Demo,
        "help" => Mode::Help,
        _ => {
            let cure = match did_you_mean(word, COMMANDS) {
                Some(near) => format!("did you mean {near}?"),
                None => format!("the commands are -s, -c, {}; {SEE_HELP}", COMMANDS.join(", ")),
            };
            return Err(Failure::usage(format!("there is no command \"{word}\""), cure));
        }
    })
}

/// Makes a command of its words.
fn assemble(
    mode: Mode,
    name: &str,
    words: &[String],
    listens: &[String],
    pair: bool,
) -> Result<Command, Failure> {
    let long_client = mode == Mode::Client && name == "client";
    if !listens.is_empty() && !long_client {
        return Err(Failure::usage(
            format!("-L belongs to the command client, not to {name}"),
            "striper-cli client SERVER -L [ADDR:]PORT",
        ));
    }
    let form = match mode {
        Mode::Server if name == "-s" => "-s LISTEN CONNECT",
        Mode::Server => "server LISTEN TARGET",
        Mode::Client if long_client => "client SERVER -L [ADDR:]PORT [-L …]",
        Mode::Client => "-c LISTEN CONNECT",
        Mode::Relay => "relay LISTEN CONNECT",
        Mode::Datagram(None) => "datagram -c|-s LISTEN CONNECT",
        Mode::Datagram(Some(Framing::Far)) => "datagram -c LISTEN CONNECT",
        Mode::Datagram(_) => "datagram -s LISTEN CONNECT",
        Mode::Keygen => "keygen [--pair] [FILE]",
        Mode::Pubkey => "pubkey FILE",
        Mode::Demo | Mode::Help => "demo",
    };
    let wrong = |cause: String| Failure::usage(cause, format!("usage: striper-cli {form}"));
    let wrong_address =
        |what: &str, bad: BadAddress| Failure::usage(format!("{what}: {}", bad.cause), bad.cure);
    if mode == Mode::Demo {
        return match words {
            [] => Ok(Command::Demo),
            [extra, ..] => Err(wrong(format!("demo takes no \"{extra}\""))),
        };
    }
    if matches!(mode, Mode::Keygen | Mode::Pubkey) {
        let file = match words {
            [] if mode == Mode::Pubkey => return Err(wrong("pubkey needs the file of a private key".into())),
            [] => PathBuf::from("striper.key"),
            [file] => file.into(),
            [_, extra, ..] => return Err(wrong(format!("\"{extra}\" is one word too many"))),
        };
        let kind = if pair { KeyKind::Private } else { KeyKind::Shared };
        return Ok(if mode == Mode::Pubkey {
            Command::Pubkey { file }
        } else {
            Command::Keygen { file, kind }
        });
    }
    if mode == Mode::Datagram(None) {
        return Err(Failure::usage(
            "datagram needs its side",
            "datagram -c LISTEN CONNECT takes plain connections and sends datagrams, datagram -s the other way round",
        ));
    }
    let (listen, connect) =
        if long_client { (None, words) } else { (words.first(), words.get(1..).unwrap_or_default()) };
    let target_name = match mode {
        Mode::Client if long_client => "SERVER",
        Mode::Server if name == "server" => "TARGET",
        _ => "CONNECT",
    };
    let listen = match listen {
        Some(word) => Some(endpoint::listen(word).map_err(|bad| wrong_address("LISTEN", bad))?),
        None if long_client => None,
        None => return Err(wrong(format!("{name} needs LISTEN and {target_name}"))),
    };
    let targets = match connect {
        [] => return Err(wrong(format!("{name} needs {target_name}"))),
        [word] if mode == Mode::Client => endpoint::servers(word),
        [word] => endpoint::connect(word).map(|target| vec![target]),
        [host, port] => endpoint::connect_words(host, port).map(|target| vec![target]),
        [_, _, extra, ..] => return Err(wrong(format!("\"{extra}\" is one word too many"))),
    };
    let mut targets = targets.map_err(|bad| wrong_address(target_name, bad))?;
    let command = match (mode, listen) {
        (Mode::Client, Some(listen)) => Command::Client { listens: vec![listen], servers: targets },
        (Mode::Client, None) => {
            if listens.is_empty() {
                return Err(wrong("client needs at least one -L, the port where programs connect to".into()));
            }
            let listens = listens.iter().map(|word| endpoint::listen(word)).collect::<Result<_, _>>();
            Command::Client { listens: listens.map_err(|bad| wrong_address("-L", bad))?, servers: targets }
        }
        (Mode::Relay, Some(listen)) => {
            Command::Relay { listen, target: targets.remove(0), framing: Framing::Plain }
        }
        (Mode::Datagram(Some(framing)), Some(listen)) => {
            Command::Relay { listen, target: targets.remove(0), framing }
        }
        (_, Some(listen)) => Command::Server { listen, target: targets.remove(0) },
        (_, None) => return Err(wrong(format!("{name} needs LISTEN"))),
    };
    let (listens, targets) = match &command {
        Command::Client { listens, servers } => (&listens[..], &servers[..]),
        Command::Server { listen, target } | Command::Relay { listen, target, .. } => {
            (std::slice::from_ref(listen), std::slice::from_ref(target))
        }
        Command::Help
        | Command::Version
        | Command::Demo
        | Command::Keygen { .. }
        | Command::Pubkey { .. } => (&[][..], &[][..]),
    };
    for target in targets {
        if let Some(listen) = listens.iter().find(|listen| endpoint::leads_back(**listen, target)) {
            return Err(Failure::usage(
                format!(
                    "{target_name} {target} is where this program itself would listen ({listen}): connections would go round in circles"
                ),
                format!("choose another port for one of them; {SEE_HELP}"),
            ));
        }
    }
    Ok(command)
}

impl Given {
    /// Fills in what the command line leaves open: from the environment, or else the default.
    fn complete(self, env: impl Fn(&str) -> Option<OsString>) -> Result<Options, Failure> {
        fn twin<T>(
            given: Option<T>,
            env: &impl Fn(&str) -> Option<OsString>,
            name: &str,
            read: fn(&str) -> Result<T, String>,
        ) -> Result<Option<T>, Failure> {
            if given.is_some() {
                return Ok(given);
            }
            // An empty variable counts as unset, so that a script can switch one off.
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
        Ok(Options {
            stripes: twin(self.stripes, &env, "STRIPER_STRIPES", stripes)?.unwrap_or(4),
            scheduler: twin(self.scheduler, &env, "STRIPER_SCHEDULER", scheduler)?.unwrap_or_default(),
            verbosity,
            log: twin(self.log, &env, "STRIPER_LOG", log_format)?.unwrap_or(LogFormat::Human),
            connect_timeout: twin(self.connect_timeout, &env, "STRIPER_CONNECT_TIMEOUT", positive_time)?
                .unwrap_or(Duration::from_secs(10)),
            drain_timeout: twin(self.drain_timeout, &env, "STRIPER_DRAIN_TIMEOUT", time)?
                .unwrap_or(Duration::from_secs(30)),
            trace: self.trace,
            congestion: twin(self.congestion, &env, "STRIPER_CONGESTION", congestion)?,
            limits,
            keys: self.keys.complete(&env),
        })
    }
}

fn value<T>(parser: &mut Parser, name: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<T, Failure> {
    let word = parser.value().map_err(|_| Failure::usage(format!("{name} needs a value"), SEE_HELP))?;
    read(&text(word)?).map_err(|why| Failure::usage(format!("{name}: {why}"), SEE_HELP))
}

fn text(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| Failure::usage(format!("{word:?} is no UTF-8"), SEE_HELP))
}

fn from_lexopt(error: lexopt::Error) -> Failure {
    Failure::usage(error.to_string(), SEE_HELP)
}

#[cfg(test)]
mod tests;
