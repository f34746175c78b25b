//! The history of a session, from nothing but its inputs and outputs.
//!
//! A timeline takes every `(side, time, input, outputs)`: of both sides in the simulator, of one
//! side from a trace. It never looks at payload, only at frames and lengths. A fact that one side
//! alone can't know stays unknown. The sender of a direction sees hand-over, congestion and
//! acknowledgement; its receiver sees arrival and delivery.
//!
//! Each side's clock starts with its first input, which both sides of a simulated world get at the
//! same moment.

use super::coverage::Coverage;
use super::lane::{Carries, Frame, Lane};
use crate::base::Side;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use striper_core::wire::deframer::{Deframer, Item};
use striper_core::wire::frame;
use striper_core::{EndReason, FlowId, Input, Instant, Output, StripeClose, StripeId};

/// Pairs of a time in microseconds and the value from then on. Times grow.
pub type Steps = Vec<(u64, u64)>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Death {
    /// The connection broke, or the other side closed it.
    Broke,
    Closed(StripeClose),
}

/// When a side had a stripe, in microseconds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Life {
    pub up: u64,
    pub down: Option<(u64, Death)>,
}

#[derive(Clone, Debug, Default)]
pub struct FlowTrack {
    /// Bytes handed to stripes at least once.
    pub sent: Coverage,
    pub delivered: Steps,
    pub finished: Option<u64>,
    /// The offset up to which the sender knew everything to have arrived.
    pub settled: Steps,
    arrived: Coverage,
    acknowledged: Coverage,
    /// The receiver keeps nothing more of it.
    closed: bool,
}

impl FlowTrack {
    /// When the byte before `offset` had come out, in microseconds.
    pub fn delivered_at(&self, offset: u64) -> Option<u64> {
        let place = self.delivered.partition_point(|(_, total)| *total < offset);
        self.delivered.get(place).map(|(at, _)| *at)
    }

    /// The sender learns that a range has arrived. Returns the number of its bytes that are news.
    fn settle(&mut self, at: u64, range: Range<u64>) -> u64 {
        let new = self.acknowledged.add(range);
        push(&mut self.settled, at, self.acknowledged.prefix());
        new
    }

    fn held(&self) -> u64 {
        if self.closed { 0 } else { self.arrived.total().saturating_sub(now(&self.delivered)) }
    }
}

#[derive(Clone, Debug, Default)]
pub struct Direction {
    pub lanes: BTreeMap<StripeId, Lane>,
    pub flows: BTreeMap<FlowId, FlowTrack>,
    /// Over all flows. Empty if the receiver was not observed.
    pub delivered: Steps,
    /// Bytes of flows that the sender knows to have arrived. Empty if it was not observed.
    pub acknowledged: Steps,
    /// Bytes held out of order, over all flows. Empty if the receiver was not observed.
    pub held: Steps,
    pub again: u64,
    /// The receiver's framing and the end of the last frame that it saw. `None` after a violation.
    deframers: BTreeMap<StripeId, Option<(Deframer, u64)>>,
    held_now: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Timeline {
    directions: [Direction; 2],
    lives: [BTreeMap<StripeId, Life>; 2],
    ends: [Option<(u64, EndReason)>; 2],
    origins: [Option<Instant>; 2],
    last: u64,
}

impl Timeline {
    pub fn observe(&mut self, side: Side, now: Instant, input: &Input, outputs: &[Output]) {
        let origin = *self.origins[side.index()].get_or_insert(now);
        let at = now.since(origin).as_micros() as u64;
        self.last = self.last.max(at);
        self.take_input(side, at, input);
        outputs.iter().for_each(|output| self.take_output(side, at, output));
        let incoming = &mut self.directions[side.other().index()];
        push(&mut incoming.held, at, incoming.held_now);
    }

    pub fn direction(&self, from: Side) -> &Direction {
        &self.directions[from.index()]
    }

    pub fn knows(&self, side: Side) -> bool {
        self.origins[side.index()].is_some()
    }

    /// The life of a stripe, as the sender of a direction sees it, or else its receiver.
    pub fn life(&self, from: Side, stripe: StripeId) -> Option<Life> {
        let sides = [from, from.other()];
        sides.iter().find_map(|side| self.lives[side.index()].get(&stripe)).copied()
    }

    /// The number of stripes that a side has lost, without those that ended with the session.
    pub fn deaths(&self, side: Side) -> usize {
        let ended = Death::Closed(StripeClose::SessionEnded);
        self.lives[side.index()]
            .values()
            .filter(|life| life.down.is_some_and(|(_, death)| death != ended))
            .count()
    }

