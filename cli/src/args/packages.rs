//! `completions` and `man`: commands for those who install or package the program.

use super::given::Given;
use super::invocation::Command;
use super::refusal::{self, Line};
use super::values::{Choices, one_of};
use crate::failure::Failure;
use clap::Args;
use clap_complete::Shell;

const SHELLS: Choices<Shell> = &[("bash", Shell::Bash), ("zsh", Shell::Zsh), ("fish", Shell::Fish)];

/// prints completions for a shell
///
/// Prints a script that makes a shell complete commands and options. A package installs it. Without
/// a package, its place is ~/.local/share/bash-completion/completions/striper-cli for bash,
/// ~/.config/fish/completions/striper-cli.fish for fish, and _striper-cli in a folder of fpath for
/// zsh.
#[derive(Args)]
#[command(
    override_usage = "striper-cli completions bash|zsh|fish",
    after_help = "\
EXAMPLES
  striper-cli completions bash
  striper-cli completions zsh"
)]
pub(super) struct Completions {
    /// the shell
    #[arg(value_name = "SHELL", value_parser = one_of(SHELLS))]
    pub shell: Shell,
}

/// prints a page for man
///
/// Prints the page of a command in the format of man, or that of the program.
#[derive(Args)]
#[command(
    override_usage = "striper-cli man [COMMAND]",
    after_help = "\
EXAMPLES
  striper-cli man
  striper-cli man client"
)]
pub(super) struct Man {
    /// the command
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

impl Man {
    pub(super) fn read(self, line: &Line<'_>) -> Result<(Command, Given), Failure> {
        let commands: Vec<&str> =
            line.root.get_subcommands().map(clap::Command::get_name).collect();
        match self.command {
            Some(word) if !commands.contains(&word.as_str()) => {
                Err(refusal::unknown_command(&word, &commands))
            }
            command => Ok((Command::Man(command), Given::default())),
        }
    }
}
