//! One side's trace by flow: the bytes that its program gave and took, the credit, and the bytes
//! that arrived and came out.
//!
//! Beside it stands the [`Timeline`] of the same inputs, which knows the fate of each stripe and of
//! each frame on it.
//!
//! Invariant: times are microseconds since this side's first input, and grow.

use crate::base::Side;
use crate::show::picture::lane;
use crate::show::picture::lane::{Carries, Lane};
use crate::show::picture::timeline::{Death, Steps, Timeline, now};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use striper_core::wire::deframer::{Deframer, Item};
use striper_core::wire::frame::Frame;
use striper_core::{FlowId, Input, Instant, Output, StripeClose, StripeId};

/// Credit of every flow from its OPEN on, in bytes (PROTOCOL.md, section 8).
const FLOOR: u64 = 16_384;

#[derive(Clone, Debug, Default)]
pub struct Sending {
    pub written: Steps,
    pub finish: Option<u64>,
    /// The offset up to which the other side lets us send.
    pub limit: Steps,
    pub pieces: Vec<Sent>,
    /// The offset up to which everything was known to have arrived.
    pub settled: Steps,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sent {
    pub offset: u64,
    /// Its length in bytes; zero if it is but a FIN.
    pub len: u64,
    pub stripe: StripeId,
    pub at: u64,
    pub acknowledged: Option<u64>,
}

impl Sent {
    fn of(stripe: StripeId, frame: &lane::Frame, offset: u64, len: u64) -> Option<Sent> {
        Some(Sent { offset, len, stripe, at: frame.sent?, acknowledged: frame.acknowledged })
    }
}

#[derive(Clone, Debug, Default)]
pub struct Receiving {
    pub delivered: Steps,
    pub arrivals: Vec<Arrival>,
    /// The offset up to which we let the other side send.
    pub granted: Steps,
    pub consumed: Steps,
    pub finished: Option<u64>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Arrival {
    pub at: u64,
    pub stripe: StripeId,
    /// Their offsets; empty if it is but a FIN.
    pub range: Range<u64>,
    /// The largest end of any arrival up to this one.
    pub reached: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// When this side opened it or heard of it.
    pub opened: u64,
    /// When it was over, or nothing more was kept of its bytes.
    pub closed: Option<u64>,
    pub sending: Sending,
    pub receiving: Receiving,
}

#[derive(Debug, Default)]
pub struct Account {
    pub side: Side,
    pub timeline: Timeline,
    pub flows: BTreeMap<FlowId, Flow>,
    /// The number of stripes that were up.
    pub live: Steps,
    pub last: u64,
    /// The shortest round trip of each stripe, in microseconds.
    pub usual: BTreeMap<StripeId, u64>,
    /// When bytes came in on each stripe.
    heard: BTreeMap<StripeId, Vec<u64>>,
    /// Frame bytes given to each stripe.
    sent: BTreeMap<StripeId, u64>,
    /// FINs without data on a stripe, by their ends there; the timeline has them among control.
    ends: Vec<(FlowId, u64, StripeId, u64)>,
    /// The stripes that are up; `None` after a violation.
    stripes: BTreeMap<StripeId, Option<Deframer>>,
    origin: Option<Instant>,
}

impl Account {
    pub fn new(side: Side) -> Account {
        Account { side, ..Account::default() }
    }

    pub fn observe(&mut self, now: Instant, input: &Input, outputs: &[Output]) {
        let origin = *self.origin.get_or_insert(now);
        let at = now.since(origin).as_micros() as u64;
        self.last = self.last.max(at);
        self.timeline.observe(self.side, now, input, outputs);
        self.take_input(at, input);
        outputs.iter().for_each(|output| self.take_output(at, output));
        step(&mut self.live, at, self.stripes.len() as u64);
    }

