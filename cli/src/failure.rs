//! Why the program gives up: a cause, a cure, and an exit code that scripts can tell apart.

use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use striper_runtime::keys::KeyError;
use striper_runtime::{SettingsError, files};

/// Exit codes, as `--help` documents them.
pub mod code {
    /// Something unexpected, or a demo whose data arrived damaged.
    pub const UNEXPECTED: u8 = 1;
    /// The command line makes no sense.
    pub const USAGE: u8 = 2;
    /// LISTEN can't be listened on.
    pub const BIND: u8 = 3;
    /// The environment's settings make no sense, or it gives too little room.
    pub const CONFIG: u8 = 6;
    /// A key, a list of peers, or the file of one is of no use.
    pub const KEY: u8 = 8;
    /// Told to stop, and connections that did not end within `--drain-timeout` were cut.
    pub const CUT: u8 = 7;
}

/// An error that ends the program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The exit code.
    pub code: u8,
    /// What went wrong.
    pub cause: String,
    /// What to do about it.
    pub cure: Option<String>,
}

impl Failure {
    /// A command line that makes no sense.
    pub fn usage(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Failure { code: code::USAGE, cause: cause.into(), cure: Some(cure.into()) }
    }

    /// An environment that makes no sense.
    pub fn config(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Failure { code: code::CONFIG, cause: cause.into(), cure: Some(cure.into()) }
    }

    /// The file of `--trace` can't be created.
    pub fn trace(path: &Path, error: &io::Error) -> Self {
        let cure = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                "name a file that is not there yet, or an earlier trace, which is replaced"
            }
            kind => files::cure(kind),
        };
        let cause = format!("--trace: cannot create {}: {error}", path.display());
        Failure::usage(cause, with_names(cure, path))
    }

    /// A key, a list of peers, or the file of one is of no use.
    pub fn key(file: &Path, error: &KeyError) -> Self {
        Self::key_with(file, error, error.cure())
    }

    /// The same with a cure of its own, which has `FILE` and `FOLDER` in it.
    pub fn key_with(file: &Path, error: &KeyError, cure: &str) -> Self {
        Failure {
            code: code::KEY,
            cause: format!("{}: {error}", file.display()),
            cure: Some(with_names(cure, file)),
        }
    }

    /// Something that should not happen.
    pub fn unexpected(cause: impl Into<String>) -> Self {
        Failure { code: code::UNEXPECTED, cause: cause.into(), cure: None }
    }

    /// A setting is outside the range that the library gives it.
    pub fn setting(error: &SettingsError) -> Self {
        Failure { code: code::USAGE, cause: error.to_string(), cure: None }
    }

    /// Standard output takes no more.
    pub fn output(error: &io::Error) -> Self {
        Failure::unexpected(format!("cannot write to standard output: {error}"))
    }

    /// Says it on standard error, in plain words.
    pub fn tell(&self) {
        let cure = self.cure.as_deref().map(|cure| format!("\n  {}", printable(cure)));
        let text = format!("striper-cli: {}{}\n", printable(&self.cause), cure.unwrap_or_default());
        let _ = io::stderr().write_all(text.as_bytes());
    }

    /// LISTEN can't be listened on.
    pub fn bind(address: SocketAddr, error: &io::Error) -> Self {
        let (why, cure) = match error.kind() {
            io::ErrorKind::AddrInUse => (
                "another program listens there".to_owned(),
                format!(
                    "choose another port, or stop that program \
                     (ss -ltnp 'sport = :{}' shows it)",
                    address.port()
                ),
            ),
            io::ErrorKind::PermissionDenied if address.port() < 1024 => (
                format!("ports below 1024 need a privilege (port {})", address.port()),
                "choose a port from 1024 up, or give the program the privilege: \
                 sudo setcap cap_net_bind_service=+ep \"$(command -v striper-cli)\""
                    .to_owned(),
            ),
            io::ErrorKind::AddrNotAvailable => (
                format!("this machine has no address {}", address.ip()),
                format!(
                    "choose one of its own (ip -brief addr shows them), or {} for all of them",
                    if address.is_ipv6() { "[::]" } else { "0.0.0.0" }
                ),
            ),
            _ if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => (
                format!("this machine has no {}", if address.is_ipv6() { "IPv6" } else { "IPv4" }),
                "choose an address of the other kind".to_owned(),
            ),
            _ => {
                let cause = format!("cannot listen on {address}: {error}");
                return Failure { code: code::BIND, cause, cure: None };
            }
        };
        Failure {
            code: code::BIND,
            cause: format!("cannot listen on {address}: {why}"),
            cure: Some(cure),
        }
    }
}

