//! Accepting connections, whatever happens.

use crate::clock::{Clock, SystemClock, sleep_until};
use crate::congestion::CongestionChoice;
use crate::descriptors;
use crate::pipe::Pipe;
use crate::pipe::tcp::TcpPipe;
use crate::report::Event;
use async_net::TcpListener;
use socket2::SockRef;
use std::cell::Cell;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

/// Connections that may wait to be accepted. With 128, a burst of callers waits for whole seconds.
const BACKLOG: i32 = 1024;

/// How long to wait when the process has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(75);

/// A caller and where it calls from, or what the operating system had to say instead.
pub type Accepting<'a> =
    Pin<Box<dyn Future<Output = io::Result<(Box<dyn Pipe>, SocketAddr)>> + 'a>>;

/// Where connections come in.
pub trait Listen {
    /// Waits for the next connection. After an error it is worth another try. A pipe that has a
    /// [`peer`](Pipe::peer) already gets no TLS of the server's: whoever accepted it answers for
    /// that.
    fn try_accept(&self) -> Accepting<'_>;

    /// Where it listens.
    fn local_addr(&self) -> SocketAddr;
}

/// A TCP port that goes on accepting when the process runs out of file descriptors for a while.
pub struct Listener {
    listener: TcpListener,
    addr: SocketAddr,
    clock: SystemClock,
    patience: Patience,
    congestion: CongestionChoice,
    /// File descriptors that it leaves to others.
    spare: u64,
}

impl Listener {
    /// Listens at `addr`. Troubles with accepting are told to `events`.
    pub async fn bind(addr: SocketAddr, events: Rc<dyn Fn(Event)>) -> io::Result<Listener> {
        let listener = TcpListener::bind(addr).await?;
        // Again, with a longer queue than the standard library asks for.
        SockRef::from(&listener).listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let (clock, patience) = (SystemClock::new(), Patience::new(events));
        Ok(Listener {
            listener,
            addr,
            clock,
            patience,
            congestion: CongestionChoice::System,
            spare: 0,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Has this control congestion on connections that come from now on; until then it is what the
    /// system chooses.
    pub fn choose(&mut self, congestion: &CongestionChoice) -> io::Result<()> {
        congestion.begin(SockRef::from(&self.listener))?;
        self.congestion = congestion.clone();
        Ok(())
    }

    /// Lets callers wait from now on while the process has no more file descriptors left than this,
    /// or than a quarter of all if that is less. As long as none is said it takes all there are.
    pub fn keep_spare(&mut self, files: u64) {
        self.spare = files;
    }

    /// The next connection and who calls.
    pub async fn accept(&self) -> (TcpPipe, SocketAddr) {
        self.patience.accept(&self.clock, || self.accept_once()).await
    }

    async fn accept_once(&self) -> io::Result<(TcpPipe, SocketAddr)> {
        descriptors::ensure_spare(self.spare)?;
        let (socket, from) = self.listener.accept().await?;
        // What fails here is that the caller has gone already.
        let pipe = TcpPipe::new(socket).map_err(|_| io::ErrorKind::ConnectionAborted)?;
        Ok((pipe.adapting(&self.congestion), from))
    }
}

impl Listen for Listener {
    fn try_accept(&self) -> Accepting<'_> {
        Box::pin(async {
            let (pipe, from) = self.accept_once().await?;
            Ok((Box::new(pipe) as Box<dyn Pipe>, from))
        })
    }

    fn local_addr(&self) -> SocketAddr {
        self.addr
    }
}

/// Goes on accepting after errors, and tells of them once.
pub(crate) struct Patience {
    events: Rc<dyn Fn(Event)>,
    /// That accepting fails has been told.
    failing: Cell<bool>,
}

impl Patience {
    /// Troubles are told to `events`.
    pub fn new(events: Rc<dyn Fn(Event)>) -> Self {
        Patience { events, failing: Cell::new(false) }
    }

    /// Tries until there is a connection.
    pub async fn accept<T>(
        &self,
        clock: &dyn Clock,
        attempt: impl AsyncFn() -> io::Result<T>,
    ) -> T {
        loop {
            let error = match attempt().await {
                Ok(caller) => {
                    self.failing.set(false);
                    return caller;
                }
                Err(error) => error,
            };
            // Troubles of that connection alone. Everything else is taken for a lack of resources,
            // which may pass.
            if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
            {
                continue;
            }
            if !self.failing.replace(true) {
                (self.events)(Event::AcceptFailed { error });
            }
            sleep_until(clock, clock.now() + PAUSE).await;
        }
    }
}
