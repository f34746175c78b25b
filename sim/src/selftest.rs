//! Would the simulator find a bug if there were one? `sim selftest` activates the bugs that are
//! planted in core, one at a time, and hunts each.
//!
//! The switch is for a whole process, and a bug may well make the engine spin, so each hunt is a
//! process of its own: the same program with `--hunt`. A hunt goes through all ways of looking in
//! turn until one of them fails, and stops at its time limit. A scenario that takes far longer than
//! any sound one counts as found: it would never end. One hunt without a bug shows that what fails
//! is the bug.

use crate::say::say;
use lexopt::{Arg, Parser, ValueExt};
use std::process::ExitCode;

/// What `sim selftest --help` says.
pub const HELP: &str = "\
sim selftest: bugs are planted in the engine, one at a time; each must be found

Usage: cargo run --release -p sim --features planted -- selftest [options]

  --bug NAME       Only this one; may be given several times
  --limit SECONDS  Give a hunt up after this time [60]
  --jobs N         Hunts at a time, 1-256 [as many as there are cores]
  --list           Print the bugs: what each does, and where it is from
  -h, --help       Print this

What was found by \"swarm\" can be seen: sim swarm --bug NAME --seeds A..B makes it small and writes it down.

Exit code 1 if a bug was not found, or if something was found without a bug.
";

/// What to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    bugs: Vec<String>,
    limit: u64,
    jobs: usize,
    list: bool,
    help: bool,
    /// Be the process that hunts this one.
    hunt: Option<String>,
}

impl Options {
    /// Reads what follows `selftest` on the command line. The error says what was wrong and what to
    /// do.
    pub fn parse(parser: &mut Parser) -> Result<Self, String> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let mut options =
            Options { bugs: Vec::new(), limit: 60, jobs, list: false, help: false, hunt: None };
        while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
            let name = match arg {
                Arg::Short('h') => "help".to_owned(),
                Arg::Long(name) => name.to_owned(),
                arg => {
                    return Err(format!(
                        "{}; see selftest --help for what there is",
                        arg.unexpected()
                    ));
                }
            };
            let mut value = || {
                let value = parser
                    .value()
                    .map_err(|_| format!("--{name} needs a value; see selftest --help"))?;
                value.string().map_err(|_| format!("--{name} has a value that is no text"))
            };
            let number = |text: String, most: u64| {
                let number = text.parse().ok().filter(|number| (1..=most).contains(number));
                number.ok_or_else(|| format!("--{name}: \"{text}\" is no number from 1 to {most}"))
            };
            match name.as_str() {
                "help" => options.help = true,
                "list" => options.list = true,
                "bug" => options.bugs.push(value()?),
                "hunt" => options.hunt = Some(value()?),
                "limit" => options.limit = number(value()?, 86_400)?,
                "jobs" => options.jobs = number(value()?, 256)? as usize,
                _ => {
                    return Err(format!(
                        "--{name} is unknown; see selftest --help for what there is"
                    ));
                }
            }
        }
        Ok(options)
    }

    /// Does it.
    pub fn run(&self) -> ExitCode {
        if self.help {
            say(HELP);
            return ExitCode::SUCCESS;
        }
        #[cfg(feature = "planted")]
        return hunts::run(self);
        #[cfg(not(feature = "planted"))]
        {
            eprintln!(
                "sim: no bugs are planted in this program; build it with them:\n  \
                 cargo run --release -p sim --features planted -- selftest"
            );
            ExitCode::from(2)
        }
    }
}

#[cfg(feature = "planted")]
mod hunts;
