//! `status`, `drain`, `reload`, `close` and `trace`: commands for a running proxy.

use super::given::Given;
use super::invocation::{Command, Question};
use super::refusal::Line;
use super::values::file;
use crate::failure::Failure;
use clap::Args;
use std::path::PathBuf;

/// The proxy that is asked.
#[derive(Args)]
pub(super) struct Asked {
    /// the proxy: its control socket, or the name of that, such as client-4242. It is not needed if
    /// only one runs
    #[arg(value_name = "SOCKET", value_parser = file())]
    pub socket: Option<PathBuf>,
}

/// the state of a running proxy
///
/// Prints the state of a running client, server or relay: its sessions, their stripes, and what
/// each connection waits for. docs/OPERATING.md explains the words. SOCKET is the control socket of
/// the proxy or its name, and is needed if several run.
#[derive(Args)]
#[command(
    override_usage = "striper-cli status [--json] [SOCKET]",
    after_help = "\
EXAMPLES
  striper-cli status
  striper-cli status --json client-4242"
)]
pub(super) struct Status {
    /// all of it, as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    asked: Asked,
}

/// no new connections; it ends after the open ones
///
/// Tells a running proxy to stop as SIGTERM does: there are no new connections, and open ones may
/// finish within its --drain-timeout.
#[derive(Args)]
#[command(
    override_usage = "striper-cli drain [SOCKET]",
    after_help = "EXAMPLES\n  striper-cli drain server-4242"
)]
pub(super) struct Drain {
    #[command(flatten)]
    asked: Asked,
}

/// reads keys, rules and users again
///
/// Tells a running proxy to read its files again, as SIGHUP does, and says what came of it. A file
/// with a mistake changes nothing.
#[derive(Args)]
#[command(
    override_usage = "striper-cli reload [SOCKET]",
    after_help = "EXAMPLES\n  striper-cli reload"
)]
pub(super) struct Reload {
    #[command(flatten)]
    asked: Asked,
}

/// resets one connection
///
/// Resets one connection of a running client or server, on both sides. FLOW is its number in the
/// log and in status.
#[derive(Args)]
#[command(
    override_usage = "striper-cli close FLOW [SOCKET]",
    after_help = "EXAMPLES\n  striper-cli close 7"
)]
pub(super) struct Close {
    /// the number of the connection
    #[arg(value_name = "FLOW", value_parser = number)]
    flow: u64,
    #[command(flatten)]
    asked: Asked,
}

/// records new sessions to a file, or stops that
///
/// Records the sessions of a running client or server from now on, without content and targets
/// (docs/traces.md), or ends all recordings. A session is recorded from its beginning, so the
/// present ones are not. A client begins another session as soon as no connection is open.
#[derive(Args)]
#[command(
    override_usage = "\
striper-cli trace on FILE [SOCKET]
striper-cli trace off [SOCKET]",
    after_help = "\
EXAMPLES
  striper-cli trace on /tmp/striper.trace
  striper-cli trace off"
)]
pub(super) struct Trace {
    /// on, and the file; or off
    #[arg(value_name = "on|off", required = true, value_parser = file())]
    words: Vec<PathBuf>,
}

fn number(word: &str) -> Result<u64, String> {
    word.parse().map_err(|_| format!("\"{word}\" is not the number of a connection"))
}

impl Asked {
    fn ask(self, question: Question) -> (Command, Given) {
        (Command::Ask { question, socket: self.socket }, Given::default())
    }
}

impl Status {
    pub(super) fn read(self) -> (Command, Given) {
        self.asked.ask(Question::Status { json: self.json })
    }
}

impl Drain {
    pub(super) fn read(self) -> (Command, Given) {
        self.asked.ask(Question::Drain)
    }
}

impl Reload {
    pub(super) fn read(self) -> (Command, Given) {
        self.asked.ask(Question::Reload)
    }
}

impl Close {
    pub(super) fn read(self) -> (Command, Given) {
        self.asked.ask(Question::Close(self.flow))
    }
}

impl Trace {
    pub(super) fn read(self, line: &Line<'_>) -> Result<(Command, Given), Failure> {
        let [first, rest @ ..] = &self.words[..] else {
            return Err(line.wrong("trace needs on or off"));
        };
        let (file, rest) = match (first.to_str(), rest) {
            (Some("on"), [file, rest @ ..]) => (Some(file.clone()), rest),
            (Some("on"), []) => return Err(line.wrong("trace on needs FILE")),
            (Some("off"), rest) => (None, rest),
            _ => {
                let cause = format!("\"{}\" is neither on nor off", first.display());
                return Err(line.wrong(cause));
            }
        };
        let socket = match rest {
            [] => None,
            [socket] => Some(socket.clone()),
            [_, more, ..] => {
                return Err(line.wrong(format!("\"{}\" is one word too many", more.display())));
            }
        };
        Ok(Asked { socket }.ask(Question::Trace(file)))
    }
}
