//! A session whose peer is a script.

use super::endpoint::{Endpoint, Habits};
use super::log::Keep;
use super::{INSTANCE, SERVER, SESSION};
use crate::config::{Config, INITIAL_FLOWS};
use crate::error::EndReason;
use crate::id::{FlowId, Role, StripeId};
use crate::io::{Input, Output};
use crate::session::Session;
use crate::stats::Stats;
use crate::time::Instant;
use crate::wire::deframer::{Deframer, Item};
use crate::wire::frame::Frame;
use crate::wire::hello::{Hello, HelloKind};
use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// A session that hears frames made by hand. The frames that it says are kept.
#[derive(Clone, Debug)]
pub struct Scripted {
    /// The session.
    pub end: Endpoint,
    /// The time.
    pub now: Instant,
    /// The habits of its driver and its local programs.
    pub habits: Habits,
    /// A PING is answered at once, and not kept.
    pub answers: bool,
    /// Frames and outputs are kept.
    pub remembers: bool,
    /// The frames that it has said.
    pub said: Vec<(StripeId, Item)>,
    /// All other outputs.
    pub told: Vec<Output>,
    /// Bytes that it has said, HELLOs not counted.
    pub bytes_said: u64,
    /// Bytes that it has heard, HELLOs not counted.
    pub bytes_heard: u64,
    /// Flows that it lets its peer open in all.
    pub granted: u64,
}

impl Scripted {
    /// Without stripes.
    pub fn new(role: Role, config: Config) -> Self {
        let now = Instant::from_micros(1_000_000);
        Scripted {
            end: Endpoint::new(Session::new(role, SESSION, config, now), Keep::Data),
            now,
            habits: Habits::default(),
            answers: false,
            remembers: true,
            said: Vec::new(),
            told: Vec::new(),
            bytes_said: 0,
            bytes_heard: 0,
            granted: INITIAL_FLOWS,
        }
    }

    /// A client with so many stripes, which asks for no more.
    pub fn client(stripes: u64) -> Self {
        Self::new(Role::Client, Config { stripes: 0, ..Config::default() }).with(stripes)
    }

    /// A server with so many stripes.
    pub fn server(stripes: u64) -> Self {
        Self::new(SERVER, Config::default()).with(stripes)
    }

    /// The same with so many stripes, numbered from zero.
    pub fn with(mut self, stripes: u64) -> Self {
        (0..stripes).for_each(|stripe| self.up(stripe));
        self
    }

    /// The session's statistics.
    pub fn stats(&self) -> Stats {
        self.end.session.stats()
    }

    /// Why it has ended, if it has.
    pub fn ended(&self) -> Option<EndReason> {
        self.end.ended()
    }

    /// A stripe comes up.
    pub fn up(&mut self, stripe: u64) {
        self.up_with(stripe, Vec::new());
    }

    /// A stripe comes up whose HELLO says that these are gone.
    pub fn up_with(&mut self, stripe: u64, gone: Vec<(StripeId, u64)>) {
        let kind = match self.end.session.role() {
            Role::Client => HelloKind::Accept { instance: INSTANCE },
            Role::Server { .. } => HelloKind::Create,
        };
        let stripe = StripeId(stripe);
        let hello = Hello { kind, session: SESSION, stripe, gone };
        self.give(Input::StripeUp { stripe, hello });
    }

    /// A stripe breaks.
    pub fn down(&mut self, stripe: u64) {
        self.give(Input::StripeDown { stripe: StripeId(stripe) });
    }

