//! One honest session and a peer that says valid frames with bad intent.
//!
//! The peer knows all that a real one could know and more: its grants, and the bytes that were sent
//! to it. Most of its frames are just within the rules, since only those get deep into the state.
//! Now and then it breaks the rules. The honest side must not panic, must keep its invariants and
//! its memory limit, and must answer with bounded work. It may end the session only over a typed
//! violation or because the peer asked for it.

mod check;
mod moves;
mod speech;

use super::{Hostile, Outcome};
use crate::base::{Digest, Side, seed};
use crate::run::Observer;
use bytes::Bytes;
pub(super) use moves::draw;
pub use moves::{Act, Move};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use std::time::Duration;
use striper_core::testing::{Endpoint, Keep};
use striper_core::{
    FlowId, Hello, HelloKind, Input, Instant, Output, Reason, Role, Session, SessionId, StripeId,
};

const ID: SessionId = SessionId([7; 16]);

pub fn run(scenario: &Hostile, observer: Option<Observer>) -> Outcome {
    let mut play = Play::new(scenario);
    play.observer = observer;
    for (number, next) in scenario.moves.iter().enumerate() {
        if play.end.ended().is_some() {
            break;
        }
        play.make(number, *next);
    }
    Outcome {
        events: play.events,
        faults: scenario.moves.len() as u64,
        flows: play.known.len() as u64,
        delivered: play.end.log.flows().values().map(|log| log.delivered).sum(),
        digest: play.digest.value(),
        ..Outcome::default()
    }
}

struct Play {
    rng: ChaCha8Rng,
    role: Role,
    limit: u64,
    end: Endpoint,
    now: Instant,
    outputs: Vec<Output>,
    next_stripe: u64,
    /// Frame bytes transmitted on each stripe, also on those that are gone.
    sent: BTreeMap<StripeId, u64>,
    /// Flows of which the honest side's programs have heard.
    known: Vec<FlowId>,
    requests: u64,
    opened: u64,
    events: u64,
    digest: Digest,
    observer: Option<Observer>,
}

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
            end: Endpoint::new(Session::new(role, ID, scenario.config, now), Keep::Flows),
            now,
            outputs: Vec::new(),
            next_stripe: 0,
            sent: BTreeMap::new(),
            known: Vec::new(),
            requests: 0,
            opened: 0,
            events: 0,
            digest: Digest::new(),
            observer: None,
        }
    }

    fn local(&self, number: u64) -> Option<FlowId> {
        let live = |flow: &&FlowId| self.end.log.get(**flow).is_some_and(|log| log.over.is_none());
        let known: Vec<_> = self.known.iter().filter(live).collect();
        (!known.is_empty()).then(|| *known[number as usize % known.len()])
    }

    fn up(&self) -> Vec<StripeId> {
        self.end.stripes().keys().copied().collect()
    }

    fn make(&mut self, number: usize, next: Move) {
        let Move { act, a, b, .. } = next;
        // Of either side's flows, mostly the peer's own.
        let ours = b % 3 == 2 && self.opened > 0;
        let flow = self.flow(if ours { a % self.opened } else { a }, ours);
        match act {
            Act::Up => self.come_up(),
            Act::Down => {
                let up = self.up();
                if !up.is_empty() {
                    self.input(Input::StripeDown { stripe: up[a as usize % up.len()] });
                }
            }
            Act::Written => {
                for stripe in self.up() {
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
            Act::LocalData
            | Act::LocalConsume
            | Act::LocalFinish
            | Act::LocalReset
            | Act::LocalAccept => {
                if let Some(flow) = self.local(a) {
                    self.local_act(act, flow, b);
                }
            }
            _ => self.speak(number, flow, next),
        }
    }

    fn come_up(&mut self) {
        let stripe = StripeId(self.next_stripe);
        if self.end.stripes().len() >= 6
            || (self.role != Role::Client && self.end.session.may_join(stripe).is_err())
        {
            return;
        }
        self.next_stripe += 1;
        let kind = match self.role {
            Role::Client => HelloKind::Accept { instance: 9 },
            Role::Server { .. } => HelloKind::Create,
        };
        self.sent.insert(stripe, 0);
        let hello = Hello { kind, session: ID, stripe, gone: Vec::new() };
        self.input(Input::StripeUp { stripe, hello });
    }

    fn wait(&mut self, micros: u64) {
        let end = self.now + Duration::from_micros(micros);
        while let Some((at, _)) = self.end.session.deadline().filter(|(at, _)| *at <= end) {
            if self.end.ended().is_some() {
                return;
            }
            self.now = self.now.max(at);
            self.input(Input::Tick);
        }
        self.now = end;
    }

    fn local_act(&mut self, act: Act, flow: FlowId, b: u64) {
        let Some(log) = self.end.log.get(flow) else { return };
        let input = match act {
            Act::LocalData => {
                let len = b.min(self.end.session.send_room(flow));
                if len == 0 {
                    return;
                }
                Input::FlowData { flow, data: Bytes::from(vec![1; len as usize]) }
            }
            Act::LocalConsume => Input::FlowConsumed { flow, total: log.delivered },
            Act::LocalFinish => Input::FlowFinish { flow },
            Act::LocalReset => Input::FlowReset { flow, reason: Reason::Aborted },
            _ if !log.ours && !log.accepted => Input::FlowAccept { flow },
            _ => return,
        };
        self.input(input);
    }
}
