//! The content of a stripe: an entry for each thing put on it, kept until the peer acknowledges the
//! stripe's bytes up to its end.

use crate::ranges::RangeSet;
use crate::stripe::estimator::Mark;
use crate::time::Instant;
use alloc::collections::VecDeque;
use core::hash::{Hash, Hasher};
use core::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Entry<T> {
    pub end: u64,
    pub at: Instant,
    /// When its acknowledgement was expected then.
    pub expected: Instant,
    pub eliciting: bool,
    pub mark: Mark,
    pub token: T,
}

/// Data is late only by this much.
pub(crate) const LATE_SLACK: Duration = Duration::from_millis(10);

impl<T> Entry<T> {
    /// When it has taken half as long again as was expected.
    pub(crate) fn late_at(&self) -> Instant {
        // Asked for each stripe at each choice: arithmetic with Duration would cost a tenth of all.
        let at = self.at.as_micros();
        let expected = self.expected.as_micros().saturating_sub(at);
        let half_as_long_again = expected.saturating_add(expected / 2);
        Instant::from_micros(at.saturating_add(half_as_long_again)) + LATE_SLACK
    }
}

/// One search looks at no more entries than this that it does not want.
pub(crate) const MAX_LOOKS: usize = 1024;

/// The unacknowledged part of a stripe's byte stream.
#[derive(Clone, Debug)]
pub(crate) struct Ledger<T> {
    entries: VecDeque<Entry<T>>,
    acknowledged: u64,
    /// How many entries were taken out, which is the place of the oldest one.
    taken: u64,
    /// Places of the entries that ask for an acknowledgement.
    eliciting: VecDeque<u64>,
    /// Places of entries that no search wants any more, as far as searches have met them.
    spent: RangeSet,
    #[cfg(test)]
    pub looks: u64,
}

impl<T: PartialEq> Ledger<T> {
    pub(crate) fn new() -> Self {
        Ledger {
            entries: VecDeque::new(),
            acknowledged: 0,
            taken: 0,
            eliciting: VecDeque::new(),
            spent: RangeSet::default(),
            #[cfg(test)]
            looks: 0,
        }
    }

    /// Adds an entry that ends where the stripe's stream ends now. An entry that equals the latest,
    /// and like it asks for no acknowledgement, extends it. The two would be owed again as one.
    pub(crate) fn push(&mut self, entry: Entry<T>) {
        debug_assert!(self.entries.back().is_none_or(|last| last.end <= entry.end));
        match self.entries.back_mut() {
            Some(last) if !entry.eliciting && !last.eliciting && last.token == entry.token => {
                last.end = entry.end
            }
            _ => {
                if entry.eliciting {
                    self.eliciting.push_back(self.taken + self.entries.len() as u64);
                }
                self.entries.push_back(entry);
            }
        }
    }

    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    /// Moves the acknowledged count; `false` if it was there already.
    pub(crate) fn advance(&mut self, count: u64) -> bool {
        let moved = count > self.acknowledged;
        self.acknowledged = self.acknowledged.max(count);
        moved
    }

    pub(crate) fn pop(&mut self) -> Option<Entry<T>> {
        let first = self.entries.front()?;
        if first.end > self.acknowledged {
            return None;
        }
        if first.eliciting {
            self.eliciting.pop_front();
        }
        self.spent.remove(self.taken..self.taken + 1);
        self.taken += 1;
        self.entries.pop_front()
    }

    /// The oldest entry that is not acknowledged in full, after all others were popped.
    pub(crate) fn front(&self) -> Option<&Entry<T>> {
        self.entries.front()
    }

    pub(crate) fn awaited(&self) -> Option<&Entry<T>> {
        self.eliciting.front().map(|place| &self.entries[(place - self.taken) as usize])
    }

