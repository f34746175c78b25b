//! The peer must be told more than data: this keeps the control that is owed, says it, and repeats
//! some of it on a second stripe.
//!
//! An [`Intent`] says what to tell, not how it was last said. Its frame is made when it is sent, so
//! that a repetition says the latest.

use super::carriers::Carriers;
use super::flows::Flows;
use crate::buggify::{Site, Turns};
use crate::flow::{ClosingFrame, Delivery, Flow};
use crate::id::{FlowId, StripeId};
use crate::intents::{Intent, Intents};
use crate::io::Output;
use crate::stripe::table::Stripes;
use crate::stripe::{Stripe, Token};
use crate::time::Instant;
use crate::timers::{Timer, Timers};
use crate::wire::frame::{Frame, MAX_ACKS};
use alloc::vec::Vec;
use bytes::Bytes;
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// Bounds of the time after which acknowledgements and credit are repeated on a second stripe; in
/// between, a round trip.
const REPEAT: core::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_millis(500);

#[derive(Clone, Debug, Default)]
pub(super) struct Control {
    intents: Intents,
    /// The stripe that carried the latest of what is to be repeated: the repetition avoids it.
    beside: Option<StripeId>,
    /// The time for that has come.
    repeat_due: bool,
    nonce: u64,
}

impl Control {
    pub(super) fn owe(&mut self, intent: Intent) {
        self.intents.add(intent);
    }

    pub(super) fn withdraw(&mut self, intent: Intent) {
        self.intents.remove(intent);
    }

    pub(super) fn owes(&self, intent: Intent) -> bool {
        self.intents.contains(intent)
    }

    pub(super) fn intents_mut(&mut self) -> &mut Intents {
        &mut self.intents
    }

    /// Acknowledgements of all live stripes are owed.
    pub(super) fn owe_acknowledgements(&mut self, stripes: &Stripes) {
        for stripe in stripes.iter().filter(|stripe| stripe.inbound().acker().count() > 0) {
            self.owe(Intent::Acknowledge(stripe.id()));
        }
    }

    pub(super) fn confirm(&mut self, intent: Intent, flows: &mut Flows, stripes: &mut Stripes) {
        match intent {
            Intent::Open(flow) => drop(flows.change(flow, Flow::open_arrived)),
            Intent::Accept(flow) => drop(flows.change(flow, Flow::accept_arrived)),
            Intent::Refuse(flow) | Intent::Reset(flow) => {
                flows.change(flow, Flow::closing_arrived);
            }
            Intent::Gone(stripe) => stripes.confirm_gone(stripe),
            Intent::Acknowledge(_)
            | Intent::Grant
            | Intent::Credit(_)
            | Intent::Blocked(_)
            | Intent::Drain => return,
        }
        self.withdraw(intent);
    }

    /// A frame may have been lost: its intent is owed again, unless the peer has it or it has
    /// become pointless. `draining` says whether the session is.
    pub(super) fn owe_again(
        &mut self,
        intent: Intent,
        flows: &Flows,
        stripes: &Stripes,
        draining: bool,
    ) {
        let pending = |delivery: Delivery| delivery == Delivery::Pending;
        let owed = match intent {
            Intent::Open(id) => flows.get(id).is_some_and(|flow| pending(flow.openings().0)),
            Intent::Accept(id) => flows.get(id).is_some_and(|flow| pending(flow.openings().1)),
            Intent::Refuse(id) => {
                is_closing(flows.get(id), |closing| matches!(closing, ClosingFrame::Refuse(_)))
            }
            Intent::Reset(id) => {
                is_closing(flows.get(id), |closing| matches!(closing, ClosingFrame::Reset(..)))
            }
            Intent::Credit(id) => flows.get(id).is_some_and(|flow| flow.recv().wants_credit()),
            Intent::Gone(id) => stripes.gone(id).is_some_and(|gone| !gone.confirmed),
            Intent::Acknowledge(id) => stripes.is_live(id),
            Intent::Grant => true,
            Intent::Blocked(_) => false,
            Intent::Drain => draining,
        };
        if owed {
            self.owe(intent);
        }
    }

    /// Owes the acknowledgements that are due, and sets the timer for the others. When the time of
    /// one has come, one frame says all that are asked for.
    pub(super) fn collect_acknowledgements(
        &mut self,
        stripes: &Stripes,
        timers: &mut Timers,
        turns: &Turns,
        now: Instant,
    ) {
        let asked = |stripe: &Stripe| stripe.inbound().acker().deadline();
        let eager = |stripe: &Stripe| turns.take(Site::EagerAcknowledgement, stripe.id().0);
        let is_time = |stripe| asked(stripe).is_some_and(|at| at <= now || eager(stripe));
        let time = stripes.iter().any(is_time);
        let mut next = None;
        for stripe in stripes.iter() {
            if stripe.inbound().acker().is_full() || (time && asked(stripe).is_some()) {
                self.owe(Intent::Acknowledge(stripe.id()));
            } else if let Some(at) = asked(stripe) {
                next = Some(next.map_or(at, |other: Instant| other.min(at)));
            }
        }
        if let Some(at) = next {
            timers.arm(Timer::Acknowledge, at);
        }
    }

