//! What a stripe carries: an entry for each thing put on it, kept until the peer acknowledges the stripe's bytes up to its end.

use crate::stripe::rate::Mark;
use crate::time::Instant;
use alloc::collections::VecDeque;
use core::hash::{Hash, Hasher};

/// Something put on a stripe.
#[derive(Clone, Debug)]
pub(crate) struct Entry<T> {
    /// Stripe bytes up to the end of this entry.
    pub end: u64,
    /// When it was handed over.
    pub at: Instant,
    /// When its acknowledgement was expected then.
    pub expected: Instant,
    /// Whether it asks for an acknowledgement.
    pub eliciting: bool,
    /// For the rate estimate.
    pub mark: Mark,
    /// What it is.
    pub token: T,
}

/// The unacknowledged part of a stripe's byte stream.
#[derive(Clone, Debug)]
pub(crate) struct Ledger<T> {
    entries: VecDeque<Entry<T>>,
    acknowledged: u64,
    eliciting: usize,
}

impl<T: PartialEq + Hash> Ledger<T> {
    /// Nothing sent.
    pub fn new() -> Self {
        Ledger { entries: VecDeque::new(), acknowledged: 0, eliciting: 0 }
    }

    /// Adds an entry that ends where the stripe's stream ends now. One that equals the latest, and like it asks for no
    /// acknowledgement, extends it: the two would be owed again as one.
    pub fn push(&mut self, entry: Entry<T>) {
        debug_assert!(self.entries.back().is_none_or(|last| last.end <= entry.end));
        match self.entries.back_mut() {
            Some(last)
                if !entry.eliciting
                    && !last.eliciting
                    && (last.token == entry.token || planted!(LedgerMergesDifferent)) =>
            {
                last.end = entry.end
            }
            _ => {
                self.eliciting += usize::from(entry.eliciting);
                self.entries.push_back(entry);
            }
        }
    }

    /// Stripe bytes acknowledged.
    pub fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Moves the acknowledged count; `false` if it was there already.
    pub fn advance(&mut self, count: u64) -> bool {
        let moved = count > self.acknowledged;
        self.acknowledged = self.acknowledged.max(count);
        moved
    }

    /// Takes the oldest entry if it is acknowledged in full.
    pub fn pop(&mut self) -> Option<Entry<T>> {
        let first = self.entries.front()?;
        if first.end > self.acknowledged {
            return None;
        }
        self.eliciting -= usize::from(first.eliciting);
        self.entries.pop_front()
    }

    /// The oldest entry that is not acknowledged in full, after all others were popped.
    pub fn front(&self) -> Option<&Entry<T>> {
        self.entries.front()
    }

    /// The oldest entry that asks for an acknowledgement.
    pub fn awaited(&self) -> Option<&Entry<T>> {
        if self.awaits() { self.entries.iter().find(|entry| entry.eliciting) } else { None }
    }

