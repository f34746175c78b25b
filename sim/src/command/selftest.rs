//! `sim selftest`: would the simulator find a bug if there were one? It plants bugs in the engine,
//! one at a time, and hunts each.
//!
//! The switch is for a whole process, and a bug may make the engine spin. So each hunt is a process
//! of its own: a program with bugs in it, with `--hunt`. A hunt tries all searches in turn until
//! one of them fails, and stops at its time limit. A scenario that takes far longer than any sound
//! one counts as found: it would never end. One hunt without a bug shows that only the bugs make
//! searches fail.

use super::option;
use crate::base::{all_cores, say};
use crate::search::hunts::{self, Options};
use lexopt::{Arg, Parser};
use std::process::ExitCode;

pub const HELP: &str = include_str!("help/selftest.txt");

impl Options {
    pub fn parse(parser: &mut Parser) -> Result<Self, String> {
        let mut options = Options {
            bugs: Vec::new(),
            limit: 120,
            jobs: all_cores(),
            list: false,
            help: false,
            hunt: None,
        };
        let value = |parser: &mut _, name| option::value_of(parser, name, "selftest --help");
        while let Some(arg) = option::next(parser)? {
            let hint = "see selftest --help for what there is";
            match arg {
                Arg::Short('h') | Arg::Long("help") => options.help = true,
                Arg::Long("list") => options.list = true,
                Arg::Long("bug") => options.bugs.push(value(parser, "bug")?),
                Arg::Long("hunt") => options.hunt = Some(value(parser, "hunt")?),
                Arg::Long("limit") => {
                    options.limit = option::number(&value(parser, "limit")?, "limit", 86_400)?
                }
                Arg::Long("jobs") => {
                    let jobs = option::number(&value(parser, "jobs")?, "jobs", 256)?;
                    options.jobs = jobs as usize;
                }
                Arg::Long(name) => return Err(format!("--{name} is unknown; {hint}")),
                arg => return option::unexpected(arg, hint),
            }
        }
        Ok(options)
    }

    /// Hunts the bugs and prints the results. Exit code 1 if one was missed.
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
