//! Accepting connections, whatever happens.

use crate::pipe::tcp::TcpPipe;
use crate::report::Event;
use async_net::TcpListener;
use socket2::SockRef;
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

/// Connections that may wait to be accepted. With 128, a burst of callers waits for whole seconds.
const BACKLOG: i32 = 1024;

/// How long to wait when the process has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(75);

/// A TCP port that goes on accepting when the process runs out of file descriptors for a while.
pub struct Listener {
    listener: TcpListener,
    addr: SocketAddr,
    events: Rc<dyn Fn(Event)>,
    /// That accepting fails has been told.
    failing: Cell<bool>,
}

impl Listener {
    /// Listens at `addr`. Troubles with accepting are told to `events`.
    pub async fn bind(addr: SocketAddr, events: Rc<dyn Fn(Event)>) -> io::Result<Listener> {
        let listener = TcpListener::bind(addr).await?;
        // Again, with a longer queue than the standard library asks for.
        SockRef::from(&listener).listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        Ok(Listener { listener, addr, events, failing: Cell::new(false) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next connection and who calls.
    pub async fn accept(&self) -> (TcpPipe, SocketAddr) {
        loop {
            let error = match self.listener.accept().await {
                Ok((socket, from)) => {
                    self.failing.set(false);
                    match TcpPipe::new(socket) {
                        Ok(pipe) => return (pipe, from),
                        // It has gone already.
                        Err(_) => continue,
                    }
                }
                Err(error) => error,
            };
            // Troubles of that connection alone. Everything else is taken for a lack of resources, which may pass.
            if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted) {
                continue;
            }
            if !self.failing.replace(true) {
                (self.events)(Event::AcceptFailed { error });
            }
            smol::Timer::after(PAUSE).await;
        }
    }
}
