//! The methods of a pipe as futures, for programs that do one thing at a time with it.
//!
//! A task that waits for both directions at once, or for many pipes, polls: see [`Pipe`].

use super::{Pipe, Received, poll_send_part};
use bytes::Buf;
use std::future::{Future, poll_fn};
use std::io;

const CHUNK: usize = 256 << 10;

/// [`Pipe`] with `await`. Every pipe has these methods.
pub trait PipeExt: Pipe {
    /// Receives bytes of a stream, at most 256 KiB, or one datagram. Nothing is lost by cancelling.
    fn recv(&mut self) -> impl Future<Output = io::Result<Received>> {
        poll_fn(|cx| self.poll_recv(cx, CHUNK))
    }

    /// Sends all of `data`, as one datagram if the pipe sends such, and waits until the pipe holds
    /// nothing of it. Nothing is sent of no data on a stream. If this is cancelled, a datagram has
    /// been taken whole or not at all, but a stream may have taken a part.
    fn send(&mut self, mut data: &[u8]) -> impl Future<Output = io::Result<()>> {
        async move {
            if self.info().is_datagram {
                poll_fn(|cx| self.poll_send(cx, &mut data)).await?;
            }
            while data.has_remaining() {
                poll_fn(|cx| poll_send_part(self, cx, &mut data)).await?;
            }
            poll_fn(|cx| self.poll_flush(cx)).await
        }
    }

    /// Ends our direction, after all that was sent. If this is cancelled, call it again.
    fn finish(&mut self) -> impl Future<Output = io::Result<()>> {
        poll_fn(|cx| self.poll_finish(cx))
    }
}

impl<P: Pipe + ?Sized> PipeExt for P {}
