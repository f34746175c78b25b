//! One direction's bytes from the moment that the local side hands them over until the peer has acknowledged them.
//!
//! Every byte from `released` to `written` is in exactly one of these states: never sent (`next..`), lost (to be sent again),
//! acknowledged out of order, or carried by a stripe, which the caller knows.

use crate::ranges::RangeSet;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::ops::Range;

/// Pieces below this are joined with what follows, at the price of a copy, so that small writes don't make small frames.
const JOIN_BELOW: usize = 4 << 10;

/// Bytes on their way out.
#[derive(Clone, Debug, Default)]
pub(crate) struct SendBuffer {
    /// Contiguous pieces from `released` to `written`, each with its offset.
    segments: VecDeque<(u64, Bytes)>,
    /// Everything below is acknowledged and forgotten.
    released: u64,
    /// Everything from here on was never sent.
    next: u64,
    /// End of what the local side has handed over.
    written: u64,
    /// To be sent again; all below `next`.
    lost: RangeSet,
    /// Number of bytes in `lost`.
    lost_bytes: u64,
    /// Acknowledged, above `released`.
    acknowledged: RangeSet,
}

impl SendBuffer {
    /// Takes over the next bytes.
    pub fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let len = data.len() as u64;
        self.segments.push_back((self.written, data));
        self.written += len;
    }

    /// End of what was handed over.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// End of what was ever sent.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Bytes never sent.
    pub fn unsent(&self) -> u64 {
        self.written - self.next
    }

    /// Bytes to be sent again.
    pub fn lost(&self) -> u64 {
        self.lost_bytes
    }

    /// Bytes held in memory.
    pub fn held(&self) -> u64 {
        self.written - self.released
    }

    /// Whether all that was handed over has been acknowledged.
    pub fn is_empty(&self) -> bool {
        self.released == self.written
    }

    /// The next bytes to send, at most `max`: lost ones first, then new ones below `limit`.
    pub fn take(&mut self, max: usize, limit: u64) -> Option<(u64, Bytes)> {
        if let Some(range) = self.lost.first() {
            let len = (range.end - range.start).min(max as u64);
            let data = self.slice(range.start, len as usize);
            let taken = range.start..range.start + data.len() as u64;
            self.lost_bytes -= data.len() as u64;
            self.lost.remove(taken);
            return Some((range.start, data));
        }
        let offset = self.next;
        let len = limit.min(self.written).saturating_sub(offset).min(max as u64);
        if len == 0 {
            return None;
        }
        let data = self.slice(offset, len as usize);
        self.next += data.len() as u64;
        Some((offset, data))
    }

    /// Up to `len` bytes from `offset` on, all of which are held.
    fn slice(&self, offset: u64, len: usize) -> Bytes {
        let mut index = self.segments.partition_point(|(start, data)| start + data.len() as u64 <= offset);
        let (start, data) = &self.segments[index];
        let from = (offset - start) as usize;
        let first = data.slice(from..data.len().min(from + len));
        if first.len() == len || first.len() >= JOIN_BELOW {
            return first;
        }
        let mut joined = Vec::with_capacity(len);
        joined.extend_from_slice(&first);
        while joined.len() < len {
            index += 1;
            let data = &self.segments[index].1;
            joined.extend_from_slice(&data[..data.len().min(len - joined.len())]);
        }
        Bytes::from(joined)
    }

    /// The peer has this range.
    pub fn acknowledge(&mut self, range: Range<u64>) {
        let range = range.start.max(self.released)..range.end;
        if range.is_empty() {
            return;
        }
        if self.lost_bytes > 0 {
            self.lost.remove(range.clone());
            self.lost_bytes = self.lost.iter().map(|lost| lost.end - lost.start).sum();
        }
        if range.start > self.released {
            self.acknowledged.insert(range);
            return;
        }
        self.released = range.end;
        while let Some(first) = self.acknowledged.first().filter(|first| first.start <= self.released) {
            self.released = self.released.max(first.end);
            self.acknowledged.remove(first);
        }
        while let Some((start, data)) = self.segments.front_mut() {
            let end = *start + data.len() as u64;
            if end > self.released {
                let cut = self.released - *start;
                data.advance(cut as usize);
                *start += cut;
                break;
            }
            self.segments.pop_front();
        }
    }

    /// The stripe that carried this range is gone: what the peer has not acknowledged is to be sent again.
    pub fn lose(&mut self, range: Range<u64>) {
        let range = range.start.max(self.released)..range.end.min(self.next);
        if range.is_empty() {
            return;
        }
        let missing: Vec<_> = self.acknowledged.gaps(range).collect();
        missing.into_iter().for_each(|gap| self.lost.insert(gap));
        self.lost_bytes = self.lost.iter().map(|lost| lost.end - lost.start).sum();
    }

    /// Forgets everything: the peer wants no more.
    pub fn clear(&mut self) {
        let written = self.written;
        *self = SendBuffer { released: written, next: written, written, ..SendBuffer::default() };
    }

    /// The parts that must be on a stripe: sent, not acknowledged, not lost.
    pub fn carried(&self) -> RangeSet {
        let mut carried = RangeSet::default();
        carried.insert(self.released..self.next);
        self.lost.iter().chain(self.acknowledged.iter()).for_each(|range| carried.remove(range));
        carried
    }
}
