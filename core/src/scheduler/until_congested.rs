//! Until congested, the original's mode: stay on a stripe until it takes no more, then switch to
//! the next that does.

use super::{Candidate, Choose, round_robin};
use crate::id::StripeId;

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct UntilCongested {
    last: Option<StripeId>,
}

impl Choose for UntilCongested {
    fn pick(&mut self, candidates: &[Candidate], _len: u64, _backlog: u64) -> Option<StripeId> {
        let choice = pick(candidates, self.last)?;
        self.last = Some(choice);
        self.last
    }
}

/// `last` while it is writable, then the next in a circle.
fn pick(candidates: &[Candidate], last: Option<StripeId>) -> Option<StripeId> {
    let stays =
        candidates.iter().find(|candidate| Some(candidate.stripe) == last && candidate.writable);
    stays.map(|candidate| candidate.stripe).or_else(|| round_robin::pick(candidates, last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SchedulerKind;
    use crate::scheduler::Scheduler;
    use crate::scheduler::tests::candidate;

    #[test]
    fn it_stays_while_the_stripe_takes_more_and_then_goes_on_in_a_circle() {
        let mut scheduler = Scheduler::new(SchedulerKind::UntilCongested);
        let mut stripes = [1, 4, 9].map(candidate);
        let mut pick = |stripes: &[Candidate]| scheduler.pick(stripes, 1, 1).map(|stripe| stripe.0);
        (0..5).for_each(|_| assert_eq!(pick(&stripes), Some(1)));
        stripes[0].writable = false;
        (0..5).for_each(|_| assert_eq!(pick(&stripes), Some(4)));
        stripes[0].writable = true;
        (0..5).for_each(|_| assert_eq!(pick(&stripes), Some(4), "it does not go back"));
        stripes[1].writable = false;
        assert_eq!(pick(&stripes), Some(9));
        stripes[2].writable = false;
        assert_eq!(pick(&stripes), Some(1));
        stripes[0].writable = false;
        assert_eq!(pick(&stripes), None);
    }
}
