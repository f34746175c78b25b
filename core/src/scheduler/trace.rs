//! Choices of a trace that is followed: each frame goes on the stripe that the trace names.

use super::{Candidate, Choose};
use crate::id::StripeId;

/// The stripe that the trace names for the next frame.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trace {
    next: Option<StripeId>,
}

impl Trace {
    /// To choose this stripe, whether it takes more or not: that was part of the choice.
    pub(crate) fn naming(stripe: StripeId) -> Self {
        Trace { next: Some(stripe) }
    }
}

impl Choose for Trace {
    fn pick(&mut self, _: &[Candidate], _len: u64, _backlog: u64) -> Option<StripeId> {
        self.next
    }

    fn pick_for_control(&mut self, _: &[Candidate]) -> Option<StripeId> {
        self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::tests::candidate;

    #[test]
    fn the_named_stripe_is_chosen_in_any_case() {
        let mut trace = Trace::naming(StripeId(4));
        let full = Candidate { writable: false, ..candidate(4) };
        for candidates in [&[candidate(1), full][..], &[]] {
            assert_eq!(trace.pick(candidates, 1, 1), Some(StripeId(4)));
            assert_eq!(trace.pick_for_control(candidates), Some(StripeId(4)));
        }
        assert_eq!(Trace::default().pick(&[candidate(1)], 1, 1), None);
    }
}
