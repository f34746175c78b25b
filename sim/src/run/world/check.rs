//! The oracles that look at sessions from outside, after every input.
//!
//! Across both sides, for every direction of every flow: consumed ≤ delivered ≤ received ≤ sent ≤
//! credit ≤ granted, and acknowledged ≤ delivered. For every stripe: acknowledged ≤ received ≤
//! sent. The work of an input is bounded by the state, never by time: see [`World::check_work`].

use super::World;
use striper_core::testing::FlowView;
use striper_core::{Input, Instant, Output, Session};

/// Outputs that any input may yield, beside those that data and flows account for.
const ANY_WORK: usize = 256;
/// The largest allowance and the reserve for control in the smallest chunks, and acknowledgements.
const STRIPE_WORK: usize = 192;
/// Outputs that each flow may add: ACCEPT, FIN, credit, a word to its program.
const FLOW_WORK: usize = 8;

impl World {
    /// A death sends each of the `outstanding` DATA frames again. Each delivery was a frame, or a
    /// part of one that came alone.
    pub(super) fn check_work(&mut self, outstanding: usize, outputs: &[Output]) {
        let mut others = 0;
        for output in outputs {
            match output {
                Output::FlowData { .. } => self.deliveries += 1,
                Output::Transmit { .. } => {
                    self.pieces += 1;
                    others += 1;
                }
                _ => others += 1,
            }
        }
        let bound = ANY_WORK
            + STRIPE_WORK * (self.present.len() + 1)
            + FLOW_WORK * self.flows.len()
            + outstanding;
        assert!(others <= bound, "one input yields {others} outputs, more than {bound}");
        assert!(self.deliveries <= self.pieces, "more deliveries than pieces that came");
    }

    pub(super) fn check(&self, index: usize, now: Instant) {
        let session = &self.lives[index].end.session;
        session.check_invariants();
        self.check_across(index);
        // On a copy, and not every time, because a copy costs as much as the state is large.
        if self.inputs.is_multiple_of(64) {
            let mut outputs = Vec::new();
            session.clone().handle(now, Input::Tick, &mut outputs);
            assert!(outputs.is_empty(), "a tick before the deadline yields {outputs:?}");
        }
    }

    fn check_across(&self, index: usize) {
        let life = &self.lives[index];
        let peer = |other: &&super::lives::Life| {
            other.side != life.side && other.id == life.id && other.is_alive()
        };
        let mut peers = self.lives.iter().filter(peer);
        // A server that has lost its state has nothing in common with the one that the client
        // knows.
        let (Some(peer), None) = (peers.next(), peers.next()) else { return };
        if life.is_alive() && !self.was_replaced(life.id) {
            check_pair(&life.end.session, &peer.end.session);
        }
    }
}

fn check_pair(one: &Session, other: &Session) {
    for here in one.view_flows() {
        if let Some(there) = other.view_flow(here.flow) {
            check_direction(&here, &there);
            check_direction(&there, &here);
        }
    }
    for here in one.view_stripes() {
        let Some(there) = other.view_stripe(here.stripe) else { continue };
        for (from, to) in [(&here, &there), (&there, &here)] {
            let ordered = from.acknowledged <= to.received
                && to.received <= from.written
                && from.written <= from.sent;
            assert!(ordered, "the order of counts is broken from {from:?} to {to:?}");
        }
    }
}

fn check_direction(from: &FlowView, to: &FlowView) {
    // Bytes that have overtaken their OPEN are kept and delivered later.
    let kept = if to.early { to.received } else { to.delivered };
    let ordered = to.consumed <= to.delivered
        && to.delivered <= to.received
        && to.received <= from.sent
        && from.sent <= from.credit
        && (to.early || !to.receiving || from.credit <= to.granted)
        && (!to.receiving || from.acknowledged <= kept);
    assert!(ordered, "the order of offsets is broken from {from:?} to {to:?}");
}
