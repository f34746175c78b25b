//! The stripes of a session: the live ones, and those gone that one side still owes the other a
//! word about.

use crate::id::StripeId;
use crate::io::Output;
use crate::ranges::RangeSet;
use crate::rate::Rate;
use crate::stripe::ledger::{Entry, Ledger};
use crate::stripe::{Stripe, Token};
use crate::time::Instant;
use crate::wire::frame::Frame;
use crate::wire::hello::MAX_GONE;
use alloc::collections::btree_map::{self, BTreeMap};
use alloc::vec::Vec;
use bytes::Bytes;
use core::hash::{Hash, Hasher};
use core::ops::Range;
use core::time::Duration;

/// So many holes in the numbers of past stripes are remembered. Numbers of dials that failed make
/// them, one after another over the weeks.
const MAX_HOLES: usize = 4096;

/// So many entries are remembered of what gone stripes held, about 10 MB: twice what live ones may
/// hold of data. Beyond that the oldest stripe's are forgotten. All of it is owed again anyway; the
/// peer then gets some of what it has once more.
const MAX_GONE_ENTRIES: usize = 64 << 10;

/// The most DATA frames that a session has on stripes at once.
pub(crate) const MAX_DATA_ENTRIES: usize = 32 << 10;

#[derive(Clone, Debug)]
pub(crate) struct Gone {
    pub received: u64,
    /// The peer knows `received`.
    pub confirmed: bool,
    /// Its ledger, until the peer has said how much of it arrived.
    pub ledger: Option<Ledger<Token>>,
    pub sent: u64,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Stripes {
    live: BTreeMap<StripeId, Stripe>,
    gone: BTreeMap<StripeId, Gone>,
    /// Gone, and both sides know all about it.
    retired: RangeSet,
    /// DATA frames on live stripes, over all ledgers.
    data_entries: usize,
    lost: u64,
    /// How often a stripe that is lost by now was in doubt.
    doubts: u64,
    /// Bytes of payload handed over for the first time, ever.
    payload_sent: u64,
    /// Bytes of payload handed over again, ever.
    payload_resent: u64,
}

impl Stripes {
    /// Forgets all stripes, but not what has been counted.
    pub(crate) fn clear(&mut self) {
        let (lost, doubts) = (self.lost, self.doubts());
        let Stripes { payload_sent, payload_resent, .. } = *self;
        *self = Stripes { lost, doubts, payload_sent, payload_resent, ..Stripes::default() };
    }

    pub(crate) fn get(&self, id: StripeId) -> Option<&Stripe> {
        self.live.get(&id)
    }

    pub(crate) fn get_mut(&mut self, id: StripeId) -> Option<&mut Stripe> {
        self.live.get_mut(&id)
    }

