//! The command line and the environment, read into an [`Invocation`]. Nothing here asks the
//! system: the caller passes words and variables in, and an error is a [`Failure`].
//!
//! An [`Invocation`] does not show how a command (`-s` and `server`) or CONNECT (`HOST:PORT` and
//! `HOST PORT`) was spelled.

mod command;
mod environment;
mod given;
mod invocation;
mod keys;
mod limits;
mod line;
mod options;
mod values;
mod way;

use crate::failure::Failure;
#[cfg(test)]
pub(crate) use environment::VARIABLES;
pub(crate) use environment::{about, misnamed};
pub(crate) use invocation::{Command, Framing, Invocation, Options, Place, Verb, Way};
pub(crate) use keys::KeyOptions;
#[cfg(test)]
pub(crate) use limits::defaults as limit_defaults;
use line::Line;
pub(crate) use options::{Declared, OPTIONS};
use std::ffi::OsString;
use values::SEE_HELP;
pub(crate) use values::did_you_mean;

/// Reads the arguments (without the program's name); `env` looks a variable up.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Invocation, Failure> {
    let Line { chosen, words, options, given } = Line::read(args)?;
    let command = if given.help {
        Command::Help(chosen.map(|chosen| chosen.verb))
    } else if given.version {
        Command::Version
    } else {
        let Some(chosen) = chosen else {
            return Err(Failure::usage(
                "the command is missing",
                "striper-cli demo shows what the program does; ".to_owned() + SEE_HELP,
            ));
        };
        options.iter().try_for_each(|option| option.check(chosen.verb, &chosen.name))?;
        given.check()?;
        command::assemble(&chosen, &words, &given)?
    };
    let skip_environment = matches!(command, Command::Help(_) | Command::Version);
    let env = |name: &str| if skip_environment { None } else { env(name) };
    let options = environment::complete(given, &command, &env)?;
    Ok(Invocation { command, options })
}

#[cfg(test)]
mod tests;
