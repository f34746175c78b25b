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
