//! The command line and the environment, read into an [`Invocation`]. Nothing here asks the
//! system: the caller passes words and variables in, and an error is a [`Failure`].
//!
//! An [`Invocation`] does not show how a command (`-s` and `server`) or CONNECT (`HOST:PORT` and
//! `HOST PORT`) was spelled.

mod addresses;
mod cli;
mod client;
mod environment;
mod given;
mod invocation;
mod key_files;
mod keys;
mod known;
mod limits;
mod manual;
mod packages;
mod refusal;
mod relay;
mod server;
mod shared;
mod spelling;
mod values;
mod way;

use crate::failure::Failure;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use cli::Chosen;
pub(crate) use cli::{Cli, VERSION};
#[cfg(test)]
pub(crate) use environment::VARIABLES;
pub(crate) use environment::{about, misnamed};
use given::Given;
pub(crate) use invocation::{Command, Framing, Invocation, Options, Place, Way};
pub(crate) use keys::KeyOptions;
#[cfg(test)]
pub(crate) use known::Known;
pub(crate) use known::options;
#[cfg(test)]
pub(crate) use limits::defaults as limit_defaults;
use std::ffi::OsString;
pub(crate) use values::did_you_mean;

/// Reads the arguments (without the program's name); `env` looks a variable up.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Invocation, Failure> {
    let (command, given) = command(args.into_iter().collect())?;
    let prints = matches!(
        command,
        Command::Help(_) | Command::Version | Command::Man(_) | Command::Completions(_)
    );
    let env = |name: &str| if prints { None } else { env(name) };
    let options = environment::complete(given, &command, &env)?;
    Ok(Invocation { command, options })
}

fn command(typed: Vec<OsString>) -> Result<(Command, Given), Failure> {
    let root = Cli::command();
    let (line, words) = spelling::read(typed, &root)?;
    let line = &line;
    let chosen = match Cli::try_parse_from(words).map(|cli| cli.chosen) {
        Ok(chosen) => chosen,
        Err(error) => match error.kind() {
            ErrorKind::DisplayHelp => {
                return Ok((Command::Help(line.command.clone()), Given::default()));
            }
            ErrorKind::DisplayVersion => return Ok((Command::Version, Given::default())),
            _ => return Err(refusal::failure(&error, line)),
        },
    };
    match chosen {
        Chosen::Server(server) => server.read(line),
        Chosen::Client(client) => client.read(line),
        Chosen::Relay(relay) => relay.read(line),
        Chosen::Datagram(datagram) => datagram.read(line),
        Chosen::Keygen(keygen) => keygen.read(line),
        Chosen::Pubkey(pubkey) => Ok((Command::Pubkey { file: pubkey.file }, Given::default())),
        Chosen::Demo(demo) => Ok((Command::Demo, demo.given())),
        Chosen::Completions(it) => Ok((Command::Completions(it.shell), Given::default())),
        Chosen::Man(it) => it.read(line),
        Chosen::Version => Ok((Command::Version, Given::default())),
    }
}

#[cfg(test)]
mod tests;
