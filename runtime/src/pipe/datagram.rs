//! Datagrams over any pipe: what is sent as 3, 123 and 4 bytes is received as 3, 123 and 4 bytes.
//!
//! The format is that of [`striper_core::datagram`]: a length, then the payload. A FIN inside a
//! datagram is an error, and so is a length over the limit; nothing is allocated for what is merely
//! announced.

use super::atomic::AtomicPipe;
use super::{Pipe, PipeInfo, Received};
use bytes::{Buf, Bytes};
use std::io;
use std::task::{Context, Poll, ready};
use striper_core::datagram::{self, DEFAULT_LIMIT, DatagramError, Decoder, MAX_LIMIT};

const CHUNK: usize = 256 << 10;

/// A datagram pipe.
#[derive(Debug)]
pub struct DatagramPipe<P> {
    below: AtomicPipe<P>,
    decoder: Decoder,
    /// Received and not yet taken apart.
    inbox: Bytes,
    /// Bytes of the chunk that it is the rest of.
    chunk: usize,
    broken: Option<DatagramError>,
}

impl<P: Pipe> DatagramPipe<P> {
    /// Over `below`, for datagrams of at most 512 KiB.
    pub fn new(below: P) -> Self {
        Self::with_limit(below, DEFAULT_LIMIT)
    }

    /// For datagrams of at most `limit` bytes, from 1 to 2^28 − 1, in both directions. A datagram
    /// that `below` would not take in a single send can only be received.
    pub fn with_limit(below: P, limit: usize) -> Self {
        let limit = limit.clamp(1, MAX_LIMIT);
        let below = AtomicPipe::with_limit(below, limit + datagram::MAX_HEADER);
        let (decoder, inbox) = (Decoder::new(limit), Bytes::new());
        DatagramPipe { below, decoder, inbox, chunk: 0, broken: None }
    }

    fn fail<T>(&mut self, error: DatagramError) -> Poll<io::Result<T>> {
        self.broken = Some(error.clone());
        Poll::Ready(Err(to_io(error)))
    }
}

fn to_io(error: DatagramError) -> io::Error {
    let kind = match error {
        DatagramError::Truncated { .. } => io::ErrorKind::UnexpectedEof,
        _ => io::ErrorKind::InvalidData,
    };
    io::Error::new(kind, error)
}

impl<P: Pipe> Pipe for DatagramPipe<P> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, _max: usize) -> Poll<io::Result<Received>> {
        if let Some(error) = &self.broken {
            return Poll::Ready(Err(to_io(error.clone())));
        }
        loop {
            match self.decoder.next(&mut self.inbox) {
                // A small one that its receiver keeps must not keep a whole receive buffer alive.
                Ok(Some(datagram)) if datagram.len() < self.chunk / 8 => {
                    return Poll::Ready(Ok(Received::Chunk(Bytes::copy_from_slice(&datagram))));
                }
                Ok(Some(datagram)) => return Poll::Ready(Ok(Received::Chunk(datagram))),
                Ok(None) => {}
                Err(error) => return self.fail(error),
            }
            match ready!(self.below.poll_recv(cx, CHUNK))? {
                Received::Chunk(chunk) => (self.chunk, self.inbox) = (chunk.len(), chunk),
                Received::Fin => {
                    return match self.decoder.finish() {
                        Ok(()) => Poll::Ready(Ok(Received::Fin)),
                        Err(error) => self.fail(error),
                    };
                }
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        let len = data.remaining();
        let limit = self.info().send_limit;
        if len > limit {
            let text = format!("a datagram of {len} bytes, at most {limit} are allowed");
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidInput, text)));
        }
        ready!(self.below.poll_send(cx, &mut datagram::header(len).chain(data)))?;
        Poll::Ready(Ok(len))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below.poll_flush(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.below.poll_finish(cx)
    }

    fn abort(&mut self) {
        self.below.abort();
    }

    fn check(&mut self) -> io::Result<()> {
        match &self.broken {
            Some(error) => Err(to_io(error.clone())),
            None => self.below.check(),
        }
    }

    fn info(&self) -> PipeInfo<'_> {
        let below = self.below.info();
        // `below` takes at most the limit and a length.
        let send_limit = below.send_limit.saturating_sub(datagram::MAX_HEADER).max(1);
        PipeInfo { is_datagram: true, send_limit, ..below }
    }
}
