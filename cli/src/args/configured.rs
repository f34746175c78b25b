//! `run`, `check` and `config`: commands for configuration files.

use super::file::{self, File, Interpret};
use super::invocation::{Command, Invocation};
use super::refusal::Line;
use super::values::{Choices, Env, file, one_of};
use crate::failure::Failure;
use clap::Args;
use std::ffi::OsString;
use std::path::PathBuf;

/// runs the server, client or relay of a file
///
/// Runs the server, client or relay that a configuration file describes (docs/CONFIGURATION.md).
/// Each option of that command may follow: it replaces what the file says, and so does a variable
/// of the environment. Relative paths in the file go from its folder.
#[derive(Args)]
#[command(
    override_usage = "striper-cli run -f FILE [OPTION ...]",
    after_help = "\
EXAMPLES
  striper-cli run -f striper.toml
  striper-cli run -f striper.toml --log json"
)]
pub(super) struct Run {
    #[command(flatten)]
    file: Named,
}

/// says whether a configuration file is right
///
/// Says whether a configuration file is right, and reads the keys, the list of peers and the users
/// that it names, without starting anything. Options may follow as for run.
#[derive(Args)]
#[command(
    override_usage = "striper-cli check -f FILE [OPTION ...]",
    after_help = "EXAMPLES\n  striper-cli check -f striper.toml"
)]
pub(super) struct Check {
    #[command(flatten)]
    file: Named,
}

#[derive(Args)]
struct Named {
    /// the configuration file, of at most 1 MiB
    #[arg(short = 'f', long = "file", value_name = "FILE", value_parser = file(), required = true)]
    config: Option<PathBuf>,
}

/// prints an example of a configuration file, or what holds with one
///
/// With example it prints a configuration file that has all keys of a command (server if none is
/// named), with their defaults and what they mean. With show it prints each value that holds with a
/// file, and where it comes from: an option behind FILE, the environment, the file or a default.
#[derive(Args)]
#[command(
    override_usage = "\
striper-cli config example [server|client|relay]
striper-cli config show -f FILE [OPTION ...] [--json]",
    after_help = "\
EXAMPLES
  striper-cli config example client
  striper-cli config show -f striper.toml --json"
)]
pub(super) struct Config {
    #[arg(value_name = "example|show", help = "what to print", value_parser = one_of(WHAT))]
    what: What,
    /// the command that the example is for
    #[arg(value_name = "COMMAND", value_parser = one_of(ROLES))]
    role: Option<&'static str>,
    /// the configuration file, of at most 1 MiB
    #[arg(short = 'f', long = "file", value_name = "FILE", value_parser = file())]
    config: Option<PathBuf>,
    /// print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy)]
enum What {
    Example,
    Show,
}

const WHAT: Choices<What> = &[("example", What::Example), ("show", What::Show)];

const ROLES: Choices<&str> = &[("server", "server"), ("client", "client"), ("relay", "relay")];

/// The options behind the file, and the environment.
pub(super) struct Around<'a> {
    pub options: &'a [OsString],
    pub env: Env<'a>,
    pub interpret: Interpret<'a>,
}

impl Around<'_> {
    fn read(&self, file: Option<PathBuf>) -> Result<File, Failure> {
        file::read(&file.unwrap_or_default(), self.options, self.env, self.interpret)
    }
}

impl Run {
    pub(super) fn read(self, around: &Around<'_>) -> Result<Invocation, Failure> {
        Ok(around.read(self.file.config)?.invocation)
    }
}

impl Check {
    pub(super) fn read(self, around: &Around<'_>) -> Result<Invocation, Failure> {
        let Invocation { command, options } = around.read(self.file.config)?.invocation;
        Ok(Invocation { command: Command::Check(Box::new(command)), options })
    }
}

impl Config {
    pub(super) fn read(self, line: &Line<'_>, around: &Around<'_>) -> Result<Command, Failure> {
        let extra = |what: &str| line.wrong(format!("{what} is not for this form of config"));
        match (self.what, self.role) {
            (What::Example, _) if self.json => Err(extra("--json")),
            (What::Example, _) if self.config.is_some() => Err(extra("--file")),
            (What::Example, _) if !around.options.is_empty() => {
                Err(extra(&around.options[0].to_string_lossy()))
            }
            (What::Example, role) => Ok(Command::Example(role.unwrap_or("server"))),
            (What::Show, Some(role)) => Err(extra(role)),
            (What::Show, None) if self.config.is_none() => {
                Err(line.wrong("config show needs --file"))
            }
            (What::Show, None) => {
                let values = around.read(self.config)?.values;
                Ok(Command::Values { values, json: self.json })
            }
        }
    }
}
