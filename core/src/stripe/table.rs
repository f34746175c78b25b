//! The stripes of a session: the live ones, and those gone that one side still owes the other a word about.

use crate::id::StripeId;
use crate::ranges::RangeSet;
use crate::stripe::ledger::Ledger;
use crate::stripe::{Stripe, Token};
use crate::wire::hello::MAX_GONE;
use alloc::collections::BTreeMap;

/// More holes than this in the numbers of past stripes are no accident.
const MAX_HOLES: usize = 4096;

/// A stripe that is gone.
#[derive(Clone, Debug)]
pub(crate) struct Gone {
    /// How many of its bytes we have processed.
    pub received: u64,
    /// The peer knows `received`.
    pub confirmed: bool,
    /// What was on it, until the peer has said how much of that it has.
    pub ledger: Option<Ledger<Token>>,
    /// How many bytes were sent on it.
    pub sent: u64,
}

/// All stripes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Table {
    pub live: BTreeMap<StripeId, Stripe>,
    pub gone: BTreeMap<StripeId, Gone>,
    /// Gone, and both sides know all about it.
    retired: RangeSet,
}

impl Table {
    /// Whether a stripe of this number has ever been heard of.
    pub fn knows(&self, id: StripeId) -> bool {
        self.live.contains_key(&id) || self.gone.contains_key(&id) || self.retired.contains(id.0)
    }

    /// Whether there is nothing left to say about a stripe.
    pub fn is_retired(&self, id: StripeId) -> bool {
        self.retired.contains(id.0)
    }

    /// Forgets a gone stripe if both sides know all about it.
    pub fn retire(&mut self, id: StripeId) {
        if self.gone.get(&id).is_some_and(|gone| gone.confirmed && gone.ledger.is_none()) {
            self.gone.remove(&id);
            self.retired.insert(id.0..id.0 + 1);
        }
    }

    /// Whether the past takes more memory than an honest peer would make it take.
    pub fn overfull(&self) -> bool {
        self.gone.len() > MAX_GONE || self.retired.len() > MAX_HOLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;

    fn gone(confirmed: bool, settled: bool) -> Gone {
        Gone { received: 0, confirmed, ledger: (!settled).then(Ledger::new), sent: 0 }
    }

    #[test]
    fn a_stripe_is_forgotten_when_both_sides_know_all_about_it() {
        let mut table = Table::default();
        for (confirmed, settled) in [(false, false), (true, false), (false, true), (true, true)] {
            table.gone.insert(StripeId(7), gone(confirmed, settled));
            table.retire(StripeId(7));
            assert_eq!(table.is_retired(StripeId(7)), confirmed && settled);
            assert!(table.knows(StripeId(7)), "its number is never free again");
        }
        assert!(table.gone.is_empty());
    }

    #[test]
    fn a_number_is_known_once_its_stripe_is_up() {
        let mut table = Table::default();
        assert!(!table.knows(StripeId(1)));
        table.live.insert(StripeId(1), Stripe::new(StripeId(1), Instant::ZERO));
        assert!(table.knows(StripeId(1)) && !table.is_retired(StripeId(1)));
    }

    #[test]
    fn more_gone_stripes_than_a_hello_can_list_are_too_many() {
        let mut table = Table::default();
        (0..MAX_GONE as u64).for_each(|id| drop(table.gone.insert(StripeId(id), gone(false, true))));
        assert!(!table.overfull());
        table.gone.insert(StripeId(1 << 40), gone(false, true));
        assert!(table.overfull());
    }

    #[test]
    fn retired_stripes_in_a_row_cost_nothing() {
        let mut table = Table::default();
        for id in (0..10_000).map(StripeId) {
            table.gone.insert(id, gone(true, true));
            table.retire(id);
        }
        assert!(!table.overfull());
    }
}
