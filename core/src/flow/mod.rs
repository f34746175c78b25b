//! One flow: two independent halves, each bytes, then FIN; or a reset of both.

pub(crate) mod assembler;
pub(crate) mod credit;
pub(crate) mod queue;
pub(crate) mod recv;
pub(crate) mod send;
pub(crate) mod send_buffer;
pub(crate) mod table;

use crate::error::Reason;
use bytes::Bytes;
use core::hash::{Hash, Hasher};
use credit::Credit;
use recv::RecvHalf;
use send::SendHalf;

/// How far a flow has come between the two sides.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Phase {
    /// We opened it; the peer has not accepted it yet.
    Opening,
    /// Frames of it have overtaken its OPEN.
    Early,
    /// The peer opened it; our local side has not accepted it yet.
    Offered,
    /// Accepted.
    Carried,
}

/// Delivery of one frame that must arrive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Delivery {
    /// Owed or on its way.
    Pending,
    /// Acknowledged.
    Done,
}

/// A frame that ends the flow from our side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum ClosingFrame {
    /// RESET with reason and final offset.
    Reset(Reason, u64),
    /// REFUSE with reason.
    Refuse(Reason),
}

/// A flow that exists.
#[derive(Clone, Debug)]
pub(crate) struct Flow {
    pub phase: Phase,
    /// What OPEN carries, for the side that opened.
    pub opaque: Bytes,
    /// Early credit taken in OPEN; for an early flow, what its data implies so far.
    pub early: u64,
    /// OPEN, for the side that opened it.
    pub open: Delivery,
    /// ACCEPT, for the side that accepts it.
    pub accept: Delivery,
    /// RESET or REFUSE from our side. The local side is gone then: it hears nothing any more.
    pub closing: Option<(ClosingFrame, Delivery)>,
    pub send: SendHalf,
    pub recv: RecvHalf,
}

impl Flow {
    /// A flow that owes no frame yet: we may send up to `limit`, the peer up to `window`.
    pub fn new(phase: Phase, limit: u64, window: u64) -> Self {
        Flow {
            phase,
            opaque: Bytes::new(),
            early: 0,
            open: Delivery::Done,
            accept: Delivery::Done,
            closing: None,
            send: SendHalf::new(limit),
            recv: RecvHalf::new(Credit::new(window)),
        }
    }

    /// Whether the local side still listens.
    pub fn has_local(&self) -> bool {
        self.closing.is_none() && self.phase != Phase::Early
    }

    /// See [`crate::Session::fingerprint`].
    pub fn fingerprint(&self, hasher: &mut impl Hasher) {
        (&self.phase, self.early, self.open, self.accept, self.closing).hash(hasher);
        self.opaque.hash(hasher);
        self.send.fingerprint(hasher);
        self.recv.fingerprint(hasher);
    }

    /// Whether nothing more can happen to it.
    pub fn is_over(&self) -> bool {
        self.phase != Phase::Early
            && self.open == Delivery::Done
            && self.accept == Delivery::Done
            && self.closing.is_none_or(|(_, delivery)| delivery == Delivery::Done)
            && self.send.is_done()
            && self.recv.is_done()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::FLOW_FLOOR;

    /// A flow with which all is over.
    fn over() -> Flow {
        let mut flow = Flow::new(Phase::Carried, 0, FLOW_FLOOR);
        flow.send.stop();
        flow.recv.discard();
        flow
    }

    #[test]
    fn a_flow_is_over_when_both_halves_are_done_and_all_that_must_arrive_has() {
        let closing = |delivery| Some((ClosingFrame::Refuse(Reason::Aborted), delivery));
        assert!(over().is_over());
        assert!(Flow { closing: closing(Delivery::Done), ..over() }.is_over());
        for more in [
            Flow { phase: Phase::Early, ..over() },
            Flow { open: Delivery::Pending, ..over() },
            Flow { accept: Delivery::Pending, ..over() },
            Flow { closing: closing(Delivery::Pending), ..over() },
            Flow { send: SendHalf::new(0), ..over() },
            Flow { recv: RecvHalf::new(Credit::new(FLOW_FLOOR)), ..over() },
        ] {
            assert!(!more.is_over(), "{more:?}");
        }
    }

    #[test]
    fn nobody_listens_to_a_flow_that_was_not_offered_or_said_farewell() {
        assert!(over().has_local());
        assert!(!Flow { phase: Phase::Early, ..over() }.has_local());
        let closing = Some((ClosingFrame::Refuse(Reason::Aborted), Delivery::Done));
        assert!(!Flow { closing, ..over() }.has_local());
    }
}
