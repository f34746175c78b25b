//! A pipe within the process, and the [`Flow`] that a library user holds.
//!
//! Like a socket it buffers a little, and like a socket it hands out what was sent before it says that it broke.

use super::{Pipe, Received};
use crate::local::Receiver;
use crate::report::{FlowEnd, FlowReport};
use bytes::{Buf, Bytes};
use smol::io::{AsyncRead, AsyncWrite};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker, ready};
use striper_core::Reason;

/// How many bytes one direction buffers.
const CAPACITY: usize = 128 << 10;

/// One direction of a memory pipe.
#[derive(Debug, Default)]
struct Half {
    parts: VecDeque<Bytes>,
    len: usize,
    finished: bool,
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl Half {
    fn wake_reader(&mut self) {
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }

    fn wake_writer(&mut self) {
        if let Some(waker) = self.writer.take() {
            waker.wake();
        }
    }

    fn break_off(&mut self) {
        self.broken = true;
        self.wake_reader();
        self.wake_writer();
    }
}

/// One end of a pipe within this process and thread. Dropped before both directions have finished, it breaks the pipe.
#[derive(Debug)]
pub struct MemoryPipe {
    outward: Rc<RefCell<Half>>,
    inward: Rc<RefCell<Half>>,
}

/// Both ends of a new pipe.
pub fn memory_pipe() -> (MemoryPipe, MemoryPipe) {
    let one = Rc::new(RefCell::new(Half::default()));
    let other = Rc::new(RefCell::new(Half::default()));
    (MemoryPipe { outward: one.clone(), inward: other.clone() }, MemoryPipe { outward: other, inward: one })
}

impl Pipe for MemoryPipe {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        let mut half = self.inward.borrow_mut();
        if let Some(front) = half.parts.front_mut() {
            let chunk = front.split_to(front.len().min(max));
            if front.is_empty() {
                half.parts.pop_front();
            }
            half.len -= chunk.len();
            half.wake_writer();
            return Poll::Ready(Ok(Received::Chunk(chunk)));
        }
        if half.broken {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if half.finished {
            return Poll::Ready(Ok(Received::Fin));
        }
        half.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        let mut half = self.outward.borrow_mut();
        if half.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        assert!(!half.finished, "sent after finishing");
        let mut taken = 0;
        while data.has_remaining() && half.len < CAPACITY {
            let count = data.chunk().len().min(CAPACITY - half.len);
            half.parts.push_back(data.copy_to_bytes(count));
            half.len += count;
            taken += count;
        }
        if taken == 0 {
            half.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        half.wake_reader();
        Poll::Ready(Ok(taken))
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut half = self.outward.borrow_mut();
        if half.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        half.finished = true;
        half.wake_reader();
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {
        self.outward.borrow_mut().break_off();
        self.inward.borrow_mut().break_off();
    }

    fn check(&mut self) -> io::Result<()> {
        let broken = self.inward.borrow().broken || self.outward.borrow().broken;
        if broken { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    fn flushed(&mut self) -> bool {
        let half = self.outward.borrow();
        half.len == 0 || half.broken
    }
}

impl Drop for MemoryPipe {
    fn drop(&mut self) {
        if !self.outward.borrow().finished {
            self.outward.borrow_mut().break_off();
        }
        let mut inward = self.inward.borrow_mut();
        if !(inward.finished && inward.len == 0) {
            inward.break_off();
        }
    }
}

/// One end of a flow, to be used as a [`Pipe`] or as a byte stream. Closing the stream ends one direction only. Dropped before both
/// directions have ended, it resets the flow.
pub struct Flow {
    pipe: MemoryPipe,
    /// What has been received and not yet read, when used as a stream.
    rest: Bytes,
    finished: bool,
    report: Receiver<FlowReport>,
}

impl Flow {
    pub(crate) fn new(pipe: MemoryPipe, report: Receiver<FlowReport>) -> Self {
        Flow { pipe, rest: Bytes::new(), finished: false, report }
    }

    /// A broken pipe says only that; the report of the flow says why.
    fn explain(&mut self, error: io::Error) -> io::Error {
        match self.report.try_take().map(|report| report.end) {
            Some(FlowEnd::Refused(Reason::ConnectionRefused)) => {
                io::Error::new(io::ErrorKind::ConnectionRefused, Reason::ConnectionRefused.to_string())
            }
            Some(end @ FlowEnd::Refused(_)) => io::Error::other(end.to_string()),
            Some(FlowEnd::Reset(reason)) => io::Error::new(error.kind(), reason.to_string()),
            _ => error,
        }
    }
}

impl Pipe for Flow {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        if !self.rest.is_empty() {
            let chunk = self.rest.split_to(self.rest.len().min(max));
            return Poll::Ready(Ok(Received::Chunk(chunk)));
        }
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
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
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
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, mut buf: &[u8]) -> Poll<io::Result<usize>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::testing::{finish, recv, send};

    #[test]
    fn each_direction_ends_for_itself() {
        smol::block_on(async {
            let (mut a, mut b) = memory_pipe();
            send(&mut a, b"question").await.unwrap();
            finish(&mut a).await.unwrap();
            assert_eq!(recv(&mut b).await.unwrap(), Received::Chunk("question".into()));
            assert_eq!(recv(&mut b).await.unwrap(), Received::Fin);
            send(&mut b, b"answer").await.unwrap();
            finish(&mut b).await.unwrap();
            drop(b);
            assert_eq!(recv(&mut a).await.unwrap(), Received::Chunk("answer".into()));
            assert_eq!(recv(&mut a).await.unwrap(), Received::Fin);
        });
    }

    #[test]
    fn a_drop_before_the_end_is_an_error_after_the_data() {
        smol::block_on(async {
            let (mut a, mut b) = memory_pipe();
            send(&mut a, b"half").await.unwrap();
            drop(a);
            assert!(b.check().is_err());
            assert_eq!(recv(&mut b).await.unwrap(), Received::Chunk("half".into()));
            assert!(recv(&mut b).await.is_err());
            assert!(send(&mut b, b"x").await.is_err());
        });
    }

    #[test]
    fn a_full_pipe_is_pending_until_something_is_taken() {
        let (mut a, mut b) = memory_pipe();
        let mut cx = Context::from_waker(Waker::noop());
        let mut data = Bytes::from(vec![0; CAPACITY + 1]);
        assert!(matches!(a.poll_send(&mut cx, &mut data), Poll::Ready(Ok(CAPACITY))));
        assert!(a.poll_send(&mut cx, &mut data).is_pending());
        assert!(!a.flushed());
        assert!(b.poll_recv(&mut cx, 1).is_ready());
        assert!(matches!(a.poll_send(&mut cx, &mut data), Poll::Ready(Ok(1))));
        assert!(data.is_empty());
    }
}
