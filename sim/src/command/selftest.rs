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
                arg => return option::unexpected(arg, "see selftest --help for what there is"),
            };
            let mut value = || option::value_of(parser, &name, "selftest --help");
            match name.as_str() {
                "help" => options.help = true,
                "list" => options.list = true,
                "bug" => options.bugs.push(value()?),
                "hunt" => options.hunt = Some(value()?),
                "limit" => options.limit = option::number(&value()?, &name, 86_400)?,
                "jobs" => options.jobs = option::number(&value()?, &name, 256)? as usize,
                _ => {
                    let hint = "see selftest --help for what there is";
                    return Err(format!("--{name} is unknown; {hint}"));
                }
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
