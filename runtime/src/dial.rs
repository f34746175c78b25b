//! Connecting to a host, and every way in which that can fail.

use crate::congestion::CongestionChoice;
use crate::pipe::Pipe;
use crate::pipe::tcp::TcpPipe;
use crate::pipe::tls::TlsError;
use crate::target::HostPort;
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::mem::discriminant;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;
use striper_core::{HandshakeError, Reason, Refusal};

/// Why a connection, or a stripe over it, did not come about.
#[derive(Clone, PartialEq, Eq, Debug)]
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

    /// Whether both are of the same kind. Details such as first bytes, which differ from dial to
    /// dial, don't count.
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

/// Dials by TCP.
#[derive(Clone, Default, Debug)]
pub struct TcpDial {
    /// What controls congestion on the connections.
    pub congestion: CongestionChoice,
}

impl Dial for TcpDial {
    fn dial(&self, address: &HostPort, limit: Duration) -> Dialling {
        let (address, congestion) = (address.clone(), self.congestion.clone());
        Box::pin(async move {
            Ok(Box::new(dial_with(&address, limit, &congestion).await?) as Box<dyn Pipe>)
        })
    }
}

/// An address that has not answered for this long gets the next one tried beside it (RFC 8305,
/// section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Connects to a host within `limit`: its addresses in turn, the next one as soon as one fails or
/// takes long. The first to answer is taken.
pub async fn dial_tcp(host: &HostPort, limit: Duration) -> Result<TcpPipe, DialError> {
    dial_with(host, limit, &CongestionChoice::System).await
}

pub(crate) async fn dial_with(
    host: &HostPort,
    limit: Duration,
    congestion: &CongestionChoice,
) -> Result<TcpPipe, DialError> {
    let connect = async {
        let mut addresses = resolve(host).await?.into_iter();
        let mut attempts: Vec<Task<'_>> = Vec::new();
        let mut last = DialError::UnknownHost;
        loop {
            attempts.extend(
                addresses.next().map(|address| Box::pin(connect(address, congestion)) as Task),
            );
            if attempts.is_empty() {
                return Err(last);
            }
            let answer = poll_fn(|cx| {
                for index in 0..attempts.len() {
                    if let Poll::Ready(answer) = attempts[index].as_mut().poll(cx) {
                        drop(attempts.swap_remove(index));
                        return Poll::Ready(Some(answer));
                    }
                }
                Poll::Pending
            });
            let pause = async {
                match addresses.len() {
                    0 => std::future::pending().await,
                    _ => smol::Timer::after(NEXT_ADDRESS).await,
                };
                None
            };
            match smol::future::or(answer, pause).await {
                Some(Ok(pipe)) => return Ok(pipe),
                Some(Err(error)) => last = error,
                None => {}
            }
        }
    };
    let too_late = async {
        smol::Timer::after(limit).await;
        Err(DialError::TimedOut)
    };
    smol::future::or(connect, too_late).await
}

type Task<'a> = Pin<Box<dyn Future<Output = Result<TcpPipe, DialError>> + 'a>>;

/// A connection that was reset right after it came about counts as connected: data may have come
/// before the reset.
async fn connect(address: SocketAddr, congestion: &CongestionChoice) -> Result<TcpPipe, DialError> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    congestion.begin(SockRef::from(&socket))?;
    socket.set_nonblocking(true)?;
    match socket.connect(&address.into()) {
        Err(error) if !is_under_way(&error) => return Err(error.into()),
        _ => {}
    }
    let socket = smol::Async::new_nonblocking(TcpStream::from(socket))?;
    socket.writable().await?;
    let error = socket.get_ref().take_error()?;
    match error.as_ref().map(io::Error::kind) {
        None => Ok(TcpPipe::new(socket)?.adapting(congestion)),
        Some(kind @ (io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)) => {
            Ok(TcpPipe::already_broken(socket, kind)?)
        }
        Some(_) => Err(error.map_or(DialError::Unreachable, DialError::from)),
    }
}

fn is_under_way(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error())
}

/// All addresses of a host. Literal ones need no resolver.
async fn resolve(host: &HostPort) -> Result<Vec<SocketAddr>, DialError> {
    if let Ok(address) = host.host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, host.port)]);
    }
    let addresses = async_net::resolve((host.host.as_str(), host.port)).await;
    match addresses {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        // Without a file descriptor the resolver can't look, and says that it has found none.
        _ => Err(Socket::new(Domain::IPV4, Type::STREAM, None)
            .map_or_else(DialError::from, |_| DialError::UnknownHost)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_names() {
        smol::block_on(async {
            let port =
                std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let limit = Duration::from_secs(10);
            let refused = dial_tcp(&HostPort::new("127.0.0.1", port), limit).await;
            assert_eq!(refused.unwrap_err(), DialError::Refused);
            let unknown = dial_tcp(&HostPort::new("no such host", port), limit).await;
            assert_eq!(unknown.unwrap_err(), DialError::UnknownHost);
        });
    }
}
