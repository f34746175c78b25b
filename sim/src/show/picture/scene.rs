//! The input of all panels of a page: the timeline, the direction that is drawn, the range of time,
//! and the names of stripes.

use super::lane::{Carries, Frame};
use super::page::Summary;
use super::plot::TimeAxis;
use super::timeline::{Direction, Timeline, now};
use crate::base::{Rate, Side};
use striper_core::{FlowId, StripeId};

/// The most stripes that are drawn one by one.
pub const MAX_LANES: usize = 64;

const FULL_DETAIL: usize = 16;

#[derive(Debug)]
pub struct Scene<'a> {
    pub timeline: &'a Timeline,
    pub summary: &'a Summary,
    pub from: Side,
    pub time: TimeAxis,
}

impl<'a> Scene<'a> {
    pub fn direction(&self) -> &'a Direction {
        self.timeline.direction(self.from)
    }

    /// Whether the receiver was observed, so that arrival and delivery are known.
    pub fn sees_arrival(&self) -> bool {
        self.timeline.knows(self.from.other())
    }

    /// Whether the sender was observed, so that all but arrival and delivery is known.
    pub fn sees_sending(&self) -> bool {
        self.timeline.knows(self.from)
    }

    pub fn stripes(&self) -> Vec<StripeId> {
        let span = &self.time.span;
        let lived = |stripe: &StripeId| {
            let life = self.timeline.life(self.from, *stripe);
            life.is_some_and(|life| {
                life.up <= span.end && life.down.is_none_or(|(at, _)| at >= span.start)
            })
        };
        self.direction().lanes.keys().copied().filter(lived).take(MAX_LANES).collect()
    }

    /// Fewer buckets than `most` where a chart has many rows, so that a page stays small.
    pub fn detail(&self, most: usize) -> usize {
        most * FULL_DETAIL / self.stripes().len().max(FULL_DETAIL)
    }

    pub fn cap(&self, stripe: StripeId) -> Option<Rate> {
        self.summary.caps.get(&stripe).copied()
    }

    /// The flow of which most was sent or has arrived.
    pub fn flow(&self) -> Option<FlowId> {
        let weight = |flow: &FlowId| {
            let track = &self.direction().flows[flow];
            (track.sent.total().max(now(&track.delivered)), std::cmp::Reverse(*flow))
        };
        self.direction().flows.keys().copied().max_by_key(weight).filter(|flow| weight(flow).0 > 0)
    }

    pub fn pieces(&self, flow: FlowId) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        for (stripe, lane) in &self.direction().lanes {
            for frame in &lane.frames {
                if let Carries::Data { flow: whose, offset, len, again } = frame.carries
                    && whose == flow
                {
                    pieces.push(Piece { stripe: *stripe, frame, offset, len, again });
                }
            }
        }
        pieces
    }

    /// A time counted from the beginning of the range, for labels.
    pub fn since(&self, at: u64) -> u64 {
        at.saturating_sub(self.time.zero)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Piece<'a> {
    pub stripe: StripeId,
    pub frame: &'a Frame,
    pub offset: u64,
    pub len: u64,
    /// All of them had been sent before.
    pub again: bool,
}

impl Piece<'_> {
    /// When it was handed over, or else arrived, in microseconds.
    pub fn begins(&self) -> u64 {
        self.frame.sent.or(self.frame.arrived).expect("a frame that somebody has seen")
    }
}
