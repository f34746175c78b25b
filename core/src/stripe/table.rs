//! The stripes of a session: the live ones, and those gone that one side still owes the other a
//! word about.

use crate::id::StripeId;
use crate::ranges::RangeSet;
use crate::stripe::ledger::Ledger;
use crate::stripe::{Stripe, Token};
use crate::wire::hello::MAX_GONE;
use alloc::collections::BTreeMap;
use core::hash::{Hash, Hasher};
use core::ops::Range;

/// So many holes in the numbers of past stripes are remembered. Numbers of dials that failed make
/// them, one after another over the weeks.
const MAX_HOLES: usize = 4096;

/// So many entries are remembered of what gone stripes held, about 10 MB: twice what live ones may
/// hold of data. Beyond that the oldest stripe's are forgotten. All of it is owed again anyway; the
/// peer then gets some of what it has once more.
const MAX_GONE_ENTRIES: usize = 64 << 10;

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

    /// Remembers a stripe that is gone.
    pub fn add_gone(&mut self, id: StripeId, gone: Gone) {
        self.gone.insert(id, gone);
        let held = |gone: &Gone| gone.ledger.as_ref().map_or(0, Ledger::len);
        let mut entries: usize = self.gone.values().map(held).sum();
        while entries > MAX_GONE_ENTRIES
            && let Some((oldest, gone)) = self.gone.iter_mut().find(|(_, gone)| held(gone) > 0)
        {
            let oldest = *oldest;
            entries -= held(gone);
            gone.ledger = None;
            self.retire(oldest);
        }
    }

    /// Whether there is nothing left to say about a stripe.
    pub fn is_retired(&self, id: StripeId) -> bool {
        self.retired.contains(id.0)
    }

    /// Forgets a gone stripe if both sides know all about it.
    pub fn retire(&mut self, id: StripeId) {
        if self.gone.get(&id).is_some_and(|gone| gone.confirmed && gone.ledger.is_none()) {
            self.gone.remove(&id);
            if planted!(RetiredStripeForgotten) {
                return;
            }
            self.retired.insert(id.0..id.0 + 1);
            if self.retired.len() > MAX_HOLES {
                self.close_hole();
            }
        }
    }

    /// Numbers that nothing has been heard of while so many later ones came and went are as good as
    /// used.
    fn close_hole(&mut self) {
        let is_unheard_of = |hole: &Range<u64>| {
            let ids = StripeId(hole.start)..StripeId(hole.end);
            self.live.range(ids.clone()).next().is_none() && self.gone.range(ids).next().is_none()
        };
        let later = self.retired.iter().skip(1);
        let unheard_of = self
            .retired
            .iter()
            .zip(later)
            .map(|(before, after)| before.end..after.start)
            .find(is_unheard_of);
        if let Some(hole) = unheard_of {
            self.retired.insert(hole);
        }
    }

    /// The stripes that are gone, see [`crate::Session::fingerprint`].
    pub fn fingerprint_gone(&self, hasher: &mut impl Hasher) {
        hasher.write_usize(self.gone.len());
        for (id, gone) in &self.gone {
            (id, gone.received, gone.confirmed, gone.sent, gone.ledger.is_some()).hash(hasher);
            if let Some(ledger) = &gone.ledger {
                ledger.fingerprint(hasher);
            }
        }
        self.retired.hash(hasher);
    }

    /// Whether the peer leaves more gone stripes unsettled than an honest one would.
    pub fn overfull(&self) -> bool {
        self.gone.len() > MAX_GONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Instant;
    use alloc::vec::Vec;

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
    fn of_what_gone_stripes_held_the_oldest_is_forgotten_when_it_becomes_too_much() {
        let mut table = Table::default();
        let held = |entries: u64| {
            let mut stripe = Stripe::new(StripeId(0), 0, Instant::ZERO);
            (0..entries).for_each(|_| stripe.put(1, Token::Local, true, Instant::ZERO));
            Some(stripe.ledger)
        };
        let third = MAX_GONE_ENTRIES as u64 / 3;
        (0..3).for_each(|id| {
            table.add_gone(StripeId(id), Gone { ledger: held(third), ..gone(id == 0, true) })
        });
        let kept = |table: &Table| -> Vec<u64> {
            table
                .gone
                .iter()
                .filter(|(_, gone)| gone.ledger.is_some())
                .map(|(id, _)| id.0)
                .collect()
        };
        assert_eq!(kept(&table), [0, 1, 2]);
        table.add_gone(StripeId(3), Gone { ledger: held(third), ..gone(false, true) });
        assert_eq!(kept(&table), [1, 2, 3]);
        assert!(
            table.is_retired(StripeId(0)),
            "the peer knows of it, so there is nothing left to say"
        );
        assert!(table.gone.len() == 3 && table.knows(StripeId(0)));
    }

    #[test]
    fn a_number_is_known_once_its_stripe_is_up() {
        let mut table = Table::default();
        assert!(!table.knows(StripeId(1)));
        table.live.insert(StripeId(1), Stripe::new(StripeId(1), 0, Instant::ZERO));
        assert!(table.knows(StripeId(1)) && !table.is_retired(StripeId(1)));
    }

    #[test]
    fn more_gone_stripes_than_a_hello_can_list_are_too_many() {
        let mut table = Table::default();
        (0..MAX_GONE as u64)
            .for_each(|id| drop(table.gone.insert(StripeId(id), gone(false, true))));
        assert!(!table.overfull());
        table.gone.insert(StripeId(1 << 40), gone(false, true));
        assert!(table.overfull());
    }

    fn retire(table: &mut Table, id: u64) {
        table.gone.insert(StripeId(id), gone(true, true));
        table.retire(StripeId(id));
    }

    #[test]
    fn retired_stripes_in_a_row_cost_nothing() {
        let mut table = Table::default();
        (0..10_000).for_each(|id| retire(&mut table, id));
        assert_eq!(table.retired.len(), 1);
    }

    #[test]
    fn the_past_of_a_flapping_route_stays_small_and_swallows_no_stripe_that_is_still_of_interest() {
        let mut table = Table::default();
        table.live.insert(StripeId(11), Stripe::new(StripeId(11), 0, Instant::ZERO));
        table.gone.insert(StripeId(21), gone(false, false));
        // Every other number is that of a dial that failed.
        (0..20_000).filter(|id| id % 2 == 0).for_each(|id| retire(&mut table, id));
        assert_eq!(table.retired.len(), MAX_HOLES);
        assert!(!table.is_retired(StripeId(11)) && !table.is_retired(StripeId(21)));
        assert!(table.is_retired(StripeId(1)) && !table.is_retired(StripeId(19_999)));
    }
}
