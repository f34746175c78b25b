//! A pipe within the process and thread.
//!
//! Like a socket it buffers a little, and like a socket it hands out what was sent before it says
//! that it broke.

use super::{Pipe, Received};
use bytes::{Buf, Bytes};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

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

/// One end of a pipe within this process and thread. Dropped before both directions have finished,
/// it breaks the pipe.
#[derive(Debug)]
pub struct MemoryPipe {
    outward: Rc<RefCell<Half>>,
    inward: Rc<RefCell<Half>>,
}

/// Both ends of a new pipe.
pub fn memory_pipe() -> (MemoryPipe, MemoryPipe) {
    let one = Rc::new(RefCell::new(Half::default()));
    let other = Rc::new(RefCell::new(Half::default()));
    (
        MemoryPipe { outward: one.clone(), inward: other.clone() },
        MemoryPipe { outward: other, inward: one },
    )
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
        if half.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::PipeExt;

    #[test]
    fn each_direction_ends_for_itself() {
        smol::block_on(async {
            let (mut a, mut b) = memory_pipe();
            a.send(b"question").await.unwrap();
            a.finish().await.unwrap();
            assert_eq!(b.recv().await.unwrap(), Received::Chunk("question".into()));
            assert_eq!(b.recv().await.unwrap(), Received::Fin);
            b.send(b"answer").await.unwrap();
            b.finish().await.unwrap();
            drop(b);
            assert_eq!(a.recv().await.unwrap(), Received::Chunk("answer".into()));
            assert_eq!(a.recv().await.unwrap(), Received::Fin);
        });
    }

    #[test]
    fn a_drop_before_the_end_is_an_error_after_the_data() {
        smol::block_on(async {
            let (mut a, mut b) = memory_pipe();
            a.send(b"half").await.unwrap();
            drop(a);
            assert!(b.check().is_err());
            assert_eq!(b.recv().await.unwrap(), Received::Chunk("half".into()));
            assert!(b.recv().await.is_err());
            assert!(b.send(b"x").await.is_err());
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
