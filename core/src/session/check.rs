//! The invariants, written down as code.

use super::Session;
use crate::flow::send::SendState;
use crate::flow::{ClosingFrame, Delivery};
use crate::id::FlowId;
use crate::intents::Intent;
use crate::stripe::{Stripe, Token};
use crate::timers::Timer;
use alloc::vec::Vec;

impl Session {
    /// Panics with a description if an invariant of the engine does not hold. Slow; for
    /// simulations.
    pub fn check_invariants(&self) {
        if self.life == super::Life::Ended {
            assert!(self.timers.next().is_none(), "an ended session waits for nothing");
            return;
        }
        self.check_quiescence();
        self.check_custody();
        self.check_control();
        // I4 and I6.
        self.flows.check(&self.config);
        for stripe in self.stripes.iter() {
            assert!(stripe.unwritten() <= stripe.sent(), "more was written than handed over");
        }
    }

    /// I1: a deadline is in the future, and if data waits, something will end the wait.
    fn check_quiescence(&self) {
        if let Some((at, timer)) = self.timers.next() {
            assert!(at > self.now, "{timer:?} is due and was not run");
        }
        let busy = |stripe: &Stripe| stripe.ledger().awaits() || stripe.unwritten() > 0;
        let ending = self.stripes.is_empty() || self.stripes.iter().any(busy);
        for (flow, entry) in self.flows.iter() {
            assert!(
                ending || !entry.send().wants_to_send(),
                "flow {flow} has data, a stripe lives, and nothing will end the wait"
            );
        }
        assert!(
            self.flows.ids().held_back(&self.config).is_none() || self.timers.is_set(Timer::Grant),
            "ids are held back, and nothing will end the wait for them"
        );
        for stripe in self.stripes.iter() {
            let (id, awaits) = (stripe.id(), stripe.ledger().awaits());
            let asked = awaits || stripe.probes().is_asked();
            assert!(!stripe.is_doubted() || asked, "{id} is doubted, and no answer can end that");
            assert!(!awaits || stripe.is_doubted() || self.timers.is_set(Timer::Doubt(id)));
        }
    }

    /// I3: every unacknowledged byte is queued or on a live stripe.
    fn check_custody(&self) {
        // Everything that accounts for bytes of a flow, sorted at once: this runs at every step of
        // a simulation.
        let mut accounted: Vec<(FlowId, u64, u64)> =
            Vec::with_capacity(self.stripes.data_entries() + 16);
        let mut fins: Vec<FlowId> = Vec::new();
        let mut entries = 0;
        for entry in self.stripes.iter().flat_map(|stripe| stripe.ledger().iter()) {
            if let Token::Data { flow, offset, len, fin, requeued } = entry.token {
                entries += 1;
                if !requeued {
                    accounted.push((flow, offset, offset + len));
                    fins.extend(fin.then_some(flow));
                }
            }
        }
        assert_eq!(entries, self.stripes.data_entries(), "the count of DATA frames on stripes");
        for (flow, entry) in self.flows.iter() {
            let elsewhere = entry.send().buffer().not_carried();
            accounted.extend(elsewhere.map(|range| (flow, range.start, range.end)));
        }
        accounted.sort_unstable();
        let mut rest = accounted.iter().peekable();
        for (flow, entry) in self.flows.iter() {
            let sent = entry.send().buffer().sent();
            let mut reach = sent.start;
            while rest.peek().is_some_and(|(other, ..)| *other < flow) {
                rest.next();
            }
            while let Some((_, start, end)) = rest.next_if(|(other, ..)| *other == flow) {
                assert!(
                    *end <= sent.end,
                    "bytes up to {end} of flow {flow} are accounted for, {sent:?} was sent"
                );
                if *start > reach {
                    break;
                }
                reach = reach.max(*end);
            }
            assert!(
                reach >= sent.end,
                "bytes from {reach} on of flow {flow} are in nobody's custody"
            );
            assert!(
                entry.send().state() != SendState::FinSent || fins.contains(&flow),
                "the FIN of flow {flow} is on no stripe"
            );
        }
    }

    /// I3 for control: each frame that must arrive is owed or on a live stripe.
    fn check_control(&self) {
        let on_stripe = |intent: Intent| {
            let mut entries = self.stripes.iter().flat_map(|stripe| stripe.ledger().iter());
            self.control.owes(intent) || entries.any(|entry| entry.token == Token::Control(intent))
        };
        for (flow, entry) in self.flows.iter() {
            let closing = entry.closing().map(|(kind, delivery)| match kind {
                ClosingFrame::Reset(..) => (delivery, Intent::Reset(flow)),
                ClosingFrame::Refuse(_) => (delivery, Intent::Refuse(flow)),
            });
            let (open, accept) = entry.openings();
            let owed = [(open, Intent::Open(flow)), (accept, Intent::Accept(flow))];
            for (delivery, intent) in owed.into_iter().chain(closing) {
                assert!(
                    delivery == Delivery::Done || on_stripe(intent),
                    "{intent:?} is in nobody's custody"
                );
            }
        }
        for (stripe, _) in self.stripes.unconfirmed() {
            assert!(
                on_stripe(Intent::Gone(stripe)),
                "the end of stripe {stripe} is in nobody's custody"
            );
        }
    }
}
