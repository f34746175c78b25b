//! Would the simulator find a bug if there were one? `sim selftest` plants bugs in the engine, one
//! at a time, and hunts each.
//!
//! The switch is for a whole process, and a bug may well make the engine spin, so each hunt is a
//! process of its own: a program with bugs in it, with `--hunt`. A hunt goes through all ways of
//! looking in turn until one of them fails, and stops at its time limit. A scenario that takes far
//! longer than any sound one counts as found: it would never end. One hunt without a bug shows that
//! what fails is the bug.

use super::option;
use crate::base::{all_cores, say};
use crate::search::hunts;
use crate::search::hunts::Options;
use lexopt::{Arg, Parser};
use std::process::ExitCode;

/// What `sim selftest --help` says.
pub const HELP: &str = include_str!("help/selftest.txt");

impl Options {
    /// Reads what follows `selftest` on the command line. The error says what was wrong and what to
    /// do.
    pub fn parse(parser: &mut Parser) -> Result<Self, String> {
        let mut options = Options {
            bugs: Vec::new(),
            limit: 60,
            jobs: all_cores(),
            list: false,
            help: false,
            hunt: None,
        };
        while let Some(arg) = option::next(parser)? {
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
            let mut value = || option::value_of(parser, &name, "selftest --help");
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

    /// Hunts the bugs and prints what was found. Exit code 1 if one was missed.
    pub fn run(&self) -> ExitCode {
        if self.help {
            say(HELP);
            return ExitCode::SUCCESS;
        }
        hunts::run(self).unwrap_or_else(|message| {
            eprintln!("sim: {message}");
            ExitCode::from(2)
        })
    }
}
