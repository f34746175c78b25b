//! `-k`, `--peers` and `--plain`: where keys are, as the command line and the environment say it.

use crate::failure::Failure;
use std::ffi::OsString;
use std::path::PathBuf;

/// Where keys are, as the command line says it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeyOptions {
    /// Key files; the first one is shown to the other side.
    pub files: Vec<PathBuf>,
    /// The list of public keys that are accepted beside shared ones.
    pub peers: Option<PathBuf>,
    /// That there is no key is on purpose.
    pub plain: bool,
}

impl KeyOptions {
    /// Says what is wrong with these options beside each other.
    pub fn check(&self) -> Result<(), Failure> {
        let other = match (self.files.is_empty(), &self.peers) {
            (false, _) => Some("--key"),
            (true, Some(_)) => Some("--peers"),
            (true, None) => None,
        };
        if let Some(other) = other.filter(|_| self.plain) {
            let cause = format!("--plain and {other} exclude each other");
            return Err(Failure::usage(cause, "choose one of them"));
        }
        let twice = |(nth, file): (usize, &PathBuf)| self.files[..nth].contains(file);
        if let Some((_, file)) = self.files.iter().enumerate().find(|nth| twice(*nth)) {
            let cause = format!("--key {} is given twice", file.display());
            return Err(Failure::usage(cause, "leave one of them out"));
        }
        Ok(())
    }

    /// Fills in from the environment what the command line leaves open. `--plain` leaves nothing
    /// open.
    pub fn complete<E>(mut self, env: E) -> Result<KeyOptions, Failure>
    where
        E: Fn(&str) -> Option<OsString>,
    {
        if self.files.is_empty() && !self.plain {
            self.files.extend(named_file(&env, "STRIPER_KEY_FILE")?);
        }
        if self.peers.is_none() && !self.plain {
            self.peers = named_file(&env, "STRIPER_PEERS_FILE")?;
        }
        Ok(self)
    }
}

/// The file that a variable names. An empty variable does not count as unset: a mistake in a script
/// would open the port to everybody.
fn named_file<E>(env: &E, name: &str) -> Result<Option<PathBuf>, Failure>
where
    E: Fn(&str) -> Option<OsString>,
{
    match env(name) {
        Some(file) if file.is_empty() => Err(Failure::config(
            format!("the environment variable {name} is empty"),
            format!("name a file in it, or do without it: unset {name}"),
        )),
        file => Ok(file.map(PathBuf::from)),
    }
}
