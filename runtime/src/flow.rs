//! A flow of a striped session, as its user holds it: a pipe, and a byte stream for programs that
//! want one.

use crate::handover::Receiver;
use crate::pipe::memory::MemoryPipe;
use crate::pipe::{Pipe, Received};
use crate::report::{FlowEnd, FlowReport};
use bytes::Buf;
use smol::io::{AsyncRead, AsyncWrite};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use striper_core::Reason;

/// One end of a flow, to be used as a [`Pipe`] or as a byte stream. Closing the stream ends one
/// direction only. Dropped before both directions have ended, it resets the flow.
pub struct Flow {
    pipe: MemoryPipe,
    finished: bool,
    report: Receiver<FlowReport>,
}

impl Flow {
    pub(crate) fn new(pipe: MemoryPipe, report: Receiver<FlowReport>) -> Self {
        Flow { pipe, finished: false, report }
    }

    /// A broken pipe says only that; the report of the flow says why.
    fn explain(&mut self, error: io::Error) -> io::Error {
        match self.report.try_take().map(|report| report.end) {
            Some(FlowEnd::Refused(Reason::ConnectionRefused)) => io::Error::new(
                io::ErrorKind::ConnectionRefused,
                Reason::ConnectionRefused.to_string(),
            ),
            Some(end @ FlowEnd::Refused(_)) => io::Error::other(end.to_string()),
            Some(FlowEnd::Reset(reason)) => io::Error::new(error.kind(), reason.to_string()),
            Some(FlowEnd::Cut(cut)) => io::Error::new(error.kind(), cut.to_string()),
            _ => error,
        }
    }
}

impl Pipe for Flow {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        self.pipe.poll_recv(cx, max).map_err(|error| self.explain(error))
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        self.pipe.poll_send(cx, data).map_err(|error| self.explain(error))
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.poll_finish(cx).map_err(|error| self.explain(error))
    }

    fn abort(&mut self) {
        self.pipe.abort();
    }

    fn check(&mut self) -> io::Result<()> {
        self.pipe.check()
    }

    fn flushed(&mut self) -> bool {
        self.pipe.flushed()
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