    /// Gives an input, and those that habits make of it.
    pub fn give(&mut self, input: Input) {
        if let Input::StripeBytes { data, .. } = &input {
            self.bytes_heard += data.len() as u64;
        }
        let mut pings = Vec::new();
        for output in self.end.run(self.now, input, self.habits) {
            let Output::Transmit { stripe, header, payload } = output else {
                if self.remembers {
                    self.told.push(output);
                }
                continue;
            };
            self.bytes_said += (header.len() + payload.len()) as u64;
            let mut deframer = Deframer::new();
            for mut bytes in [header, payload] {
                let mut next = || deframer.next(&mut bytes).expect("no session says a violation");
                while let Some(item) = next() {
                    match item {
                        Item::Frame(Frame::Ping { nonce }) if self.answers => {
                            pings.push((stripe.0, nonce));
                            continue;
                        }
                        Item::Frame(Frame::Grant { flows, .. }) => {
                            self.granted = self.granted.max(flows);
                        }
                        _ => {}
                    }
                    if self.remembers {
                        self.said.push((stripe, item));
                    }
                }
            }
        }
        for (stripe, nonce) in pings {
            self.hear(stripe, Frame::Pong { nonce });
        }
    }

    /// It hears bytes.
    pub fn hear_bytes(&mut self, stripe: u64, data: impl Into<Bytes>) {
        self.give(Input::StripeBytes { stripe: StripeId(stripe), data: data.into() });
    }

    /// It hears a frame with its payload.
    pub fn hear_with(&mut self, stripe: u64, frame: Frame, payload: &[u8]) {
        self.hear_bytes(stripe, bytes(&frame, payload));
    }

    /// It hears a frame without payload.
    pub fn hear(&mut self, stripe: u64, frame: Frame) {
        self.hear_with(stripe, frame, b"");
    }

    /// It hears a DATA.
    pub fn hear_data(&mut self, stripe: u64, flow: FlowId, offset: u64, data: &[u8], fin: bool) {
        self.hear_with(stripe, Frame::Data { flow, offset, fin }, data);
    }

    /// The peer acknowledges all that a stripe was given.
    pub fn acknowledge(&mut self, stripe: u64) {
        let count = self.end.sent(StripeId(stripe));
        self.hear(stripe, Frame::Ack { counts: vec![(StripeId(stripe), count)] });
    }

    /// Time goes on, with a tick whenever one is due.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((at, _)) = self.end.session.deadline().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            self.give(Input::Tick);
        }
        self.now = until;
    }

    /// Its local side opens a flow, and hands over the first bytes.
    pub fn open(&mut self, data: &'static [u8]) -> FlowId {
        let flow = FlowId::nth(self.end.session.role(), self.stats().flows as u64);
        self.give(Input::FlowOpen { request: 0, opaque: Bytes::from_static(b"target") });
        if !data.is_empty() {
            self.give(Input::FlowData { flow, data: Bytes::from_static(data) });
        }
        flow
    }

    /// The frames that it has said since the last call, but DATA.
    pub fn frames(&mut self) -> Vec<(u64, Frame)> {
        let frame = |(stripe, item): (StripeId, Item)| match item {
            Item::Frame(frame) => Some((stripe.0, frame)),
            Item::Data { .. } => None,
        };
        core::mem::take(&mut self.said).into_iter().filter_map(frame).collect()
    }

    /// The other outputs since the last call.
    pub fn told(&mut self) -> Vec<Output> {
        core::mem::take(&mut self.told)
    }
}

/// A frame with its payload.
pub fn bytes(frame: &Frame, payload: &[u8]) -> Bytes {
    Bytes::from([&frame.encode(payload.len())[..], payload].concat())
}

/// An OPEN with much credit.
pub fn open(flow: u64, early: u64) -> Frame {
    Frame::Open { flow: FlowId(flow), early, credit: 1 << 20, opaque: Bytes::new() }
}

/// A DATA without FIN.
pub fn data(flow: u64, offset: u64) -> Frame {
    Frame::Data { flow: FlowId(flow), offset, fin: false }
}

/// A RESET.
pub fn reset(flow: u64, final_offset: u64) -> Frame {
    Frame::Reset { flow: FlowId(flow), reason: 0, final_offset }
}
