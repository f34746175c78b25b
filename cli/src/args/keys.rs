//! `-k`, `--peers` and `--plain`: the files of keys, from the command line and the environment.

use super::environment::Env;
use crate::failure::Failure;
use std::path::PathBuf;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct KeyOptions {
    /// The peer sees the first key.
    pub files: Vec<PathBuf>,
    /// A list of public keys that are accepted beside shared keys.
    pub peers: Option<PathBuf>,
    pub plain: bool,
}

impl KeyOptions {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let other = match (self.files.is_empty(), &self.peers) {
            (false, _) => Some("--key"),
            (true, Some(_)) => Some("--peers"),
            (true, None) => None,
        };
        if let Some(other) = other.filter(|_| self.plain) {
            let cause = format!("--plain and {other} can't be used together");
            return Err(Failure::usage(cause, "choose one of them"));
        }
        let twice = |(nth, file): (usize, &PathBuf)| self.files[..nth].contains(file);
        if let Some((_, file)) = self.files.iter().enumerate().find(|nth| twice(*nth)) {
            let cause = format!("--key {} is given twice", file.display());
            return Err(Failure::usage(cause, "leave one of them out"));
        }
        Ok(())
    }

    /// Fills in missing options from the environment, unless `--plain` is given.
    pub(crate) fn complete(mut self, env: Env<'_>) -> Result<KeyOptions, Failure> {
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
        file => Ok(file.map(PathBuf::from)),
    }
}
