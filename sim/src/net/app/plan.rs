//! The plan of both programs of a flow: plain data, drawn at random or written down.
//!
//! Invariant: a plan never changes while its flow lives; [`super::Flow`] says how far it has come.

use crate::base::{Rate, Side};
use std::time::Duration;
use striper_core::Reason;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Accept(Duration),
    Refuse(Duration, Reason),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Start {
    AtOnce,
    /// When it has seen the other's FIN, as a program that answers a request.
    AfterFin,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    Finish,
    Reset,
    Never,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SendPlan {
    pub bytes: u64,
    pub start: Start,
    pub rate: Option<Rate>,
    pub piece: u64,
    pub end: Ending,
}

impl SendPlan {
    /// Sends so many bytes as fast as it can, then a FIN.
    pub fn of(bytes: u64) -> Self {
        SendPlan { bytes, start: Start::AtOnce, rate: None, piece: 64 << 10, end: Ending::Finish }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReadPlan {
    pub rate: Option<Rate>,
    /// Stops for good after so many bytes (0 never reads).
    pub stop_after: Option<u64>,
    /// Reads nothing until so many bytes wait or the end is there.
    pub burst: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FlowPlan {
    pub opener: Side,
    pub at: u64,
    pub answer: Answer,
    pub sends: [SendPlan; 2],
    pub reads: [ReadPlan; 2],
    /// The side that breaks it off, and when, in microseconds.
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

    pub fn both_ways(at: u64, bytes: u64) -> Self {
        let mut plan = Self::upload(at, bytes);
        plan.sends[Side::Server.index()].bytes = bytes;
        plan
    }
}
