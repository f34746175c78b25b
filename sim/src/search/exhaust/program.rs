//! The program at one end of a flow, and what it demands of what it is told.
//!
//! Oracles at each output: bytes come in order and equal the pattern of (flow, direction, offset),
//! FIN once and only where the plan of the other end has one and after its last byte, nothing after
//! the end of the flow, no reset that nobody asked for.

use crate::base::Side;
use bytes::Bytes;
use striper_core::testing::Pattern;
use striper_core::{FlowId, Reason};

/// Bytes in one piece of local data: just over what core would copy and join with the next, so that
/// each piece is a frame of its own.
pub const PIECE: u64 = 4_100;

/// How one direction of a flow ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ending {
    /// With a FIN.
    Fin,
    /// The program resets the flow.
    Reset,
    /// The program says nothing more.
    Never,
}

/// When a program does what it has to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Pace {
    /// As soon as it can, and all at once.
    AtOnce,
    /// At any time later: each step is an event of its own.
    Free,
}

/// What one end of a flow does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct EndPlan {
    /// How many pieces of [`PIECE`] bytes it sends.
    pub pieces: u64,
    /// When it sends them.
    pub gives: Pace,
    /// What follows.
    pub ending: Ending,
    /// When that follows.
    pub ends: Pace,
    /// When it takes what has been delivered; `None`: never.
    pub reads: Option<Pace>,
}

impl EndPlan {
    /// Sends so many pieces and a FIN, all at once, and reads all at once.
    pub const fn sends(pieces: u64) -> Self {
        EndPlan {
            pieces,
            gives: Pace::AtOnce,
            ending: Ending::Fin,
            ends: Pace::AtOnce,
            reads: Some(Pace::AtOnce),
        }
    }

    /// All that it sends, in bytes.
    pub const fn total(&self) -> u64 {
        self.pieces * PIECE
    }
}

/// One flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FlowPlan {
    /// Who opens it.
    pub opener: Side,
    /// When the acceptor answers, and whether it accepts.
    pub answer: (Pace, bool),
    /// What the client's end does, and the server's.
    pub ends: [EndPlan; 2],
}

/// How a flow ended at one end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Over {
    /// Both directions are done.
    Ended,
    /// The other end or the session reset it.
    Reset(Reason),
    /// The other end refused it.
    Refused,
    /// This end reset it.
    OwnReset,
    /// This end refused it.
    OwnRefusal,
}

/// What a program can do as an event of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Act {
    /// The acceptor answers.
    Answer,
    /// The next piece.
    Give,
    /// FIN or reset.
    End,
    /// Takes all that was delivered.
    Read,
}

/// One end of one flow.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Program {
    /// The flow's number in the world.
    pub flow: usize,
    /// At which end.
    pub side: Side,
    /// Its name in the session, once it has one.
    pub id: Option<FlowId>,
    /// The acceptor has answered, or the opener has been told that it has.
    pub answered: bool,
    /// Bytes given to the session.
    pub given: u64,
    /// The session had no room when it last asked.
    pub waiting: bool,
    /// It has said that it sends no more.
    pub finished: bool,
    /// Bytes that the session has delivered.
    pub delivered: u64,
    /// Bytes of those that it has taken.
    pub consumed: u64,
    /// The other end's FIN has come.
    pub got_fin: bool,
    /// How it ended.
    pub over: Option<Over>,
}

impl Program {
    /// Before the flow exists.
    pub fn new(flow: usize, side: Side) -> Self {
        Program {
            flow,
            side,
            id: None,
            answered: false,
            given: 0,
            waiting: false,
            finished: false,
            delivered: 0,
            consumed: 0,
            got_fin: false,
            over: None,
        }
    }

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

    /// Bytes were delivered.
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

    /// The other end's FIN.
    pub fn fin(&mut self, plan: &FlowPlan) {
        self.must_be_open("a FIN");
        assert!(!self.got_fin, "a second FIN");
        let other = &plan.ends[self.side.other().index()];
        assert_eq!(other.ending, Ending::Fin, "a FIN that the other end has not sent");
        assert_eq!(self.delivered, other.total(), "a FIN before the last byte");
        self.got_fin = true;
    }

    /// Both directions are done.
    pub fn ended(&mut self) {
        self.must_be_open("an end");
        assert!(self.finished && self.got_fin, "ended before both directions were");
        self.over = Some(Over::Ended);
    }

    /// Ended by the other end or the session.
    pub fn broken(&mut self, plan: &FlowPlan, over: Over) {
        self.must_be_open("a reset or refusal");
        let other = &plan.ends[self.side.other().index()];
        match over {
            Over::Reset(Reason::SessionLost) => {}
            Over::Refused => assert!(!plan.answer.1, "refused by nobody"),
            _ => {
                assert_eq!(other.ending, Ending::Reset, "reset by nobody");
                assert!(
                    self.delivered == other.total()
                        || plan.ends[self.side.index()].reads != Some(Pace::AtOnce),
                    "a reset before the {} bytes that went before it, after {}",
                    other.total(),
                    self.delivered
                );
            }
        }
        self.over = Some(over);
    }

    /// Panics if the flow is over here.
    pub fn must_be_open(&self, what: &str) {
        assert!(
            self.over.is_none(),
            "{what} for flow {} after its end ({:?})",
            self.flow,
            self.over
        );
        assert!(self.id.is_some(), "{what} for flow {} before its beginning", self.flow);
    }
}

/// Bytes of a direction: every piece is a slice of one table, cut where (flow, direction, offset)
/// says, so that any two offsets of a world differ in what they hold.
fn pattern(flow: usize, from: Side, offset: u64, len: u64) -> Bytes {
    thread_local! {
        static TABLE: Bytes = Pattern(1).bytes(0, 1 << 18);
    }
    let at = offset as usize + (flow * 2 + from.index()) * 60_000;
    TABLE.with(|table| table.slice(at..at + len as usize))
}
