//! The receiving half of a flow.
//!
//! ```text
//!   Open ──all up to FIN delivered──▶ Finished ──all consumed──▶ done
//!     │ (FIN or RESET seen: `end` known)
//!     └──local reset or refusal──▶ Discarding, done
//! ```

use crate::config::FLOW_FLOOR;
use crate::error::{Reason, Verdict, Violation};
use crate::flow::assembler::Assembler;
use crate::flow::credit::{Credit, Measure};
use crate::stats::FlowWait;
use bytes::Bytes;
use core::hash::{Hash, Hasher};

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum RecvState {
    Open,
    Finished,
    Discarding,
}

#[derive(Clone, Debug)]
pub(crate) struct RecvHalf {
    assembler: Assembler,
    credit: Credit,
    state: RecvState,
    /// Where the direction ends, once FIN or RESET has said so.
    end: Option<u64>,
    /// The peer has reset the flow: to be passed on when all up to `end` is delivered.
    reset: Option<Reason>,
    /// Consumption when the linger timer last looked, if more had been delivered by then.
    lingered: Option<u64>,
}

impl RecvHalf {
    pub(crate) fn new(credit: Credit) -> Self {
        RecvHalf {
            assembler: Assembler::default(),
            credit,
            state: RecvState::Open,
            end: None,
            reset: None,
            lingered: None,
        }
    }

    pub(crate) fn assembler(&self) -> &Assembler {
        &self.assembler
    }

    pub(crate) fn credit(&self) -> &Credit {
        &self.credit
    }

    pub(crate) fn credit_mut(&mut self) -> &mut Credit {
        &mut self.credit
    }

    /// The OPEN has come: it says how much may be sent without waiting for credit.
    pub(crate) fn begin_credit(&mut self, granted: u64) {
        self.credit = Credit::new(granted);
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state == RecvState::Open
    }

    pub(crate) fn is_finished(&self) -> bool {
        self.state == RecvState::Finished
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn is_discarding(&self) -> bool {
        self.state == RecvState::Discarding
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.assembler.next()
    }

    /// Changes with everything new that is heard of the direction.
    pub(crate) fn extent(&self) -> (u64, u64, bool) {
        (self.assembler.next(), self.assembler.held(), self.end.is_some())
    }

    /// Passes on what is in order. How many bytes that were.
    pub(crate) fn deliver(&mut self, mut pass_on: impl FnMut(Bytes)) -> u64 {
        let before = self.assembler.next();
        while let Some(data) = self.assembler.pop() {
            pass_on(data);
        }
        self.assembler.next() - before
    }

    pub(crate) fn finish(&mut self) {
        self.state = RecvState::Finished;
    }

    /// The peer has reset the flow, for this reason: to be passed on when all has been delivered.
    pub(crate) fn reset_when_delivered(&mut self, reason: Reason) {
        self.reset = Some(reason);
        self.has_stopped();
    }

    pub(crate) fn reset(&self) -> Option<Reason> {
        self.reset
    }

    /// Gives the peer more credit if consumption calls for it and the pool allows it. Whether it
    /// has more.
    pub(crate) fn advance_credit(&mut self, by: Measure) -> bool {
        let delivered = self.assembler.next();
        self.wants_credit() && self.credit.advance(delivered, by).is_some()
    }

    /// Gives how many of the bytes had come before.
    pub(crate) fn insert(&mut self, offset: u64, data: Bytes, fin: bool) -> Result<u64, Violation> {
        let end = offset + data.len() as u64;
        if end > self.credit.granted() {
            return Err(Violation::CreditExceeded);
        }
        if fin {
            self.set_end(end)?;
        } else if self.end.is_some_and(|known| end > known) {
            return Err(Violation::FinalOffsetChanged);
        }
        match self.state {
            RecvState::Open => Ok(self.assembler.insert(offset, data)),
            RecvState::Finished => Ok(data.len() as u64),
            RecvState::Discarding => Ok(0),
        }
    }

    /// FIN or RESET says where the direction ends.
    pub(crate) fn set_end(&mut self, end: u64) -> Verdict {
        if self.end.is_some_and(|known| known != end) || end < self.assembler.end() {
            return Err(Violation::FinalOffsetChanged);
        }
        self.end = Some(end);
        Ok(())
    }

    /// Looks at the consumer, and says whether it has taken nothing although something has waited
    /// for it since the last look.
    pub(crate) fn has_stopped(&mut self) -> bool {
        let consumed = self.credit.consumed();
        let stopped = self.lingered == Some(consumed);
        self.lingered = (self.assembler.next() > consumed).then_some(consumed);
        stopped
    }

    /// Whether all that will ever come has been delivered.
    pub(crate) fn is_complete(&self) -> bool {
        self.end == Some(self.assembler.next())
    }

    pub(crate) fn discard(&mut self) {
        self.state = RecvState::Discarding;
        self.assembler.clear();
    }

    /// Whether more data can come for which credit would be of use.
    pub(crate) fn wants_credit(&self) -> bool {
        self.state == RecvState::Open && self.end.is_none_or(|end| end > self.credit.granted())
    }

    /// Its part of the shared pool: credit that may still be used or is used and not consumed,
    /// beyond the floor.
    pub(crate) fn charge(&self) -> u64 {
        match self.state {
            RecvState::Discarding => 0,
            RecvState::Open | RecvState::Finished => {
                let reach =
                    self.end.map_or(self.credit.granted(), |end| end.min(self.credit.granted()));
                reach.saturating_sub(self.credit.consumed()).saturating_sub(FLOW_FLOOR)
            }
        }
    }

    pub(crate) fn kept(&self) -> u64 {
        match self.state {
            RecvState::Discarding => 0,
            RecvState::Open | RecvState::Finished => {
                self.assembler.next() - self.credit.consumed() + self.assembler.held()
            }
        }
    }

    pub(crate) fn wait(&self) -> FlowWait {
        if self.is_done() {
            FlowWait::Finished
        } else if self.assembler.next() > self.credit.consumed() {
            FlowWait::Program
        } else if self.assembler.held() > 0 {
            FlowWait::Order
        } else {
            FlowWait::Peer
        }
    }

    pub(crate) fn is_done(&self) -> bool {
        match self.state {
            RecvState::Open => false,
            RecvState::Finished => self.end == Some(self.credit.consumed()),
            RecvState::Discarding => true,
        }
    }
}

/// See [`crate::Session::fingerprint`].
impl Hash for RecvHalf {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.assembler.hash(hasher);
        (&self.credit, self.state, self.end, self.reset, self.lingered).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recv(credit: u64) -> RecvHalf {
        RecvHalf::new(Credit::new(credit))
    }

