//! Puts the segments of one direction, which arrive in any order and more than once, back in order.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};
use core::hash::{Hash, Hasher};

/// Pieces up to this size are copied, so that a few bytes don't keep the large buffer alive that
/// they arrived in. They are joined up to this size, so that the number of segments hardly depends
/// on how the reader of the stripe cut them.
const COPY_UP_TO: usize = 4 << 10;

#[derive(Clone, Debug)]
enum Segment {
    Shared(Bytes),
    Copied(Vec<u8>),
}

impl Segment {
    fn len(&self) -> usize {
        match self {
            Segment::Shared(data) => data.len(),
            Segment::Copied(data) => data.len(),
        }
    }
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Assembler {
    /// Everything below has been taken.
    next: u64,
    /// End of the furthest segment.
    end: u64,
    /// Disjoint segments at or above `next`.
    segments: BTreeMap<u64, Segment>,
    held: u64,
}

impl Assembler {
    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    pub(crate) fn held(&self) -> u64 {
        self.held
    }

    pub(crate) fn segments(&self) -> usize {
        self.segments.len()
    }

    /// Keeps what is new of this data. Gives how many of its bytes had come before.
    pub(crate) fn insert(&mut self, mut offset: u64, mut data: Bytes) -> u64 {
        let (len, held) = (data.len() as u64, self.held);
        self.end = self.end.max(offset + data.len() as u64);
        let old = self.next.saturating_sub(offset).min(data.len() as u64);
        data.advance(old as usize);
        offset += old;
        while !data.is_empty() {
            if let Some((start, segment)) = self.segments.range(..=offset).next_back() {
                let covered =
                    (start + segment.len() as u64).saturating_sub(offset).min(data.len() as u64);
                data.advance(covered as usize);
                offset += covered;
                if covered > 0 {
                    continue;
                }
            }
            let room =
                self.segments.range(offset..).next().map_or(u64::MAX, |(start, _)| start - offset);
            let part = data.split_to(room.min(data.len() as u64) as usize);
            let len = part.len() as u64;
            self.held += len;
            self.keep(offset, part);
            offset += len;
        }
        len - (self.held - held)
    }

    fn keep(&mut self, offset: u64, part: Bytes) {
        if part.len() > COPY_UP_TO {
            self.segments.insert(offset, Segment::Shared(part));
            return;
        }
        if let Some((start, Segment::Copied(before))) =
            self.segments.range_mut(..offset).next_back()
            && start + before.len() as u64 == offset
            && before.len() + part.len() <= COPY_UP_TO
        {
            before.extend_from_slice(&part);
            return;
        }
        self.segments.insert(offset, Segment::Copied(part.to_vec()));
    }

    pub(crate) fn pop(&mut self) -> Option<Bytes> {
        let entry = self.segments.first_entry().filter(|entry| *entry.key() == self.next)?;
        let data = match entry.remove() {
            Segment::Shared(data) => data,
            Segment::Copied(data) => Bytes::from(data),
        };
        self.next += data.len() as u64;
        self.held -= data.len() as u64;
        Some(data)
    }

    pub(crate) fn clear(&mut self) {
        self.segments.clear();
        self.held = 0;
    }
}

/// The bytes that it holds and their cuts, since they come out in these pieces. See
/// [`crate::Session::fingerprint`].
impl Hash for Assembler {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.next, self.end, self.segments.len()).hash(hasher);
        self.segments.iter().for_each(|(start, segment)| (start, segment.len()).hash(hasher));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::ops::Range;
    use quickcheck::quickcheck;

    fn content(range: Range<u64>) -> Bytes {
        range.map(|offset| (offset.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
    }

    fn insert(assembler: &mut Assembler, range: Range<u64>) -> u64 {
        assembler.insert(range.start, content(range))
    }

    quickcheck! {
        fn delivers_what_a_plain_array_of_bytes_holds(steps: Vec<(bool, u16, u16)>) -> bool {
            let mut assembler = Assembler::default();
            let mut model: Vec<Option<u8>> = Vec::new();
            let mut taken = 0;
            for (pop, at, len) in steps {
                if pop {
                    while let Some(data) = assembler.pop() {
                        let range = taken..taken + data.len() as u64;
                        assert!(!data.is_empty());
                        assert!(model[taken as usize..][..data.len()].iter().all(Option::is_some));
                        assert_eq!(data, content(range.clone()));
                        taken = range.end;
                    }
                    assert!(model.get(taken as usize).is_none_or(Option::is_none));
                } else {
                    // Large enough to be kept by reference at times, close enough to overlap often.
                    let start = u64::from(at) % 30_000;
                    let range = start..start + u64::from(len) % 9_000;
                    model.resize(model.len().max(range.end as usize), None);
                    let slots = model[start as usize..].iter_mut();
                    let mut known = 0;
                    for (slot, byte) in slots.zip(content(range.clone())) {
                        known += u64::from(slot.replace(byte).is_some());
                    }
                    assert_eq!(insert(&mut assembler, range), known);
                }
                let held = model.iter().skip(taken as usize).filter(|slot| slot.is_some()).count();
                assert_eq!((assembler.held(), assembler.next()), (held as u64, taken));
                assert_eq!(assembler.end(), model.len() as u64);
                assert_eq!(assembler.segments() == 0, held == 0);
            }
            true
        }
    }

    #[test]
    fn small_segments_are_joined_as_far_as_four_kib_however_they_were_cut() {
        for (len, count, most) in [(1, 100_000, 100_000 / COPY_UP_TO + 1), (1024, 8, 2)] {
            let mut assembler = Assembler::default();
            for at in 1..=count {
                insert(&mut assembler, at * len..(at + 1) * len);
            }
            let segments = assembler.segments();
            assert!((2..=most).contains(&segments), "{segments} segments");
        }
    }

    #[test]
    fn small_segments_are_copied_and_large_ones_are_not() {
        let mut assembler = Assembler::default();
        let buffer = content(0..65_536);
        for (range, shared) in [(0..COPY_UP_TO, false), (COPY_UP_TO..65_536, true)] {
            let data = buffer.slice(range.clone());
            assembler.insert(range.start as u64, data.clone());
            let popped = assembler.pop().unwrap();
            assert_eq!(popped.as_ptr() == data.as_ptr(), shared);
        }
    }

    #[test]
    fn a_cleared_assembler_holds_nothing() {
        let mut assembler = Assembler::default();
        insert(&mut assembler, 5..10);
        assembler.clear();
        assert_eq!((assembler.held(), assembler.segments(), assembler.end()), (0, 0, 10));
    }
}
