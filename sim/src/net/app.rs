//! The programs at both ends of a flow, and whether the bytes that they read are right.
//!
//! A [`FlowPlan`] says what shall happen, a [`Flow`] how far it has come.
//!
//! Invariant: the steps of a program depend only on its plan and on what it has seen.

mod act;
mod check;
mod plan;

use crate::base::{Digest, Side};
pub use act::Write;
pub use plan::{Answer, Ending, FlowPlan, ReadPlan, SendPlan, Start};
use striper_core::testing::Pattern;
use striper_core::{FlowId, Reason};

/// The bytes of a direction of a flow, by the flow's number and that of the side that sends.
pub fn pattern(flow: usize, from: usize) -> Pattern {
    let mut digest = Digest::new();
    digest.number(flow as u64);
    digest.number(from as u64);
    Pattern(digest.value())
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum EndState {
    /// Not opened, or not heard of yet.
    #[default]
    NotYet,
    Open,
    Ended,
    PeerReset(Reason),
    ResetHere,
    Refused(Reason),
    Lost,
}

/// One end of a flow. Times are in microseconds.
#[derive(Clone, Debug, Default)]
pub struct End {
    pub state: EndState,
    pub given: u64,
    pub finished: bool,
    pub delivered: u64,
    pub consumed: u64,
    pub got_fin: bool,
    pub opened_at: u64,
    pub accepted_at: Option<u64>,
    pub last_byte_at: u64,
    pub fin_at: Option<u64>,
    pub ended_at: Option<u64>,
    /// The session said that the flow has ended. After a local reset that comes after the end.
    ended_said: bool,
}

#[derive(Clone, Debug)]
pub struct Flow {
    /// Its number in the world, which is in its OPEN.
    pub index: usize,
    pub plan: FlowPlan,
    pub id: Option<FlowId>,
    pub ends: [End; 2],
    /// The number of a side's session that carries each end.
    pub homes: [Option<usize>; 2],
    /// A side's clock has jumped meanwhile: its program may look as if it had stopped to read.
    pub jumped: [bool; 2],
    /// From now on both programs read all at once and send without a limit.
    pub eager: bool,
}

impl Flow {
    pub fn new(index: usize, plan: FlowPlan) -> Self {
        Flow {
            index,
            plan,
            id: None,
            ends: Default::default(),
            homes: [None; 2],
            jumped: [false; 2],
            eager: false,
        }
    }

    pub fn end(&self, side: Side) -> &End {
        &self.ends[side.index()]
    }

    fn end_mut(&mut self, side: Side) -> &mut End {
        &mut self.ends[side.index()]
    }

    /// Nothing more can happen. An acceptor that never heard of a flow is over with its opener.
    pub fn is_over(&self) -> bool {
        let over = |side: Side| !matches!(self.end(side).state, EndState::NotYet | EndState::Open);
        let opener = self.plan.opener;
        over(opener) && (over(opener.other()) || self.end(opener.other()).state == EndState::NotYet)
    }

    pub fn is_complete(&self) -> bool {
        Side::BOTH.iter().all(|side| {
            let end = self.end(*side);
            end.state == EndState::Ended
                && end.got_fin
                && end.delivered == self.plan.sends[side.other().index()].bytes
        })
    }

    pub fn is_lost(&self) -> bool {
        self.ends.iter().any(|end| end.state == EndState::Lost)
    }

    pub fn opened(&mut self, side: Side, home: usize, id: FlowId, now: u64) {
        assert!(self.id.is_none_or(|known| known == id), "{self:?} is opened as {id:?}");
        self.id = Some(id);
        self.homes[side.index()] = Some(home);
        let end = self.end_mut(side);
        assert_eq!(end.state, EndState::NotYet, "a flow is opened once");
        end.state = EndState::Open;
        end.opened_at = now;
    }

    /// This side's program breaks off, or refuses. Whether there was anything to break.
    pub fn leave(&mut self, side: Side, state: EndState, now: u64) -> bool {
        let end = self.end_mut(side);
        if end.state != EndState::Open {
            return false;
        }
        end.state = state;
        end.ended_at = Some(now);
        true
    }
}

#[cfg(test)]
mod tests;
