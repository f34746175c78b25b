//! Control that is owed to the peer: what to say, not how it was last said. Each is looked up when
//! its frame is made, so that a repetition says the latest.

use crate::id::{FlowId, StripeId};
use alloc::collections::BTreeSet;

/// Something the peer must be told. In the order in which they are sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Intent {
    Gone(StripeId),
    /// How much of a stripe has been processed.
    Acknowledge(StripeId),
    /// How many flows the peer may open, and its early credit.
    Grant,
    /// How far the peer may send on a flow.
    Credit(FlowId),
    /// That our credit for a flow is used up.
    Blocked(FlowId),
    Open(FlowId),
    Accept(FlowId),
    Refuse(FlowId),
    Reset(FlowId),
    Drain,
}

impl Intent {
    /// Whether the peer should acknowledge it soon. Acknowledgements and credit don't ask for it,
    /// or two idle peers would never fall silent.
    pub(crate) fn eliciting(self) -> bool {
        !matches!(self, Intent::Acknowledge(_) | Intent::Credit(_) | Intent::Blocked(_))
    }
}

/// The intents that are owed, and those to be said once more elsewhere.
#[derive(Clone, Hash, Debug, Default)]
pub(crate) struct Intents {
    owed: BTreeSet<Intent>,
    repeats: BTreeSet<Intent>,
}

impl Intents {
    pub(crate) fn add(&mut self, intent: Intent) {
        self.owed.insert(intent);
    }

    pub(crate) fn remove(&mut self, intent: Intent) {
        self.owed.remove(&intent);
    }

    pub(crate) fn contains(&self, intent: Intent) -> bool {
        self.owed.contains(&intent)
    }

    pub(crate) fn first(&self) -> Option<Intent> {
        self.owed.first().copied()
    }

    /// This was said, and is to be said once more elsewhere.
    pub(crate) fn repeat(&mut self, intent: Intent) {
        self.repeats.insert(intent);
    }

    /// The intents to be said once more, which are then forgotten.
    pub(crate) fn take_repeats(&mut self) -> BTreeSet<Intent> {
        core::mem::take(&mut self.repeats)
    }

    /// Nothing is said of a flow any more.
    pub(crate) fn forget_flow(&mut self, flow: FlowId) {
        self.repeats.remove(&Intent::Credit(flow));
        let all: [fn(FlowId) -> Intent; 6] = [
            Intent::Credit,
            Intent::Blocked,
            Intent::Open,
            Intent::Accept,
            Intent::Refuse,
            Intent::Reset,
        ];
        all.iter().for_each(|intent| self.remove(intent(flow)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_owed_once_and_comes_in_a_fixed_order() {
        let (credit, reset) = (Intent::Credit(FlowId(4)), Intent::Reset(FlowId(1)));
        let mut intents = Intents::default();
        assert_eq!(intents.first(), None);
        for intent in [Intent::Drain, reset, credit, credit] {
            intents.add(intent);
            assert!(intents.contains(intent));
        }
        for intent in [credit, reset, Intent::Drain] {
            assert_eq!(intents.first(), Some(intent));
            intents.remove(intent);
            assert!(!intents.contains(intent));
        }
        assert_eq!(intents.first(), None);
    }

    #[test]
    fn nothing_is_said_of_a_flow_that_is_gone() {
        let (flow, other) = (FlowId(1), Intent::Credit(FlowId(3)));
        let mut intents = Intents::default();
        let of_flow = [Intent::Credit(flow), Intent::Reset(flow), Intent::Blocked(flow)];
        of_flow.iter().chain([&other]).for_each(|intent| intents.add(*intent));
        of_flow.iter().chain([&other]).for_each(|intent| intents.repeat(*intent));
        intents.forget_flow(flow);
        assert!(!of_flow.iter().any(|intent| intents.contains(*intent)));
        let repeats = intents.take_repeats();
        assert!(intents.contains(other) && !repeats.contains(&of_flow[0]));
        assert!(repeats.contains(&other) && intents.take_repeats().is_empty());
    }

    #[test]
    fn resets_of_several_flows_are_owed_side_by_side() {
        let mut intents = Intents::default();
        (1..4).for_each(|flow| intents.add(Intent::Reset(FlowId(flow))));
        assert!((1..4).all(|flow| intents.contains(Intent::Reset(FlowId(flow)))));
    }

    #[test]
    fn acknowledgements_credit_and_hints_ask_for_no_acknowledgement() {
        let (flow, stripe) = (FlowId(1), StripeId(1));
        for quiet in [Intent::Acknowledge(stripe), Intent::Credit(flow), Intent::Blocked(flow)] {
            assert!(!quiet.eliciting(), "{quiet:?}");
        }
        for asking in [
            Intent::Gone(stripe),
            Intent::Grant,
            Intent::Open(flow),
            Intent::Reset(flow),
            Intent::Drain,
        ] {
            assert!(asking.eliciting(), "{asking:?}");
        }
    }
}
