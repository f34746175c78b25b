//! A session whose peer is the attacker: whatever it says is written at once, and counted.

#![allow(dead_code, reason = "each suite uses a part of it")]

use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use striper_core::config::INITIAL_FLOWS;
use striper_core::wire::frame::Frame;
use striper_core::{
    Config, EndReason, FlowId, Hello, HelloKind, Input, Instant, Output, Role, Session, SessionId,
    StripeId,
};

/// The session under attack.
pub const SESSION: SessionId = SessionId([7; 16]);

/// The instance of the server that is attacked, or attacks.
pub const INSTANCE: u64 = 9;

#[derive(Clone)]
pub struct Victim {
    pub session: Session,
    pub now: Instant,
    /// Bytes that it has said, HELLOs not counted.
    pub said: u64,
    /// Bytes that it has heard, HELLOs not counted.
    pub heard: u64,
    /// What it has told its local side or asked of its driver, but data.
    pub told: Vec<Output>,
    /// What it has delivered.
    pub delivered: BTreeMap<FlowId, Vec<u8>>,
    pub ended: Option<EndReason>,
    /// Flows that it lets its peer open in all.
    pub granted: u64,
    /// Local consumers take what they get at once.
    pub consumes: bool,
    /// Invariants are checked after each input.
    pub checks: bool,
    /// What it tells is remembered.
    pub remembers: bool,
}

impl Victim {
    pub fn new(role: Role, config: Config) -> Self {
        let now = Instant::from_micros(1_000_000);
        Victim {
            session: Session::new(role, SESSION, config, now),
            now,
            said: 0,
            heard: 0,
            told: Vec::new(),
            delivered: BTreeMap::new(),
            ended: None,
            granted: INITIAL_FLOWS,
            consumes: true,
            checks: true,
            remembers: true,
        }
    }

    /// A server with so many stripes.
    pub fn server(stripes: u64) -> Self {
        Self::new(Role::Server { instance: INSTANCE }, Config::default()).with(stripes)
    }

    /// A client with so many stripes.
    pub fn client(stripes: u64) -> Self {
        Self::new(Role::Client, Config::default()).with(stripes)
    }

    /// The same with so many stripes, numbered from zero.
    pub fn with(mut self, stripes: u64) -> Self {
        (0..stripes).for_each(|stripe| self.up(stripe));
        self
    }

    pub fn up(&mut self, stripe: u64) {
        self.up_with(stripe, Vec::new());
    }

    /// A stripe comes up, and its HELLO says that these are gone.
    pub fn up_with(&mut self, stripe: u64, gone: Vec<(StripeId, u64)>) {
        let kind = match self.session.role() {
            Role::Client => HelloKind::Accept { instance: INSTANCE },
            Role::Server { .. } => HelloKind::Create,
        };
        let stripe = StripeId(stripe);
        self.give(Input::StripeUp {
            stripe,
            hello: Hello { kind, session: SESSION, stripe, gone },
        });
    }

    pub fn down(&mut self, stripe: u64) {
        self.give(Input::StripeDown { stripe: StripeId(stripe) });
    }

    /// Hears bytes on a stripe.
    pub fn hear(&mut self, stripe: u64, data: impl Into<Bytes>) {
        let data = data.into();
        self.heard += data.len() as u64;
        self.give(Input::StripeBytes { stripe: StripeId(stripe), data });
    }

    /// Hears a frame with payload.
    pub fn frame(&mut self, stripe: u64, frame: &Frame, payload: &[u8]) {
        self.hear(stripe, bytes(frame, payload));
    }

    pub fn give(&mut self, input: Input) {
        let mut queue = vec![input];
        while let Some(input) = queue.pop() {
            let mut out = Vec::new();
            self.session.handle(self.now, input, &mut out);
            if self.checks {
                self.session.check_invariants();
            }
            for output in out {
                match output {
                    Output::Transmit { header, payload, .. } => {
                        let len = (header.len() + payload.len()) as u64;
                        self.said += len;
                        if let Some(Frame::Grant { flows, .. }) = Frame::decode(&header) {
                            self.granted = self.granted.max(flows);
                        }
                    }
                    Output::FlowData { flow, data } => {
                        let all = self.delivered.entry(flow).or_default();
                        all.extend_from_slice(&data);
                        if self.consumes {
                            queue.push(Input::FlowConsumed { flow, total: all.len() as u64 });
                        }
                    }
                    Output::Ended { reason } => self.ended = Some(reason),
                    other if self.remembers => self.told.push(other),
                    _ => {}
                }
            }
            let stats = self.session.stats();
            let unwritten = stats.stripes.iter().filter(|stripe| stripe.written < stripe.sent);
            queue.extend(
                unwritten.map(|stripe| Input::StripeWritten {
                    stripe: stripe.stripe,
                    total: stripe.sent,
                }),
            );
        }
    }

    /// Time goes on, with a tick whenever one is due.
    pub fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some((at, _)) = self.session.deadline().filter(|(at, _)| *at <= until) {
            self.now = self.now.max(at);
            self.give(Input::Tick);
        }
        self.now = until;
    }

    /// The attacker acknowledges all that a stripe was given.
    pub fn acknowledge(&mut self, stripe: u64) {
        let count = self.sent(stripe);
        self.frame(stripe, &Frame::Ack { counts: vec![(StripeId(stripe), count)] }, b"");
    }

    /// Bytes that were put on a live stripe.
    pub fn sent(&self, stripe: u64) -> u64 {
        let stats = self.session.stats();
        stats.stripes.iter().find(|live| live.stripe.0 == stripe).map_or(0, |live| live.sent)
    }
}

/// A frame with its payload.
pub fn bytes(frame: &Frame, payload: &[u8]) -> Bytes {
    Bytes::from([&frame.encode(payload.len())[..], payload].concat())
}

/// An OPEN.
pub fn open(flow: u64, early: u64) -> Frame {
    Frame::Open { flow: FlowId(flow), early, credit: 1 << 20, opaque: Bytes::new() }
}

/// A DATA.
pub fn data(flow: u64, offset: u64) -> Frame {
    Frame::Data { flow: FlowId(flow), offset, fin: false }
}

/// A RESET.
pub fn reset(flow: u64, final_offset: u64) -> Frame {
    Frame::Reset { flow: FlowId(flow), reason: 0, final_offset }
}
