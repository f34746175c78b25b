//! The program at one end of a flow, and its oracles.

use crate::base::Side;
use bytes::Bytes;
use striper_core::testing::Pattern;
use striper_core::{FlowId, Reason};

/// Bytes in one piece of local data. Core would copy a shorter piece and join it with the next, so
/// each piece is a frame of its own.
pub const PIECE: u64 = 4_100;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ending {
    Fin,
    Reset,
    Never,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pace {
    /// As soon as it can, and all at once.
    AtOnce,
    /// At any time later: each step is an event of its own.
    Free,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EndPlan {
    pub pieces: u64,
    pub gives: Pace,
    pub ending: Ending,
    pub ends: Pace,
    /// When it takes the bytes that were delivered; `None`: never.
    pub reads: Option<Pace>,
}

impl EndPlan {
    /// So many pieces and a FIN, all at once, and all reads at once.
    pub const fn sends(pieces: u64) -> Self {
        EndPlan {
            pieces,
            gives: Pace::AtOnce,
            ending: Ending::Fin,
            ends: Pace::AtOnce,
            reads: Some(Pace::AtOnce),
        }
    }

    pub const fn total(&self) -> u64 {
        self.pieces * PIECE
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowPlan {
    pub opener: Side,
    /// When the acceptor answers, and whether it accepts.
    pub answer: (Pace, bool),
    pub ends: [EndPlan; 2],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Over {
    Ended,
    Reset(Reason),
    Refused,
    OwnReset,
    OwnRefusal,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Act {
    Answer,
    Give,
    End,
    Read,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Program {
    pub flow: usize,
    pub side: Side,
    pub id: Option<FlowId>,
    /// The acceptor has answered, or the opener has been told that it has.
    pub answered: bool,
    pub given: u64,
    /// The session had no room when the program last asked.
    pub waiting: bool,
    pub finished: bool,
    pub delivered: u64,
    pub consumed: u64,
    pub got_fin: bool,
    pub over: Option<Over>,
}

impl Program {
    /// The next piece for the session, which takes `room` bytes.
    pub fn next_piece(&mut self, plan: &FlowPlan, room: u64) -> Option<Bytes> {
        let left = plan.ends[self.side.index()].total() - self.given;
        let len = room.min(left).min(PIECE - self.given % PIECE);
        self.waiting = room == 0 && left > 0;
        if len == 0 {
            return None;
        }
        let data = pattern(self.flow, self.side, self.given, len);
        self.given += len;
        Some(data)
    }

    pub fn deliver(&mut self, plan: &FlowPlan, data: &Bytes) {
        self.must_be_open("data");
        assert!(!self.got_fin, "data after the FIN");
        assert!(!data.is_empty(), "data without bytes");
        let expected = pattern(self.flow, self.side.other(), self.delivered, data.len() as u64);
        assert!(expected == data, "wrong bytes at offset {} of flow {}", self.delivered, self.flow);
        self.delivered += data.len() as u64;
        let total = plan.ends[self.side.other().index()].total();
        assert!(self.delivered <= total, "{} bytes delivered of {total}", self.delivered);
    }

    pub fn fin(&mut self, plan: &FlowPlan) {
        self.must_be_open("a FIN");
        assert!(!self.got_fin, "a second FIN");
        let other = &plan.ends[self.side.other().index()];
        assert_eq!(other.ending, Ending::Fin, "a FIN that the other end has not sent");
        assert_eq!(self.delivered, other.total(), "a FIN before the last byte");
        self.got_fin = true;
    }

    pub fn ended(&mut self) {
        self.must_be_open("an end");
        assert!(self.finished && self.got_fin, "ended before both directions were");
        self.over = Some(Over::Ended);
    }

    pub fn broken(&mut self, plan: &FlowPlan, over: Over) {
        self.must_be_open("a reset or refusal");
        let other = &plan.ends[self.side.other().index()];
        match over {
            Over::Reset(Reason::SessionLost) => {}
            Over::Refused => assert!(!plan.answer.1, "refused by nobody"),
            _ => {
                assert_eq!(other.ending, Ending::Reset, "reset by nobody");
                let (total, delivered) = (other.total(), self.delivered);
                let may_lag = plan.ends[self.side.index()].reads != Some(Pace::AtOnce);
                assert!(
                    delivered == total || may_lag,
                    "a reset before the {total} bytes that went before it, after {delivered}"
                );
            }
        }
        self.over = Some(over);
    }

    pub fn must_be_open(&self, what: &str) {
        let Program { flow, id, over, .. } = self;
        assert!(over.is_none(), "{what} for flow {flow} after its end ({over:?})");
        assert!(id.is_some(), "{what} for flow {flow} before its beginning");
    }
}

/// Bytes of a direction: a slice of one table, so that the many states share memory. Its place
/// there follows from (flow, direction, offset), and differs for any two offsets of a world.
fn pattern(flow: usize, from: Side, offset: u64, len: u64) -> Bytes {
    thread_local! {
        static TABLE: Bytes = Pattern(1).bytes(0, 1 << 18);
    }
    let at = offset as usize + (flow * 2 + from.index()) * 60_000;
    TABLE.with(|table| table.slice(at..at + len as usize))
}
