//! Where connections come in.

use crate::pipe::Pipe;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;

/// A caller and where it calls from, or what the operating system had to say instead.
pub type Accepting<'a> =
    Pin<Box<dyn Future<Output = io::Result<(Box<dyn Pipe>, SocketAddr)>> + 'a>>;

/// Where connections come in.
pub trait Listen {
    /// Waits for the next connection. After an error it is worth another try. A pipe that knows its
    /// peer already gets no TLS of the server's: the listener answers for that peer.
    fn try_accept(&self) -> Accepting<'_>;

    /// The address where it listens.
    fn local_addr(&self) -> SocketAddr;
}

impl<L: Listen> Listen for Rc<L> {
    fn try_accept(&self) -> Accepting<'_> {
        (**self).try_accept()
    }

    fn local_addr(&self) -> SocketAddr {
        (**self).local_addr()
    }
}
