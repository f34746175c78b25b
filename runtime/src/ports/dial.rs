//! Connecting to a host, and every way in which that can fail.

use crate::pipe::Pipe;
use crate::target::HostPort;
use crate::tls::TlsError;
use rustix::io::Errno;
use std::fmt;
use std::future::Future;
use std::io;
use std::mem::discriminant;
use std::pin::Pin;
use std::time::Duration;
use striper_core::{HandshakeError, Reason, Refusal};

/// Why a connection, or a stripe over it, did not come about.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DialError {
    /// The name has no address.
    UnknownHost,
    /// Nobody listens there.
    Refused,
    /// There is no way there.
    Unreachable,
    /// No answer in time.
    TimedOut,
    /// The other end closed the connection or broke it before it had said HELLO.
    Closed,
    /// The other end did not say HELLO in time.
    NoHello,
    /// The two did not accept each other's keys, or have not both one.
    Tls(TlsError),
    /// The other end said something else than a HELLO for us.
    Handshake(HandshakeError),
    /// The server said no.
    Refusal(Refusal),
    /// This process or its system has no file descriptor left; what the operating system said.
    NoFiles(String),
    /// Anything else that the operating system said.
    Other(String),
}

impl DialError {
    /// Whether another attempt soon would end alike: nobody listens there, or one of the sides has
    /// to be told another key or version first.
    pub fn is_definite(&self) -> bool {
        match self {
            DialError::Refused => true,
            DialError::Tls(error) => matches!(
                error,
                TlsError::UnknownKey
                    | TlsError::KeyRefused
                    | TlsError::Plain
                    | TlsError::NoCommonProtocol
            ),
            DialError::Refusal(refusal) => {
                matches!(refusal, Refusal::KeyNeeded | Refusal::NoKey | Refusal::Version)
            }
            _ => false,
        }
    }

    /// Whether this is how a server fails that stops or has been stopped.
    pub fn is_absence(&self) -> bool {
        matches!(
            self,
            DialError::Refused | DialError::Closed | DialError::Refusal(Refusal::Draining)
        )
    }

    /// Whether both are of the same kind. Details that differ from dial to dial don't count.
    pub fn is_alike(&self, other: &DialError) -> bool {
        match (self, other) {
            (DialError::Tls(one), DialError::Tls(other)) => {
                discriminant(one) == discriminant(other)
            }
            (DialError::Handshake(one), DialError::Handshake(other)) => {
                discriminant(one) == discriminant(other)
            }
            (DialError::Refusal(one), DialError::Refusal(other)) => {
                discriminant(one) == discriminant(other)
            }
            (one, other) => discriminant(one) == discriminant(other),
        }
    }

    /// How to tell the peer that a target can't be reached.
    pub fn reason(&self) -> Reason {
        match self {
            DialError::UnknownHost => Reason::UnknownHost,
            DialError::Refused => Reason::ConnectionRefused,
            DialError::TimedOut => Reason::TimedOut,
            DialError::NoFiles(_) => Reason::Unavailable,
            _ => Reason::Unreachable,
        }
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialError::UnknownHost => f.write_str("unknown host"),
            DialError::Refused => f.write_str("connection refused"),
            DialError::Unreachable => f.write_str("unreachable"),
            DialError::TimedOut => f.write_str("no answer in time"),
            DialError::Closed => f.write_str("connection closed during the handshake"),
            DialError::NoHello => f.write_str("connected, but no HELLO came in time"),
            DialError::Tls(error) => error.fmt(f),
            DialError::Handshake(error) => error.fmt(f),
            DialError::Refusal(refusal) => refusal.fmt(f),
            DialError::NoFiles(message) | DialError::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for DialError {}

impl From<io::Error> for DialError {
    fn from(error: io::Error) -> Self {
        let files = [Errno::MFILE, Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
        if files.contains(&error.raw_os_error()) {
            return DialError::NoFiles(error.to_string());
        }
        match error.kind() {
            io::ErrorKind::ConnectionRefused => DialError::Refused,
            io::ErrorKind::TimedOut => DialError::TimedOut,
            io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => {
                DialError::Unreachable
            }
            _ => DialError::Other(error.to_string()),
        }
    }
}

/// A dial under way.
pub type Dialling = Pin<Box<dyn Future<Output = Result<Box<dyn Pipe>, DialError>>>>;

/// How the driver gets its stripes' pipes.
pub trait Dial {
    /// Connects to an address within `limit`.
    fn dial(&self, address: &HostPort, limit: Duration) -> Dialling;
}
