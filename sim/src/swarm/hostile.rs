//! One honest session and a peer that says valid frames with bad intent.
//!
//! The peer knows all that a real one could know and more: what it was granted, what was sent to it. Most of what it says is just
//! within the rules, for only then does it get deep into the state; now and then it breaks them. Whatever it says, the honest
//! side must not panic, must keep its invariants and its memory limit, must answer with bounded work, and may end the
//! session only over a typed violation or because the peer asked for it.

use super::{Hostile, Outcome};
use crate::app::Side;
use crate::draw::{log_range, pick};
use crate::faults::Kinds;
use crate::seed::{self, Digest};
use bytes::Bytes;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use striper_core::wire::frame::Frame;
use striper_core::{
    EndReason, FlowId, Hello, HelloKind, Input, Instant, Output, Reason, Role, Session, SessionId, StripeId,
};

macro_rules! acts {
    ($($(#[$doc:meta])* $act:ident = $name:literal,)*) => {
        /// What happens next. `a`, `b` and `c` are a [`Move`]'s numbers.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Act {
            $($(#[$doc])* $act,)*
        }

        impl Act {
            /// All of them.
            pub const ALL: &[Act] = &[$(Act::$act),*];

            /// Its name in scripts.
            pub fn name(self) -> &'static str {
                match self {
                    $(Act::$act => $name,)*
                }
            }
        }
    };
}

acts! {
    /// Peer: a stripe comes up.
    Up = "up",
    /// A stripe breaks.
    Down = "down",
    /// The system takes all that was written.
    Written = "written",
    /// OPEN of index `a`, early credit `b`, credit `c`, with some payload.
    Open = "open",
    /// ACCEPT of `a`.
    Accept = "accept",
    /// REFUSE of `a`.
    Refuse = "refuse",
    /// DATA of `a`, at `b` thousandths of the credit, length `c`.
    Data = "data",
    /// As `Data`, with FIN.
    Fin = "fin",
    /// DATA of `a` at any offset `b`, length `c`.
    RudeData = "rude-data",
    /// RESET of `a` with final offset `b`.
    Reset = "reset",
    /// CREDIT for `a` up to `b`.
    Credit = "credit",
    /// BLOCKED of `a` at `b`.
    Blocked = "blocked",
    /// GRANT of `a` flows and `b` early credit.
    Grant = "grant",
    /// ACK of stripe `a` for `b` thousandths of what was sent.
    Ack = "ack",
    /// ACK of every stripe.
    AckAll = "ack-all",
    /// STRIPE_GONE of `a`, received `b` thousandths.
    Gone = "gone",
    /// PING, `a` times.
    Ping = "ping",
    /// PONG of nonce `a`.
    Pong = "pong",
    /// DRAIN.
    Drain = "drain",
    /// CLOSE with code `a`.
    Close = "close",
    /// A frame of unknown type that may be skipped, length `a`.
    Skip = "skip",
    /// Half a frame, that nothing follows but the next one's bytes.
    Torn = "torn",
    /// Honest side: opens a flow.
    LocalOpen = "local-open",
    /// Sends `b` bytes on flow `a`.
    LocalData = "local-data",
    /// Takes all that flow `a` has delivered.
    LocalConsume = "local-consume",
    /// Finishes flow `a`.
    LocalFinish = "local-finish",
    /// Resets flow `a`.
    LocalReset = "local-reset",
    /// Accepts flow `a`.
    LocalAccept = "local-accept",
    /// Time passes: `a` microseconds.
    Wait = "wait",
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Move {
    /// What.
    pub act: Act,
    /// Its numbers.
    pub a: u64,
    /// See [`Act`].
    pub b: u64,
    /// See [`Act`].
    pub c: u64,
}

/// Draws what happens: a few kinds of moves, many of each.
pub(super) fn draw(rng: &mut ChaCha8Rng) -> Vec<Move> {
    let likely = *pick(rng, &[0.2, 0.5, 0.9]);
    let mut acts: Vec<Act> = Act::ALL.iter().copied().filter(|_| rng.random_bool(likely)).collect();
    acts.extend([Act::Up, Act::Written, Act::AckAll, Act::Wait, Act::Open, Act::Data]);
    // Rude data, and closing, end most worlds at once.
    let rude = rng.random_range(0..8) == 0;
    acts.retain(|act| rude || !matches!(act, Act::RudeData | Act::Close | Act::Torn | Act::Drain));
    let flows = log_range(rng, 1, 64);
    let count = log_range(rng, 100, 800);
    let mut moves = vec![Move { act: Act::Up, a: 0, b: 0, c: 0 }];
    for _ in 0..count {
        let act = *pick(rng, &acts);
        let flow = rng.random_range(0..flows);
        let thousandths = if rude { rng.random_range(0..1_010) } else { rng.random_range(0..=1_000) };
        let (a, b, c) = match act {
            Act::Open => (flow, log_range(rng, 1, 1 << 18) - 1, log_range(rng, 1, 1 << 24) - 1),
            Act::Data | Act::Fin => (flow, thousandths, log_range(rng, 1, 1 << 14) - 1),
            Act::RudeData => (flow, log_range(rng, 1, 1 << 61), log_range(rng, 1, 1 << 16) - 1),
            Act::Reset | Act::Credit | Act::Blocked => {
                (flow, log_range(rng, 1, 1 << 40) - 1, rng.random_range(0..9))
            }
            Act::Grant => (log_range(rng, 1, 1 << 40), log_range(rng, 1, 1 << 40), 0),
            Act::Ack | Act::Gone => (rng.random_range(0..6), thousandths, 0),
            Act::Wait => (log_range(rng, 1, 10_000_000), 0, 0),
            Act::LocalData => (flow, log_range(rng, 1, 1 << 18), 0),
            Act::Up | Act::Down => (rng.random_range(0..6), 0, 0),
            Act::Ping => (log_range(rng, 1, 200), 0, 0),
            Act::Close => (rng.random_range(0..4), 0, 0),
            Act::Skip => (log_range(rng, 1, 1 << 16), 0, 0),
            _ => (flow, rng.random_range(0..9), 0),
        };
        moves.push(Move { act, a, b, c });
    }
    moves
}

/// Runs it; panics if the honest side does anything that it must not.
pub fn run(scenario: &Hostile) -> Outcome {
    let mut play = Play::new(scenario);
    for (number, next) in scenario.moves.iter().enumerate() {
        if play.ended.is_some() {
            break;
        }
        play.make(number, *next);
    }
    Outcome {
        events: play.events,
        faults: scenario.moves.len() as u64,
        felt: Kinds::default(),
        flows: play.known.len() as u64,
        complete: 0,
        delivered: play.delivered.values().sum(),
        digest: play.digest.value(),
    }
}

struct Play {
    rng: ChaCha8Rng,
    role: Role,
    limit: u64,
    session: Session,
    now: Instant,
    outputs: Vec<Output>,
    ended: Option<EndReason>,
    next_stripe: u64,
    up: Vec<StripeId>,
    /// Frame bytes transmitted on each stripe.
    sent: BTreeMap<StripeId, u64>,
    /// Flows of which the honest side's programs have heard.
    known: Vec<FlowId>,
    offered: BTreeSet<FlowId>,
    delivered: BTreeMap<FlowId, u64>,
    finished: BTreeSet<FlowId>,
    gone: BTreeSet<FlowId>,
    requests: u64,
    /// Flows that the honest side has opened.
    opened: u64,
    events: u64,
    digest: Digest,
}

/// More outputs than this for one input are too many, whatever the peer does: four stripes' allowances in the smallest
/// chunks, and a word for each flow.
const MOST_OUTPUTS: usize = 256 + 192 * 6 + 8 * 1_000;

impl Play {
    fn new(scenario: &Hostile) -> Self {
        let now = Instant::from_micros(1_000_000);
        let role = match scenario.honest {
            Side::Client => Role::Client,
            Side::Server => Role::Server { instance: 7 },
        };
        Play {
            rng: seed::stream(scenario.seed, "hostile", 0),
            role,
            limit: scenario.config.memory_limit.max(2 << 20),
            session: Session::new(role, ID, scenario.config, now),
            now,
            outputs: Vec::new(),
            ended: None,
            next_stripe: 0,
            up: Vec::new(),
            sent: BTreeMap::new(),
            known: Vec::new(),
            offered: BTreeSet::new(),
            delivered: BTreeMap::new(),
            finished: BTreeSet::new(),
            gone: BTreeSet::new(),
            requests: 0,
            opened: 0,
            events: 0,
            digest: Digest::new(),
        }
    }

    /// The `index`th flow of the peer, or with `ours` of the honest side.
    fn flow(&self, index: u64, ours: bool) -> FlowId {
        let client = (self.role == Role::Client) == ours;
        FlowId(index * 2 + u64::from(client))
    }

    /// One of the flows that the honest side's programs know.
    fn local(&self, number: u64) -> Option<FlowId> {
        let known: Vec<_> = self.known.iter().filter(|flow| !self.gone.contains(flow)).collect();
        (!known.is_empty()).then(|| *known[number as usize % known.len()])
    }

    fn stripe(&self, number: u64) -> StripeId {
        self.up.get(number as usize).copied().unwrap_or(StripeId(number % self.next_stripe.max(1)))
    }

    fn make(&mut self, number: usize, next: Move) {
        let Move { act, a, b, c } = next;
        // Of either side's flows, mostly the peer's own.
        let ours = b % 3 == 2 && self.opened > 0;
        let flow = self.flow(if ours { a % self.opened } else { a }, ours);
        match act {
            Act::Up => self.come_up(),
            Act::Down => {
                if let Some(index) = (!self.up.is_empty()).then(|| a as usize % self.up.len()) {
                    let stripe = self.up.remove(index);
                    self.input(Input::StripeDown { stripe });
                }
            }
            Act::Written => {
                for stripe in self.up.clone() {
                    let total = self.sent[&stripe];
                    self.input(Input::StripeWritten { stripe, total });
                }
            }
            Act::Wait => self.wait(a),
            Act::LocalOpen => {
                self.requests += 1;
                let request = self.requests;
                self.input(Input::FlowOpen { request, opaque: Bytes::from_static(b"target") });
            }
            Act::LocalData | Act::LocalConsume | Act::LocalFinish | Act::LocalReset | Act::LocalAccept => {
                if let Some(flow) = self.local(a) {
                    self.local_act(act, flow, b);
                }
            }
            _ => {
                let frames = self.frames(act, flow, a, b, c);
                for (frame, payload) in frames {
                    self.say(number, &frame, payload, act == Act::Torn);
                }
                if act == Act::Skip {
                    self.say_unknown(a);
                }
            }
        }
    }

    fn frames(&mut self, act: Act, flow: FlowId, a: u64, b: u64, c: u64) -> Vec<(Frame, usize)> {
        let one = |frame: Frame| vec![(frame, 0)];
        let sent = |stripe: StripeId, b: u64| self.sent.get(&stripe).copied().unwrap_or(0) * b / 1_000;
        let granted = self.session.view_flow(flow).map_or(16 << 10, |view| view.granted);
        match act {
            Act::Open => {
                let frame = Frame::Open {
                    flow: self.flow(a, false),
                    early: b.min(if a.is_multiple_of(7) { u64::MAX >> 2 } else { 240 << 10 }),
                    credit: c,
                    opaque: Bytes::from(vec![b'x'; (b % 600).min(512) as usize]),
                };
                vec![(frame, (c % 3_000) as usize)]
            }
            Act::Accept | Act::Refuse if self.opened == 0 => Vec::new(),
            Act::Accept => one(Frame::Accept { flow: self.flow(a % self.opened, true) }),
            Act::Refuse => one(Frame::Refuse { flow: self.flow(a % self.opened, true), reason: b }),
            Act::Data | Act::Fin => {
                let fin = act == Act::Fin;
                // Now and then a few bytes too many.
                let over = c % 211 == 1;
                let offset = if over { granted.saturating_sub(100) } else { granted * b / 1_000 };
                let room = if b > 1_000 { c } else { granted.saturating_sub(offset) };
                let len = if over { room + c % 8 } else { c.min(room) };
                if len == 0 && !fin {
                    Vec::new()
                } else {
                    vec![(Frame::Data { flow, offset, fin }, len as usize)]
                }
            }
            Act::RudeData => {
                vec![(Frame::Data { flow, offset: b, fin: c.is_multiple_of(5) }, c as usize + 1)]
            }
            Act::Reset => {
                let reach = self.session.view_flow(flow).map_or(b, |view| view.received + b % 3 * b);
                one(Frame::Reset { flow, reason: c, final_offset: reach.min((1 << 62) - 1) })
            }
            Act::Credit => one(Frame::Credit { flow, limit: b }),
            Act::Blocked => one(Frame::Blocked { flow, limit: b }),
            Act::Grant => one(Frame::Grant { flows: a, early: b }),
            Act::Ack => {
                let stripe = self.stripe(a);
                one(Frame::Ack { counts: vec![(stripe, sent(stripe, b))] })
            }
            Act::AckAll => {
                let counts: Vec<_> = self.up.iter().map(|stripe| (*stripe, sent(*stripe, 1_000))).collect();
                if counts.is_empty() { Vec::new() } else { one(Frame::Ack { counts }) }
            }
            Act::Gone => {
                let stripe = self.stripe(a);
                one(Frame::StripeGone { stripe, received: sent(stripe, b) })
            }
            Act::Ping => (0..a).map(|nonce| (Frame::Ping { nonce }, 0)).collect(),
            Act::Pong => one(Frame::Pong { nonce: a }),
            Act::Drain => one(Frame::Drain),
            Act::Close => one(Frame::Close { code: a }),
            Act::Torn => one(Frame::Ping { nonce: 1 << 40 }),
            _ => Vec::new(),
        }
    }

    /// Says a frame on one of the stripes that are up, cut at random.
    fn say(&mut self, number: usize, frame: &Frame, payload: usize, torn: bool) {
        let mut bytes = frame.encode(payload).to_vec();
        if torn {
            bytes.truncate(bytes.len() / 2);
        }
        bytes.resize(bytes.len() + payload, number as u8);
        self.bytes(Bytes::from(bytes));
    }

    /// Says a frame of an even type that no version knows.
    fn say_unknown(&mut self, len: u64) {
        let mut bytes = Vec::new();
        let mut put = |mut number: u64| {
            while number >= 0x80 {
                bytes.push(number as u8 | 0x80);
                number >>= 7;
            }
            bytes.push(number as u8);
        };
        put(len + 1);
        put(0x7e);
        bytes.resize(bytes.len() + len as usize, 0x55);
        self.bytes(Bytes::from(bytes));
    }

    fn bytes(&mut self, mut bytes: Bytes) {
        let Some(stripe) = (!self.up.is_empty()).then(|| self.up[self.rng.random_range(0..self.up.len())])
        else {
            return;
        };
        while !bytes.is_empty() && self.ended.is_none() {
            let n = match self.rng.random_range(0..4) {
                0 => 1,
                1 => self.rng.random_range(1..=bytes.len()),
                _ => bytes.len(),
            };
            self.input(Input::StripeBytes { stripe, data: bytes.split_to(n) });
        }
    }

    fn come_up(&mut self) {
        let stripe = StripeId(self.next_stripe);
        if self.up.len() >= 6 || (self.role != Role::Client && self.session.may_join(stripe).is_err()) {
            return;
        }
        self.next_stripe += 1;
        let kind = match self.role {
            Role::Client => HelloKind::Accept { instance: 9 },
            Role::Server { .. } => HelloKind::Create,
        };
        self.up.push(stripe);
        self.sent.insert(stripe, 0);
        self.input(Input::StripeUp { stripe, hello: Hello { kind, session: ID, stripe, gone: Vec::new() } });
    }

    fn wait(&mut self, micros: u64) {
        let end = self.now + Duration::from_micros(micros);
        while let Some((at, _)) = self.session.deadline().filter(|(at, _)| *at <= end) {
            if self.ended.is_some() {
                return;
            }
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    fn local_act(&mut self, act: Act, flow: FlowId, b: u64) {
        let input = match act {
            Act::LocalData => {
                let len = b.min(self.session.send_room(flow));
                if len == 0 {
                    return;
                }
                Input::FlowData { flow, data: Bytes::from(vec![1; len as usize]) }
            }
            Act::LocalConsume => {
                Input::FlowConsumed { flow, total: self.delivered.get(&flow).copied().unwrap_or(0) }
            }
            Act::LocalFinish => Input::FlowFinish { flow },
            Act::LocalReset => {
                self.gone.insert(flow);
                Input::FlowReset { flow, reason: Reason::Aborted }
            }
            _ if self.offered.remove(&flow) => Input::FlowAccept { flow },
            _ => return,
        };
        self.input(input);
    }

    fn input(&mut self, input: Input) {
        if self.ended.is_some() {
            return;
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        self.session.handle(self.now, input, &mut outputs);
        self.events += 1;
        self.session.check_invariants();
        let deadline = self.session.deadline();
        assert!(deadline.is_none_or(|(at, _)| at > self.now), "{deadline:?} has come already");
        let others = outputs.iter().filter(|output| !matches!(output, Output::FlowData { .. })).count();
        assert!(others <= MOST_OUTPUTS, "one input yields {others} outputs");
        let (receive, send) = self.session.memory_used();
        let half = self.limit / 2;
        assert!(
            receive <= half && send <= half + (16 << 10),
            "{receive} and {send} bytes are over the limit"
        );
        for output in outputs.drain(..) {
            self.perform(output);
        }
        self.outputs = outputs;
    }

    fn perform(&mut self, output: Output) {
        assert!(self.ended.is_none(), "an output after the end: {output:?}");
        match output {
            Output::Transmit { stripe, header, payload } => {
                assert!(self.up.contains(&stripe), "a frame on stripe {stripe}, which is not up");
                self.digest.words(&header);
                *self.sent.entry(stripe).or_default() += (header.len() + payload.len()) as u64;
            }
            Output::CloseStripe { stripe, .. } => self.up.retain(|other| *other != stripe),
            Output::FlowOpened { flow, .. } => {
                self.opened += 1;
                self.known.push(flow);
            }
            Output::FlowIncoming { flow, .. } => {
                assert!(!self.known.contains(&flow), "a flow comes twice");
                self.known.push(flow);
                self.offered.insert(flow);
            }
            Output::FlowData { flow, data } => {
                self.assert_listens(flow, "data");
                assert!(!self.finished.contains(&flow), "data after FIN");
                *self.delivered.entry(flow).or_default() += data.len() as u64;
            }
            Output::FlowFinished { flow } => {
                self.assert_listens(flow, "FIN");
                assert!(self.finished.insert(flow), "a second FIN");
            }
            Output::FlowReset { flow, .. } | Output::FlowRefused { flow, .. } => {
                self.assert_listens(flow, "a reset");
                self.gone.insert(flow);
            }
            Output::FlowEnded { flow } => {
                self.gone.insert(flow);
            }
            Output::Ended { reason } => {
                let asked = matches!(
                    reason,
                    EndReason::Violation(_)
                        | EndReason::PeerClosed
                        | EndReason::PeerComplained
                        | EndReason::Shutdown
                        | EndReason::NoStripe
                );
                assert!(asked, "the session ends without a cause: {reason}");
                self.digest.bytes(format!("{reason:?}").as_bytes());
                self.ended = Some(reason);
            }
            _ => {}
        }
    }

    fn assert_listens(&self, flow: FlowId, what: &str) {
        assert!(
            self.known.contains(&flow) && !self.gone.contains(&flow),
            "{what} for {flow:?}, which is over"
        );
    }
}

const ID: SessionId = SessionId([7; 16]);
