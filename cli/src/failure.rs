//! Why the program gives up: a cause, a cure, and an exit code that scripts can tell apart.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use striper_runtime::keys::KeyError;

/// Exit codes, as `--help` documents them.
pub mod code {
    /// Something unexpected, or a demo whose data arrived damaged.
    pub const UNEXPECTED: u8 = 1;
    /// The command line makes no sense.
    pub const USAGE: u8 = 2;
    /// LISTEN can't be listened on.
    pub const BIND: u8 = 3;
    /// The environment's settings make no sense.
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
        Failure::usage(
            format!("--trace: cannot create {}: {error}", path.display()),
            "name a file in a folder that exists and that you may write to",
        )
    }

    /// A key, a list of peers, or the file of one is of no use.
    pub fn key(file: &Path, error: &KeyError) -> Self {
        let file = file.display().to_string();
        Failure {
            code: code::KEY,
            cause: format!("{file}: {error}"),
            cure: Some(error.cure().replace("FILE", &file)),
        }
    }

    /// Something that should not happen.
    pub fn unexpected(cause: impl Into<String>) -> Self {
        Failure { code: code::UNEXPECTED, cause: cause.into(), cure: None }
    }

    /// LISTEN can't be listened on.
    pub fn bind(address: SocketAddr, error: &io::Error) -> Self {
        let (why, cure) = match error.kind() {
            io::ErrorKind::AddrInUse => (
                "another program listens there".to_owned(),
                format!("choose another port, or stop that program (ss -ltnp 'sport = :{}' shows it)", address.port()),
            ),
            io::ErrorKind::PermissionDenied if address.port() < 1024 => (
                format!("ports below 1024 need a privilege (port {})", address.port()),
                "choose a port from 1024 up, or give the program the privilege: setcap cap_net_bind_service=+ep \
                 \"$(command -v striper-cli)\""
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
            _ => return Failure { code: code::BIND, cause: format!("cannot listen on {address}: {error}"), cure: None },
        };
        Failure { code: code::BIND, cause: format!("cannot listen on {address}: {why}"), cure: Some(cure) }
    }
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
        assert!(text.contains("127.0.0.1:2222") && text.contains("another program listens there"), "{text}");
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
}
