//! A pipe within the process, also between two threads.
//!
//! Like a socket it buffers a little. Like a socket it hands out what was sent before it says that
//! it broke. A lock is never held while bytes are copied or somebody is woken.

use super::{Carrier, Pipe, PipeInfo, Received};
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How many bytes one direction buffers.
const CAPACITY: usize = 128 << 10;

#[derive(Debug, Default)]
struct Half {
    parts: VecDeque<Bytes>,
    len: usize,
    finished: bool,
    broken: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Debug, Default)]
struct Direction(Arc<Mutex<Half>>);

impl Direction {
    /// No invariant spans a panic, so a poisoned lock is as good as another.
    fn lock(&self) -> MutexGuard<'_, Half> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks it as broken. Gives the wakers of both its ends.
    fn break_off(&self) -> [Option<Waker>; 2] {
        let mut half = self.lock();
        half.broken = true;
        [half.reader.take(), half.writer.take()]
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

/// One end of a pipe within this process. Dropped before both directions have finished, it breaks.
#[derive(Debug)]
pub struct MemoryPipe {
    outward: Direction,
    inward: Direction,
}

/// Both ends of a new pipe.
pub fn memory_pipe() -> (MemoryPipe, MemoryPipe) {
    let (one, other) = (Direction::default(), Direction::default());
    let first = MemoryPipe { outward: one.clone(), inward: other.clone() };
    (first, MemoryPipe { outward: other, inward: one })
}

impl MemoryPipe {
    /// Breaks the outward and the inward direction, or one of them. When another thread is woken
    /// for one, it sees the end of the other as well.
    fn break_off(&mut self, [outward, inward]: [bool; 2]) {
        let inward = inward.then(|| self.inward.break_off());
        let outward = outward.then(|| self.outward.break_off());
        outward.into_iter().chain(inward).flatten().for_each(wake);
    }
}

impl Pipe for MemoryPipe {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        let mut half = self.inward.lock();
        if let Some(front) = half.parts.front_mut() {
            let chunk = front.split_to(front.len().min(max));
            if front.is_empty() {
                half.parts.pop_front();
            }
            half.len -= chunk.len();
            let writer = half.writer.take();
            drop(half);
            wake(writer);
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
        let mut half = self.outward.lock();
        if half.broken || half.finished {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let room = CAPACITY - half.len;
        if room == 0 {
            half.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        drop(half);
        // Only this end fills it, so the room does not shrink meanwhile.
        let (mut parts, mut taken) = (VecDeque::new(), 0);
        while data.has_remaining() && taken < room {
            let count = data.chunk().len().min(room - taken);
            parts.push_back(data.copy_to_bytes(count));
            taken += count;
        }
        let mut half = self.outward.lock();
        half.parts.append(&mut parts);
        half.len += taken;
        let reader = half.reader.take();
        drop(half);
        wake(reader);
        Poll::Ready(Ok(taken))
    }

    fn poll_finish(&mut self, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut half = self.outward.lock();
        if half.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        half.finished = true;
        let reader = half.reader.take();
        drop(half);
        wake(reader);
        Poll::Ready(Ok(()))
    }

    fn abort(&mut self) {
        self.break_off([true; 2]);
    }

    fn check(&mut self) -> io::Result<()> {
        let broken = self.inward.lock().broken || self.outward.lock().broken;
        if broken { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    fn info(&self) -> PipeInfo<'_> {
        PipeInfo::of(self)
    }
}

impl Carrier for MemoryPipe {
    fn flushed(&self) -> bool {
        let half = self.outward.lock();
        half.len == 0 || half.broken
    }
}

impl Drop for MemoryPipe {
    fn drop(&mut self) {
        let inward = self.inward.lock();
        let is_read = inward.finished && inward.len == 0;
        drop(inward);
        let is_finished = self.outward.lock().finished;
        self.break_off([!is_finished, !is_read]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::PipeExt;

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
