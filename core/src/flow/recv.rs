//! The receiving half of a flow.
//!
//! ```text
//!   Open ──all up to FIN delivered──▶ Finished ──all consumed──▶ done
//!     │ (FIN or RESET seen: `end` known)
//!     └──local reset or refusal──▶ Discarding, done
//! ```

use crate::config::FLOW_FLOOR;
use crate::error::{Reason, Violation};
use crate::flow::assembler::Assembler;
use crate::flow::credit::Credit;
use bytes::Bytes;

/// Where the half stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum RecvState {
    Open,
    Finished,
    Discarding,
}

/// The receiving half of a flow.
#[derive(Clone, Debug)]
pub(crate) struct Recv {
    pub assembler: Assembler,
    pub credit: Credit,
    pub state: RecvState,
    /// Where the direction ends, once FIN or RESET has said so.
    pub end: Option<u64>,
    /// The peer has reset the flow: to be passed on when all up to `end` is delivered.
    pub reset: Option<Reason>,
    /// Consumption when the linger timer last looked.
    pub lingered: u64,
}

impl Recv {
    pub fn new(credit: Credit) -> Self {
        Recv {
            assembler: Assembler::default(),
            credit,
            state: RecvState::Open,
            end: None,
            reset: None,
            lingered: 0,
        }
    }

    /// Takes a piece from the peer.
    pub fn insert(&mut self, offset: u64, data: Bytes, fin: bool) -> Result<(), Violation> {
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
            RecvState::Open => self.assembler.insert(offset, data),
            RecvState::Finished | RecvState::Discarding => {}
        }
        Ok(())
    }

    /// FIN or RESET says where the direction ends.
    pub fn set_end(&mut self, end: u64) -> Result<(), Violation> {
        if self.end.is_some_and(|known| known != end) || end < self.assembler.end() {
            return Err(Violation::FinalOffsetChanged);
        }
        self.end = Some(end);
        Ok(())
    }

    /// Whether all that will ever come has been delivered.
    pub fn is_complete(&self) -> bool {
        self.end == Some(self.assembler.next())
    }

    /// The local side wants no more.
    pub fn discard(&mut self) {
        self.state = RecvState::Discarding;
        self.assembler.clear();
    }

    /// Whether more data can come for which credit would be of use.
    pub fn wants_credit(&self) -> bool {
        self.state == RecvState::Open && self.end.is_none_or(|end| end > self.credit.granted())
    }

    /// What it takes from the shared pool: credit that may still be used or is used and not consumed, beyond the floor.
    pub fn charge(&self) -> u64 {
        match self.state {
            RecvState::Discarding => 0,
            RecvState::Open | RecvState::Finished => {
                let reach = self.end.map_or(self.credit.granted(), |end| end.min(self.credit.granted()));
                reach.saturating_sub(self.credit.consumed()).saturating_sub(FLOW_FLOOR)
            }
        }
    }

    /// Whether nothing is left to be delivered or consumed.
    pub fn is_done(&self) -> bool {
        match self.state {
            RecvState::Open => false,
            RecvState::Finished => self.end == Some(self.credit.consumed()),
            RecvState::Discarding => true,
        }
    }
}
