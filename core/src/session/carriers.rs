//! The parts that whatever is sent needs, lent by the door for one input.

use super::choice::{At, Choice};
use super::flows::Flows;
use crate::buggify::Turns;
use crate::id::StripeId;
use crate::io::Output;
use crate::stripe::Token;
use crate::stripe::table::Stripes;
use crate::time::Instant;
use crate::timers::Timers;
use crate::wire::frame::Frame;
use alloc::vec::Vec;
use bytes::Bytes;

/// The means of sending: flows to send from, stripes to choose from, and timers to set.
pub(super) struct Carriers<'a> {
    pub flows: &'a mut Flows,
    pub stripes: &'a mut Stripes,
    pub choice: &'a mut Choice,
    pub timers: &'a mut Timers,
    pub turns: &'a mut Turns,
    pub now: Instant,
    pub out: &'a mut Vec<Output>,
}

impl Carriers<'_> {
    pub(super) fn control_stripe(
        &mut self,
        beside: Option<StripeId>,
        eliciting: bool,
    ) -> Option<StripeId> {
        let at = At { now: self.now, turns: self.turns };
        self.choice.for_control(self.stripes, beside, eliciting, at)
    }

    pub(super) fn put(
        &mut self,
        stripe: StripeId,
        frame: &Frame,
        payload: Bytes,
        token: (Token, bool),
    ) {
        self.stripes.transmit(stripe, frame, payload, &[token], self.now, self.out);
    }

    pub(super) fn say(&mut self, stripe: StripeId, frame: &Frame, token: Token, eliciting: bool) {
        self.put(stripe, frame, Bytes::new(), (token, eliciting));
    }
}
