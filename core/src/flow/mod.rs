//! One flow: two independent halves, each bytes, then FIN; or a reset of both.

pub(crate) mod assembler;
pub(crate) mod credit;
pub(crate) mod queue;
pub(crate) mod recv;
pub(crate) mod send;
pub(crate) mod send_buffer;
pub(crate) mod table;

use crate::config::FLOW_FLOOR;
use crate::error::{Reason, Verdict};
use crate::id::FlowId;
use crate::stats::{FlowStats, FlowWait};
use bytes::Bytes;
use core::hash::{Hash, Hasher};
use credit::Credit;
use recv::RecvHalf;
use send::SendHalf;

/// How far a flow has come between the two sides.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Phase {
    /// We opened it; the peer has not accepted it yet.
    Opening,
    /// Frames of it have overtaken its OPEN.
    Early,
    /// The peer opened it; our local side has not accepted it yet.
    Offered,
    Carried,
}

/// Delivery of one frame that must arrive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Delivery {
    /// Owed or on its way.
    Pending,
    Done,
}

/// A frame that ends the flow from our side.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum ClosingFrame {
    Reset(Reason, u64),
    Refuse(Reason),
}

#[derive(Clone, Debug)]
pub(crate) struct Flow {
    phase: Phase,
    opaque: Bytes,
    /// Early credit taken in OPEN; for an early flow, what its data implies so far.
    early: u64,
    open: Delivery,
    accept: Delivery,
    /// RESET or REFUSE from our side. The local side is gone then: it hears nothing any more.
    closing: Option<(ClosingFrame, Delivery)>,
    send: SendHalf,
    recv: RecvHalf,
}

impl Flow {
    /// A flow that owes no frame yet: we may send up to `limit`, the peer up to `window`.
    pub(crate) fn new(phase: Phase, limit: u64, window: u64) -> Self {
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

    /// A flow that we open, with so much early credit; the peer may send up to `window`.
    pub(crate) fn opening(opaque: Bytes, early: u64, window: u64) -> Self {
        let flow = Flow::new(Phase::Opening, FLOW_FLOOR + early, window);
        Flow { opaque, early, open: Delivery::Pending, ..flow }
    }

    pub(crate) fn phase(&self) -> Phase {
        self.phase
    }

    /// Whether frames of it have overtaken its OPEN, so that nobody but us knows of it yet.
    pub(crate) fn is_early(&self) -> bool {
        self.phase == Phase::Early
    }

    pub(crate) fn has_local(&self) -> bool {
        self.closing.is_none() && !self.is_early()
    }

    pub(crate) fn opaque(&self) -> &Bytes {
        &self.opaque
    }

    pub(crate) fn early(&self) -> u64 {
        self.early
    }

    pub(crate) fn closing(&self) -> Option<(ClosingFrame, Delivery)> {
        self.closing
    }

    pub(crate) fn openings(&self) -> (Delivery, Delivery) {
        (self.open, self.accept)
    }

    pub(crate) fn send(&self) -> &SendHalf {
        &self.send
    }

    pub(crate) fn send_mut(&mut self) -> &mut SendHalf {
        &mut self.send
    }

    pub(crate) fn recv(&self) -> &RecvHalf {
        &self.recv
    }

    pub(crate) fn recv_mut(&mut self) -> &mut RecvHalf {
        &mut self.recv
    }

    /// The peer's OPEN has come: it takes so much early credit and gives `credit`.
    pub(crate) fn offer(&mut self, early: u64, credit: u64) {
        self.phase = Phase::Offered;
        self.early = early;
        self.send.raise_limit(credit);
        self.recv.begin_credit(FLOW_FLOOR + early);
    }

    /// The local side accepts it. Whether it was offered, so that ACCEPT is owed.
    pub(crate) fn accept(&mut self) -> bool {
        let offered = self.phase == Phase::Offered && self.has_local();
        if offered {
            self.phase = Phase::Carried;
            self.accept = Delivery::Pending;
        }
        offered
    }

    /// The local side refuses it. Whether it was offered, so that REFUSE is owed.
    pub(crate) fn refuse(&mut self, reason: Reason) -> bool {
        let offered = self.phase == Phase::Offered && self.has_local();
        if offered {
            self.closing = Some((ClosingFrame::Refuse(reason), Delivery::Pending));
            self.send.stop();
            self.recv.discard();
        }
        offered
    }

    /// The peer accepts it. Whether the local side is to be told.
    pub(crate) fn accepted(&mut self) -> bool {
        let news = self.phase == Phase::Opening;
        if news {
            self.phase = Phase::Carried;
        }
        news && self.has_local()
    }

    pub(crate) fn finish(&mut self) {
        if self.has_local() {
            self.send.finish();
        }
    }

    /// Our side ends with a RESET. Data that was handed over is still delivered, unless the peer
    /// wants no more.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.closing =
            Some((ClosingFrame::Reset(reason, self.send.final_offset()), Delivery::Pending));
        self.send.end();
        self.recv.discard();
    }

