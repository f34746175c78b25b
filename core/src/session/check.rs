//! The invariants, written down as code.

use super::Session;
use super::sums::Weight;
use crate::config::FLOW_FLOOR;
use crate::flow::send::SendState;
use crate::flow::{ClosingFrame, Delivery};
use crate::id::FlowId;
use crate::intents::Intent;
use crate::stripe::Token;
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
        self.check_limits();
    }

    /// I1: a deadline is in the future, and if data waits, something will end the wait.
    fn check_quiescence(&self) {
        if let Some((at, timer)) = self.timers.next() {
            assert!(at > self.now, "{timer:?} is due and was not run");
        }
        assert!(self.over.is_empty(), "flows that are over have been forgotten");
        let ending = self.stripes.live.is_empty()
            || self
                .stripes
                .live
                .values()
                .any(|stripe| stripe.ledger.awaits() || stripe.unwritten() > 0);
        for (flow, entry) in &self.flows.flows {
            if entry.send.wants_to_send() {
                assert!(self.queue.contains(*flow), "flow {flow} has data and is not queued");
                assert!(
                    ending,
                    "flow {flow} has data, a stripe lives, and nothing will end the wait"
                );
            }
        }
        assert!(
            self.flows.held_back(&self.config).is_none() || self.timers.is_set(Timer::Grant),
            "ids are held back, and nothing will end the wait for them"
        );
        for stripe in self.stripes.live.values() {
            let asked = stripe.ledger.awaits() || stripe.ping_owed || stripe.ping.is_some();
            assert!(
                !stripe.doubted || asked,
                "{} is doubted, and no answer can end that",
                stripe.id
            );
            assert!(
                !stripe.ledger.awaits()
                    || stripe.doubted
                    || self.timers.is_set(Timer::Doubt(stripe.id))
            );
        }
    }

    /// I3: every unacknowledged byte is queued or on a live stripe.
    fn check_custody(&self) {
        // Everything that accounts for bytes of a flow, sorted at once: this runs at every step of
        // a simulation.
        let mut accounted: Vec<(FlowId, u64, u64)> = Vec::with_capacity(self.data_entries + 16);
        let mut fins: Vec<FlowId> = Vec::new();
        let mut entries = 0;
        for stripe in self.stripes.live.values() {
            for entry in stripe.ledger.iter() {
                if let Token::Data { flow, offset, len, fin, requeued } = entry.token {
                    entries += 1;
                    if !requeued {
                        accounted.push((flow, offset, offset + len));
                        fins.extend(fin.then_some(flow));
                    }
                }
            }
        }
        assert_eq!(entries, self.data_entries, "the count of DATA frames on stripes");
        for (flow, entry) in &self.flows.flows {
            let elsewhere = entry.send.buffer.not_carried();
            accounted.extend(elsewhere.map(|range| (*flow, range.start, range.end)));
        }
        accounted.sort_unstable();
        let mut rest = accounted.iter().peekable();
        for (flow, entry) in &self.flows.flows {
            let sent = entry.send.buffer.sent();
            let mut reach = sent.start;
            while rest.peek().is_some_and(|(other, ..)| other < flow) {
                rest.next();
            }
            while let Some((_, start, end)) = rest.next_if(|(other, ..)| other == flow) {
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
                entry.send.state != SendState::FinSent || fins.contains(flow),
                "the FIN of flow {flow} is on no stripe"
            );
        }
    }

    /// I3 for control: each frame that must arrive is owed or on a live stripe.
    fn check_control(&self) {
        let on_stripe = |intent: Intent| {
            let mut entries = self.stripes.live.values().flat_map(|stripe| stripe.ledger.iter());
            self.intents.contains(intent)
                || entries.any(|entry| entry.token == Token::Control(intent))
        };
        for (flow, entry) in &self.flows.flows {
            let closing = entry.closing.map(|(kind, delivery)| match kind {
                ClosingFrame::Reset(..) => (delivery, Intent::Reset(*flow)),
                ClosingFrame::Refuse(_) => (delivery, Intent::Refuse(*flow)),
            });
            let owed = [(entry.open, Intent::Open(*flow)), (entry.accept, Intent::Accept(*flow))];
            for (delivery, intent) in owed.into_iter().chain(closing) {
                assert!(
                    delivery == Delivery::Done || on_stripe(intent),
                    "{intent:?} is in nobody's custody"
                );
            }
        }
        for (stripe, gone) in &self.stripes.gone {
            assert!(
                gone.confirmed || on_stripe(Intent::Gone(*stripe)),
                "the end of stripe {stripe} is in nobody's custody"
            );
        }
    }

    /// I4 and I6: sums are right, credit and memory are within their limits.
    fn check_limits(&self) {
        self.flows.check();
        let mut sum = Weight::default();
        for (flow, entry) in &self.flows.flows {
            let weight = Weight::of(entry);
            assert!(entry.recv.credit.consumed() <= entry.recv.assembler.next());
            assert!(entry.recv.assembler.end() <= entry.recv.credit.granted());
            assert!(
                entry.send.buffer.next() <= entry.send.limit,
                "flow {flow} has exceeded its credit"
            );
            sum.charge += weight.charge;
            sum.held += weight.held;
            sum.backlog += weight.backlog;
            sum.pieces += weight.pieces;
            sum.reordering += weight.reordering;
            sum.kept += weight.kept;
        }
        assert_eq!(
            (sum.charge, sum.held, sum.backlog, sum.pieces, sum.reordering, sum.kept),
            (self.charged, self.held, self.backlog, self.pieces, self.totals.reordering, self.kept),
            "sums over flows"
        );
        let half = self.config.memory_limit / 2;
        assert!(self.receive_used() <= half, "credit beyond the memory limit");
        assert!(self.held <= half + FLOW_FLOOR, "local data beyond the memory limit");
        for stripe in self.stripes.live.values() {
            assert!(stripe.written <= stripe.sent);
        }
    }
}
