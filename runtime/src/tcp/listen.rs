//! A TCP port.

use super::congestion::CongestionChoice;
use super::pipe::TcpPipe;
use crate::admission::descriptors;
use crate::admission::patience::Patience;
use crate::events::Events;
use crate::pipe::Pipe;
use crate::ports::{Accepting, Listen};
use crate::report::Event;
use crate::system_clock::SystemClock;
use async_net::TcpListener;
use socket2::{Domain, SockRef, Socket, Type};
use std::cell::Cell;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::rc::Rc;

/// Connections that may wait to be accepted. With 128, a burst of callers waits for whole seconds.
const BACKLOG: i32 = 1024;

/// A TCP port that goes on accepting when the process runs out of file descriptors for a while.
pub struct Listener {
    listener: TcpListener,
    addr: SocketAddr,
    clock: SystemClock,
    patience: Patience,
    congestion: CongestionChoice,
    /// File descriptors that it leaves to others.
    spare: Rc<Cell<u64>>,
}

impl Listener {
    /// Listens at `addr`. Troubles with accepting are told to `events`.
    pub async fn bind(addr: SocketAddr, events: Option<Rc<dyn Fn(Event)>>) -> io::Result<Listener> {
        Self::of(TcpListener::bind(addr).await?, events)
    }

    /// Takes over a socket that listens already.
    pub fn on(
        socket: std::net::TcpListener,
        events: Option<Rc<dyn Fn(Event)>>,
    ) -> io::Result<Listener> {
        Self::of(TcpListener::try_from(socket)?, events)
    }

    fn of(listener: TcpListener, events: Option<Rc<dyn Fn(Event)>>) -> io::Result<Listener> {
        // Again, with a longer queue than the standard library asks for.
        SockRef::from(&listener).listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        let (clock, patience) = (SystemClock::new(), Patience::new(Events::new(events)));
        let congestion = CongestionChoice::System;
        Ok(Listener { listener, addr, clock, patience, congestion, spare: Rc::default() })
    }

    /// [`Listener::bind`], also at an address with the port number of listeners that will be closed
    /// soon, such as `0.0.0.0:80` beside `127.0.0.1:80`. Until then both listen.
    pub async fn bind_beside<'a>(
        addr: SocketAddr,
        leaving: impl IntoIterator<Item = &'a Listener>,
        events: Option<Rc<dyn Fn(Event)>>,
    ) -> io::Result<Listener> {
        let same = |other: &&Listener| other.addr.port() == addr.port() && other.addr != addr;
        let others: Vec<&Listener> = leaving.into_iter().filter(same).collect();
        if others.is_empty() {
            return Listener::bind(addr, events).await;
        }
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        let reuse = |on| {
            let mut all = others.iter().map(|other| SockRef::from(&other.listener));
            all.try_for_each(|other| other.set_reuse_port(on))?;
            socket.set_reuse_port(on)
        };
        reuse(true)?;
        let bound = socket.bind(&addr.into()).and_then(|()| socket.listen(BACKLOG));
        // Nobody else may listen beside them.
        reuse(false)?;
        bound?;
        Self::on(socket.into(), events)
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its socket, for a process that goes on with it.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    /// Has this control congestion on later connections; until then the system's choice does.
    pub fn choose(&mut self, congestion: &CongestionChoice) -> io::Result<()> {
        congestion.begin(SockRef::from(&self.listener))?;
        self.congestion = congestion.clone();
        Ok(())
    }

    /// Lets callers wait while the process has no more file descriptors left than this. A quarter
    /// of all is the most that it keeps. As long as none is said it takes all there are.
    pub fn keep_spare(&mut self, files: u64) {
        self.spare = Rc::new(Cell::new(files));
    }

    /// The same, by a number that others may change.
    pub(crate) fn share_spare(&mut self, files: Rc<Cell<u64>>) {
        self.spare = files;
    }

    /// The next connection and the caller's address.
    pub async fn accept(&self) -> (TcpPipe, SocketAddr) {
        self.patience.accept(&self.clock, || self.accept_once()).await
    }

    async fn accept_once(&self) -> io::Result<(TcpPipe, SocketAddr)> {
        descriptors::ensure_spare(self.spare.get())?;
        let (socket, from) = self.listener.accept().await?;
        // This fails if the caller has gone already.
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
