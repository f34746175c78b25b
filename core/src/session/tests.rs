//! A pair of sessions joined by stripes without delay that tests can hold back, break and re-cut.

mod alone;
mod copies;
mod custody;
mod flows;
mod frames;
mod life;
mod limits;
mod linger;
mod memory;
mod stripes;

use super::*;
use crate::error::Reason;
use crate::id::FlowId;
use crate::wire::frame::Frame;
use crate::wire::hello::HelloKind;
use alloc::collections::BTreeMap;
use alloc::vec;
use bytes::Bytes;
use core::time::Duration;

/// One direction of a stripe: bytes on their way.
#[derive(Default)]
struct Wire {
    bytes: Vec<u8>,
    held: bool,
}

/// What one side's local world has seen.
#[derive(Default)]
struct Seen {
    opened: Vec<FlowId>,
    incoming: Vec<FlowId>,
    data: BTreeMap<FlowId, Vec<u8>>,
    finished: Vec<FlowId>,
    reset: Vec<(FlowId, Reason)>,
    refused: Vec<(FlowId, Reason)>,
    ended: Vec<FlowId>,
    accepted: Vec<FlowId>,
    over: Option<EndReason>,
    /// Report consumption at once.
    lazy: bool,
}

struct Side {
    session: Session,
    seen: Seen,
    written: BTreeMap<StripeId, u64>,
}

struct Pair {
    now: Instant,
    sides: [Side; 2],
    /// By stripe: client to server, server to client.
    wires: BTreeMap<StripeId, [Wire; 2]>,
    next_stripe: u64,
    /// Closed by a side; what it had written before still arrives.
    closing: Vec<(StripeId, usize)>,
    unchecked: bool,
}

impl Pair {
    fn new(config: Config) -> Self {
        let now = Instant::from_micros(1);
        let side = |role| Side {
            session: Session::new(role, SessionId([7; 16]), config, now),
            seen: Seen::default(),
            written: BTreeMap::new(),
        };
        let mut pair = Pair {
            now,
            sides: [side(Role::Client), side(Role::Server { instance: 9 })],
            wires: BTreeMap::new(),
            next_stripe: 0,
            closing: Vec::new(),
            unchecked: false,
        };
        for _ in 0..config.stripes {
            pair.add_stripe();
        }
        pair.run();
        pair
    }

    fn add_stripe(&mut self) -> StripeId {
        let stripe = StripeId(self.next_stripe);
        self.next_stripe += 1;
        self.wires.insert(stripe, Default::default());
        let client = self.sides[0].session.hello(stripe);
        let server = self.sides[1].session.hello(stripe);
        self.give(1, Input::StripeUp { stripe, hello: client });
        self.give(0, Input::StripeUp { stripe, hello: server });
        stripe
    }