    /// The peer resets it, having sent up to `final_offset`: it takes no more, and no more comes.
    pub(crate) fn reset_by_peer(&mut self, final_offset: u64) -> Verdict {
        self.send.stop();
        if self.recv.is_open() { self.recv.set_end(final_offset) } else { Ok(()) }
    }

    pub(crate) fn open_arrived(&mut self) {
        self.open = Delivery::Done;
    }

    pub(crate) fn accept_arrived(&mut self) {
        self.accept = Delivery::Done;
    }

    pub(crate) fn closing_arrived(&mut self) {
        if let Some((_, delivery)) = &mut self.closing {
            *delivery = Delivery::Done;
        }
    }

    /// A snapshot.
    pub(crate) fn stats(&self, flow: FlowId) -> FlowStats {
        let (buffer, recv) = (self.send.buffer(), &self.recv);
        let reordering = recv.assembler().held();
        FlowStats {
            flow,
            written: buffer.written(),
            held: buffer.held(),
            credit: self.send.limit().saturating_sub(buffer.next()),
            delivered: recv.delivered(),
            waiting: recv.kept().saturating_sub(reordering),
            reordering,
            sending: self.wait(self.send.wait()),
            receiving: self.wait(recv.wait()),
        }
    }

    /// A program takes and gives nothing before the target has been reached.
    fn wait(&self, wait: FlowWait) -> FlowWait {
        match wait {
            FlowWait::Program | FlowWait::Peer if self.phase != Phase::Carried => FlowWait::Target,
            wait => wait,
        }
    }

    /// Whether nothing more can happen to it.
    pub(crate) fn is_over(&self) -> bool {
        !self.is_early()
            && self.open == Delivery::Done
            && self.accept == Delivery::Done
            && self.closing.is_none_or(|(_, delivery)| delivery == Delivery::Done)
            && self.send.is_done()
            && self.recv.is_done()
    }
}

/// See [`crate::Session::fingerprint`].
impl Hash for Flow {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (&self.phase, self.early, self.open, self.accept, self.closing).hash(hasher);
        self.opaque.hash(hasher);
        self.send.hash(hasher);
        self.recv.hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_flow_says_what_each_of_its_directions_waits_for() {
        let of = |flow: &Flow| {
            let stats = flow.stats(FlowId(1));
            (stats.sending, stats.receiving)
        };
        let data = || Bytes::from_static(&[0; 10]);
        let mut flow = Flow::new(Phase::Opening, 8, FLOW_FLOOR);
        assert_eq!(of(&flow), (FlowWait::Target, FlowWait::Target));
        flow.send.write(data());
        assert_eq!(of(&flow).0, FlowWait::Stripe, "its first bytes need no answer");
        flow.accepted();
        flow.send.take(10);
        assert_eq!(of(&flow), (FlowWait::Credit, FlowWait::Peer), "2 bytes are beyond its credit");
        flow.send.raise_limit(100);
        flow.send.take(10);
        flow.recv.insert(10, data(), false).unwrap();
        assert_eq!(of(&flow), (FlowWait::Program, FlowWait::Order));
        flow.recv.insert(0, data(), true).unwrap_err();
        flow.recv.insert(0, data(), false).unwrap();
        flow.recv.deliver(drop);
        flow.send.finish();
        assert_eq!(of(&flow), (FlowWait::Stripe, FlowWait::Program), "the FIN is to be sent");
        flow.send.take(0);
        assert_eq!(of(&flow).0, FlowWait::Peer);
        let FlowStats { written, held, credit, delivered, waiting, .. } = flow.stats(FlowId(1));
        assert_eq!((written, held, credit, delivered, waiting), (10, 10, 90, 20, 20));
        assert_eq!(of(&over()), (FlowWait::Finished, FlowWait::Finished));
    }

    #[test]
    fn nobody_listens_to_a_flow_that_was_not_offered_or_said_farewell() {
        let closing = Some((ClosingFrame::Refuse(Reason::Aborted), Delivery::Done));
        assert!(over().has_local());
        for deaf in [Flow { phase: Phase::Early, ..over() }, Flow { closing, ..over() }] {
            assert!(!deaf.has_local());
        }
    }
}
