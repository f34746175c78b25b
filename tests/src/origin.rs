//! The target of a pair, played by the test.

use crate::{LIMIT, socket};
use socket2::{Domain, SockRef, Socket, Type};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

/// A listener whose connections are the test's.
pub struct Origin {
    listener: TcpListener,
}

impl Origin {
    pub fn start() -> Origin {
        Origin::on(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    pub fn on(address: IpAddr) -> Origin {
        Vacant::on(address).listen()
    }

    pub fn addr(&self) -> SocketAddr {
        self.listener.local_addr().expect("a listener")
    }

    /// The next connection. Panics if none comes.
    pub fn accept(&self) -> TcpStream {
        self.incoming().next().expect("a connection")
    }

    /// Connections as they come, until none comes for a long time.
    pub fn incoming(&self) -> impl Iterator<Item = TcpStream> {
        let accepted = || self.listener.accept().inspect(|(stream, _)| socket::limit(stream)).ok();
        std::iter::from_fn(accepted).map(|(stream, _)| stream)
    }
}

impl Drop for Origin {
    /// A program that another thread is just starting has a copy of the descriptor until it runs,
    /// so that closing alone would leave the port open for that long.
    fn drop(&mut self) {
        drop(SockRef::from(&self.listener).shutdown(Shutdown::Both));
    }
}

/// A reserved port without a listener: a connection to it is refused.
///
/// A program that sets SO_REUSEADDR, as servers do, can listen on it.
pub struct Vacant {
    socket: Socket,
}

impl Vacant {
    pub fn reserve() -> Vacant {
        Vacant::on(IpAddr::V4(Ipv4Addr::LOCALHOST))
    }

    pub fn on(address: IpAddr) -> Vacant {
        let address = SocketAddr::new(address, 0);
        let socket =
            Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        socket.set_reuse_address(true).expect("a socket");
        socket.bind(&address.into()).expect("a free port");
        Vacant { socket }
    }

    pub fn addr(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket").as_socket().expect("a TCP socket")
    }

    pub fn listen(self) -> Origin {
        self.listen_for(1024)
    }

    /// Listens with room for one connection, which nobody accepts. Linux then ignores others.
    pub fn listen_to_one(self) -> Origin {
        self.listen_for(0)
    }

    fn listen_for(self, backlog: i32) -> Origin {
        self.socket.listen(backlog).expect("a bound socket");
        let listener = TcpListener::from(self.socket);
        // On a listener this limits accept.
        SockRef::from(&listener).set_read_timeout(Some(LIMIT)).expect("a socket");
        Origin { listener }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::socket::{connect, expect_reset, reset, try_finish};

    #[test]
    fn a_dropped_origin_refuses_at_once_even_if_a_descriptor_is_left() {
        let origin = Origin::start();
        let (address, copy) = (origin.addr(), origin.listener.try_clone().unwrap());
        drop(origin);
        let refused = TcpStream::connect(address).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        drop(copy);
    }

    #[test]
    fn a_connection_that_was_reset_can_not_be_finished_and_that_is_no_panic() {
        let origin = Origin::start();
        let mut near = connect(origin.addr());
        reset(origin.accept());
        assert!(expect_reset(&mut near).is_empty());
        assert!(!try_finish(&near));
    }
}
