//! `keygen` and `pubkey`: commands for files of keys.

use super::given::Given;
use super::invocation::Command;
use super::known::Known;
use super::refusal::Line;
use super::shared::Proxying;
use super::values::file;
use crate::failure::Failure;
use clap::Args;
use std::path::{Path, PathBuf};
use striper_runtime::keys::KeyKind;

/// makes a key that both sides have; with --pair, one that only this side has
///
/// Makes a key in a new file (striper.key if FILE is not given), which only this user can read. An
/// existing file stays as it is. Without --pair it is a shared key: copy it to the peer's machine,
/// and give it to both sides with -k. With --pair it is a private key: it stays here, and the peer
/// lists the line that pubkey prints.
#[derive(Args)]
#[command(
    override_usage = "striper-cli keygen [--pair] [FILE]",
    after_help = "\
EXAMPLES
  striper-cli keygen striper.key
  striper-cli keygen --pair laptop.key"
)]
pub(super) struct Keygen {
    /// the new file (striper.key)
    #[arg(value_name = "FILE", value_parser = file())]
    file: Option<PathBuf>,
    /// make a private key, which only this side has
    #[arg(long)]
    pair: bool,
    /// log only warnings and errors
    #[arg(short, long)]
    quiet: bool,
}

/// prints the public half of a --pair key
///
/// Prints the public half of a private key of keygen --pair, and the key's name: one line for the
/// list that the peer gives to --peers.
#[derive(Args)]
#[command(
    override_usage = "striper-cli pubkey FILE",
    after_help = "EXAMPLES\n  striper-cli pubkey laptop.key"
)]
pub(super) struct Pubkey {
    /// the file of a private key
    #[arg(value_name = "FILE", value_parser = file())]
    pub file: PathBuf,
}

impl Keygen {
    pub(super) fn read(self, line: &Line<'_>) -> Result<(Command, Given), Failure> {
        let file = self.file.unwrap_or("striper.key".into());
        let is_it = |known: &&Known<'_>| known.arg.get_long().map(Path::new) == Some(&file);
        if let Some(option) = line.known.iter().find(is_it) {
            let shown = file.display();
            let cause = format!("\"{shown}\" is the name of an option");
            let cure = format!(
                "did you mean {}? To have a file of that name write ./{shown}",
                option.name()
            );
            return Err(Failure::usage(cause, cure));
        }
        let kind = if self.pair { KeyKind::Private } else { KeyKind::Shared };
        let proxying = Proxying { quiet: self.quiet, ..Proxying::default() };
        Ok((Command::Keygen { file, kind }, Given { proxying, ..Given::default() }))
    }
}