    pub(super) fn send(&mut self, on: &mut Carriers<'_>) -> bool {
        let before = on.out.len();
        for stripe in
            on.stripes.iter_mut().filter_map(|stripe| stripe.owes_probe().then_some(stripe))
        {
            stripe.send_probes(&mut self.nonce, on.now, on.out);
        }
        while let Some(intent) = self.intents.first() {
            let Some(stripe) = on.control_stripe(None, intent.eliciting()) else { break };
            self.send_intent(intent, stripe, on);
            if matches!(intent, Intent::Credit(_)) {
                self.repeat_later(intent, stripe, on);
            }
        }
        on.out.len() > before
    }

    #[cfg(test)]
    pub(super) fn nonce(&self) -> u64 {
        self.nonce
    }

    pub(super) fn ping(
        &mut self,
        stripe: &mut Stripe,
        nonce: u64,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        self.nonce = nonce;
        stripe.send_ping(nonce, now, out);
    }

    /// Sends one thing that is owed, on this stripe; nothing if it has become pointless.
    fn send_intent(&mut self, intent: Intent, stripe: StripeId, on: &mut Carriers<'_>) {
        self.withdraw(intent);
        let frame = match intent {
            Intent::Acknowledge(_) => return self.send_acknowledgements(intent, stripe, on),
            Intent::Open(flow) => return send_open(flow, stripe, on),
            _ => frame_of(intent, on.flows, on.stripes),
        };
        if let Some(frame) = frame {
            on.say(stripe, &frame, Token::Control(intent), intent.eliciting());
        }
    }

    /// Sends all acknowledgements that are owed in one frame, `first` among them.
    fn send_acknowledgements(&mut self, first: Intent, on_stripe: StripeId, on: &mut Carriers<'_>) {
        let mut counts = Vec::new();
        let mut next = Some(first);
        while let Some(intent @ Intent::Acknowledge(id)) = next {
            self.withdraw(intent);
            if let Some(acknowledged) = on.stripes.get_mut(id) {
                acknowledged.inbound_mut().acker_mut().told();
                counts.push((id, acknowledged.inbound().acker().count()));
            }
            self.repeat_later(intent, on_stripe, on);
            next = self.intents.first().filter(|_| counts.len() < MAX_ACKS);
        }
        if !counts.is_empty() {
            on.say(on_stripe, &Frame::Ack { counts }, Token::Acknowledgements, false);
        }
    }

    /// Notes that a frame on `stripe` is to be repeated on another stripe. If `stripe` dies in this
    /// direction or is slow, the peer should not wait for it.
    fn repeat_later(&mut self, intent: Intent, stripe: StripeId, on: &mut Carriers<'_>) {
        if on.stripes.len() > 1 {
            let rtt = on.stripes.get(stripe).and_then(|stripe| stripe.rtt().smoothed());
            let after = rtt.unwrap_or(*REPEAT.end()).clamp(*REPEAT.start(), *REPEAT.end());
            self.intents.repeat(intent);
            self.beside = Some(stripe);
            on.timers.arm(Timer::Repeat, on.now + after);
        }
    }

    pub(super) fn repeat_now(&mut self) {
        self.repeat_due = true;
    }

    pub(super) fn forget_repeats(&mut self) {
        self.intents.take_repeats();
        self.repeat_due = false;
    }

    /// Repeats on another stripe what was said on one, if the time for that has come.
    pub(super) fn send_repeats(&mut self, on: &mut Carriers<'_>) {
        if !core::mem::take(&mut self.repeat_due) {
            return;
        }
        let Some(stripe) = on.control_stripe(self.beside, false) else {
            // None takes it now. Frames that are still true are said with the next.
            return;
        };
        let mut counts = Vec::new();
        for intent in self.intents.take_repeats() {
            match intent {
                Intent::Acknowledge(id) => {
                    let count = |stripe: &Stripe| (id, stripe.inbound().acker().count());
                    counts.extend(on.stripes.get(id).map(count));
                }
                Intent::Credit(flow)
                    if on.flows.get(flow).is_some_and(|entry| entry.recv().wants_credit()) =>
                {
                    self.send_intent(intent, stripe, on);
                }
                _ => {}
            }
        }
        for counts in counts.chunks(MAX_ACKS) {
            let frame = Frame::Ack { counts: counts.to_vec() };
            on.say(stripe, &frame, Token::Acknowledgements, false);
        }
    }
}

/// The control that is owed and that is to be repeated. See [`crate::Session::fingerprint`].
impl Hash for Control {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.nonce, &self.intents, self.beside, self.repeat_due).hash(hasher);
    }
}

