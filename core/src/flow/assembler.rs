//! Puts the pieces of one direction, which arrive in any order and more than once, back in order.

use alloc::collections::BTreeMap;
use bytes::{Buf, Bytes};

/// Pieces up to this size are copied, so that a few bytes don't keep the large buffer alive that they arrived in.
const COPY_UP_TO: usize = 4 << 10;

/// Bytes on their way in.
#[derive(Clone, Debug, Default)]
pub(crate) struct Assembler {
    /// Everything below has been taken.
    next: u64,
    /// End of the furthest piece.
    end: u64,
    /// Disjoint pieces at or above `next`.
    pieces: BTreeMap<u64, Bytes>,
    /// Bytes in `pieces`.
    held: u64,
}

impl Assembler {
    /// End of what was taken in order.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// End of the furthest byte that ever came.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes held.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// Pieces held.
    pub fn pieces(&self) -> usize {
        self.pieces.len()
    }

    /// Takes a piece. What came before, or was here already, is dropped.
    pub fn insert(&mut self, mut offset: u64, mut data: Bytes) {
        self.end = self.end.max(offset + data.len() as u64);
        if offset < self.next {
            let old = (self.next - offset).min(data.len() as u64);
            data.advance(old as usize);
            offset += old;
        }
        while !data.is_empty() {
            if let Some((start, piece)) = self.pieces.range(..=offset).next_back() {
                let covered = (start + piece.len() as u64).saturating_sub(offset).min(data.len() as u64);
                data.advance(covered as usize);
                offset += covered;
                if covered > 0 {
                    continue;
                }
            }
            let room = self.pieces.range(offset..).next().map_or(u64::MAX, |(start, _)| start - offset);
            let part = data.split_to(room.min(data.len() as u64) as usize);
            let len = part.len() as u64;
            self.held += len;
            let in_order = offset == self.next;
            let kept =
                if part.len() <= COPY_UP_TO && !in_order { Bytes::copy_from_slice(&part) } else { part };
            self.pieces.insert(offset, kept);
            offset += len;
        }
    }

    /// Takes the next piece in order, if it is there.
    pub fn pop(&mut self) -> Option<Bytes> {
        let entry = self.pieces.first_entry().filter(|entry| *entry.key() == self.next)?;
        let data = entry.remove();
        self.next += data.len() as u64;
        self.held -= data.len() as u64;
        Some(data)
    }

    /// Drops what it holds.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.held = 0;
    }
}
