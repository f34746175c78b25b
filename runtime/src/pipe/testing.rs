//! Tools for tests of pipes.

#![allow(unreachable_pub, reason = "integration tests of the crate include this file")]

use super::{Carrier, Pipe, PipeExt, PipeInfo, Received};
use bytes::{Buf, Bytes};
use std::io;
use std::task::{Context, Poll};

/// Everything up to the FIN.
pub async fn recv_all(pipe: &mut dyn Pipe) -> io::Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Received::Chunk(chunk) = pipe.recv().await? {
        all.extend_from_slice(&chunk);
    }
    Ok(all)
}

/// A pipe that gives what the function makes of the most that is asked for, at any time and without
/// end, and takes all.
pub struct Source<F>(pub F);

impl<F: FnMut(usize) -> Bytes> Pipe for Source<F> {
    fn poll_recv(&mut self, _: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        Poll::Ready(Ok(Received::Chunk((self.0)(max))))
    }

    fn poll_send(&mut self, _: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        let len = data.remaining();
        data.advance(len);
        Poll::Ready(Ok(len))
    }

    fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {}

    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn info(&self) -> PipeInfo<'_> {
        PipeInfo::of(self)
    }
}

impl<F> Carrier for Source<F> {
    fn flushed(&self) -> bool {
        true
    }
}

/// A [`Source`] of the same chunk, which fails after a thousand: nobody else would get a turn.
pub fn flood(chunk: Bytes) -> Source<impl FnMut(usize) -> Bytes> {
    let mut count = 0;
    let give = move |_| {
        count += 1;
        assert!(count < 1000, "nobody else gets a turn");
        chunk.clone()
    };
    Source(give)
}
