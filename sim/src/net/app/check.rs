//! The oracles of a session's words to a program.
//!
//! Bytes come in order and equal the pattern. A FIN comes once, after the last byte. Nothing comes
//! after a reset or the end. No reset comes without a cause, and bytes that were given before a
//! peer's reset are delivered before it.

use super::{EndState, Flow, pattern};
use crate::base::Side;
use striper_core::Reason;

impl Flow {
    pub fn accepted(&mut self, side: Side, now: u64) {
        self.assert_open(side, "ACCEPT");
        assert_eq!(side, self.plan.opener, "only an opener hears of acceptance");
        let end = self.end_mut(side);
        assert_eq!(end.accepted_at.replace(now), None, "accepted once");
    }

    pub fn deliver(&mut self, side: Side, data: &[u8], now: u64) {
        self.assert_open(side, "data");
        let pattern = pattern(self.index, side.other().index());
        let sent = self.end(side.other()).given;
        let end = self.end_mut(side);
        assert!(!data.is_empty(), "an empty piece of data");
        assert!(!end.got_fin, "data after FIN");
        assert!(end.delivered + data.len() as u64 <= sent, "more bytes came than were sent");
        assert!(
            pattern.matches(end.delivered, data),
            "bytes from {} on differ from what was sent",
            end.delivered
        );
        end.delivered += data.len() as u64;
        end.last_byte_at = now;
    }

    pub fn finish(&mut self, side: Side, now: u64) {
        self.assert_open(side, "FIN");
        let (finished, given) = (self.end(side.other()).finished, self.end(side.other()).given);
        let end = self.end_mut(side);
        assert!(!end.got_fin, "a second FIN");
        assert!(finished, "a FIN that nobody sent");
        assert_eq!(end.delivered, given, "a FIN before the last byte");
        end.got_fin = true;
        end.fin_at = Some(now);
    }

    pub fn reset(&mut self, side: Side, reason: Reason, now: u64) {
        if self.end(side).state == EndState::ResetHere {
            // Both sides broke it off, or the session ended: no harm.
            return;
        }
        self.assert_open(side, "a reset");
        let peer = self.end(side.other()).clone();
        let reader = self.plan.reads[side.index()];
        let jumped = self.jumped[side.index()];
        let stops =
            (reader.stop_after.is_some() || reader.burst.is_some()) && !self.eager || jumped;
        let end = self.end_mut(side);
        end.ended_at = Some(now);
        if reason == Reason::SessionLost {
            end.state = EndState::Lost;
            return;
        }
        assert_eq!(peer.state, EndState::ResetHere, "a reset ({reason:?}) that nobody sent");
        if !stops {
            assert_eq!(
                end.delivered, peer.given,
                "a reset before the bytes that were given before it"
            );
        }
        end.state = EndState::PeerReset(reason);
    }

    /// A `draining` session refuses flows that it has not shown to its program.
    pub fn refused(&mut self, side: Side, reason: Reason, draining: bool, now: u64) {
        if self.end(side).state == EndState::ResetHere {
            return;
        }
        self.assert_open(side, "a refusal");
        let peer = self.end(side.other()).state;
        let unseen = draining && peer == EndState::NotYet && reason == Reason::Unavailable;
        assert!(
            unseen || peer == EndState::Refused(reason),
            "a refusal ({reason:?}) that nobody sent: {peer:?}"
        );
        let end = self.end_mut(side);
        end.state = EndState::Refused(reason);
        end.ended_at = Some(now);
    }

    pub fn ended(&mut self, side: Side, now: u64) {
        let finished = self.end(side).finished;
        let end = self.end_mut(side);
        assert!(!end.ended_said, "a flow ends twice");
        end.ended_said = true;
        match end.state {
            EndState::ResetHere | EndState::Refused(_) => {}
            EndState::Open => {
                assert!(end.got_fin && finished, "a flow ends before both FINs");
                end.state = EndState::Ended;
                end.ended_at = Some(now);
            }
            other => panic!("a flow that is {other:?} ends"),
        }
    }

    fn assert_open(&self, side: Side, what: &str) {
        let state = self.end(side).state;
        assert_eq!(
            state,
            EndState::Open,
            "{what} for flow {} at the {side:?}, which is {state:?}",
            self.index
        );
    }
}
