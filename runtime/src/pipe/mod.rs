//! Pipes: duplex, ordered, reliable streams whose two directions end separately, and what stacks on
//! them.
//!
//! Everything above works on [`Pipe`] alone. So it treats a TCP socket
//! ([`TcpPipe`](crate::TcpPipe)), an end of a flow ([`Flow`](crate::Flow)), their wrappers
//! ([`datagram`], [`atomic`]) and a simulated link alike. They stack in any order that makes sense.

pub(crate) mod atomic;
pub(crate) mod buffers;
mod congestion;
pub(crate) mod datagram;
mod ext;
pub(crate) mod linger;
mod losses;
pub(crate) mod memory;
mod peer;
pub(crate) mod queue;
mod tcp_status;
#[cfg(test)]
pub(crate) mod testing;

pub use congestion::Congestion;
pub use ext::PipeExt;
pub use losses::{Adapted, Losses, SentPackets};
pub use peer::{Peer, PeerName, PublicKey};
pub use tcp_status::{TcpStatus, TcpTimes, Unacknowledged};

use bytes::{Buf, Bytes};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// The next thing out of a pipe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received {
    /// Some bytes of a stream, never none; of a datagram pipe one datagram, which may be empty.
    Chunk(Bytes),
    /// The other end sends no more. Not to be polled again.
    Fin,
}

/// One end of a duplex, ordered, reliable channel. This is the whole contract; bridge, driver and
/// stacked pipes rest on nothing else.
///
/// **Ready and broken.** A pipe is ready from its birth: it is connected, or its first receive and
/// send wait until it is. It is broken once any method has returned an error, and of no more use
/// then; its holder calls [`abort`](Pipe::abort) or drops it.
///
/// **The rule that all of it rests on:** a pipe that broke says so with an error and never with
/// [`Received::Fin`]. A FIN means that all bytes have come. So a pipe that is dropped before it has
/// finished, or before the other end's FIN has come, breaks, and the other end sees that.
///
/// **Readable and writable.** [`poll_recv`](Pipe::poll_recv) is pending while there is nothing.
/// [`poll_send`](Pipe::poll_send) and [`poll_flush`](Pipe::poll_flush) are pending while the pipe
/// is congested: the other end, or the way to it, takes no more for now. A pending call wakes the
/// context that it was given when it is worth another try. One waker is kept per direction:
/// receiving is one; sending, flushing and finishing are the other.
///
/// **Taking is custody.** Taken bytes reach the other end in order, unless the pipe breaks, *as
/// long as it is polled*. A pipe may hold bytes that the pipe below did not take. It passes them on
/// in [`poll_flush`](Pipe::poll_flush), in the next send, or in [`poll_finish`](Pipe::poll_finish).
/// So a sender flushes before it waits for something else. A pipe holds a bounded number of bytes.
///
/// **FIN.** Each direction ends for itself. [`poll_finish`](Pipe::poll_finish) ends ours after all
/// that was sent; it is pending while that can't go out yet. The other direction goes on.
///
/// **Boundaries.** A stream pipe may cut and join what is sent. A datagram pipe
/// ([`PipeInfo::is_datagram`]) never does: each send is one datagram, and each chunk is
/// one that was sent.
///
/// The trait is polled rather than `async`, because a cancelled send would lose bytes, and because
/// one task holds many pipes. [`PipeExt`] has its methods as futures, with that caveat.
pub trait Pipe {
    /// Receives: of a stream at most `max` bytes (at least 1); of a datagram pipe one datagram,
    /// whatever `max` is, up to the pipe's own limit.
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>>;

    /// Takes bytes from the front of `data` and says how many. A stream takes at least one, and
    /// `data` must not be empty. If it takes fewer than all, it is congested, and the next call is
    /// likely to be pending. A datagram pipe takes all of `data` as one datagram, also an empty
    /// one. More than [`PipeInfo::send_limit`] is an error, takes nothing and breaks nothing.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>>;

