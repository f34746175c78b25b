//! The congestion control of stripes: one that follows what the route does, the operating system's
//! choice for TCP, or one that the user names.

use crate::pipe::Congestion;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::io;

/// How stripes get their congestion control.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub enum CongestionChoice {
    /// CUBIC, and BBR for as long as a stripe loses packets without a queue. Without CUBIC a stripe
    /// begins with the system's choice, and without BBR it stays with that.
    #[default]
    Auto,
    /// The system's choice.
    System,
    /// Always this one.
    Named(Congestion),
}

impl CongestionChoice {
    /// Gives a socket what it begins with; one that listens hands it on.
    pub(crate) fn begin(&self, socket: SockRef<'_>) -> io::Result<()> {
        match self {
            CongestionChoice::Auto => {
                // Any other is a fair beginning as well.
                let _ = Congestion::calm().choose(socket);
                Ok(())
            }
            CongestionChoice::System => Ok(()),
            CongestionChoice::Named(congestion) => congestion.choose(socket),
        }
    }
}

impl Congestion {
    /// The algorithm of this name, or an error: there is none, or this user must not choose it.
    pub fn named(name: &str) -> io::Result<Congestion> {
        let congestion = Congestion::from_name(name);
        congestion.check()?;
        Ok(congestion)
    }

    /// Whether this process may use it, or why not.
    pub fn check(&self) -> io::Result<()> {
        self.choose(SockRef::from(&socket()?))
    }

    /// The default of sockets, if the operating system names it.
    pub fn of_system() -> Option<Congestion> {
        of(SockRef::from(&socket().ok()?))
    }

    /// The algorithms that the operating system offers, as far as it says so (Linux).
    pub fn available() -> Vec<String> {
        let names = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control");
        names.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    pub(crate) fn choose(&self, socket: SockRef<'_>) -> io::Result<()> {
        set(socket, self.name())
    }
}

fn socket() -> io::Result<Socket> {
    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))
}

#[cfg(any(target_os = "freebsd", target_os = "linux"))]
fn set(socket: SockRef<'_>, name: &str) -> io::Result<()> {
    socket.set_tcp_congestion(name.as_bytes())
}

#[cfg(any(target_os = "freebsd", target_os = "linux"))]
pub(crate) fn of(socket: SockRef<'_>) -> Option<Congestion> {
    let name = socket.tcp_congestion().ok()?;
    let name = name.split(|byte| *byte == 0).next()?;
    Some(Congestion::from_name(std::str::from_utf8(name).ok()?))
}

#[cfg(not(any(target_os = "freebsd", target_os = "linux")))]
fn set(_socket: SockRef<'_>, _name: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(target_os = "freebsd", target_os = "linux")))]
pub(crate) fn of(_socket: SockRef<'_>) -> Option<Congestion> {
    None
}
