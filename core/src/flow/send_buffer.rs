//! One direction's bytes from the moment that the local side hands them over until the peer has
//! acknowledged them.
//!
//! Every byte from `released` to `written` is in exactly one of four states. It was never sent
//! (`next..`), is lost (to be sent again), was acknowledged out of order, or is carried by a
//! stripe, which the caller knows.

use crate::ranges::RangeSet;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::hash::{Hash, Hasher};
use core::ops::Range;

/// Pieces below this are joined with what follows, at the price of a copy, so that small writes
/// don't make small frames.
const JOIN_BELOW: usize = 4 << 10;

#[derive(Clone, Debug, Default)]
pub(crate) struct SendBuffer {
    /// Contiguous pieces from `released` to `written`, each with its offset.
    segments: VecDeque<(u64, Bytes)>,
    released: u64,
    next: u64,
    /// Where the bytes end that the local side has handed over.
    written: u64,
    /// To be sent again; all below `next`.
    lost: RangeSet,
    lost_bytes: u64,
    /// Acknowledged, above `released`.
    acknowledged: RangeSet,
}

impl SendBuffer {
    pub(crate) fn push(&mut self, data: Bytes) {
        if data.is_empty() {
            return;
        }
        let len = data.len() as u64;
        self.segments.push_back((self.written, data));
        self.written += len;
    }

    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn released(&self) -> u64 {
        self.released
    }

    pub(crate) fn unsent(&self) -> u64 {
        self.written - self.next
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost_bytes
    }

    pub(crate) fn held(&self) -> u64 {
        self.written - self.released
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.released == self.written
    }

