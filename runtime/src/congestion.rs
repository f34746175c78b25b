//! The congestion control of stripes: one that follows what the route does, the operating system's
//! choice for TCP, or one that the user names.

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::fmt;
use std::io;

/// How stripes get their congestion control.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub enum CongestionChoice {
    /// CUBIC, and BBR for as long as a stripe loses packets without a queue. What can't be had is
    /// left out: without CUBIC a stripe begins with what the system chooses, without BBR it stays
    /// with that.
    #[default]
    Auto,
    /// What the system chooses.
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

/// A congestion control algorithm that this process may use, by the name that the operating system
/// gives it, such as `bbr` or `cubic`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Congestion(pub(crate) String);

impl Congestion {
    /// The algorithm of this name, or why sockets can't have it: there is none of that name, or
    /// this user must not choose it.
    pub fn named(name: &str) -> io::Result<Congestion> {
        let congestion = Congestion(name.to_owned());
        congestion.check()?;
        Ok(congestion)
    }

    /// What [`CongestionChoice::Auto`] begins with.
    pub fn calm() -> Congestion {
        Congestion("cubic".to_owned())
    }

    /// What [`CongestionChoice::Auto`] has where packets are lost without a queue.
    pub fn lossy() -> Congestion {
        Congestion("bbr".to_owned())
    }

    /// Whether this process may use it, or why not.
    pub fn check(&self) -> io::Result<()> {
        self.choose(SockRef::from(&socket()?))
    }

    /// What sockets have without a choice, if the operating system says so.
    pub fn of_system() -> Option<Congestion> {
        of(SockRef::from(&socket().ok()?))
    }

    /// Those that the operating system offers, as far as it says so (Linux).
    pub fn available() -> Vec<String> {
        let names = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_available_congestion_control");
        names.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    }

    /// Has a socket use it; one that listens hands it on.
    pub(crate) fn choose(&self, socket: SockRef<'_>) -> io::Result<()> {
        set(socket, &self.0)
    }
}

impl fmt::Display for Congestion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
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
    Some(Congestion(String::from_utf8(name.to_vec()).ok()?))
}

#[cfg(not(any(target_os = "freebsd", target_os = "linux")))]
fn set(_socket: SockRef<'_>, _name: &str) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(any(target_os = "freebsd", target_os = "linux")))]
pub(crate) fn of(_socket: SockRef<'_>) -> Option<Congestion> {
    None
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::dial::dial_with;
    use crate::listen::Listener;
    use crate::pipe::Pipe;
    use std::rc::Rc;
    use std::time::Duration;

    #[test]
    fn a_name_that_there_is_none_of_is_an_error() {
        assert_eq!(Congestion::named("no-such").unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(Congestion::named("").is_err());
    }

    #[test]
    fn both_ends_of_a_connection_have_what_was_chosen_for_them() {
        // Every Linux has it, and every user may choose it.
        let reno = Congestion::named("reno").unwrap();
        smol::block_on(async {
            let mut listener =
                Listener::bind("127.0.0.1:0".parse().unwrap(), Rc::new(|_| {})).await.unwrap();
            let choice = CongestionChoice::Named(reno.clone());
            listener.choose(&choice).unwrap();
            let address = listener.local_addr().into();
            let dialling = dial_with(&address, Duration::from_secs(10), &choice);
            let (dialled, (accepted, _)) = smol::future::zip(dialling, listener.accept()).await;
            for mut pipe in [dialled.unwrap(), accepted] {
                assert_eq!(pipe.tcp().unwrap().congestion, Some(reno.clone()));
                assert_eq!(pipe.adapt(), None, "it was named");
            }
        });
    }
}
