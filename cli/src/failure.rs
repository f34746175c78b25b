//! Failures that end the program: a cause, a cure, and an exit code for scripts.

use crate::log::Value;
use crate::printable::{printable, printable_lines};
use std::fmt;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use striper_runtime::keys::KeyError;
use striper_runtime::{SettingsError, files};

/// Exit codes, as `--help` documents them.
pub(crate) mod code {
    /// An unexpected error, or a demo whose data arrived damaged.
    pub(crate) const UNEXPECTED: u8 = 1;
    pub(crate) const USAGE: u8 = 2;
    pub(crate) const BIND: u8 = 3;
    /// `-W`: the server can't be reached, or its session ended.
    pub(crate) const NO_SERVER: u8 = 4;
    /// `-W`: the target was refused, can't be reached, or broke the connection.
    pub(crate) const NO_TARGET: u8 = 5;
    /// An environment variable is wrong, or a limit of the system is too low.
    pub(crate) const CONFIG: u8 = 6;
    /// A key, a list of peers, or its file can't be used.
    pub(crate) const KEY: u8 = 8;
    /// After a signal, connections did not end within `--drain-timeout` and were reset.
    pub(crate) const CUT: u8 = 7;
    /// No running proxy could be asked.
    pub(crate) const NOBODY: u8 = 9;
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Failure {
    pub code: u8,
    pub cause: String,
    pub cure: Option<String>,
    /// Lines of a file with carets under what is wrong, for a person.
    pub excerpt: Option<String>,
}

impl Failure {
    pub(crate) fn usage(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Failure { code: code::USAGE, cure: Some(cure.into()), ..Failure::unexpected(cause) }
    }

    pub(crate) fn config(cause: impl Into<String>, cure: impl Into<String>) -> Self {
        Failure { code: code::CONFIG, ..Failure::usage(cause, cure) }
    }

    /// The file of an option can't be created. `earlier` is what it may replace.
    pub(crate) fn record(option: &str, path: &Path, earlier: &str, error: &io::Error) -> Self {
        let cure = match error.kind() {
            io::ErrorKind::AlreadyExists => {
                format!("name a new file, or an earlier {earlier}, which is replaced")
            }
            kind => files::cure(kind).to_owned(),
        };
        let cause = format!("{option}: cannot create {}: {error}", path.display());
        Failure::usage(cause, with_names(&cure, path))
    }

    pub(crate) fn key(file: &Path, error: &KeyError) -> Self {
        Self::key_with(file, error, &error.cure())
    }

    /// The same with another cure, which has `FILE` and `FOLDER` in it.
    pub(crate) fn key_with(file: &Path, error: &KeyError, cure: &str) -> Self {
        let cause = format!("{}: {error}", file.display());
        Failure { code: code::KEY, ..Failure::usage(cause, with_names(cure, file)) }
    }

    pub(crate) fn unexpected(cause: impl Into<String>) -> Self {
        Failure { code: code::UNEXPECTED, cause: cause.into(), cure: None, excerpt: None }
    }

    pub(crate) fn setting(error: &SettingsError) -> Self {
        Failure { code: code::USAGE, ..Failure::unexpected(error.to_string()) }
    }

    pub(crate) fn excerpt_field(&self) -> Option<(&'static str, Value)> {
        self.excerpt.clone().map(|lines| ("excerpt", lines.into()))
    }

    pub(crate) fn tell(&self) {
        let _ = io::stderr().write_all(self.told().as_bytes());
    }

    /// The lines for a person. A running proxy may have written their text.
    fn told(&self) -> String {
        let cure = self.cure.as_deref().map(|cure| format!("\n  {}", printable(cure)));
        let excerpt = self.excerpt.as_deref().map(|text| format!("\n{}", printable_lines(text)));
        let below = excerpt.into_iter().chain(cure).collect::<String>();
        format!("striper-cli: {}{below}\n", printable(&self.cause))
    }

    pub(crate) fn bind_unix(path: &Path, error: &io::Error) -> Self {
        let (why, cure) = match error.kind() {
            io::ErrorKind::AddrInUse if path.is_dir() || path.is_file() => {
                ("it is there already, and is no socket".to_owned(), "name another path")
            }
            io::ErrorKind::InvalidInput => {
                ("its path is too long".to_owned(), "name a path of at most 107 bytes")
            }
            io::ErrorKind::AddrInUse => {
                ("it is in use".to_owned(), "name another socket, or stop the program that has it")
            }
            kind => (error.to_string(), files::cure(kind)),
        };
        let cause = format!("cannot listen on {}: {why}", path.display());
        Failure { code: code::BIND, ..Failure::usage(cause, with_names(cure, path)) }
    }

