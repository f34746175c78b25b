//! What both programs of a flow shall do: plain data, drawn at random or written down.
//!
//! Invariant: a plan never changes while its flow lives; how far it has come is told by
//! [`super::Flow`].

use crate::base::rate::Rate;
use crate::base::side::Side;
use std::time::Duration;
use striper_core::Reason;

/// How the program that a flow was opened to answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// Accepts after so long.
    Accept(Duration),
    /// Refuses after so long.
    Refuse(Duration, Reason),
}

/// When a program begins to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    /// As soon as there is a flow.
    AtOnce,
    /// When it has seen the other's FIN, as one who answers a request.
    AfterFin,
}

/// What a program does after its last byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Sends a FIN.
    Finish,
    /// Resets the flow.
    Reset,
    /// Leaves it open.
    Never,
}

/// What one program sends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SendPlan {
    /// How many bytes.
    pub bytes: u64,
    /// When it begins.
    pub start: Start,
    /// How fast; as fast as it can if not given.
    pub rate: Option<Rate>,
    /// How many bytes at once at most.
    pub piece: u64,
    /// What comes then.
    pub end: Ending,
}

impl SendPlan {
    /// Sends so many bytes as fast as it can, then a FIN.
    pub fn of(bytes: u64) -> Self {
        SendPlan { bytes, start: Start::AtOnce, rate: None, piece: 64 << 10, end: Ending::Finish }
    }
}

/// How one program reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadPlan {
    /// How fast; all at once if not given.
    pub rate: Option<Rate>,
    /// Stops for good after so many bytes (0 never reads).
    pub stop_after: Option<u64>,
    /// Reads nothing until so many bytes wait or the end is there.
    pub burst: Option<u64>,
}

/// A flow and what both programs do with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowPlan {
    /// Whose program opens it.
    pub opener: Side,
    /// When, in microseconds.
    pub at: u64,
    /// How the other answers.
    pub answer: Answer,
    /// What the client's program and the server's program send.
    pub sends: [SendPlan; 2],
    /// How they read.
    pub reads: [ReadPlan; 2],
    /// Who breaks it off, and when, in microseconds.
    pub reset: Option<(Side, u64)>,
}

impl FlowPlan {
    /// The client's program sends so much, the server's nothing; both finish.
    pub fn upload(at: u64, bytes: u64) -> Self {
        FlowPlan {
            opener: Side::Client,
            at,
            answer: Answer::Accept(Duration::ZERO),
            sends: [SendPlan::of(bytes), SendPlan::of(0)],
            reads: [ReadPlan::default(); 2],
            reset: None,
        }
    }

    /// As [`FlowPlan::upload`], and as much comes the other way.
    pub fn both_ways(at: u64, bytes: u64) -> Self {
        let mut plan = Self::upload(at, bytes);
        plan.sends[Side::Server.index()].bytes = bytes;
        plan
    }
}
