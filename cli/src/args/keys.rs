//! `-k`, `--peers` and `--plain`: the files of keys, from the command line and the environment.

use super::secrets;
use super::values::{Env, file};
use crate::failure::Failure;
use clap::Args;
use std::path::PathBuf;
use striper_runtime::keys::Listed;

#[derive(Args, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct KeyOptions {
    /// encrypt the stripes, and accept only a peer that has this key. Of several, the peer sees the
    /// first. A bare name may be a systemd credential
    #[arg(short = 'k', long = "key", value_name = "FILE", value_parser = file())]
    pub files: Vec<PathBuf>,
    /// with a private key: the public keys of accepted peers, one in each line: PUBLIC-KEY NAME;
    /// on a server maybe with rules below (docs/runtime.md)
    #[arg(long, value_name = "FILE", value_parser = file())]
    pub peers: Option<PathBuf>,
    /// write the secrets of TLS there (docs/wire.md)
    #[arg(long, value_name = "FILE", value_parser = file())]
    pub tls_key_log: Option<PathBuf>,
    /// use no key, and do not warn about that
    #[arg(long, conflicts_with_all = ["files", "peers", "tls_key_log"])]
    pub plain: bool,
    /// The peers of a configuration file, instead of a list in a file of their own.
    #[arg(skip)]
    pub listed: Vec<Listed>,
}

impl KeyOptions {
    /// Fills in missing options from the environment, unless `--plain` is given.
    pub(crate) fn complete(mut self, env: Env<'_>) -> Result<KeyOptions, Failure> {
        let twice = |(nth, file): (usize, &PathBuf)| self.files[..nth].contains(file);
        if let Some((_, file)) = self.files.iter().enumerate().find(|nth| twice(*nth)) {
            let cause = format!("--key {} is given twice", file.display());
            return Err(Failure::usage(cause, "leave one of them out"));
        }
        if self.files.is_empty() && !self.plain {
            self.files.extend(named_file(env, "STRIPER_KEY_FILE")?);
        }
        if self.peers.is_none() && !self.plain {
            self.peers = named_file(env, "STRIPER_PEERS_FILE")?;
        }
        Ok(self)
    }
}

/// The file that a variable names. An empty variable is an error: otherwise a mistake in a script
/// would open the port to everybody.
fn named_file(env: Env<'_>, name: &str) -> Result<Option<PathBuf>, Failure> {
    match env(name) {
        Some(file) if file.is_empty() => Err(Failure::config(
            format!("the environment variable {name} is empty"),
            format!("name a file in it, or remove it: unset {name}"),
        )),
        Some(file) if secrets::is_key(&file.to_string_lossy()) => Err(Failure::config(
            format!("the environment variable {name}: {}", secrets::CAUSE),
            secrets::CURE,
        )),
        file => Ok(file.map(PathBuf::from)),
    }
}