    /// Finds the fate of the pieces that were sent. Call it once, when everything is observed.
    pub fn finish(&mut self) {
        self.timeline.finish();
        let direction = self.timeline.direction(self.side);
        for (stripe, lane) in &direction.lanes {
            let shortest = lane.round_trips.iter().map(|(_, time)| *time).min();
            self.usual.extend(shortest.map(|time| (*stripe, time)));
            for frame in &lane.frames {
                let Carries::Data { flow, offset, len, .. } = frame.carries else { continue };
                let pieces = &mut self.flows.entry(flow).or_default().sending.pieces;
                pieces.extend(Sent::of(*stripe, frame, offset, len));
            }
        }
        for (flow, offset, stripe, end) in self.ends.drain(..) {
            let frames = direction.lanes.get(&stripe).map_or(&[][..], |lane| &lane.frames);
            let frame =
                frames.binary_search_by_key(&end, |frame| frame.end).map(|place| &frames[place]);
            let pieces = &mut self.flows.entry(flow).or_default().sending.pieces;
            pieces.extend(frame.ok().and_then(|frame| Sent::of(stripe, frame, offset, 0)));
        }
        for (flow, track) in &direction.flows {
            self.flows.entry(*flow).or_default().sending.settled.clone_from(&track.settled);
        }
        for flow in self.flows.values_mut() {
            flow.sending.pieces.sort_by_key(|piece| (piece.offset, piece.at));
        }
    }

    pub fn lane(&self, stripe: StripeId) -> Option<&Lane> {
        self.timeline.direction(self.side).lanes.get(&stripe)
    }

    pub fn heard_before(&self, stripe: StripeId, at: u64) -> Option<u64> {
        let times = self.heard.get(&stripe)?;
        times[..times.partition_point(|time| *time < at)].last().copied()
    }

    pub fn heard_from(&self, stripe: StripeId, at: u64) -> Option<u64> {
        let times = self.heard.get(&stripe)?;
        times.get(times.partition_point(|time| *time < at)).copied()
    }

    pub fn stripes_in(&self, span: Range<u64>) -> Vec<StripeId> {
        let there = |stripe: &StripeId| {
            let life = self.timeline.life(self.side, *stripe);
            life.is_some_and(|life| {
                life.up < span.end && life.down.is_none_or(|(down, _)| down > span.start)
            })
        };
        self.heard.keys().copied().filter(there).collect()
    }

    /// The time and the manner in which this side lost a stripe, unless it ended with the session.
    pub fn lost(&self, stripe: StripeId) -> Option<(u64, Death)> {
        let ended = Death::Closed(StripeClose::SessionEnded);
        self.timeline.life(self.side, stripe)?.down.filter(|(_, death)| *death != ended)
    }

    pub fn without_stripes(&self, span: Range<u64>) -> u64 {
        let ends = self.live.iter().skip(1).map(|(at, _)| *at).chain([u64::MAX]);
        let alone = self.live.iter().zip(ends).filter(|((_, count), _)| *count == 0);
        alone.map(|((from, _), to)| to.min(span.end).saturating_sub((*from).max(span.start))).sum()
    }

    fn flow(&mut self, at: u64, flow: FlowId) -> &mut Flow {
        self.flows.entry(flow).or_insert_with(|| Flow { opened: at, ..Flow::default() })
    }

    fn close(&mut self, at: u64, flow: FlowId) {
        self.flow(at, flow).closed.get_or_insert(at);
    }

    fn take_input(&mut self, at: u64, input: &Input) {
        match input {
            Input::StripeUp { stripe, .. } => {
                self.stripes.insert(*stripe, Some(Deframer::new()));
                self.heard.entry(*stripe).or_default().push(at);
            }
            Input::StripeDown { stripe } => drop(self.stripes.remove(stripe)),
            Input::StripeBytes { stripe, data } => self.receive(at, *stripe, data.clone()),
            Input::FlowData { flow, data } => {
                let written = &mut self.flow(at, *flow).sending.written;
                step(written, at, value(written, at) + data.len() as u64);
            }
            Input::FlowFinish { flow } => {
                self.flow(at, *flow).sending.finish.get_or_insert(at);
            }
            Input::FlowConsumed { flow, total } => {
                step(&mut self.flow(at, *flow).receiving.consumed, at, *total)
            }
            Input::FlowReset { flow, .. } | Input::FlowRefuse { flow, .. } => self.close(at, *flow),
            _ => {}
        }
    }