    fn bytes(len: usize) -> Bytes {
        Bytes::from(alloc::vec![0; len])
    }

    fn deliver(recv: &mut RecvHalf) -> u64 {
        while recv.assembler.pop().is_some() {}
        recv.assembler.next()
    }

    #[test]
    fn a_half_is_done_when_all_up_to_the_fin_is_consumed() {
        let mut recv = recv(100);
        recv.insert(0, bytes(50), false).unwrap();
        recv.insert(50, bytes(50), true).unwrap();
        assert!(!recv.is_complete());
        assert_eq!(deliver(&mut recv), 100);
        assert!(recv.is_complete() && !recv.is_done());
        recv.state = RecvState::Finished;
        recv.credit.consume(99);
        assert!(!recv.is_done());
        recv.credit.consume(100);
        assert!(recv.is_done());
    }

    #[test]
    fn a_fin_that_overtakes_data_waits_for_it() {
        let mut recv = recv(100);
        recv.insert(100, Bytes::new(), true).unwrap();
        recv.insert(50, bytes(50), false).unwrap();
        assert_eq!(deliver(&mut recv), 0);
        assert!(!recv.is_complete());
        recv.insert(0, bytes(50), false).unwrap();
        deliver(&mut recv);
        assert!(recv.is_complete());
        let mut empty = self::recv(100);
        empty.insert(0, Bytes::new(), true).unwrap();
        assert!(empty.is_complete());
    }

    #[test]
    fn data_beyond_the_credit_is_a_violation() {
        let mut recv = recv(100);
        assert_eq!(recv.insert(50, bytes(50), false), Ok(0));
        assert_eq!(recv.insert(50, bytes(51), false), Err(Violation::CreditExceeded));
        recv.discard();
        assert_eq!(recv.insert(50, bytes(51), false), Err(Violation::CreditExceeded));
    }

    #[test]
    fn a_half_that_discards_holds_and_charges_nothing() {
        let mut recv = recv(FLOW_FLOOR + 100);
        recv.insert(10, bytes(50), false).unwrap();
        assert_eq!(recv.charge(), 100);
        recv.discard();
        recv.insert(60, bytes(10), false).unwrap();
        assert_eq!((recv.assembler.held(), recv.charge()), (0, 0));
        assert!(recv.is_done() && !recv.wants_credit());
    }

    #[test]
    fn a_known_end_frees_the_credit_beyond_it() {
        let mut recv = recv(FLOW_FLOOR + 100);
        recv.set_end(FLOW_FLOOR + 40).unwrap();
        assert_eq!(recv.charge(), 40);
        assert!(!recv.wants_credit(), "what is granted reaches to the end");
        recv.credit.consume(30);
        assert_eq!(recv.charge(), 10);
    }

    #[test]
    fn credit_is_wanted_until_it_reaches_a_known_end() {
        let mut recv = recv(100);
        assert!(recv.wants_credit());
        recv.set_end(101).unwrap();
        assert!(recv.wants_credit());
        recv.credit.grant(101);
        assert!(!recv.wants_credit());
        let mut finished = self::recv(100);
        finished.state = RecvState::Finished;
        assert!(!finished.wants_credit());
    }
}
