//! Connections to a Unix socket of this machine.

use crate::failure::Failure;
use crate::socket::UnixSocket;
use crate::sockets::{Open, Opener, Sockets};
use rustix::fd::BorrowedFd;
use std::path::Path;
use std::time::Duration;
use striper_runtime::{Event, Pipe, StreamPipe};

/// Before the next try when the system can't accept.
const PAUSE: Duration = Duration::from_millis(100);

/// A Unix socket for local programs of this user.
pub(crate) struct UnixDoor {
    socket: UnixSocket,
    /// File descriptors that it leaves to others.
    spare: u64,
}

impl UnixDoor {
    /// Listens. A socket that a program left behind is replaced; one with a listener is not.
    pub(crate) fn open(path: &Path, sockets: &Sockets, spare: u64) -> Result<UnixDoor, Failure> {
        Ok(UnixDoor { socket: UnixSocket::bind(path, Some(sockets))?, spare })
    }

    pub(crate) fn path(&self) -> &Path {
        self.socket.path()
    }

    /// The next connection. `told` hears of the first failure until it works again.
    pub(crate) async fn accept(&self, told: &dyn Fn(Event)) -> Box<dyn Pipe> {
        let mut failed = false;
        loop {
            match self.socket.accept(self.spare).await {
                Ok(socket) => return Box::new(StreamPipe::new(socket.clone(), socket)),
                Err(error) => {
                    if !std::mem::replace(&mut failed, true) {
                        told(Event::AcceptFailed { error });
                    }
                    smol::Timer::after(PAUSE).await;
                }
            }
        }
    }
}

impl Open for UnixDoor {
    fn socket(&self) -> BorrowedFd<'_> {
        self.socket.socket()
    }

    fn opener(&self) -> Opener {
        self.socket.opener()
    }
}