    /// Passes on what has been taken and is still held here. Ready when nothing is held.
    fn poll_flush(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    /// Tells the other end that no more follows. Ready once that is certain to reach it after all
    /// earlier bytes, unless the pipe breaks. A send after this has been called is an error;
    /// calling it again is harmless.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Breaks the pipe, so that the other end sees an error and not a clean end (TCP: a reset).
    /// Bytes that the other end has not received may be lost. The pipe is of no more use.
    fn abort(&mut self);

    /// Looks without receiving whether the pipe has broken: for a pipe that is not being received
    /// from, now and then. It may clear what the operating system knew, so an error counts.
    fn check(&mut self) -> io::Result<()>;

    /// Describes the pipe as it is now. A wrapper changes what differs from the pipe below it.
    /// Called for every send: it makes no system call.
    fn info(&self) -> PipeInfo<'_>;
}

/// The description of a pipe.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct PipeInfo<'a> {
    /// How many of the bytes that sends have taken are still held in the process and have not been
    /// passed on. An encrypted record counts until its last byte has gone.
    pub held: usize,
    /// Memory in bytes beside the least that an open connection needs. It is state, received bytes
    /// that can't be given out yet, and copies of held bytes.
    pub memory: usize,
    /// Whether nothing at all is held: neither bytes of sends nor bytes that a wrapper adds.
    pub is_empty: bool,
    /// Whether sends and chunks are datagrams.
    pub is_datagram: bool,
    /// The most bytes that one send may offer.
    pub send_limit: usize,
    /// The peer, if it had to prove its key, and has.
    pub peer: Option<&'a Peer>,
    /// The connection below all wrappers.
    pub carrier: Option<&'a dyn Carrier>,
}

impl Default for PipeInfo<'_> {
    /// A stream that holds nothing and takes any length.
    fn default() -> Self {
        PipeInfo {
            held: 0,
            memory: 0,
            is_empty: true,
            is_datagram: false,
            send_limit: usize::MAX,
            peer: None,
            carrier: None,
        }
    }
}

impl<'a> PipeInfo<'a> {
    /// A stream over this connection that holds nothing and takes any length.
    pub fn of(carrier: &'a dyn Carrier) -> Self {
        PipeInfo { carrier: Some(carrier), ..PipeInfo::default() }
    }

    /// Whether all that was sent has left this machine, or has reached its consumer if that is on
    /// this machine. An earlier [`abort`](Pipe::abort) would destroy bytes.
    pub fn is_flushed(&self) -> bool {
        self.is_empty && self.carrier.is_none_or(Carrier::flushed)
    }

    /// The address of the other end, if it has one.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.carrier?.peer_addr()
    }
}

/// The connection at the bottom of a stack of pipes: a socket, or a stand-in for one.
pub trait Carrier {
    /// Whether all that was sent has left this machine, or has reached its consumer on it.
    fn flushed(&self) -> bool;

    /// Asks to hold at most about so many bytes unsent, so that queued bytes can go another way.
    fn set_unsent_low_water(&self, _bytes: usize) {}

    /// Looks at the losses that the operating system has counted. To be called some times a second
    /// while something is sent. `None`: its congestion control is not to be adapted, now and later.
    fn losses(&self) -> Option<Losses> {
        None
    }

    /// Takes the congestion control for a route that loses packets without a queue, or the one for
    /// any other route.
    fn adapt(&self, _lossy: bool) -> Adapted {
        Adapted::Kept
    }

    /// Whether its congestion control measures the route's rate and keeps the queue short itself,
    /// as BBR does. A system call.
    fn is_rate_based(&self) -> bool {
        false
    }

    /// The bytes that the peer's system has not acknowledged, if the operating system says so. A
    /// system call.
    fn unacknowledged(&self) -> Option<Unacknowledged> {
        None
    }

    /// The facts that TCP has about it, if it is a TCP connection.
    fn tcp(&self) -> Option<TcpStatus> {
        None
    }

    /// The address of this end, if it has one.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// The address of the other end, if it has one.
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }
}

/// Sends of `data` what fits into one send, for those to whom boundaries mean nothing.
pub(crate) fn poll_send_part(
    pipe: &mut (impl Pipe + ?Sized),
    cx: &mut Context<'_>,
    data: &mut dyn Buf,
) -> Poll<io::Result<usize>> {
    let limit = pipe.info().send_limit;
    if data.remaining() <= limit {
        pipe.poll_send(cx, data)
    } else {
        pipe.poll_send(cx, &mut data.take(limit))
    }
}

impl<P: Pipe + ?Sized> Pipe for Box<P> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        (**self).poll_recv(cx, max)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        (**self).poll_send(cx, data)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        (**self).poll_flush(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        (**self).poll_finish(cx)
    }

    fn abort(&mut self) {
        (**self).abort();
    }

    fn check(&mut self) -> io::Result<()> {
        (**self).check()
    }

    fn info(&self) -> PipeInfo<'_> {
        (**self).info()
    }
}