    /// Entries that end beyond this many stripe bytes, oldest first.
    pub fn beyond(&mut self, count: u64) -> impl Iterator<Item = &mut Entry<T>> {
        let first = self.entries.partition_point(|entry| entry.end <= count);
        self.entries.range_mut(first..)
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether an acknowledgement is to be expected.
    pub fn awaits(&self) -> bool {
        self.eliciting > 0
    }

    /// What it holds without the times, see [`crate::Session::fingerprint`].
    pub fn fingerprint(&self, hasher: &mut impl Hasher) {
        (self.acknowledged, self.entries.len()).hash(hasher);
        for entry in &self.entries {
            (entry.end, entry.eliciting, &entry.token).hash(hasher);
        }
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.iter()
    }

    /// All entries, oldest first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<T>> {
        self.entries.iter_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::rate::Rate;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    fn entry(end: u64, eliciting: bool, token: u8) -> Entry<u8> {
        let mark = Rate::new(Instant::ZERO).mark(Some(0), Instant::ZERO);
        Entry { end, at: Instant::ZERO, expected: Instant::ZERO, eliciting, mark, token }
    }

    fn ledger(entries: &[(u64, bool, u8)]) -> Ledger<u8> {
        let mut ledger = Ledger::new();
        entries.iter().for_each(|(end, eliciting, token)| ledger.push(entry(*end, *eliciting, *token)));
        ledger
    }

    fn pop_all(ledger: &mut Ledger<u8>) -> Vec<u8> {
        core::iter::from_fn(|| ledger.pop()).map(|entry| entry.token).collect()
    }

    quickcheck! {
        fn what_is_acknowledged_in_full_comes_back_once_and_in_order(
            sizes: Vec<(u8, bool, u8)>, counts: Vec<u16>
        ) -> bool {
            let (mut end, mut model) = (0, Vec::<(u64, bool, u8)>::new());
            let mut ledger = Ledger::new();
            for (size, eliciting, token) in sizes {
                end += u64::from(size);
                ledger.push(entry(end, eliciting, token % 3));
                match model.last_mut() {
                    Some(last) if !eliciting && (last.1, last.2) == (false, token % 3) => last.0 = end,
                    _ => model.push((end, eliciting, token % 3)),
                }
            }
            let mut acknowledged = 0;
            for count in counts {
                let count = u64::from(count) % (end + 1);
                assert_eq!(ledger.advance(count), count > acknowledged);
                acknowledged = acknowledged.max(count);
                let covered = model.iter().take_while(|entry| entry.0 <= acknowledged).count();
                let tokens: Vec<u8> = model.drain(..covered).map(|entry| entry.2).collect();
                assert_eq!(pop_all(&mut ledger), tokens);
                assert_eq!(ledger.acknowledged(), acknowledged);
                assert_eq!(ledger.awaits(), model.iter().any(|entry| entry.1));
                assert_eq!(ledger.front().map(|entry| entry.end), model.first().map(|entry| entry.0));
            }
            ledger.iter().map(|entry| (entry.end, entry.eliciting, entry.token)).eq(model)
        }
    }

    #[test]
    fn an_entry_that_is_acknowledged_in_part_stays() {
        let mut ledger = ledger(&[(10, true, 1), (20, true, 2)]);
        ledger.advance(15);
        assert_eq!(pop_all(&mut ledger), [1]);
        assert_eq!(ledger.front().map(|entry| (entry.end, entry.token)), Some((20, 2)));
        assert!(ledger.awaits());
    }

    #[test]
    fn the_oldest_entry_that_asks_for_an_acknowledgement_is_awaited() {
        let mut ledger =
            ledger(&[(10, false, 1), (20, true, 2), (30, false, 3), (40, true, 4), (50, false, 5)]);
        let mut awaited_after = |count| {
            ledger.advance(count);
            pop_all(&mut ledger);
            ledger.awaited().map(|entry| entry.end)
        };
        assert_eq!(awaited_after(0), Some(20));
        assert_eq!(awaited_after(19), Some(20));
        assert_eq!(awaited_after(20), Some(40));
        assert_eq!(awaited_after(40), None);
    }

    #[test]
    fn equal_neighbours_that_ask_for_nothing_are_one_entry() {
        let ledger = ledger(&[(10, false, 1), (20, false, 1), (30, false, 2), (40, true, 2), (50, true, 2)]);
        assert!(ledger.iter().map(|entry| entry.end).eq([20, 30, 40, 50]));
    }

    #[test]
    fn what_lies_beyond_a_count_begins_with_the_entry_that_ends_behind_it() {
        let mut ledger = ledger(&[(10, true, 1), (20, true, 2), (30, true, 3)]);
        assert_eq!(ledger.len(), 3);
        for (count, tokens) in [(0, &[1, 2, 3][..]), (9, &[1, 2, 3]), (10, &[2, 3]), (29, &[3]), (30, &[])] {
            assert!(ledger.beyond(count).map(|entry| &entry.token).eq(tokens), "beyond {count}");
        }
        ledger.iter_mut().for_each(|entry| entry.token += 1);
        assert_eq!(pop_all(&mut ledger), [0; 0], "nothing is acknowledged");
        ledger.advance(30);
        assert_eq!(pop_all(&mut ledger), [2, 3, 4]);
        assert_eq!(ledger.len(), 0);
    }
}
