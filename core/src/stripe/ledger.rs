//! What a stripe carries: an entry for each thing put on it, kept until the peer acknowledges the stripe's bytes up to its end.

use crate::stripe::rate::Mark;
use crate::time::Instant;
use alloc::collections::VecDeque;

/// Something put on a stripe.
#[derive(Clone, Debug)]
pub(crate) struct Entry<T> {
    /// Stripe bytes up to the end of this entry.
    pub end: u64,
    /// When it was handed over.
    pub at: Instant,
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

impl<T: PartialEq> Ledger<T> {
    /// Nothing sent.
    pub fn new() -> Self {
        Ledger { entries: VecDeque::new(), acknowledged: 0, eliciting: 0 }
    }

    /// Adds an entry that ends where the stripe's stream ends now. One that equals the latest, and like it asks for no
    /// acknowledgement, extends it: the two would be owed again as one.
    pub fn push(&mut self, entry: Entry<T>) {
        debug_assert!(self.entries.back().is_none_or(|last| last.end <= entry.end));
        match self.entries.back_mut() {
            Some(last) if !entry.eliciting && !last.eliciting && last.token == entry.token => {
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

    /// Whether an acknowledgement is to be expected.
    pub fn awaits(&self) -> bool {
        self.eliciting > 0
    }

    /// All entries, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Entry<T>> {
        self.entries.iter()
    }

    /// All entries, oldest first.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry<T>> {
        self.entries.iter_mut()
    }

    /// Number of entries.
    pub fn len(&self) -> usize {
        self.entries.len()
    }
}