    fn take_output(&mut self, at: u64, output: &Output) {
        match output {
            Output::Transmit { stripe, header, payload } => {
                let end = self.sent.entry(*stripe).or_default();
                *end += (header.len() + payload.len()) as u64;
                let end = *end;
                match Frame::decode(header) {
                    Some(Frame::Data { flow, offset, .. }) if payload.is_empty() => {
                        self.ends.push((flow, offset, *stripe, end))
                    }
                    Some(Frame::Refuse { flow, .. }) => self.close(at, flow),
                    Some(frame) => self.grant(at, &frame, false),
                    None => {}
                }
            }
            Output::CloseStripe { stripe, .. } => drop(self.stripes.remove(stripe)),
            Output::FlowOpened { flow, .. } | Output::FlowIncoming { flow, .. } => {
                _ = self.flow(at, *flow)
            }
            Output::FlowData { flow, data } => {
                let delivered = &mut self.flow(at, *flow).receiving.delivered;
                step(delivered, at, value(delivered, at) + data.len() as u64);
            }
            Output::FlowFinished { flow } => {
                self.flow(at, *flow).receiving.finished.get_or_insert(at);
            }
            Output::FlowReset { flow, .. }
            | Output::FlowRefused { flow, .. }
            | Output::FlowEnded { flow } => self.close(at, *flow),
            _ => {}
        }
    }

    /// Takes the credit that a frame grants, to this side or by it.
    fn grant(&mut self, at: u64, frame: &Frame, to_us: bool) {
        let (Frame::Open { flow, credit: limit, .. } | Frame::Credit { flow, limit }) = *frame
        else {
            return;
        };
        let Flow { sending, receiving, .. } = self.flow(at, flow);
        let (granted, opposite) = if to_us {
            (&mut sending.limit, &mut receiving.granted)
        } else {
            (&mut receiving.granted, &mut sending.limit)
        };
        raise(granted, at, limit);
        if let Frame::Open { early, .. } = frame {
            raise(opposite, at, FLOOR + early);
        }
    }

    fn receive(&mut self, at: u64, stripe: StripeId, mut data: Bytes) {
        let Some(Some(deframer)) = self.stripes.get_mut(&stripe) else { return };
        self.heard.entry(stripe).or_default().push(at);
        let mut pieces = Vec::new();
        let rest = loop {
            match deframer.next(&mut data) {
                Ok(Some(piece)) => pieces.push(piece),
                rest => break rest,
            }
        };
        if rest.is_err() {
            self.stripes.insert(stripe, None);
        }
        pieces.into_iter().for_each(|piece| self.arrive(at, stripe, piece));
    }

    fn arrive(&mut self, at: u64, stripe: StripeId, piece: Item) {
        match piece {
            Item::Data { flow, offset, data, fin } if !data.is_empty() || fin => {
                let arrivals = &mut self.flow(at, flow).receiving.arrivals;
                let range = offset..offset + data.len() as u64;
                let before = arrivals.last().map_or(0, |arrival| arrival.reached);
                arrivals.push(Arrival { at, stripe, reached: before.max(range.end), range });
            }
            Item::Frame(frame) => self.grant(at, &frame, true),
            Item::Data { .. } => {}
        }
    }
}

pub fn value(steps: &Steps, at: u64) -> u64 {
    steps[..steps.partition_point(|(time, _)| *time <= at)].last().map_or(0, |(_, value)| *value)
}

/// When growing steps first exceeded a value.
pub fn exceeds(steps: &Steps, value: u64) -> Option<u64> {
    steps.get(steps.partition_point(|(_, reached)| *reached <= value)).map(|(at, _)| *at)
}

/// Adds a step, unless nothing changes.
fn step(steps: &mut Steps, at: u64, value: u64) {
    match steps.last_mut() {
        Some((_, last)) if *last == value => {}
        Some((time, last)) if *time == at => *last = value,
        _ => steps.push((at, value)),
    }
}

/// Adds a step, if it goes up.
fn raise(steps: &mut Steps, at: u64, to: u64) {
    if to > now(steps) {
        step(steps, at, to);
    }
}