/// Puts a file's name, and that of its folder, into a cure.
fn with_names(cure: &str, file: &Path) -> String {
    // bash leaves it there in --key=~/FILE, and so does whatever is no shell.
    if file.to_string_lossy().starts_with('~') && !file.exists() {
        return "write the home folder in full: \"~\" has stayed as it is, for only a shell \
                replaces it, and only at the beginning of a word"
            .to_owned();
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = shell_word(folder.unwrap_or(Path::new(".")));
    let parts = cure.split("FILE").map(|part| part.replace("FOLDER", &folder));
    parts.collect::<Vec<_>>().join(&shell_word(file))
}

/// A path as it is typed in a shell: in quotes if it needs them, and never like an option.
pub fn shell_word(path: &Path) -> String {
    let word = path.display().to_string();
    let word = if word.starts_with('-') { format!("./{word}") } else { word };
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A text without control characters: a file's name may have some.
pub fn printable(text: &str) -> String {
    let escaped = |c: char| match c {
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(escaped).collect()
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.cure {
            Some(cure) => write!(f, "{}; {cure}", self.cause),
            None => f.write_str(&self.cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(address: &str, kind: io::ErrorKind) -> String {
        Failure::bind(address.parse().unwrap(), &io::Error::from(kind)).to_string()
    }

    #[test]
    fn a_port_in_use_says_how_to_find_its_user() {
        let text = bind("127.0.0.1:2222", io::ErrorKind::AddrInUse);
        assert!(
            text.contains("127.0.0.1:2222") && text.contains("another program listens there"),
            "{text}"
        );
        assert!(text.contains("ss -ltnp 'sport = :2222'"), "{text}");
    }

    #[test]
    fn a_low_port_says_that_it_needs_a_privilege() {
        let text = bind("0.0.0.0:22", io::ErrorKind::PermissionDenied);
        assert!(text.contains("below 1024") && text.contains("from 1024 up"), "{text}");
    }

    #[test]
    fn an_address_of_another_machine_offers_all_addresses_of_this_one() {
        assert!(bind("192.0.2.1:80", io::ErrorKind::AddrNotAvailable).contains("0.0.0.0"));
        assert!(bind("[2001:db8::1]:80", io::ErrorKind::AddrNotAvailable).contains("[::]"));
    }

    #[test]
    fn a_cure_names_files_as_a_shell_takes_them() {
        for (file, word) in [
            ("striper.key", "striper.key"),
            ("/etc/striper/a@b.key", "/etc/striper/a@b.key"),
            ("my key", "'my key'"),
            ("it's", r"'it'\''s'"),
            ("$HOME/~x", "'$HOME/~x'"),
            ("-v", "./-v"),
        ] {
            assert_eq!(shell_word(Path::new(file)), word);
        }
        let cure = |file| with_names("mkdir -p FOLDER && touch FILE", Path::new(file));
        assert_eq!(cure("a FILE/FOLDER"), "mkdir -p 'a FILE' && touch 'a FILE/FOLDER'");
        assert_eq!(cure("x"), "mkdir -p . && touch x");
        assert!(cure("~/striper.key").contains("home folder in full"));
    }
}
