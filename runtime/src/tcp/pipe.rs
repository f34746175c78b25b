//! A TCP socket as a pipe.
//!
//! A proxy's time goes to system calls. So a pipe tries first and waits only when there is nothing.
//! It takes much at a time. A short read means that the socket is drained, so the pipe waits next
//! and does not ask.
//!
//! A socket that is closed before it has sent its FIN on purpose sends a reset, also when the
//! process is killed. The reader at the other end must be able to tell a cut from an end.

use super::congestion::{self, CongestionChoice};
use super::losses::LossWatch;
use super::tcp_info;
use crate::admission::descriptors::Counted;
use crate::pipe::{
    Adapted, Carrier, Congestion, Losses, Pipe, PipeInfo, Received, TcpStatus, Unacknowledged,
    buffers,
};
use bytes::{Buf, Bytes};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv};
use smol::Async;
use socket2::{SockAddr, SockRef};
use std::cell::RefCell;
use std::io::{self, IoSlice, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// How many slices go into one vectored write.
const SLICES: usize = 64;

/// A TCP connection.
#[derive(Debug)]
pub struct TcpPipe {
    /// `None` once aborted.
    socket: Option<Arc<Async<TcpStream>>>,
    /// As long as there is one.
    counted: Option<Counted>,
    /// Nothing was left at the last receive: wait before the next.
    drained: bool,
    /// The last send took less than it was offered: wait before the next.
    full: bool,
    finished: bool,
    /// Once an error has been seen; the operating system says it only once.
    broken: Option<io::ErrorKind>,
    /// If its congestion control is to be adapted.
    adaptation: RefCell<Option<Adaptation>>,
}

#[derive(Debug)]
struct Adaptation {
    /// Its control while nothing is lost.
    calm: Congestion,
    /// Its control while packets are lost without a queue.
    lossy: Congestion,
    /// Which of both it has now.
    is_lossy: bool,
    watch: LossWatch,
}

impl TcpPipe {
    /// Takes over a connected socket, without Nagle's algorithm. Clones must not be used any more.
    pub fn new(socket: impl Into<Arc<Async<TcpStream>>>) -> io::Result<TcpPipe> {
        let socket = socket.into();
        let options = SockRef::from(socket.get_ref());
        options.set_tcp_nodelay(true)?;
        options.set_linger(Some(Duration::ZERO))?;
        Ok(TcpPipe {
            socket: Some(socket),
            counted: Some(Counted::new()),
            drained: false,
            full: false,
            finished: false,
            broken: None,
            adaptation: RefCell::default(),
        })
    }

    /// Takes over a socket that its other end has reset. Earlier bytes can still be received.
    pub(crate) fn already_broken(
        socket: Async<TcpStream>,
        kind: io::ErrorKind,
    ) -> io::Result<TcpPipe> {
        Ok(TcpPipe { broken: Some(kind), ..TcpPipe::new(socket)? })
    }

    /// Adapts its congestion control from now on if that is the choice and the system has counts.
    pub(crate) fn adapting(mut self, choice: &CongestionChoice) -> TcpPipe {
        if *choice == CongestionChoice::Auto
            && let Some(socket) = &self.socket
            && let Some(calm) = congestion::of(SockRef::from(socket.get_ref()))
            && calm != Congestion::lossy()
        {
            let adaptation = tcp_info::read(socket.get_ref()).map(|counts| Adaptation {
                calm,
                lossy: Congestion::lossy(),
                is_lossy: false,
                watch: LossWatch::new(counts),
            });
            self.adaptation = RefCell::new(adaptation);
        }
        self
    }

    /// The address that the caller connected to, if a firewall of this machine redirected it here
    /// (Linux). Otherwise none.
    pub fn original_destination(&self) -> Option<SocketAddr> {
        let socket = self.socket.as_ref()?.get_ref();
        let here = socket.local_addr().ok()?;
        // A socket of IPv6 that takes IPv4 too has the IPv4 addresses in it.
        let v4 = here.ip().to_canonical().is_ipv4();
        let original = original_destination(SockRef::from(socket), v4).ok()?;
        original.as_socket().filter(|original| original.port() != 0 && *original != here)
    }

    fn fail<T>(&mut self, error: io::Error) -> Poll<io::Result<T>> {
        self.broken = Some(error.kind());
        Poll::Ready(Err(error))
    }
}

#[cfg(target_os = "linux")]
fn original_destination(socket: SockRef<'_>, v4: bool) -> io::Result<SockAddr> {
    if v4 { socket.original_dst_v4() } else { socket.original_dst_v6() }
}

#[cfg(not(target_os = "linux"))]
fn original_destination(_socket: SockRef<'_>, _v4: bool) -> io::Result<SockAddr> {
    Err(io::ErrorKind::Unsupported.into())
}

impl TryFrom<TcpStream> for TcpPipe {
    type Error = io::Error;

    /// Takes over a connected socket. Clones of the socket must not be used any more.
    fn try_from(socket: TcpStream) -> io::Result<TcpPipe> {
        TcpPipe::new(Async::new(socket)?)
    }
}

fn aborted() -> io::Error {
    io::ErrorKind::NotConnected.into()
}

/// Receives at most `max` bytes. Says whether there was less than asked for. No bytes is the FIN.
fn receive(socket: &TcpStream, max: usize) -> io::Result<(Bytes, bool)> {
    let max = max.min(buffers::SIZE);
    let mut buffer = buffers::take();
    let received = recv(socket, &mut buffer[..max], RecvFlags::empty());
    let bytes = match received {
        Ok((len, _)) => buffers::share(buffer, len),
        Err(error) => {
            buffers::give_back(buffer);
            return Err(error.into());
        }
    };
    let short = bytes.len() < max;
    Ok((bytes, short))
}

impl Pipe for TcpPipe {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        let Some(socket) = &self.socket else { return Poll::Ready(Err(aborted())) };
        loop {
            if self.drained {
                if let Err(error) = ready!(socket.poll_readable(cx)) {
                    return self.fail(error);
                }
                self.drained = false;
            }
            match receive(socket.get_ref(), max) {
                Ok((bytes, _)) if bytes.is_empty() => {
                    return match self.broken {
                        Some(kind) => Poll::Ready(Err(kind.into())),
                        None => Poll::Ready(Ok(Received::Fin)),
                    };
                }
                Ok((bytes, short)) => {
                    self.drained = short;
                    return Poll::Ready(Ok(Received::Chunk(bytes)));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.drained = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.fail(error),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        let Some(socket) = &self.socket else { return Poll::Ready(Err(aborted())) };
        loop {
            if self.full {
                if let Err(error) = ready!(socket.poll_writable(cx)) {
                    return self.fail(error);
                }
                self.full = false;
            }
            let mut slices = [IoSlice::new(&[]); SLICES];
            let count = data.chunks_vectored(&mut slices);
            let offered: usize = slices[..count].iter().map(|slice| slice.len()).sum();
            match socket.get_ref().write_vectored(&slices[..count]) {
                Ok(0) => return self.fail(io::ErrorKind::WriteZero.into()),
                Ok(taken) => {
                    self.full = taken < offered;
                    data.advance(taken);
                    return Poll::Ready(Ok(taken));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.full = true,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.fail(error),
            }
        }
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(socket) = &self.socket else { return Poll::Ready(Err(aborted())) };
        if self.finished {
            return Poll::Ready(Ok(()));
        }
        let socket = socket.get_ref();
        match SockRef::from(socket).set_linger(None).and_then(|()| socket.shutdown(Shutdown::Write))
        {
            Ok(()) => {
                self.finished = true;
                Poll::Ready(Ok(()))
            }
            Err(error) => self.fail(error),
        }
    }

    fn abort(&mut self) {
        self.counted = None;
        if let Some(socket) = self.socket.take() {
            // Without it the socket would say FIN. Nothing else can be done if it fails.
            let _ = SockRef::from(socket.get_ref()).set_linger(Some(Duration::ZERO));
        }
    }

    fn check(&mut self) -> io::Result<()> {
        if let Some(kind) = self.broken {
            return Err(kind.into());
        }
        let Some(socket) = &self.socket else { return Err(aborted()) };
        match socket.get_ref().take_error()? {
            None => Ok(()),
            Some(error) => {
                self.broken = Some(error.kind());
                Err(error)
            }
        }
    }

    fn info(&self) -> PipeInfo<'_> {
        PipeInfo::of(self)
    }
}

impl Carrier for TcpPipe {
    fn flushed(&self) -> bool {
        let Some(socket) = &self.socket else { return true };
        // A socket counts as writable when less than this is unsent.
        set_unsent_low_water(socket.get_ref(), 1);
        let mut fds = [PollFd::new(socket.get_ref(), PollFlags::OUT)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        !matches!(poll(&mut fds, Some(&at_once)), Ok(0))
    }

    fn set_unsent_low_water(&self, bytes: usize) {
        if let Some(socket) = &self.socket {
            set_unsent_low_water(socket.get_ref(), u32::try_from(bytes).unwrap_or(u32::MAX));
        }
    }

    fn losses(&self) -> Option<Losses> {
        let socket = self.socket.as_ref()?.get_ref();
        let mut kept = self.adaptation.borrow_mut();
        let adaptation = kept.as_mut()?;
        let look = |counts| adaptation.watch.look(counts, !adaptation.is_lossy);
        Some(tcp_info::read(socket).map_or(Losses::Unknown, look))
    }

    fn adapt(&self, lossy: bool) -> Adapted {
        let mut kept = self.adaptation.borrow_mut();
        let (Some(socket), Some(adaptation)) = (&self.socket, kept.as_mut()) else {
            return Adapted::Kept;
        };
        if adaptation.is_lossy == lossy {
            return Adapted::Kept;
        }
        let congestion = if lossy { &adaptation.lossy } else { &adaptation.calm }.clone();
        if let Err(error) = congestion.choose(SockRef::from(socket.get_ref())) {
            *kept = None;
            return Adapted::Denied { congestion, cause: error.kind() };
        }
        adaptation.is_lossy = lossy;
        if let Some(counts) = tcp_info::read(socket.get_ref()) {
            // The losses of the other control say nothing about this one.
            adaptation.watch = LossWatch::new(counts);
        }
        Adapted::Changed { congestion }
    }

    fn is_rate_based(&self) -> bool {
        let control =
            |socket: &Arc<Async<TcpStream>>| congestion::of(SockRef::from(socket.get_ref()));
        self.socket.as_ref().and_then(control).is_some_and(|control| control.is_rate_based())
    }

    fn unacknowledged(&self) -> Option<Unacknowledged> {
        tcp_info::unacknowledged(self.socket.as_ref()?.get_ref())
    }

    fn tcp(&self) -> Option<TcpStatus> {
        let socket = self.socket.as_ref()?.get_ref();
        let (counts, times) = tcp_info::read_all(socket).unzip();
        Some(TcpStatus {
            congestion: congestion::of(SockRef::from(socket)),
            packets: counts.map(|counts| counts.packets),
            retransmitted: counts.map(|counts| counts.retransmitted),
            resent: counts.map(|counts| counts.resent()),
            times,
        })
    }

    fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.as_ref()?.get_ref().local_addr().ok()
    }

    fn peer_addr(&self) -> Option<SocketAddr> {
        self.socket.as_ref()?.get_ref().peer_addr().ok()
    }
}

/// A hint: what fails here costs speed only.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn set_unsent_low_water(socket: &TcpStream, bytes: u32) {
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(bytes);
}

/// Elsewhere the send buffer's own limit is all there is, and a reset may overtake what is in it.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn set_unsent_low_water(_socket: &TcpStream, _bytes: u32) {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::PipeExt;
    use std::future::poll_fn;
    use std::net::TcpListener;

    fn connected() -> (TcpPipe, TcpPipe) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let a = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (b, _) = listener.accept().unwrap();
        [a, b].map(|socket| TcpPipe::new(Async::new(socket).unwrap()).unwrap()).into()
    }

    #[test]
    fn a_receive_takes_no_more_than_asked_for() {
        smol::block_on(async {
            let (mut a, mut b) = connected();
            a.send(&vec![1; 100_000]).await.unwrap();
            let mut left = 100_000;
            for max in [1, buffers::COPIED, buffers::COPIED + 1, 1000].into_iter().cycle() {
                let Received::Chunk(chunk) = poll_fn(|cx| b.poll_recv(cx, max)).await.unwrap()
                else {
                    panic!()
                };
                assert!(chunk.len() <= max);
                left -= chunk.len();
                if left == 0 {
                    break;
                }
            }
        });
    }

    #[test]
    fn a_reset_is_noticed_without_receiving_and_never_becomes_a_fin() {
        smol::block_on(async {
            let (mut a, mut b) = connected();
            a.send(b"unread").await.unwrap();
            assert!(a.flushed() && b.check().is_ok());
            a.abort();
            assert!(b.check().is_err());
            assert!(b.check().is_err());
            assert_eq!(b.recv().await.unwrap(), Received::Chunk("unread".into()));
            assert_eq!(b.recv().await.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
        });
    }

    #[test]
    fn a_socket_whose_consumer_has_stopped_is_not_flushed() {
        let (mut a, _b) = connected();
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let block = vec![0; 1 << 20];
        while let Poll::Ready(taken) = a.poll_send(&mut cx, &mut &block[..]) {
            taken.unwrap();
        }
        assert!(!a.flushed());
    }

    /// A connection that adapts, and begins with Reno, which every Linux and every user has.
    #[cfg(target_os = "linux")]
    fn adapting() -> (TcpPipe, TcpPipe, Congestion) {
        let (a, b) = connected();
        let reno = Congestion::named("reno").unwrap();
        reno.choose(SockRef::from(a.socket.as_ref().unwrap().get_ref())).unwrap();
        (a.adapting(&CongestionChoice::Auto), b, reno)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_adapting_connection_that_can_not_have_what_it_needs_stays_as_it_is() {
        let (mut a, _b, _) = adapting();
        let before = a.tcp();
        let congestion = Congestion::from_name("no-such");
        a.adaptation.get_mut().as_mut().unwrap().lossy = congestion.clone();
        let cause = io::ErrorKind::NotFound;
        assert_eq!(a.adapt(true), Adapted::Denied { congestion, cause });
        assert_eq!((a.tcp(), a.losses(), a.adapt(true)), (before, None, Adapted::Kept));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn an_adapting_connection_changes_its_control_or_says_why_not() {
        smol::block_on(async {
            let (mut a, mut b, reno) = adapting();
            assert!(a.losses().is_some() && !a.is_rate_based());
            assert_eq!(a.adapt(false), Adapted::Kept);
            let (there, bbr) = (a.adapt(true), Congestion::lossy());
            if let Err(error) = bbr.check() {
                assert_eq!(there, Adapted::Denied { congestion: bbr, cause: error.kind() });
                assert_eq!(a.tcp().unwrap().congestion, Some(reno));
                assert!(a.losses().is_none() && !a.is_rate_based());
                return;
            }
            assert_eq!(there, Adapted::Changed { congestion: bbr.clone() });
            assert_eq!((a.tcp().unwrap().congestion, a.is_rate_based()), (Some(bbr), true));
            assert_eq!(a.adapt(true), Adapted::Kept);
            a.send(b"still connected").await.unwrap();
            assert_eq!(b.recv().await.unwrap(), Received::Chunk("still connected".into()));
            assert_eq!(a.adapt(false), Adapted::Changed { congestion: reno.clone() });
            assert_eq!((a.tcp().unwrap().congestion, a.is_rate_based()), (Some(reno), false));
        });
    }
}
