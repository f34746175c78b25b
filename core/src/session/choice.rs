//! Chooses the stripe for the next frame: the stripes that may carry it, as a scheduler sees them.

use crate::buggify::{Site, Turns};
use crate::id::StripeId;
use crate::rate::Rate;
use crate::scheduler::trace::Trace;
use crate::scheduler::{Candidate, Choose, Scheduler};
use crate::stripe::Stripe;
use crate::stripe::table::Stripes;
use crate::time::Instant;
use alloc::vec::Vec;

#[derive(Clone, Debug)]
pub(super) struct Choice {
    scheduler: Scheduler,
    /// Used anew for each choice.
    candidates: Vec<Candidate>,
}

/// The conditions that decide about candidates beside the stripes.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub now: Instant,
    pub turns: &'a Turns,
}

impl Choice {
    pub(super) fn new(scheduler: Scheduler) -> Self {
        Choice { scheduler, candidates: Vec::new() }
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// The next frame goes on the stripe that a trace names.
    pub(super) fn follow(&mut self, stripe: StripeId) {
        self.scheduler = Scheduler::Trace(Trace::naming(stripe));
    }

    pub(super) fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// Gathers the stripes that may be chosen, without `beside`. Doubted stripes and stripes
    /// without a measured round trip are left out, unless no other stripe exists. `writable` says
    /// which take what is to be sent.
    pub(super) fn gather(
        &mut self,
        stripes: &Stripes,
        beside: Option<StripeId>,
        at: At<'_>,
        writable: impl Fn(&Stripe) -> bool,
    ) {
        let fine = |stripe: &Stripe| !stripe.is_doubted();
        let known = |stripe: &Stripe| fine(stripe) && stripe.rtt().min().is_some();
        let (mut all_doubted, mut all_new, mut best) = (true, true, None);
        for stripe in stripes.iter() {
            all_doubted &= !fine(stripe);
            all_new &= !known(stripe);
            best = best.max(stripe.rate().estimate());
        }
        self.candidates.clear();
        for stripe in stripes.iter() {
            let chosen = all_doubted || known(stripe) || (all_new && fine(stripe));
            if chosen && Some(stripe.id()) != beside {
                let congested =
                    stripe.ledger().awaits() && at.turns.take(Site::Congested, stripe.id().0);
                let writable = writable(stripe) && !congested;
                self.candidates.push(candidate(stripe, writable, best, at.now));
            }
        }
    }

    /// Something was put on a stripe that was gathered: brings its candidate up to date.
    pub(super) fn refresh(
        &mut self,
        stripes: &Stripes,
        id: StripeId,
        writable: impl Fn(&Stripe) -> bool,
        now: Instant,
    ) {
        let Some(stripe) = stripes.get(id) else { return };
        let changed = candidate(stripe, writable(stripe), stripes.best_rate(), now);
        if let Some(slot) = self.candidates.iter_mut().find(|slot| slot.stripe == id) {
            *slot = changed;
        }
    }

    /// The best of the gathered stripes for `len` bytes of the `backlog`, both in bytes; none if it
    /// is better to wait.
    pub(super) fn for_data(&mut self, len: u64, backlog: u64) -> Option<StripeId> {
        self.scheduler.pick(&self.candidates, len, backlog)
    }

    /// The best stripe for control, which may ask for an acknowledgement or not.
    ///
    /// A stripe that is silent while others are heard may be dead in that direction, and what asks
    /// for no acknowledgement would not show it. When no stripe is heard, silence means nothing.
    pub(super) fn for_control(
        &mut self,
        stripes: &Stripes,
        beside: Option<StripeId>,
        eliciting: bool,
        at: At<'_>,
    ) -> Option<StripeId> {
        let latest = stripes.iter().map(|stripe| stripe.inbound().heard()).max();
        let silent = |stripe: &Stripe| {
            let patience = stripe.rtt().patience();
            !eliciting
                && latest.is_some_and(|last| {
                    last.since(stripe.inbound().heard()) > patience
                        && at.now.since(last) <= patience
                })
        };
        self.gather(stripes, beside, at, |stripe| stripe.takes_control() && !silent(stripe));
        let choice = self.scheduler.pick_for_control(&self.candidates);
        if choice.is_some() {
            return choice;
        }
        self.gather(stripes, beside, at, Stripe::takes_control);
        self.scheduler.pick_for_control(&self.candidates)
    }
}

/// As the scheduler sees a stripe. No stripe is hoped to be faster than the `best` is known to be.
#[inline]
fn candidate(stripe: &Stripe, writable: bool, best: Option<Rate>, now: Instant) -> Candidate {
    Candidate {
        stripe: stripe.id(),
        writable,
        min_rtt: stripe.rtt().min().map(|rtt| rtt.as_micros() as u64),
        rate: stripe.rate_now(now).map(|rate| best.map_or(rate, |best| rate.min(best))),
        in_flight: stripe.on_the_way(now),
        unwritten: stripe.unwritten(),
        chunk: stripe.chunk() as u64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, SchedulerKind};

    /// The stripes that may be chosen, of some that are doubted and some that have been measured.
    fn chosen(kinds: &[(bool, bool)], beside: Option<u64>) -> Vec<u64> {
        let mut stripes = Stripes::default();
        for (id, (doubted, measured)) in (0..).zip(kinds) {
            let mut stripe = Stripe::new(StripeId(id), 0, Instant::ZERO);
            if *measured {
                stripe.rtt_mut().sample(core::time::Duration::from_millis(9), Instant::ZERO);
            }
            if *doubted {
                stripe.doubt();
            }
            stripes.add(stripe);
        }
        let mut choice = Choice::new(Scheduler::new(SchedulerKind::Earliest));
        let turns = Turns::new(&Config::default());
        let at = At { now: Instant::ZERO, turns: &turns };
        choice.gather(&stripes, beside.map(StripeId), at, |_| true);
        choice.candidates().iter().map(|candidate| candidate.stripe.0).collect()
    }

    #[test]
    fn doubted_and_new_stripes_may_be_chosen_only_if_there_is_no_other() {
        let (fine, new, doubted) = ((false, true), (false, false), (true, true));
        assert_eq!(chosen(&[doubted, new, fine, fine], None), [2, 3]);
        assert_eq!(chosen(&[doubted, new, new], None), [1, 2]);
        assert_eq!(chosen(&[doubted, doubted], None), [0, 1]);
        assert_eq!(chosen(&[fine, fine], Some(0)), [1], "beside another");
    }
}