    /// The time in microseconds and the reason of the end of a side's session.
    pub fn ended(&self, side: Side) -> Option<(u64, EndReason)> {
        self.ends[side.index()]
    }

    /// The time of the latest observation, in microseconds since the first.
    pub fn last(&self) -> u64 {
        self.last
    }

    /// Closes all open spans at the end of the observation. Call it before drawing.
    pub fn finish(&mut self) {
        for lane in self.directions.iter_mut().flat_map(|direction| direction.lanes.values_mut()) {
            lane.stop(self.last);
        }
    }

    fn lane(&mut self, from: Side, stripe: StripeId) -> &mut Lane {
        self.directions[from.index()].lanes.entry(stripe).or_default()
    }

    fn take_input(&mut self, side: Side, at: u64, input: &Input) {
        match input {
            Input::StripeUp { stripe, hello } => {
                self.lives[side.index()].insert(*stripe, Life { up: at, down: None });
                self.lane(side, *stripe);
                for (gone, received) in &hello.gone {
                    self.acknowledge(side, at, *gone, *received, false);
                }
            }
            Input::StripeBytes { stripe, data } => self.receive(side, at, *stripe, data.clone()),
            Input::StripeWritten { stripe, total } => self.lane(side, *stripe).written(at, *total),
            Input::StripeDown { stripe } => self.stripe_down(side, at, *stripe, Death::Broke),
            Input::FlowReset { flow, .. } | Input::FlowRefuse { flow, .. } => {
                self.close(side, *flow)
            }
            _ => {}
        }
    }

    fn take_output(&mut self, side: Side, at: u64, output: &Output) {
        match output {
            Output::Transmit { stripe, header, payload } => {
                self.transmit(side, at, *stripe, header, payload.len() as u64)
            }
            Output::CloseStripe { stripe, reason } => {
                self.stripe_down(side, at, *stripe, Death::Closed(*reason))
            }
            Output::FlowData { flow, data } => {
                let incoming = &mut self.directions[side.other().index()];
                let before = now(&incoming.delivered);
                push(&mut incoming.delivered, at, before + data.len() as u64);
                incoming.change(*flow, |track| {
                    let total = now(&track.delivered) + data.len() as u64;
                    push(&mut track.delivered, at, total);
                });
            }
            Output::FlowFinished { flow } => {
                self.directions[side.other().index()]
                    .change(*flow, |track| track.finished = Some(at));
            }
            Output::FlowReset { flow, .. }
            | Output::FlowRefused { flow, .. }
            | Output::FlowEnded { flow } => self.close(side, *flow),
            Output::Ended { reason } => self.ends[side.index()] = Some((at, *reason)),
            _ => {}
        }
    }

    fn stripe_down(&mut self, side: Side, at: u64, stripe: StripeId, death: Death) {
        let life = self.lives[side.index()].get_mut(&stripe);
        if let Some(life) = life.filter(|life| life.down.is_none()) {
            life.down = Some((at, death));
            self.lane(side, stripe).stop(at);
        }
    }

    /// Only the head of a frame and the length of its payload matter.
    fn transmit(&mut self, side: Side, at: u64, stripe: StripeId, header: &Bytes, payload: u64) {
        let size = header.len() as u64 + payload;
        let direction = &mut self.directions[side.index()];
        let lane = direction.lanes.entry(stripe).or_default();
        let Some((flow, offset, control)) = read_head(header) else {
            lane.transmit(at, size, Carries::Control { asks: true });
            return;
        };
        if payload > 0 {
            let range = offset..offset + payload;
            let new = direction.flows.entry(flow).or_default().sent.add(range);
            direction.again += payload - new;
            lane.transmit(at, size, Carries::Data { flow, offset, len: payload, again: new == 0 });
            return;
        }
        lane.transmit(at, size, Carries::Control { asks: asks(control.as_ref()) });
        if let Some(frame::Frame::Ping { nonce }) = control {
            lane.ping(at, nonce);
        }
    }

