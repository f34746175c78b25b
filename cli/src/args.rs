//! The command line, the environment and a configuration file, read into an [`Invocation`]. Only
//! that file is asked of the system: the caller passes words and variables in. An error is a
//! [`Failure`].
//!
//! An [`Invocation`] does not show how a command (`-s` and `server`) or CONNECT (`HOST:PORT` and
//! `HOST PORT`) was spelled.

mod addresses;
mod asking;
mod cli;
mod client;
mod configured;
mod environment;
mod file;
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
mod secrets;
mod server;
mod shared;
mod spelling;
mod top;
mod values;
mod way;

use crate::failure::Failure;
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use cli::Chosen;
pub(crate) use cli::{Cli, VERSION};
use configured::Around;
#[cfg(test)]
pub(crate) use environment::VARIABLES;
pub(crate) use environment::defaults;
pub(crate) use environment::{about, misnamed};
use file::split;
pub(crate) use file::{From, Value, in_keys, key_of, of_file, section_of};
use given::Given;
pub(crate) use invocation::{Command, Control, Framing, Invocation, Options, Place, Question, Way};
pub(crate) use keys::KeyOptions;
#[cfg(test)]
pub(crate) use known::Known;
pub(crate) use known::options;
pub(crate) use limits::defaults as limit_defaults;
use refusal::Line;
use std::ffi::OsString;
use values::Env;
pub(crate) use values::did_you_mean;

/// Reads the command line, the environment and the file of this process. After a signal it can be
/// read again: then the file may say something else.
pub(crate) fn of_process() -> Result<Invocation, Failure> {
    parse(std::env::args_os().skip(1), |name| std::env::var_os(name))
}

/// Reads the arguments (without the program's name); `env` looks a variable up.
pub(crate) fn parse(
    args: impl IntoIterator<Item = OsString>,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<Invocation, Failure> {
    let (root, args) = (Cli::command(), args.into_iter().collect::<Vec<_>>());
    let read = spelling::read(args.clone(), &root);
    let read = read.and_then(|(line, words)| interpret(&line, words, &env));
    read.map_err(|failure| {
        args.iter().fold(failure, |failure, word| secrets::hide(failure, &word.to_string_lossy()))
    })
}

/// Reads words in clap's order.
fn interpret(line: &Line<'_>, words: Vec<OsString>, env: Env<'_>) -> Result<Invocation, Failure> {
    let (words, options) = split(line, words);
    let interpret = |line: &Line<'_>, words| interpret(line, words, env);
    let around = Around { options: &options, env, interpret: &interpret };
    let alone = |command| Ok((command, Given::default()));
    let (command, given) = match Cli::try_parse_from(words).map(|cli| cli.chosen) {
        Ok(Chosen::Server(server)) => server.read(line),
        Ok(Chosen::Client(client)) => client.read(line),
        Ok(Chosen::Relay(relay)) => relay.read(line),
        Ok(Chosen::Datagram(datagram)) => datagram.read(line),
        Ok(Chosen::Status(status)) => Ok(status.read()),
        Ok(Chosen::Drain(drain)) => Ok(drain.read()),
        Ok(Chosen::Reload(reload)) => Ok(reload.read()),
        Ok(Chosen::Close(close)) => Ok(close.read()),
        Ok(Chosen::Trace(trace)) => trace.read(line),
        Ok(Chosen::Top(top)) => Ok(top.read()),
        Ok(Chosen::Keygen(keygen)) => keygen.read(line),
        Ok(Chosen::Pubkey(pubkey)) => alone(Command::Pubkey { file: pubkey.file }),
        Ok(Chosen::Demo(demo)) => Ok((Command::Demo { json: demo.json }, demo.given())),
        Ok(Chosen::Completions(it)) => alone(Command::Completions(it.shell)),
        Ok(Chosen::Man(it)) => it.read(line),
        Ok(Chosen::Version) => alone(Command::Version),
        Ok(Chosen::Run(run)) => return run.read(&around),
        Ok(Chosen::Check(check)) => return check.read(&around),
        Ok(Chosen::Config(config)) => config.read(line, &around).and_then(alone),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => {
            alone(Command::Help(line.command.clone()))
        }
        Err(error) if error.kind() == ErrorKind::DisplayVersion => alone(Command::Version),
        Err(error) => Err(refusal::failure(&error, line)),
    }?;
    let env = |name: &str| if command.reads_variables() { env(name) } else { None };
    let options = environment::complete(given, &command, &env)?;
    Ok(Invocation { command, options })
}

#[cfg(test)]
mod tests;
