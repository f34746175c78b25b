//! The simulated pipes, dials, listeners and clocks that the production code is given.

use super::net::SharedNet;
use bytes::Buf;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::Duration;
use striper_core::Instant;
use striper_runtime::clock::{Clock, Timer};
use striper_runtime::{
    Accepting, Carrier, Dial, DialError, Dialling, HostPort, Listen, Pipe, PipeInfo, Received,
};

pub struct SimPipe {
    net: SharedNet,
    /// `None` once aborted.
    conn: Option<u64>,
    side: usize,
    peer: SocketAddr,
}

impl SimPipe {
    fn new(net: SharedNet, conn: u64, side: usize) -> Self {
        let port = u16::try_from(conn % 0x1_0000).unwrap_or_default();
        let peer = SocketAddr::from(([10, 0, 0, 1 + side as u8], port));
        SimPipe { net, conn: Some(conn), side, peer }
    }

    pub fn number(&self) -> Option<u64> {
        self.conn
    }
}

fn aborted() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

impl Pipe for SimPipe {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        let conn = self.conn.ok_or_else(aborted)?;
        self.net.borrow_mut().recv(conn, self.side, max, cx)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        let conn = self.conn.ok_or_else(aborted)?;
        self.net.borrow_mut().send(conn, self.side, data, cx)
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let conn = self.conn.ok_or_else(aborted)?;
        Poll::Ready(self.net.borrow_mut().finish(conn, self.side))
    }

    fn abort(&mut self) {
        if let Some(conn) = self.conn.take()
            && let Ok(mut net) = self.net.try_borrow_mut()
        {
            net.kill(conn, self.side);
            net.close(conn, self.side);
        }
    }

    fn check(&mut self) -> io::Result<()> {
        let conn = self.conn.ok_or_else(aborted)?;
        self.net.borrow_mut().check(conn, self.side)
    }

    fn info(&self) -> PipeInfo<'_> {
        let mut info = PipeInfo::default();
        info.carrier = Some(self);
        info
    }
}

impl Carrier for SimPipe {
    fn flushed(&self) -> bool {
        self.conn.is_none_or(|conn| self.net.borrow_mut().flushed(conn, self.side))
    }

    fn set_unsent_low_water(&self, bytes: usize) {
        if let Some(conn) = self.conn {
            self.net.borrow_mut().pace(conn, self.side, bytes as u64);
        }
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        Some(self.peer)
    }
}

impl Drop for SimPipe {
    fn drop(&mut self) {
        if let Some(conn) = self.conn.take()
            && let Ok(mut net) = self.net.try_borrow_mut()
        {
            net.close(conn, self.side);
        }
    }
}

pub struct SimDial {
    pub net: SharedNet,
    pub process: usize,
}

impl SimDial {
    pub async fn connect(
        net: SharedNet,
        process: usize,
        route: usize,
        limit: Duration,
    ) -> Result<SimPipe, DialError> {
        let clock = SimClock { net: net.clone(), process };
        let conn = net.borrow_mut().dial(process, route)?;
        let pipe = SimPipe::new(net.clone(), conn, 0);
        let until = clock.now() + limit;
        let mut timer = clock.timer();
        poll_fn(|cx| {
            let answer = net.borrow_mut().poll_dial(conn, cx);
            if answer.is_ready() {
                return answer;
            }
            timer.poll_until(cx, until).map(|()| Err(DialError::TimedOut))
        })
        .await?;
        Ok(pipe)
    }
}

impl Dial for SimDial {
    fn dial(&self, address: &HostPort, limit: Duration) -> Dialling {
        let connect =
            Self::connect(self.net.clone(), self.process, usize::from(address.port), limit);
        Box::pin(async move { Ok(Box::new(connect.await?) as Box<dyn Pipe>) })
    }
}

pub struct SimListen {
    net: SharedNet,
    port: usize,
}

impl SimListen {
    pub fn new(net: SharedNet, port: usize) -> Self {
        net.borrow_mut().listen(port, true);
        SimListen { net, port }
    }

    pub async fn accept(&self) -> io::Result<SimPipe> {
        poll_fn(|cx| self.poll_accept(cx)).await
    }

    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<SimPipe>> {
        let accepted = self.net.borrow_mut().poll_accept(self.port, cx);
        accepted.map_ok(|conn| SimPipe::new(self.net.clone(), conn, 1))
    }
}

impl Listen for SimListen {
    fn try_accept(&self) -> Accepting<'_> {
        Box::pin(async {
            let pipe = self.accept().await?;
            let from = pipe.peer;
            Ok((Box::new(pipe) as Box<dyn Pipe>, from))
        })
    }

    fn local_addr(&self) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, 2], self.port as u16))
    }
}

impl Drop for SimListen {
    fn drop(&mut self) {
        if let Ok(mut net) = self.net.try_borrow_mut() {
            net.listen(self.port, false);
        }
    }
}

#[derive(Clone)]
pub struct SimClock {
    pub net: SharedNet,
    pub process: usize,
}

impl Clock for SimClock {
    fn now(&self) -> Instant {
        Instant::from_micros(self.net.borrow().time_of(self.process))
    }

    fn timer(&self) -> Box<dyn Timer> {
        let number = self.net.borrow_mut().new_timer();
        Box::new(SimTimer { clock: self.clone(), number, armed: None })
    }
}

struct SimTimer {
    clock: SimClock,
    number: u64,
    armed: Option<u64>,
}

impl SimTimer {
    fn disarm(&mut self) {
        if let Some(at) = self.armed.take()
            && let Ok(mut net) = self.clock.net.try_borrow_mut()
        {
            net.drop_timer(self.clock.process, at, self.number);
        }
    }
}

impl Timer for SimTimer {
    fn poll_until(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        self.disarm();
        if self.clock.now() >= at {
            return Poll::Ready(());
        }
        let (at, waker) = (at.as_micros(), cx.waker().clone());
        self.clock.net.borrow_mut().set_timer(self.clock.process, at, self.number, waker);
        self.armed = Some(at);
        Poll::Pending
    }
}

impl Drop for SimTimer {
    fn drop(&mut self) {
        self.disarm();
    }
}
