//! Bytes on their way into a pipe: written in order, sent as one vectored write.
//!
//! Small slices that wait here for long must not keep large receive buffers alive. So once the pipe
//! is congested, small parts are copied together.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Parts up to this many bytes are copied when they have to wait.
const SMALL: usize = 4 << 10;

/// Copied parts are collected into blocks of about this many bytes.
const BLOCK: usize = 64 << 10;

#[derive(Debug, Default)]
pub(crate) struct OutQueue {
    parts: VecDeque<Bytes>,
    /// Copied small parts; they come after `parts`.
    tail: BytesMut,
    len: usize,
    congested: bool,
}

impl OutQueue {
    pub(crate) fn push(&mut self, data: Bytes) {
        self.len += data.len();
        if data.is_empty() {
        } else if self.congested && data.len() <= SMALL {
            self.tail.extend_from_slice(&data);
            if self.tail.len() >= BLOCK {
                self.close_tail();
            }
        } else {
            self.close_tail();
            self.parts.push_back(data);
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn clear(&mut self) {
        *self = OutQueue::default();
    }

    /// The pipe takes no more for now: what is here may have to wait.
    pub(crate) fn set_congested(&mut self) {
        if !self.congested {
            self.congested = true;
            self.len = 0;
            self.close_tail();
            for part in std::mem::take(&mut self.parts) {
                self.push(part);
            }
        }
    }

    pub(crate) fn set_flowing(&mut self) {
        self.congested = false;
    }

    pub(crate) fn is_congested(&self) -> bool {
        self.congested
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.parts.push_back(std::mem::take(&mut self.tail).freeze());
        }
    }
}

impl Buf for OutQueue {
    fn remaining(&self) -> usize {
        self.len
    }

    fn chunk(&self) -> &[u8] {
        self.parts.front().map_or(&self.tail[..], |part| &part[..])
    }

    fn chunks_vectored<'a>(&'a self, dst: &mut [IoSlice<'a>]) -> usize {
        let tail = (!self.tail.is_empty()).then_some(&self.tail[..]);
        let mut count = 0;
        for (slot, part) in dst.iter_mut().zip(self.parts.iter().map(|part| &part[..]).chain(tail))
        {
            *slot = IoSlice::new(part);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut count: usize) {
        assert!(count <= self.len, "advanced beyond the end");
        self.len -= count;
        while let Some(front) = self.parts.front_mut().filter(|_| count > 0) {
            let step = count.min(front.len());
            front.advance(step);
            count -= step;
            if front.is_empty() {
                self.parts.pop_front();
            }
        }
        self.tail.advance(count);
        if self.len == 0 {
            // An idle pipe keeps no memory for its queue.
            self.parts = VecDeque::new();
            self.tail = BytesMut::new();
        }
    }

    fn copy_to_bytes(&mut self, count: usize) -> Bytes {
        match self.parts.front_mut() {
            Some(front) if count <= front.len() => {
                let bytes = front.slice(..count);
                self.advance(count);
                bytes
            }
            _ => {
                assert!(count <= self.len, "took more than there is");
                let mut bytes = BytesMut::with_capacity(count);
                bytes.put(self.take(count));
                bytes.freeze()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(queue: &mut OutQueue, step: usize) -> Vec<u8> {
        let mut all = Vec::new();
        while queue.has_remaining() {
            let mut slices = [IoSlice::new(&[]); 3];
            let count = queue.chunks_vectored(&mut slices);
            let seen: Vec<u8> =
                slices[..count].iter().flat_map(|slice| slice.to_vec()).take(step).collect();
            all.extend_from_slice(&seen);
            let taken = seen.len();
            queue.advance(taken);
        }
        all
    }

    #[test]
    fn bytes_come_out_as_they_went_in_whatever_the_congestion() {
        for congest_at in 0..6 {
            for step in [1, 7, 5000, 1 << 20] {
                let mut queue = OutQueue::default();
                let mut model = Vec::new();
                for (i, size) in [10, 0, 9000, 3, SMALL, 70_000].into_iter().enumerate() {
                    if i == congest_at {
                        queue.set_congested();
                    }
                    let data = vec![i as u8; size];
                    model.extend_from_slice(&data);
                    queue.push(Bytes::from(data));
                }
                assert_eq!(queue.remaining(), model.len());
                assert!(drain(&mut queue, step) == model);
                assert!(queue.is_empty());
            }
        }
    }

    #[test]
    fn small_parts_that_wait_do_not_keep_their_buffer() {
        let mut queue = OutQueue::default();
        let buffer = Bytes::from(vec![7; 1 << 20]);
        queue.push(buffer.slice(..100));
        queue.set_congested();
        for i in 0..1000 {
            queue.push(buffer.slice(i..i + 10));
        }
        assert!(buffer.is_unique());
        assert_eq!(queue.remaining(), 10_100);
        assert_eq!(queue.copy_to_bytes(10_050), vec![7; 10_050]);
    }
}