    /// The oldest entry that ends beyond this many stripe bytes, is not `spent` and is `wanted`. It
    /// must come before the first [`MAX_LOOKS`] entries that are not. An entry that is spent stays
    /// so, and is met once: a peer that lets many entries pile up does not make each search longer.
    pub(crate) fn find(
        &mut self,
        beyond: u64,
        spent: impl Fn(&T) -> bool,
        wanted: impl Fn(&Entry<T>) -> bool,
    ) -> Option<&mut Entry<T>> {
        let mut at = self.taken + self.entries.partition_point(|entry| entry.end <= beyond) as u64;
        let end = self.taken + self.entries.len() as u64;
        let mut looks = 0;
        loop {
            at = self.spent.gaps(at..end).next()?.start;
            let entry = &self.entries[(at - self.taken) as usize];
            #[cfg(test)]
            {
                self.looks += 1;
            }
            if spent(&entry.token) {
                self.spent.insert(at..at + 1);
            } else if wanted(entry) {
                return self.entries.get_mut((at - self.taken) as usize);
            } else if looks == MAX_LOOKS {
                return None;
            } else {
                looks += 1;
                at += 1;
            }
        }
    }

    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
        self.eliciting.shrink_to_fit();
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether an acknowledgement is to be expected.
    pub(crate) fn awaits(&self) -> bool {
        !self.eliciting.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<T>> {
        self.entries.iter_mut()
    }
}

/// Its entries without the times. See [`crate::Session::fingerprint`].
impl<T: Hash> Hash for Ledger<T> {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.acknowledged, self.entries.len()).hash(hasher);
        for entry in &self.entries {
            (entry.end, entry.eliciting, &entry.token).hash(hasher);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::estimator::RateEstimator;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    fn entry(end: u64, eliciting: bool, token: u8) -> Entry<u8> {
        let mark = RateEstimator::new(Instant::ZERO).mark(Some(0), Instant::ZERO);
        Entry { end, at: Instant::ZERO, expected: Instant::ZERO, eliciting, mark, token }
    }

    fn ledger(entries: &[(u64, bool, u8)]) -> Ledger<u8> {
        let mut ledger = Ledger::new();
        let entries = entries.iter().map(|(end, eliciting, token)| entry(*end, *eliciting, *token));
        entries.for_each(|entry| ledger.push(entry));
        ledger
    }

    fn pop_all(ledger: &mut Ledger<u8>) -> Vec<u8> {
        core::iter::from_fn(|| ledger.pop()).map(|entry| entry.token).collect()
    }

    quickcheck! {
        fn entries_acknowledged_in_full_come_back_once_and_in_order(
            sizes: Vec<(u8, bool, u8)>, counts: Vec<u16>
        ) -> bool {
            let (mut end, mut model) = (0, Vec::<(u64, bool, u8)>::new());
            let mut ledger = Ledger::new();
            for (size, eliciting, token) in sizes {
                end += u64::from(size);
                ledger.push(entry(end, eliciting, token % 3));
                match model.last_mut() {
                    Some(last) if !eliciting && (last.1, last.2) == (false, token % 3) => {
                        last.0 = end;
                    }
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
                let front = model.first().map(|entry| entry.0);
                assert_eq!(ledger.front().map(|entry| entry.end), front);
            }
            ledger.iter().map(|entry| (entry.end, entry.eliciting, entry.token)).eq(model)
        }
    }

    #[test]
    fn the_oldest_entry_that_asks_for_an_acknowledgement_is_awaited() {
        let mut ledger =
            ledger(&[(10, false, 1), (20, true, 2), (30, false, 3), (40, true, 4), (50, false, 5)]);
        for (count, awaited) in [(0, Some(20)), (19, Some(20)), (20, Some(40)), (40, None)] {
            ledger.advance(count);
            pop_all(&mut ledger);
            assert_eq!(ledger.awaited().map(|entry| entry.end), awaited, "up to {count}");
        }
    }

    #[test]
    fn a_search_passes_by_spent_and_unwanted_entries() {
        let mut ledger = ledger(&[(10, true, 1), (20, true, 9), (30, true, 2), (40, true, 3)]);
        let mut find = |beyond, least| {
            let found = ledger.find(beyond, |token| *token == 9, |entry| entry.token >= least)?;
            Some(core::mem::replace(&mut found.token, 9))
        };
        // Entries that are not wanted yet are only passed by.
        for (least, found) in [(2, Some(2)), (2, Some(3)), (2, None), (1, Some(1)), (0, None)] {
            assert_eq!(find(0, least), found);
        }
    }

    #[test]
    fn a_search_gives_up_after_so_many_that_it_does_not_want() {
        for (count, found) in [(MAX_LOOKS as u64, true), (MAX_LOOKS as u64 + 1, false)] {
            let entries: Vec<_> =
                (0..=count).map(|at| (at + 1, true, u8::from(at == count))).collect();
            let mut ledger = ledger(&entries);
            assert_eq!(ledger.find(0, |_| false, |entry| entry.token == 1).is_some(), found);
        }
    }

    /// How often `n` searches, one after each acknowledgement of one entry, look at an entry of
    /// `n`, all but the last of them spent.
    fn looks(n: u64) -> u64 {
        let looks = core::cell::Cell::new(0);
        let look = |is: bool| {
            looks.set(looks.get() + 1);
            is
        };
        let entries: Vec<_> = (1..=n).map(|end| (end, true, u8::from(end < n))).collect();
        let mut ledger = ledger(&entries);
        for count in 1..n {
            // Not from the oldest on: what lies before is still of use.
            let found = ledger.find(count + n / 4, |token| look(*token == 1), |_| look(true));
            assert_eq!(found.is_some(), count + n / 4 < n);
            ledger.advance(count);
            pop_all(&mut ledger);
        }
        looks.get()
    }

    #[test]
    fn searches_between_acknowledgements_meet_every_entry_once() {
        for entries in [1_000, 20_000] {
            assert!(looks(entries) <= 3 * entries, "{}", looks(entries));
        }
    }

    #[test]
    fn a_search_beyond_a_count_begins_with_the_entry_that_ends_behind() {
        let mut ledger = ledger(&[(10, true, 1), (20, true, 2), (30, true, 3)]);
        assert_eq!(ledger.len(), 3);
        for (count, token) in [(0, Some(1)), (9, Some(1)), (10, Some(2)), (29, Some(3)), (30, None)]
        {
            let found = ledger.find(count, |_| false, |_| true).map(|entry| entry.token);
            assert_eq!(found, token, "beyond {count}");
        }
        ledger.iter_mut().for_each(|entry| entry.token += 1);
        assert_eq!(pop_all(&mut ledger), [0; 0], "nothing is acknowledged");
        ledger.advance(30);
        assert_eq!(ledger.find(0, |_| true, |_| true).map(|entry| entry.token), None);
        assert_eq!(pop_all(&mut ledger), [2, 3, 4]);
        assert_eq!((ledger.len(), ledger.spent.len()), (0, 0));
    }
}
