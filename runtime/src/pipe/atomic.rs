//! Sends that are taken whole or not at all, over any pipe.
//!
//! When the pipe below takes a part, the rest waits here, and nothing more is taken until that has
//! gone. So a send never has to be continued by its caller, and at most one send is held.

use super::queue::OutQueue;
use super::{Pipe, PipeInfo, Received};
use bytes::Buf;
use std::io;
use std::task::{Context, Poll, ready};
use striper_core::datagram::DEFAULT_LIMIT;

/// A pipe whose sends are atomic. It receives as the pipe below does.
#[derive(Debug)]
pub struct AtomicPipe<P> {
    below: P,
    /// The rest of the last send, which the pipe below has not taken yet.
    rest: OutQueue,
    limit: usize,
}

impl<P: Pipe> AtomicPipe<P> {
    /// Over `below`, with sends of at most 512 KiB.
    pub fn new(below: P) -> Self {
        Self::with_limit(below, DEFAULT_LIMIT)
    }

    /// Over `below`, with sends of at most `limit` bytes, at least 1: that much may be held.
    pub fn with_limit(below: P, limit: usize) -> Self {
        AtomicPipe { below, rest: OutQueue::default(), limit: limit.max(1) }
    }

    /// Passes on the rest of the last send.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.rest.is_empty() {
            ready!(self.below.poll_send(cx, &mut self.rest))?;
        }
        Poll::Ready(Ok(()))
    }
}

impl<P: Pipe> Pipe for AtomicPipe<P> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        self.below.poll_recv(cx, max)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        let len = data.remaining();
        let limit = self.info().send_limit;
        if len > limit {
            let text = format!("a send of {len} bytes, at most {limit} are taken whole");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, text)));
        }
        ready!(self.poll_rest(cx))?;
        ready!(self.below.poll_send(cx, data))?;
        while data.has_remaining() {
            // Part by part: that shares what is shared already instead of copying it.
            self.rest.push(data.copy_to_bytes(data.chunk().len()));
        }
        // Pending or not, all has been taken.
        let _ = self.poll_rest(cx)?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        self.below.poll_flush(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_rest(cx))?;
        self.below.poll_finish(cx)
    }

    fn abort(&mut self) {
        self.rest.clear();
        self.below.abort();
    }

    fn check(&mut self) -> io::Result<()> {
        self.below.check()
    }

    fn info(&self) -> PipeInfo<'_> {
        let (below, rest) = (self.below.info(), self.rest.remaining());
        PipeInfo {
            held: rest + below.held,
            memory: rest + below.memory,
            is_empty: rest == 0 && below.is_empty,
            send_limit: self.limit.min(below.send_limit),
            ..below
        }
    }
}
