//! Two sessions joined by stripes without delay.

use super::endpoint::{Endpoint, Habits};
use super::log::{FlowLog, Keep};
use super::{SERVER, SESSION};
use crate::config::Config;
use crate::id::{FlowId, Role, StripeId};
use crate::io::{Input, Output};
use crate::session::Session;
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// One direction of a stripe.
#[derive(Clone, Debug, Default)]
pub struct Wire {
    /// Bytes on their way. They arrive in one piece, unless a test takes some.
    pub bytes: Vec<u8>,
    /// They do not arrive for now.
    pub held: bool,
}

/// A client (0) and a server (1).
#[derive(Clone, Debug)]
pub struct Pair {
    /// The time of both.
    pub now: Instant,
    /// Client and server.
    pub sides: [Endpoint; 2],
    /// The habits of their drivers and local programs.
    pub habits: [Habits; 2],
    /// By stripe: client to server, server to client.
    pub wires: BTreeMap<StripeId, [Wire; 2]>,
    next_stripe: u64,
    /// Closed by a side. The bytes that it had written before still arrive.
    closing: Vec<(StripeId, usize)>,
}

impl Pair {
    /// With as many stripes as the settings say, at rest.
    pub fn new(config: Config) -> Self {
        let now = Instant::from_micros(1);
        let side = |role| Endpoint::new(Session::new(role, SESSION, config, now), Keep::Data);
        let mut pair = Pair {
            now,
            sides: [side(Role::Client), side(SERVER)],
            habits: [Habits::default(); 2],
            wires: BTreeMap::new(),
            next_stripe: 0,
            closing: Vec::new(),
        };
        for _ in 0..config.stripes {
            pair.add_stripe();
        }
        pair.run();
        pair
    }

    /// A new stripe comes up at both ends.
    pub fn add_stripe(&mut self) -> StripeId {
        let stripe = StripeId(self.next_stripe);
        self.next_stripe += 1;
        self.wires.insert(stripe, Default::default());
        let [client, server] = [0, 1].map(|side: usize| self.sides[side].session.hello(stripe));
        self.give(1, Input::StripeUp { stripe, hello: client });
        self.give(0, Input::StripeUp { stripe, hello: server });
        stripe
    }

    /// Gives a side an input, and puts on the wires what comes of it.
    pub fn give(&mut self, side: usize, input: Input) {
        for output in self.sides[side].run(self.now, input, self.habits[side]) {
            match output {
                Output::Transmit { stripe, header, payload } => {
                    if let Some(wires) = self.wires.get_mut(&stripe) {
                        wires[side].bytes.extend_from_slice(&header);
                        wires[side].bytes.extend_from_slice(&payload);
                    }
                }
                Output::CloseStripe { stripe, .. } => self.closing.push((stripe, side)),
                _ => {}
            }
        }
    }

    /// Moves bytes and time until nothing happens any more for 50 ms.
    pub fn run(&mut self) {
        self.run_until(self.now + Duration::from_millis(50));
    }

    /// Moves bytes and time.
    pub fn run_until(&mut self, until: Instant) {
        loop {
            if self.deliver() {
                continue;
            }
            let deadlines = self.sides.iter().filter_map(|side| side.session.deadline());
            match deadlines.map(|(at, _)| at).min() {
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
    pub fn deliver(&mut self) -> bool {
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
                    self.closing.push((stripe, side));
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

    /// Holds the bytes of a stripe back in both directions, or lets them go.
    pub fn hold(&mut self, stripe: StripeId, held: bool) {
        let wires = self.wires.get_mut(&stripe).expect("a stripe that is up");
        wires.iter_mut().for_each(|wire| wire.held = held);
    }

    /// Both ends see a stripe break, and the bytes on it are lost.
    pub fn kill(&mut self, stripe: StripeId) {
        self.wires.remove(&stripe);
        self.give(0, Input::StripeDown { stripe });
        self.give(1, Input::StripeDown { stripe });
    }

    /// The client opens a flow, which it may at once.
    pub fn open(&mut self) -> FlowId {
        self.give(0, Input::FlowOpen { request: 0, opaque: Bytes::from_static(b"target") });
        let mut flows = self.sides[0].log.flows().iter().rev();
        let (flow, _) = flows.find(|(_, log)| log.ours).expect("a flow");
        *flow
    }

    /// Hands over as much as the session takes; how much that was.
    pub fn send(&mut self, side: usize, flow: FlowId, data: &[u8]) -> usize {
        let room = self.sides[side].session.send_room(flow) as usize;
        let len = data.len().min(room);
        if len > 0 {
            self.give(side, Input::FlowData { flow, data: Bytes::copy_from_slice(&data[..len]) });
        }
        len
    }

    /// Hands over everything, and lets time pass whenever the session takes no more.
    pub fn send_all(&mut self, side: usize, flow: FlowId, mut data: &[u8]) {
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

    /// A side's log of a flow, which it must know.
    pub fn flow(&self, side: usize, flow: FlowId) -> &FlowLog {
        let log = self.sides[side].log.get(flow);
        log.unwrap_or_else(|| panic!("side {side} knows no flow {flow}"))
    }

    /// The bytes of a flow that a side was given; none if it does not know the flow.
    pub fn received(&self, side: usize, flow: FlowId) -> &[u8] {
        self.sides[side].log.get(flow).map_or(&[], |log| &log.data)
    }
}