    pub(crate) fn bind(address: SocketAddr, error: &io::Error) -> Self {
        let (why, cure) = unbound(address, error);
        let cause = format!("cannot listen on {address}: {why}");
        Failure { code: code::BIND, cure, ..Failure::unexpected(cause) }
    }
}

/// Why this machine does not listen on an address, and what helps.
pub(crate) fn unbound(address: SocketAddr, error: &io::Error) -> (String, Option<String>) {
    let (why, cure) = match error.kind() {
        io::ErrorKind::AddrInUse => (
            "another program listens there".to_owned(),
            format!(
                "choose another port, or stop that program (ss -ltnp 'sport = :{}' shows it)",
                address.port()
            ),
        ),
        io::ErrorKind::PermissionDenied if address.port() < 1024 => (
            format!("port {} needs a privilege, as all ports below 1024", address.port()),
            "choose a port from 1024 on, or give the program the privilege: \
             sudo setcap cap_net_bind_service=+ep \"$(command -v striper-cli)\""
                .to_owned(),
        ),
        io::ErrorKind::AddrNotAvailable => (
            format!("this machine has no address {}", address.ip()),
            format!(
                "choose an address of this machine (ip -brief addr shows them), or {} for all",
                if address.is_ipv6() { "[::]" } else { "0.0.0.0" }
            ),
        ),
        _ if error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error()) => (
            format!("this machine has no {}", if address.is_ipv6() { "IPv6" } else { "IPv4" }),
            "choose an address of the other kind".to_owned(),
        ),
        _ => return (error.to_string(), None),
    };
    (why, Some(cure))
}

fn with_names(cure: &str, file: &Path) -> String {
    // bash does not replace it in --key=~/FILE, and programs that are no shells never do.
    if file.to_string_lossy().starts_with('~') && !file.exists() {
        return "write the home folder in full: only a shell replaces \"~\", and only at the \
                beginning of a word"
            .to_owned();
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = shell_word(folder.unwrap_or(Path::new(".")));
    let parts = cure.split("FILE").map(|part| part.replace("FOLDER", &folder));
    parts.collect::<Vec<_>>().join(&shell_word(file))
}

/// A path as a user types it in a shell: in quotes if it needs them, and unlike an option.
pub(crate) fn shell_word(path: &Path) -> String {
    let word = path.display().to_string();
    let word = if word.starts_with('-') { format!("./{word}") } else { word };
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word;
    }
    format!("'{}'", word.replace('\'', r"'\''"))
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

    #[test]
    fn a_port_that_can_not_be_listened_on_has_a_cause_and_a_cure() {
        for (address, kind, parts) in [
            (
                "127.0.0.1:2222",
                io::ErrorKind::AddrInUse,
                ["127.0.0.1:2222: another program listens there", "ss -ltnp 'sport = :2222'"],
            ),
            ("0.0.0.0:22", io::ErrorKind::PermissionDenied, ["ports below 1024", "from 1024 on"]),
            ("192.0.2.1:80", io::ErrorKind::AddrNotAvailable, ["no address 192.0.2.1", "0.0.0.0"]),
            ("[2001:db8::1]:80", io::ErrorKind::AddrNotAvailable, ["no address", "[::]"]),
        ] {
            let text = Failure::bind(address.parse().unwrap(), &kind.into()).to_string();
            assert!(parts.iter().all(|part| text.contains(part)), "{text}");
        }
    }

    #[test]
    fn a_failure_can_not_change_the_terminal() {
        let [cause, cure, excerpt] = ["a\u{9b}b", "c\u{202e}d", "e\u{1b}f\n  ^"].map(str::to_owned);
        let failure = Failure { code: code::KEY, cause, cure: Some(cure), excerpt: Some(excerpt) };
        let told = "striper-cli: a\\u{9b}b\ne\\u{1b}f\n  ^\n  c\\u{202e}d\n";
        assert_eq!(failure.told(), told);
    }

    #[test]
    fn a_cure_has_file_names_in_the_form_of_a_shell() {
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