/// Whether a RESET or REFUSE of this kind has still to arrive.
fn is_closing(flow: Option<&Flow>, kind: impl Fn(ClosingFrame) -> bool) -> bool {
    flow.and_then(Flow::closing)
        .is_some_and(|(closing, delivery)| kind(closing) && delivery == Delivery::Pending)
}

/// The frame that says an intent now; nothing if it has become pointless. Acknowledgements and
/// OPENs are put together where they are sent.
pub(super) fn frame_of(intent: Intent, flows: &Flows, stripes: &Stripes) -> Option<Frame> {
    match intent {
        Intent::Acknowledge(_) | Intent::Open(_) => None,
        Intent::Gone(stripe) => {
            let gone = stripes.gone(stripe)?;
            Some(Frame::StripeGone { stripe, received: gone.received })
        }
        Intent::Grant => {
            let (flows, early) = flows.ids().granted();
            Some(Frame::Grant { flows, early })
        }
        Intent::Credit(flow) => {
            let limit = flows.get(flow)?.recv().credit().granted();
            Some(Frame::Credit { flow, limit })
        }
        Intent::Blocked(flow) => {
            Some(Frame::Blocked { flow, limit: flows.get(flow)?.send().limit() })
        }
        Intent::Accept(flow) => Some(Frame::Accept { flow }),
        Intent::Refuse(flow) | Intent::Reset(flow) => match flows.get(flow)?.closing()?.0 {
            ClosingFrame::Reset(reason, final_offset) => {
                Some(Frame::Reset { flow, reason: reason.code(), final_offset })
            }
            ClosingFrame::Refuse(reason) => Some(Frame::Refuse { flow, reason: reason.code() }),
        },
        Intent::Drain => Some(Frame::Drain),
    }
}

fn send_open(flow: FlowId, id: StripeId, on: &mut Carriers<'_>) {
    let (Some(stripe), Some(entry)) = (on.stripes.get(id), on.flows.get(flow)) else { return };
    let max = stripe.chunk().min(entry.send().sendable() as usize);
    // Data that rides along is data: it keeps to the stripe's allowance.
    let takes = stripe.takes_data(max)
        && !stripe.is_full(true)
        && on.stripes.takes_another()
        && !on.turns.take(Site::BareOpen, flow.0);
    let fresh = takes && entry.send().buffer().next() == 0;
    let data = fresh
        .then(|| on.flows.change(flow, |entry| entry.send_mut().take_with_open(max)))
        .flatten()
        .flatten()
        .unwrap_or_default();
    let Some(entry) = on.flows.get(flow) else { return };
    let early = entry.early();
    let credit = entry.recv().credit().granted();
    let frame = Frame::Open { flow, early, credit, opaque: entry.opaque().clone() };
    on.stripes.count_payload(data.len() as u64, false);
    transmit_open(flow, id, &frame, data, on);
}

/// Puts an OPEN on a stripe, and the flow's first bytes with it.
pub(super) fn transmit_open(
    flow: FlowId,
    id: StripeId,
    frame: &Frame,
    data: Bytes,
    on: &mut Carriers<'_>,
) {
    let len = data.len() as u64;
    let open = (Token::Control(Intent::Open(flow)), true);
    if len == 0 {
        on.stripes.transmit(id, frame, data, &[open], on.now, on.out);
    } else {
        let token = Token::Data { flow, offset: 0, len, fin: false, requeued: false };
        on.stripes.transmit(id, frame, data, &[open, (token, true)], on.now, on.out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::flow::Phase;
    use crate::id::Role;

    const FLOW: FlowId = FlowId(1);

    fn flows() -> Flows {
        let role = Role::Server { instance: 1 };
        let mut flows = Flows::new(role, &Config::default(), Instant::ZERO);
        flows.insert(FLOW, Flow::new(Phase::Carried, 0, 1 << 20));
        flows
    }

    #[test]
    fn a_lost_frame_is_owed_again_only_while_it_is_of_use() {
        let (flows, stripes) = (flows(), Stripes::default());
        for (intent, draining, owed) in [
            (Intent::Grant, false, true),
            (Intent::Credit(FLOW), false, true),
            (Intent::Credit(FlowId(3)), false, false),
            (Intent::Accept(FLOW), false, false),
            (Intent::Blocked(FLOW), false, false),
            (Intent::Acknowledge(StripeId(0)), false, false),
            (Intent::Drain, true, true),
            (Intent::Drain, false, false),
        ] {
            let mut control = Control::default();
            control.owe_again(intent, &flows, &stripes, draining);
            assert_eq!(control.owes(intent), owed, "{intent:?}");
        }
    }

    #[test]
    fn a_frame_that_arrived_is_owed_no_more_but_credit_may_have_moved_on() {
        for (intent, stays) in [(Intent::Accept(FLOW), false), (Intent::Credit(FLOW), true)] {
            let (mut control, mut flows) = (Control::default(), flows());
            control.owe(intent);
            control.confirm(intent, &mut flows, &mut Stripes::default());
            assert_eq!(control.owes(intent), stays, "{intent:?}");
        }
    }
}
