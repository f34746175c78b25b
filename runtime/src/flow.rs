//! A flow of a striped session, as its user holds it: a pipe and a byte stream.

use crate::handover::Receiver;
use crate::pipe::memory::MemoryPipe;
use crate::pipe::{Pipe, PipeInfo, Received};
use crate::report::{FlowEnd, FlowReport};
use bytes::Buf;
use smol::future::block_on;
use smol::io::{AsyncRead, AsyncWrite};
use smol::io::{AsyncReadExt, AsyncWriteExt};
use std::fmt;
use std::io::{self, Read, Write};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use striper_core::Reason;

/// One end of a flow, to be used as a [`Pipe`] or as a byte stream. Closing the stream ends one
/// direction only. Dropped before both directions have ended, it resets the flow.
pub struct Flow {
    pipe: MemoryPipe,
    finished: bool,
    report: Receiver<FlowReport>,
    /// The thread that carries it goes on as long as this exists. Dropped after the pipe.
    keep: Option<Arc<dyn Send + Sync>>,
}

impl Flow {
    pub(crate) fn new(pipe: MemoryPipe, report: Receiver<FlowReport>) -> Self {
        Flow { pipe, finished: false, report, keep: None }
    }

    pub(crate) fn keeping(self, keep: Arc<dyn Send + Sync>) -> Self {
        Flow { keep: Some(keep), ..self }
    }

    /// The flow for a program that blocks.
    pub fn into_blocking(self) -> BlockingFlow {
        BlockingFlow(self)
    }

    /// A broken pipe says only that; the report says why. From another thread it may come later.
    fn poll_explain(&mut self, cx: &mut Context<'_>, error: io::Error) -> Poll<io::Error> {
        let report = match self.keep {
            Some(_) => ready!(Pin::new(&mut self.report).poll(cx)),
            None => self.report.try_take(),
        };
        Poll::Ready(match report.map(|report| report.end) {
            Some(FlowEnd::Refused(Reason::ConnectionRefused)) => io::Error::new(
                io::ErrorKind::ConnectionRefused,
                Reason::ConnectionRefused.to_string(),
            ),
            Some(end @ FlowEnd::Refused(_)) => io::Error::other(end.to_string()),
            Some(FlowEnd::Reset(reason)) => io::Error::new(error.kind(), reason.to_string()),
            Some(FlowEnd::Cut(cut)) => io::Error::new(error.kind(), cut.to_string()),
            _ => error,
        })
    }

    fn explained<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match polled {
            Poll::Ready(Err(error)) => self.poll_explain(cx, error).map(Err),
            other => other,
        }
    }
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow").field("is_kept", &self.keep.is_some()).finish_non_exhaustive()
    }
}

impl Pipe for Flow {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        let polled = self.pipe.poll_recv(cx, max);
        self.explained(cx, polled)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        let polled = self.pipe.poll_send(cx, data);
        self.explained(cx, polled)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = self.pipe.poll_finish(cx);
        self.explained(cx, polled)
    }

    fn abort(&mut self) {
        self.pipe.abort();
    }

    fn check(&mut self) -> io::Result<()> {
        self.pipe.check()
    }

    fn info(&self) -> PipeInfo<'_> {
        self.pipe.info()
    }
}

impl AsyncRead for Flow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        if self.finished || buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        match ready!(Pipe::poll_recv(&mut *self, cx, buf.len()))? {
            Received::Chunk(mut chunk) => {
                let count = chunk.len();
                chunk.copy_to_slice(&mut buf[..count]);
                Poll::Ready(Ok(count))
            }
            Received::Fin => {
                self.finished = true;
                Poll::Ready(Ok(0))
            }
        }
    }
}

impl AsyncWrite for Flow {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if buf.is_empty() {
            return Poll::Ready(Ok(0));
        }
        Pipe::poll_send(&mut *self, cx, &mut buf)
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pipe::poll_finish(&mut *self, cx)
    }
}

/// A flow of a [`Client`](crate::Client) or [`Server`](crate::Server), for a program that blocks.
/// Dropped before both directions have ended, it resets the flow.
#[derive(Debug)]
pub struct BlockingFlow(Flow);

impl BlockingFlow {
    /// Ends our direction, after all that was written. The other direction goes on.
    pub fn finish(&mut self) -> io::Result<()> {
        block_on(self.0.close())
    }

    /// The flow for a program that does not block.
    pub fn into_async(self) -> Flow {
        self.0
    }
}

impl Read for BlockingFlow {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        block_on(AsyncReadExt::read(&mut self.0, buf))
    }
}

impl Write for BlockingFlow {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        block_on(AsyncWriteExt::write(&mut self.0, buf))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