    fn give(&mut self, side: usize, input: Input) {
        let mut queue = vec![input];
        while let Some(input) = (!queue.is_empty()).then(|| queue.remove(0)) {
            let mut out = Vec::new();
            let Side { session, seen, written } = &mut self.sides[side];
            session.handle(self.now, input, &mut out);
            if !self.unchecked {
                session.check_invariants();
            }
            for output in out {
                match output {
                    Output::Transmit { stripe, header, payload } => {
                        let total = written.entry(stripe).or_default();
                        *total += (header.len() + payload.len()) as u64;
                        if let Some(wires) = self.wires.get_mut(&stripe) {
                            wires[side].bytes.extend_from_slice(&header);
                            wires[side].bytes.extend_from_slice(&payload);
                        }
                        queue.push(Input::StripeWritten { stripe, total: *total });
                    }
                    Output::FlowOpened { flow, .. } => seen.opened.push(flow),
                    Output::FlowIncoming { flow, .. } => seen.incoming.push(flow),
                    Output::FlowAccepted { flow } => seen.accepted.push(flow),
                    Output::FlowData { flow, data } => {
                        let all = seen.data.entry(flow).or_default();
                        all.extend_from_slice(&data);
                        if !seen.lazy {
                            queue.push(Input::FlowConsumed { flow, total: all.len() as u64 });
                        }
                    }
                    Output::FlowFinished { flow } => seen.finished.push(flow),
                    Output::FlowReset { flow, reason } => seen.reset.push((flow, reason)),
                    Output::FlowRefused { flow, reason } => seen.refused.push((flow, reason)),
                    Output::FlowEnded { flow } => seen.ended.push(flow),
                    Output::Ended { reason } => seen.over = Some(reason),
                    Output::CloseStripe { stripe, .. } => {
                        self.closing.push((stripe, side));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Moves bytes and time until nothing happens any more for 50 ms.
    fn run(&mut self) {
        let until = self.now + Duration::from_millis(50);
        self.run_until(until);
    }

    fn run_until(&mut self, until: Instant) {
        loop {
            if self.deliver() {
                continue;
            }
            let next = self
                .sides
                .iter()
                .filter_map(|side| side.session.deadline())
                .map(|(at, _)| at)
                .min();
            match next {
                Some(at) if at <= until => {
                    self.now = self.now.max(at);
                    self.give(0, Input::Tick);
                    self.give(1, Input::Tick);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    /// Moves all bytes that are not held back; whether there were any.
    fn deliver(&mut self) -> bool {
        let mut any = false;
        for stripe in self.wires.keys().copied().collect::<Vec<_>>() {
            for side in 0..2 {
                let Some(wire) = self.wires.get_mut(&stripe).map(|wires| &mut wires[side]) else {
                    continue;
                };
                if !wire.held && !wire.bytes.is_empty() {
                    let data = Bytes::from(core::mem::take(&mut wire.bytes));
                    any = true;
                    self.give(1 - side, Input::StripeBytes { stripe, data });
                }
            }
        }
        for (stripe, side) in core::mem::take(&mut self.closing) {
            match self.wires.get(&stripe) {
                Some(wires) if wires[side].held || !wires[side].bytes.is_empty() => {
                    self.closing.push((stripe, side))
                }
                Some(_) => {
                    self.wires.remove(&stripe);
                    self.give(1 - side, Input::StripeDown { stripe });
                    any = true;
                }
                None => {}
            }
        }
        any
    }

    fn hold(&mut self, stripe: StripeId, held: bool) {
        self.wires.get_mut(&stripe).unwrap().iter_mut().for_each(|wire| wire.held = held);
    }

    /// Both ends see the stripe break; what was on it is lost.
    fn kill(&mut self, stripe: StripeId) {
        self.wires.remove(&stripe);
        self.give(0, Input::StripeDown { stripe });
        self.give(1, Input::StripeDown { stripe });
    }

    fn open(&mut self) -> FlowId {
        self.give(0, Input::FlowOpen { request: 0, opaque: Bytes::from_static(b"target") });
        *self.sides[0].seen.opened.last().unwrap()
    }

    /// Hands over as much as the session takes; how much that was.
    fn send(&mut self, side: usize, flow: FlowId, data: &[u8]) -> usize {
        let room = self.sides[side].session.send_room(flow) as usize;
        let len = data.len().min(room);
        if len > 0 {
            self.give(side, Input::FlowData { flow, data: Bytes::copy_from_slice(&data[..len]) });
        }
        len
    }

    fn send_all(&mut self, side: usize, flow: FlowId, mut data: &[u8]) {
        let mut waited = 0;
        while !data.is_empty() {
            let len = self.send(side, flow, data);
            data = &data[len..];
            waited = if len == 0 { waited + 1 } else { 0 };
            if waited > 0 {
                assert!(waited < 100, "flow {flow} takes no more, {} bytes are left", data.len());
                self.run();
            }
        }
    }

    fn received(&self, side: usize, flow: FlowId) -> &[u8] {
        self.sides[side].seen.data.get(&flow).map_or(&[], |data| data)
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}