    pub(crate) fn is_live(&self, id: StripeId) -> bool {
        self.live.contains_key(&id)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Stripe> + Clone {
        self.live.values()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Stripe> {
        self.live.values_mut()
    }

    pub(crate) fn len(&self) -> usize {
        self.live.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.live.is_empty()
    }

    pub(crate) fn data_entries(&self) -> usize {
        self.data_entries
    }

    pub(crate) fn takes_another(&self) -> bool {
        self.data_entries < MAX_DATA_ENTRIES
    }

    /// Counts payload that is about to be handed over, `again` if it was before.
    pub(crate) fn count_payload(&mut self, len: u64, again: bool) {
        if again {
            self.payload_resent += len;
        } else {
            self.payload_sent += len;
        }
    }

    /// Bytes of payload handed over, ever: for the first time, and again.
    pub(crate) fn payload(&self) -> (u64, u64) {
        (self.payload_sent, self.payload_resent)
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost
    }

    /// How often a stripe was in doubt, ever.
    pub(crate) fn doubts(&self) -> u64 {
        self.doubts + self.iter().map(Stripe::doubts).sum::<u64>()
    }

    #[inline]
    pub(crate) fn best_rate(&self) -> Option<Rate> {
        self.iter().filter_map(|stripe| stripe.rate().estimate()).max()
    }

    pub(crate) fn longest_rtt(&self) -> Duration {
        self.iter().filter_map(|stripe| stripe.rtt().smoothed()).max().unwrap_or_default()
    }

    pub(crate) fn add(&mut self, stripe: Stripe) {
        self.live.insert(stripe.id(), stripe);
    }

    /// Hands over a frame to a live stripe, see [`Stripe::transmit`].
    pub(crate) fn transmit(
        &mut self,
        id: StripeId,
        frame: &Frame,
        payload: Bytes,
        tokens: &[(Token, bool)],
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        if let Some(stripe) = self.live.get_mut(&id) {
            self.data_entries += tokens.iter().filter(|(token, _)| token.is_data()).count();
            stripe.transmit(frame, payload, tokens, now, out);
        }
    }

    /// Takes the oldest entry of a live stripe if it is acknowledged in full.
    pub(crate) fn pop_acknowledged(&mut self, id: StripeId) -> Option<Entry<Token>> {
        let entry = self.live.get_mut(&id)?.ledger_mut().pop()?;
        self.data_entries -= usize::from(entry.token.is_data());
        Some(entry)
    }

    pub(crate) fn lose(&mut self, id: StripeId) -> Option<Stripe> {
        let stripe = self.live.remove(&id)?;
        self.lost += 1;
        self.doubts += stripe.doubts();
        self.data_entries -= stripe.ledger().iter().filter(|entry| entry.token.is_data()).count();
        Some(stripe)
    }

    pub(crate) fn knows(&self, id: StripeId) -> bool {
        self.is_live(id) || self.gone.contains_key(&id) || self.retired.contains(id.0)
    }

    pub(crate) fn gone(&self, id: StripeId) -> Option<&Gone> {
        self.gone.get(&id)
    }

    pub(crate) fn gone_mut(&mut self, id: StripeId) -> Option<&mut Gone> {
        self.gone.get_mut(&id)
    }

    /// Those of which the peer does not know how much of them has arrived here, with that number of
    /// bytes.
    pub(crate) fn unconfirmed(&self) -> impl Iterator<Item = (StripeId, u64)> {
        let unconfirmed = self.gone.iter().filter(|(_, gone)| !gone.confirmed);
        unconfirmed.map(|(id, gone)| (*id, gone.received))
    }

    pub(crate) fn add_gone(&mut self, stripe: Stripe) {
        let (id, received, sent) = (stripe.id(), stripe.inbound().acker().count(), stripe.sent());
        let mut ledger = stripe.into_ledger();
        ledger.shrink();
        let gone = Gone { received, confirmed: false, ledger: Some(ledger), sent };
        self.gone.insert(id, gone);
        self.forget_oldest_ledgers();
    }

    /// Remembers a stripe that was up on the other side alone. Whether it was not known before.
    pub(crate) fn add_unseen(&mut self, id: StripeId) -> bool {
        let btree_map::Entry::Vacant(vacant) = self.gone.entry(id) else { return false };
        vacant.insert(Gone { received: 0, confirmed: false, ledger: None, sent: 0 });
        true
    }

    fn forget_oldest_ledgers(&mut self) {
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

    pub(crate) fn confirm_gone(&mut self, id: StripeId) {
        if let Some(gone) = self.gone.get_mut(&id) {
            gone.confirmed = true;
            self.retire(id);
        }
    }

    /// The peer has said how much of a gone stripe has arrived there: what was on it is settled.
    pub(crate) fn settle_gone(&mut self, id: StripeId) {
        if let Some(gone) = self.gone.get_mut(&id) {
            gone.ledger = None;
            self.retire(id);
        }
    }

    pub(crate) fn is_retired(&self, id: StripeId) -> bool {
        self.retired.contains(id.0)
    }

    /// Forgets a gone stripe if both sides know all about it.
    fn retire(&mut self, id: StripeId) {
        if self.gone.get(&id).is_some_and(|gone| gone.confirmed && gone.ledger.is_none()) {
            self.gone.remove(&id);
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

    /// Whether the peer leaves more gone stripes unsettled than an honest one would.
    pub(crate) fn overfull(&self) -> bool {
        self.gone.len() > MAX_GONE
    }
}

/// The state that decides how stripes go on. See [`crate::Session::fingerprint`].
impl Hash for Stripes {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_usize(self.live.len());
        self.iter().for_each(|stripe| stripe.hash(hasher));
        hasher.write_usize(self.gone.len());
        for (id, gone) in &self.gone {
            (id, gone.received, gone.confirmed, gone.sent, gone.ledger.is_some()).hash(hasher);
            if let Some(ledger) = &gone.ledger {
                ledger.hash(hasher);
            }
        }
        self.retired.hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(confirmed: bool, settled: bool) -> Gone {
        Gone { received: 0, confirmed, ledger: (!settled).then(Ledger::new), sent: 0 }
    }

    #[test]
    fn a_stripe_is_forgotten_when_both_sides_know_all_about_it() {
        let mut table = Stripes::default();
        for (confirmed, settled) in [(false, false), (true, false), (false, true), (true, true)] {
            table.gone.insert(StripeId(7), gone(confirmed, settled));
            table.retire(StripeId(7));
            assert_eq!(table.is_retired(StripeId(7)), confirmed && settled);
            assert!(table.knows(StripeId(7)), "its number is never free again");
        }
        assert!(table.gone.is_empty());
    }

    #[test]
    fn the_oldest_ledger_of_gone_stripes_is_forgotten_beyond_a_limit() {
        let mut table = Stripes::default();
        let third = MAX_GONE_ENTRIES / 3;
        let lose = |table: &mut Stripes, id: u64, confirmed: bool| {
            let mut stripe = Stripe::new(StripeId(id), 0, Instant::ZERO);
            (0..third).for_each(|_| stripe.put(1, Token::Local, true, Instant::ZERO));
            table.add_gone(stripe);
            table.gone.get_mut(&StripeId(id)).unwrap().confirmed = confirmed;
        };
        (0..3).for_each(|id| lose(&mut table, id, id == 0));
        let kept = |table: &Stripes, ids: [u64; 3]| {
            let kept = table.gone.iter().filter(|(_, gone)| gone.ledger.is_some());
            assert!(kept.map(|(id, _)| id.0).eq(ids), "{ids:?}");
        };
        kept(&table, [0, 1, 2]);
        lose(&mut table, 3, false);
        kept(&table, [1, 2, 3]);
        // The peer knows of it, so there is nothing left to say.
        assert!(table.is_retired(StripeId(0)) && table.knows(StripeId(0)));
        assert_eq!(table.gone.len(), 3);
    }

    #[test]
    fn more_gone_stripes_than_a_hello_can_list_are_too_many() {
        let mut table = Stripes::default();
        (0..MAX_GONE as u64)
            .for_each(|id| drop(table.gone.insert(StripeId(id), gone(false, true))));
        assert!(!table.overfull());
        table.gone.insert(StripeId(1 << 40), gone(false, true));
        assert!(table.overfull());
    }

    fn retire(table: &mut Stripes, id: u64) {
        table.gone.insert(StripeId(id), gone(true, true));
        table.retire(StripeId(id));
    }

    #[test]
    fn the_past_of_a_flapping_route_stays_small() {
        let mut table = Stripes::default();
        table.live.insert(StripeId(11), Stripe::new(StripeId(11), 0, Instant::ZERO));
        assert!(table.knows(StripeId(11)) && !table.knows(StripeId(21)));
        table.gone.insert(StripeId(21), gone(false, false));
        // Every other number is that of a dial that failed.
        (0..20_000).filter(|id| id % 2 == 0).for_each(|id| retire(&mut table, id));
        assert_eq!(table.retired.len(), MAX_HOLES);
        assert!(!table.is_retired(StripeId(11)) && !table.is_retired(StripeId(21)));
        assert!(table.is_retired(StripeId(1)) && !table.is_retired(StripeId(19_999)));
    }
}
