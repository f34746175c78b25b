//! A pipe: anything duplex, ordered and reliable whose two directions end separately.
//!
//! Everything above works on pipes alone, so a TCP socket, one end of a flow, and a simulated link are the same to
//! it. The trait is polled rather than `async`, because a cancelled send would lose bytes, and because one task
//! holds many pipes.
//!
//! The rule that all of it rests on: a pipe that broke says so with an error and never with [`Received::Fin`].

pub mod memory;
pub(crate) mod parting;
pub mod tcp;
#[cfg(test)]
pub(crate) mod testing;

use bytes::{Buf, Bytes};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};

/// What comes out of a pipe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Received {
    /// The next bytes, never empty.
    Chunk(Bytes),
    /// The other end sends no more. Not to be polled again.
    Fin,
}

/// One end of a duplex byte stream.
///
/// A `Pending` from any method wakes the context of that call when it is worth another try. One waker is kept per
/// direction: receiving is one, sending and finishing are the other. After an error a pipe is of no more use.
pub trait Pipe {
    /// Receives at most `max` bytes (at least 1).
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>>;

    /// Takes bytes from the front of `data` and says how many, at least one. `data` must not be empty. Fewer than
    /// all of them means that the pipe is congested: the next call is likely to be pending.
    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>>;

    /// Tells the other end that no more follows. Ready once that is certain to reach it after all earlier bytes, unless
    /// the pipe breaks. Nothing may be sent once this has been called; calling it again is harmless.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Breaks the pipe, so that the other end sees an error and not a clean end (TCP: a reset). What it has not yet
    /// received may be lost. The pipe is of no more use.
    fn abort(&mut self);

    /// Looks without receiving whether the pipe has broken. To be called now and then for a pipe that is not being
    /// received from. It may clear what the operating system knew, so an error counts.
    fn check(&mut self) -> io::Result<()>;

    /// Whether all that was sent has left this machine, or reached its consumer if that is on this machine. To be asked
    /// before an [`abort`](Pipe::abort) that should not destroy earlier bytes.
    fn flushed(&mut self) -> bool;

    /// Asks to hold at most about this many bytes unsent, so that what is queued can still go another way.
    fn set_unsent_low_water(&mut self, _bytes: usize) {}

    /// Where this end is, if it has an address.
    fn local_addr(&self) -> Option<SocketAddr> {
        None
    }

    /// Where the other end is, if it has an address.
    fn peer_addr(&self) -> Option<SocketAddr> {
        None
    }
}
