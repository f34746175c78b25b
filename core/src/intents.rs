//! Control that is owed to the peer: what to say, not how it was last said. Each is looked up when
//! its frame is made, so that a repetition says the latest.

use crate::id::{FlowId, StripeId};
use alloc::collections::BTreeSet;

/// Something the peer must be told. In the order in which they are sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Intent {
    /// A stripe of ours is gone.
    Gone(StripeId),
    /// How much of a stripe has been processed.
    Acknowledge(StripeId),
    /// How many flows the peer may open, and its early credit.
    Grant,
    /// How far the peer may send on a flow.
    Credit(FlowId),
    /// That our credit for a flow is used up.
    Blocked(FlowId),
    /// A flow that we open.
    Open(FlowId),
    /// A flow that we accept.
    Accept(FlowId),
    /// A flow that we refuse.
    Refuse(FlowId),
    /// A flow that we reset.
    Reset(FlowId),
    /// No more flows.
    Drain,
}

impl Intent {
    /// Whether the peer should acknowledge it soon. Acknowledgements and credit don't ask for it,
    /// or two idle peers would never fall silent.
    pub fn eliciting(self) -> bool {
        !matches!(self, Intent::Acknowledge(_) | Intent::Credit(_) | Intent::Blocked(_))
    }
}

/// What is owed.
#[derive(Clone, Hash, Debug, Default)]
pub(crate) struct Intents {
    owed: BTreeSet<Intent>,
}

impl Intents {
    /// This is owed.
    pub fn add(&mut self, intent: Intent) {
        self.owed.insert(intent);
    }

    /// This is owed no longer.
    pub fn remove(&mut self, intent: Intent) {
        self.owed.remove(&intent);
    }

    /// Whether this is owed.
    pub fn contains(&self, intent: Intent) -> bool {
        self.owed.contains(&intent)
    }

    /// The first that is owed.
    pub fn first(&self) -> Option<Intent> {
        self.owed.first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_is_owed_once_and_comes_in_a_fixed_order() {
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
    fn resets_of_several_flows_are_owed_side_by_side() {
        let mut intents = Intents::default();
        (1..4).for_each(|flow| intents.add(Intent::Reset(FlowId(flow))));
        assert!((1..4).all(|flow| intents.contains(Intent::Reset(FlowId(flow)))));
    }

    #[test]
    fn acknowledgements_credit_and_hints_ask_for_no_acknowledgement_and_all_else_does() {
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