    /// The next bytes to send, at most `max`: lost ones first, then new ones below `limit`.
    pub(crate) fn take(&mut self, max: usize, limit: u64) -> Option<(u64, Bytes)> {
        if let Some(range) = self.lost.first() {
            let len = (range.end - range.start).min(max as u64);
            let data = self.slice(range.start, len as usize);
            let taken = range.start..range.start + data.len() as u64;
            self.lost_bytes -= self.lost.remove(taken);
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

    /// Exactly this range, whatever of it has been sent before; `None` unless all of it is held and
    /// what was never sent begins in it or behind it.
    pub(crate) fn take_range(&mut self, range: Range<u64>) -> Option<Bytes> {
        if range.is_empty()
            || range.start < self.released
            || range.start > self.next
            || range.end > self.written
        {
            return None;
        }
        let mut data = self.slice(range.start, (range.end - range.start) as usize);
        while range.start + (data.len() as u64) < range.end {
            let from = range.start + data.len() as u64;
            data = [data, self.slice(from, (range.end - from) as usize)].concat().into();
        }
        self.lost_bytes -= self.lost.remove(range.clone());
        self.next = self.next.max(range.end);
        Some(data)
    }

    /// Up to `len` bytes from `offset` on, all of which are held.
    fn slice(&self, offset: u64, len: usize) -> Bytes {
        let mut index =
            self.segments.partition_point(|(start, data)| start + data.len() as u64 <= offset);
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
            let left = len - joined.len();
            joined.extend_from_slice(&data[..data.len().min(left)]);
        }
        Bytes::from(joined)
    }

    pub(crate) fn acknowledge(&mut self, range: Range<u64>) {
        let range = range.start.max(self.released)..range.end;
        if range.is_empty() {
            return;
        }
        self.lost_bytes -= self.lost.remove(range.clone());
        if range.start > self.released {
            self.acknowledged.insert(range);
            return;
        }
        self.released = range.end;
        while let Some(first) =
            self.acknowledged.first().filter(|first| first.start <= self.released)
        {
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

    /// The unacknowledged part of this range is to be sent again.
    pub(crate) fn lose(&mut self, range: Range<u64>) {
        let range = range.start.max(self.released)..range.end.min(self.next);
        if range.is_empty() {
            return;
        }
        for gap in self.acknowledged.gaps(range) {
            self.lost_bytes += self.lost.insert(gap);
        }
    }

    pub(crate) fn clear(&mut self) {
        let written = self.written;
        *self = SendBuffer { released: written, next: written, written, ..SendBuffer::default() };
    }

    /// The range that was sent, without the beginning that is acknowledged in full.
    pub(crate) fn sent(&self) -> Range<u64> {
        self.released..self.next
    }

    /// The parts of [`SendBuffer::sent`] that need not be on a stripe: acknowledged or lost.
    pub(crate) fn not_carried(&self) -> impl Iterator<Item = Range<u64>> {
        self.lost.iter().chain(self.acknowledged.iter())
    }
}

/// The state of each byte, and where the pieces are cut since frames follow that, see
/// [`crate::Session::fingerprint`].
impl Hash for SendBuffer {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.released, self.next, self.written).hash(hasher);
        (&self.lost, &self.acknowledged).hash(hasher);
        self.segments.iter().for_each(|(start, _)| hasher.write_u64(*start));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;

    #[derive(Clone, Copy, PartialEq, Debug)]
    enum Byte {
        Unsent,
        Carried,
        Lost,
        Acknowledged,
    }

    fn content(range: Range<u64>) -> Bytes {
        range.map(|offset| (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
    }

    fn push(buffer: &mut SendBuffer, len: u64) {
        buffer.push(content(buffer.written()..buffer.written() + len));
    }

    /// The range at `at` of `below`, both folded into what exists.
    fn within(at: u16, len: u16, below: u64) -> Range<u64> {
        let start = if below == 0 { 0 } else { u64::from(at) % below };
        start..(start + u64::from(len) % 3000).min(below)
    }

    fn check(buffer: &SendBuffer, model: &[Byte]) {
        let count = |state| model.iter().filter(|byte| **byte == state).count() as u64;
        let released = model.iter().take_while(|byte| **byte == Byte::Acknowledged).count() as u64;
        assert_eq!(buffer.written(), model.len() as u64);
        assert_eq!(buffer.unsent(), count(Byte::Unsent));
        assert_eq!(buffer.next(), model.len() as u64 - count(Byte::Unsent));
        assert_eq!(buffer.lost(), count(Byte::Lost));
        assert_eq!(buffer.held(), model.len() as u64 - released);
        assert_eq!(buffer.is_empty(), released == model.len() as u64);
        assert_eq!(buffer.released(), released);
        let mut carried = RangeSet::default();
        carried.insert(buffer.sent());
        for range in buffer.not_carried() {
            carried.remove(range);
        }
        let carried: Vec<u64> = carried.iter().flatten().collect();
        let expected =
            (0..model.len()).filter(|at| model[*at] == Byte::Carried).map(|at| at as u64);
        assert!(carried.into_iter().eq(expected));
    }

    quickcheck! {
        fn every_byte_is_in_the_state_that_a_plain_array_says(steps: Vec<(u8, u16, u16)>) -> bool {
            let mut buffer = SendBuffer::default();
            let mut model: Vec<Byte> = Vec::new();
            for (kind, at, len) in steps {
                let below = buffer.next();
                match kind % 4 {
                    0 => {
                        push(&mut buffer, u64::from(len) % 6000);
                        model.resize(buffer.written() as usize, Byte::Unsent);
                    }
                    1 => {
                        let limit = u64::from(at) * 4;
                        let lost = model.iter().position(|byte| *byte == Byte::Lost);
                        let unsent = model.iter().position(|byte| *byte == Byte::Unsent);
                        let next = lost.or(unsent.filter(|next| (*next as u64) < limit));
                        let max = 1 + usize::from(len) % 9000;
                        let taken = buffer.take(max, limit);
                        assert_eq!(taken.as_ref().map(|(offset, _)| *offset as usize), next);
                        if let Some((offset, data)) = taken {
                            let range = offset..offset + data.len() as u64;
                            assert!(!data.is_empty() && data.len() <= max);
                            assert!(lost.is_some() || range.end <= limit);
                            assert_eq!(data, content(range.clone()));
                            for byte in &mut model[range.start as usize..range.end as usize] {
                                assert!(matches!(byte, Byte::Lost | Byte::Unsent));
                                *byte = Byte::Carried;
                            }
                        }
                    }
                    2 => {
                        let range = within(at, len, below);
                        model[range.start as usize..range.end as usize].fill(Byte::Acknowledged);
                        buffer.acknowledge(range);
                    }
                    _ => {
                        let range = within(at, len, below);
                        for byte in &mut model[range.start as usize..range.end as usize] {
                            if *byte == Byte::Carried {
                                *byte = Byte::Lost;
                            }
                        }
                        buffer.lose(range);
                    }
                }
                check(&buffer, &model);
            }
            true
        }
    }

    #[test]
    fn pieces_below_four_kib_are_joined_and_large_writes_are_not_copied() {
        for (len, taken) in [(10, 600), (4095, 5000), (4096, 4096)] {
            let mut buffer = SendBuffer::default();
            (0..100).for_each(|_| push(&mut buffer, len));
            let max = if len == 10 { 600 } else { 5000 };
            assert_eq!(buffer.take(max, u64::MAX), Some((0, content(0..taken))));
        }
        let mut buffer = SendBuffer::default();
        let data = content(0..100_000);
        buffer.push(data.clone());
        let (_, piece) = buffer.take(60_000, u64::MAX).unwrap();
        assert_eq!(piece.as_ptr(), data.as_ptr());
    }

    #[test]
    fn a_cleared_buffer_holds_nothing_and_keeps_its_offsets() {
        let mut buffer = SendBuffer::default();
        push(&mut buffer, 300);
        buffer.take(200, u64::MAX);
        buffer.lose(0..50);
        buffer.clear();
        let counts = (buffer.written(), buffer.held(), buffer.lost(), buffer.unsent());
        assert_eq!(counts, (300, 0, 0, 0));
        assert_eq!(buffer.take(300, u64::MAX), None);
    }

    /// 300 bytes, of which 100 are acknowledged and 200 were sent.
    fn a_part_of_each() -> SendBuffer {
        let mut buffer = SendBuffer::default();
        push(&mut buffer, 300);
        buffer.take(200, u64::MAX);
        buffer.acknowledge(0..100);
        buffer
    }

    #[test]
    fn a_range_is_taken_if_all_is_held_and_nothing_unsent_is_before() {
        for (range, there) in [
            (100..300, true),
            (150..160, true),
            (200..300, true),
            (99..300, false),
            (100..301, false),
            (201..300, false),
            (150..150, false),
        ] {
            let taken = a_part_of_each().take_range(range.clone());
            assert_eq!(taken, there.then(|| content(range.clone())), "{range:?}");
        }
    }

    #[test]
    fn a_range_that_was_taken_counts_as_sent_and_not_as_lost() {
        let mut buffer = a_part_of_each();
        buffer.lose(120..180);
        buffer.take_range(150..160);
        assert_eq!((buffer.lost(), buffer.next()), (50, 200));
        buffer.take_range(190..250);
        assert_eq!((buffer.lost(), buffer.next(), buffer.unsent()), (50, 250, 50));
    }

    #[test]
    fn a_range_over_several_large_pieces_is_one() {
        let mut buffer = SendBuffer::default();
        (0..5).for_each(|_| push(&mut buffer, 5_000));
        assert_eq!(buffer.take_range(0..23_000), Some(content(0..23_000)));
        assert_eq!(buffer.take_range(4_000..16_000), Some(content(4_000..16_000)));
    }

    #[test]
    fn acknowledged_bytes_are_let_go() {
        let mut buffer = SendBuffer::default();
        (0..3).for_each(|_| push(&mut buffer, 100));
        buffer.take(300, u64::MAX);
        for (range, pieces) in
            [(0..99, 3), (99..100, 2), (150..250, 2), (100..150, 1), (250..300, 0)]
        {
            buffer.acknowledge(range.clone());
            assert_eq!(buffer.segments.len(), pieces, "{range:?}");
        }
    }
}