    fn receive(&mut self, side: Side, at: u64, stripe: StripeId, mut data: Bytes) {
        let from = side.other();
        let seen = self.knows(from);
        if self.lives[side.index()].get(&stripe).is_none_or(|life| life.down.is_some()) {
            return;
        }
        loop {
            let deframers = &mut self.directions[from.index()].deframers;
            let entry = deframers.entry(stripe).or_insert_with(|| Some((Deframer::new(), 0)));
            let Some((deframer, last)) = entry else { return };
            let next = deframer.next(&mut data);
            let Ok(Some(piece)) = next else {
                if next.is_err() {
                    *entry = None;
                }
                return;
            };
            let end = deframer.processed();
            let grows =
                matches!(&piece, Item::Data { data, .. } if end - data.len() as u64 == *last);
            let size = end - *last;
            *last = end;
            let new = match &piece {
                Item::Frame(_) => 0,
                Item::Data { flow, offset, data, .. } => {
                    let range = *offset..offset + data.len() as u64;
                    self.directions[from.index()].change(*flow, |track| track.arrived.add(range))
                }
            };
            let lane = self.lane(from, stripe);
            if seen {
                lane.arrive(at, end);
            } else {
                lane.arrive_unseen(at, end, size, carried(&piece, new), grows);
            }
            if let Item::Frame(frame) = piece {
                self.note_frame(side, at, stripe, &frame);
            }
        }
    }

    fn note_frame(&mut self, side: Side, at: u64, stripe: StripeId, frame: &frame::Frame) {
        match frame {
            frame::Frame::Ack { counts } => {
                for (stripe, count) in counts {
                    self.acknowledge(side, at, *stripe, *count, true);
                }
            }
            frame::Frame::Pong { nonce } => {
                if let Some(end) = self.lane(side, stripe).pinged(*nonce) {
                    self.acknowledge(side, at, stripe, end, true);
                }
            }
            frame::Frame::StripeGone { stripe, received } => {
                self.acknowledge(side, at, *stripe, *received, false)
            }
            _ => {}
        }
    }

    fn acknowledge(&mut self, side: Side, at: u64, stripe: StripeId, count: u64, timed: bool) {
        let Direction { lanes, flows, acknowledged, .. } = &mut self.directions[side.index()];
        let Some(lane) = lanes.get_mut(&stripe) else { return };
        let mut total = now(acknowledged);
        for Frame { carries, .. } in lane.acknowledge(at, count, timed) {
            if let Carries::Data { flow, offset, len, .. } = carries {
                total += flows.entry(*flow).or_default().settle(at, *offset..offset + len);
            }
        }
        if let Some((flow, offset, len)) = lane.partly_acknowledged() {
            total += flows.entry(flow).or_default().settle(at, offset..offset + len);
        }
        push(acknowledged, at, total);
    }

    fn close(&mut self, side: Side, flow: FlowId) {
        self.directions[side.other().index()].change(flow, |track| track.closed = true);
    }
}

impl Direction {
    /// Changes a flow and the sum of bytes that are held out of order.
    fn change<T>(&mut self, flow: FlowId, change: impl FnOnce(&mut FlowTrack) -> T) -> T {
        let track = self.flows.entry(flow).or_default();
        let before = track.held();
        let result = change(track);
        self.held_now = self.held_now - before + track.held();
        result
    }
}

/// Adds a step, unless nothing changes.
fn push(steps: &mut Steps, at: u64, value: u64) {
    match steps.last_mut() {
        Some((_, last)) if *last == value => {}
        None if value == 0 => {}
        Some((time, last)) if *time == at => *last = value,
        _ => steps.push((at, value)),
    }
}

pub fn now(steps: &Steps) -> u64 {
    steps.last().map_or(0, |(_, value)| *value)
}

/// The flow and offset that a header names (zero for control), and the frame if it is not DATA.
fn read_head(header: &Bytes) -> Option<(FlowId, u64, Option<frame::Frame>)> {
    let mut deframer = Deframer::new();
    let piece = match deframer.next(&mut header.clone()).ok()? {
        // The head of a DATA frame shows with its first byte of payload.
        None => deframer.next(&mut Bytes::from_static(&[0])).ok()?,
        piece => piece,
    };
    Some(match piece? {
        Item::Frame(frame @ frame::Frame::Open { flow, .. }) => (flow, 0, Some(frame)),
        Item::Frame(frame) => (FlowId(0), 0, Some(frame)),
        Item::Data { flow, offset, .. } => (flow, offset, None),
    })
}

/// Whether the other side answers a frame soon (PROTOCOL.md, section 6).
fn asks(frame: Option<&frame::Frame>) -> bool {
    use frame::Frame::{Ack, Blocked, Credit, Pong};
    !matches!(frame, Some(Ack { .. } | Blocked { .. } | Credit { .. } | Pong { .. }))
}

fn carried(piece: &Item, new: u64) -> Carries {
    match piece {
        Item::Data { flow, offset, data, .. } if !data.is_empty() => {
            Carries::Data { flow: *flow, offset: *offset, len: data.len() as u64, again: new == 0 }
        }
        Item::Data { .. } => Carries::Control { asks: true },
        Item::Frame(frame) => Carries::Control { asks: asks(Some(frame)) },
    }
}
