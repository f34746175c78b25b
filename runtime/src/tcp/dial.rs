//! Dials by TCP: a host's addresses in turn ("happy eyeballs", RFC 8305).

use super::congestion::CongestionChoice;
use super::pipe::TcpPipe;
use crate::pipe::Pipe;
use crate::ports::{Dial, DialError, Dialling};
use crate::target::HostPort;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

/// Dials by TCP.
#[derive(Clone, Default, Debug)]
pub struct TcpDial {
    /// The congestion control of the connections.
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

/// After this long without an answer the next address is tried beside it (RFC 8305, section 5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Connects to a host within `limit`: its addresses in turn, the next one as soon as one fails or
/// takes long. The first to answer is taken.
pub async fn dial_tcp(host: &HostPort, limit: Duration) -> Result<TcpPipe, DialError> {
    dial_with(host, limit, &CongestionChoice::System).await
}

/// The addresses of a host; never none. An address needs no resolver. A name keeps a thread busy
/// until the system's resolver has answered, also if this future is dropped: bound how many.
pub async fn resolve_host(host: &HostPort) -> Result<Vec<SocketAddr>, DialError> {
    resolve(host).await
}

/// As [`dial_tcp`] with addresses that are known.
pub async fn dial_addresses(
    addresses: Vec<SocketAddr>,
    limit: Duration,
) -> Result<TcpPipe, DialError> {
    within(limit, connect_any(addresses, &CongestionChoice::System)).await
}

pub(crate) async fn dial_with(
    host: &HostPort,
    limit: Duration,
    congestion: &CongestionChoice,
) -> Result<TcpPipe, DialError> {
    let connect = async { connect_any(resolve(host).await?, congestion).await };
    within(limit, connect).await
}

async fn within<T>(
    limit: Duration,
    dial: impl Future<Output = Result<T, DialError>>,
) -> Result<T, DialError> {
    let too_late = async {
        smol::Timer::after(limit).await;
        Err(DialError::TimedOut)
    };
    smol::future::or(dial, too_late).await
}

async fn connect_any(
    addresses: Vec<SocketAddr>,
    congestion: &CongestionChoice,
) -> Result<TcpPipe, DialError> {
    let mut addresses = interleaved(addresses).into_iter();
    let mut attempts: Vec<Task<'_>> = Vec::new();
    let mut last = DialError::UnknownHost;
    loop {
        let next = addresses.next().map(|to| Box::pin(connect(to, congestion)) as Task);
        attempts.extend(next);
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
}

/// The addresses in the order in which they are tried (RFC 8305, section 4). The resolver's order
/// holds within a family, and the families take turns: several dead addresses of one family don't
/// delay the other.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let turns = first.len().max(other.len());
    (0..turns).flat_map(|turn| [first.get(turn), other.get(turn)]).flatten().copied().collect()
}

type Task<'a> = Pin<Box<dyn Future<Output = Result<TcpPipe, DialError>> + 'a>>;

/// A connection that was reset at once counts as connected: data may have come before the reset.
async fn connect(address: SocketAddr, congestion: &CongestionChoice) -> Result<TcpPipe, DialError> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    congestion.begin(SockRef::from(&socket))?;
    // A dial that is given up must not look to the target like a flow that ended.
    socket.set_linger(Some(Duration::ZERO))?;
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
    fn the_families_of_a_host_take_turns() {
        let order = |addresses: &[&str]| {
            let addresses = addresses.iter().map(|address| address.parse().unwrap()).collect();
            let ordered = interleaved(addresses).into_iter();
            ordered.map(|address| address.ip().to_string()).collect::<Vec<_>>()
        };
        let [a, b, c] = ["[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8::3]:1"];
        let [x, y] = ["192.0.2.1:1", "192.0.2.2:1"];
        let ip = |address: &str| address.parse::<SocketAddr>().unwrap().ip().to_string();
        for (given, expected) in [
            (vec![a, b, c, x, y], vec![a, x, b, y, c]),
            (vec![x, y, a], vec![x, a, y]),
            (vec![x, y], vec![x, y]),
            (vec![a], vec![a]),
            (vec![], vec![]),
        ] {
            let expected: Vec<_> = expected.into_iter().map(ip).collect();
            assert_eq!(order(&given), expected, "{given:?}");
        }
    }
}
