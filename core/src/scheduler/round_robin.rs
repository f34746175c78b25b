//! Round robin: each piece goes to the next stripe that takes one.

use super::{Candidate, Choose};
use crate::id::StripeId;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct RoundRobin {
    last: Option<StripeId>,
}

impl Choose for RoundRobin {
    fn pick(&mut self, candidates: &[Candidate], _len: u64, _backlog: u64) -> Option<StripeId> {
        let choice = pick(candidates, self.last)?;
        self.last = Some(choice);
        self.last
    }
}

/// The first writable stripe after `last`, in a circle.
pub(super) fn pick(candidates: &[Candidate], last: Option<StripeId>) -> Option<StripeId> {
    let mut writable =
        candidates.iter().filter(|candidate| candidate.writable).map(|candidate| candidate.stripe);
    let first = writable.next()?;
    let Some(last) = last.filter(|last| *last >= first) else { return Some(first) };
    let next = writable.find(|stripe| *stripe > last);
    Some(next.unwrap_or(first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SchedulerKind;
    use crate::scheduler::Scheduler;
    use crate::scheduler::tests::{candidate, ids};
    use alloc::vec::Vec;

    #[test]
    fn each_piece_goes_to_the_next_stripe_in_a_circle() {
        let mut scheduler = Scheduler::new(SchedulerKind::RoundRobin);
        let stripes = [1, 4, 9].map(candidate);
        let picks: Vec<_> = (0..7).map(|_| scheduler.pick(&stripes, 1, 1)).collect();
        assert_eq!(picks, ids([1, 4, 9, 1, 4, 9, 1]));
    }

    #[test]
    fn stripes_that_take_nothing_and_stripes_that_are_gone_are_passed_over() {
        let full = Candidate { writable: false, ..candidate(4) };
        assert_eq!(pick(&[candidate(1), full, candidate(9)], Some(StripeId(1))), Some(StripeId(9)));
        assert_eq!(pick(&[candidate(1), candidate(9)], Some(StripeId(4))), Some(StripeId(9)));
        assert_eq!(pick(&[candidate(1), candidate(4)], Some(StripeId(9))), Some(StripeId(1)));
        assert_eq!(pick(&[full], Some(StripeId(1))), None);
        assert_eq!(pick(&[], None), None);
    }
}
