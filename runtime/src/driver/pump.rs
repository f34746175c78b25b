//! The pump: one task's session and its pipes.
//!
//! Everything that happens is an input of the session. One task gives all inputs in one place, so
//! they need no mailbox. The parts own what they change; the pump decides which of them hears of
//! what, in which order. Its turns say when.

mod change;
mod ending;
mod requests;

use super::agenda::Kind;
use super::attempt::Greeted;
use super::base::Base;
use super::client_side::{ClientSide, Dialling};
use super::engine::Engine;
use super::flows::{Flows, Opened, Wanted};
use super::life::Life;
use super::memory::{self, Memory};
use super::ready::Token;
use super::stripe_end::StripeFacts;
use super::stripes::Stripes;
use crate::admission::budget::Share;
use crate::handover::Sender;
use crate::pipe::{Peer, Pipe};
use crate::ports::clock::Clock;
use crate::record::Traces;
use crate::report::{Cut, Event, FlowEnd, OpenError};
use crate::routes::Routes;
use crate::target::Opening;
use bytes::Bytes;
use std::rc::Rc;
use std::sync::Arc;
use striper_core::{
    Config, EndReason, FlowId, Hello, Input, Instant, Output, Reason, Refusal, Role, SessionId,
};

pub(crate) struct Pump {
    pub(super) base: Base,
    stripes: Stripes,
    flows: Flows,
    life: Life,
    client: Option<ClientSide>,
    memory: Memory,
}

impl Pump {
    /// The client's end: dials stripes, and begins a new session when one has ended.
    pub(crate) fn client(
        clock: Rc<dyn Clock>,
        config: Config,
        dialling: Dialling,
        traces: Option<Arc<Traces>>,
    ) -> Self {
        let client = ClientSide::new(dialling);
        let engine = Engine::new(clock, config, client.fresh_id(), Role::Client, traces);
        let mut pump = Pump {
            base: Base::new(engine),
            stripes: Stripes::new(Some(config.stripes), None),
            flows: Flows::default(),
            life: Life::default(),
            client: Some(client),
            memory: Memory::default(),
        };
        pump.base.engine.input(Input::Tick);
        pump
    }

    /// The server's end of one session, which is over when that is.
    pub(crate) fn server(
        clock: Rc<dyn Clock>,
        config: Config,
        id: SessionId,
        instance: u64,
        peer: Option<Peer>,
        share: Share,
        traces: Option<Arc<Traces>>,
    ) -> Self {
        let engine = Engine::new(clock, config, id, Role::Server { instance }, traces);
        let mut pump = Pump {
            memory: Memory::sharing(share, &engine),
            base: Base::new(engine),
            stripes: Stripes::new(None, peer),
            flows: Flows::default(),
            life: Life::default(),
            client: None,
        };
        pump.hear_limit();
        pump
    }

    /// Has its stripes learn of routes, and tell of them, here. A client's has such of its own.
    pub(crate) fn knowing(mut self, routes: Rc<Routes>) -> Self {
        self.stripes.share_routes(routes);
        self
    }

    pub(crate) fn stripes(&self) -> &Stripes {
        &self.stripes
    }

    pub(crate) fn flows(&self) -> &Flows {
        &self.flows
    }

    pub(crate) fn client_side(&self) -> Option<&ClientSide> {
        self.client.as_ref()
    }

    /// A turn begins: tells the session what the others leave of the memory that it shares.
    pub(super) fn hear_limit(&mut self) {
        self.memory.hear_limit(&mut self.base.engine);
    }

    /// A turn is over: says what the session uses of the memory that it shares.
    pub(super) fn account(&mut self) {
        self.memory.account(&self.base.engine, &self.flows, &self.stripes);
    }

    /// Nothing is ready: does what can only be done then. Client: when to look for dials again.
    pub(super) fn begin_rest(&mut self, now: Instant) -> Option<Instant> {
        self.end_if_retiring();
        let has_new_keys = self.client.as_ref()?.has_new_keys();
        // A session's flows belong to the keys that it has begun with. A trace begins with it too.
        let outdated = has_new_keys || self.base.engine.wants_trace();
        if outdated && self.flows.carry_nothing() && !self.life.is_stopping() {
            self.base.engine.defer(Input::Abort);
            self.settle();
        }
        let urgent = self.stripes.is_empty() && self.flows.needs_stripe();
        self.client.as_mut()?.dial(now, urgent, &mut self.base.agenda)
    }

    /// Whether it is over for good; then those who wait hear it.
    pub(super) fn finish_if_over(&mut self) -> bool {
        self.life.finish_if(self.base.agenda.len() == 0)
    }

    /// When something is due, beside dials.
    pub(super) fn next_time(&mut self, now: Instant) -> Option<Instant> {
        let tick = self.base.engine.session().deadline().map(|(at, _)| at);
        let sweep = self.flows.next_sweep(now);
        let times = [tick, self.base.agenda.next_time(), sweep, self.life.stops_at()];
        times.into_iter().flatten().min()
    }

    pub(super) fn do_due(&mut self, now: Instant) {
        if self.base.engine.session().deadline().is_some_and(|(at, _)| at <= now) {
            self.base.engine.input(Input::Tick);
        }
        if self.life.loses_patience(now) {
            if self.life.ended.is_none() {
                self.base.engine.input(Input::Abort);
                self.settle();
            }
            self.flows.stop_closing(FlowEnd::Cut(Cut::Stopped), &mut self.base);
        }
        while let Some(token) = self.base.agenda.next_due(now) {
            self.step(token);
            self.settle();
        }
        self.flows.sweep(now, &self.stripes, &mut self.base);
        self.settle();
    }

    /// Performs what is to be done until nothing is.
    pub(super) fn settle(&mut self) {
        loop {
            while !self.base.engine.is_settled() {
                let mut outputs = self.base.engine.take_outputs();
                for output in outputs.drain(..) {
                    self.perform(output);
                }
                self.base.engine.performed(outputs);
            }
            let Some(token) = self.base.agenda.next_unwritten() else { return };
            self.write(token);
        }
    }

    /// Why the session resets its flows; none if it has not ended.
    fn cut(&self) -> Option<Cut> {
        let forgotten = self.client.as_ref().is_some_and(|client| client.forgotten);
        self.base.engine.ending().map(|reason| self.life.cut(reason, forgotten))
    }

    fn perform(&mut self, output: Output) {
        let cut = self.cut();
        let base = &mut self.base;
        match output {
            Output::Transmit { stripe, header, payload } => {
                self.stripes.transmit(stripe, header, payload, &mut base.agenda);
            }
            Output::StripePace { stripe, unsent } => self.stripes.pace(stripe, unsent),
            Output::CloseStripe { stripe, reason } => {
                let flows = self.flows.len();
                let lost = self.stripes.close(stripe, reason, flows, base);
                self.note_loss(lost);
            }
            Output::StripesWanted { count } => {
                self.client.iter_mut().for_each(|client| client.dialler.want(count));
            }
            Output::FlowOpened { request, flow } => self.flows.opened(request, flow, base),
            Output::FlowOpenFailed { request } => self.flow_open_failed(request),
            Output::FlowIncoming { flow, opaque } => self.flow_incoming(flow, &opaque),
            Output::FlowAccepted { flow } => self.flows.accepted(flow),
            Output::Draining => self.peer_stops(),
            Output::FlowRefused { flow, reason } => {
                self.flows.cut(flow, FlowEnd::Refused(reason), base);
            }
            Output::FlowWritable { flow } => self.flows.resume(flow, base),
            Output::FlowData { flow, data } => self.flows.deliver(flow, data, base),
            Output::FlowFinished { flow } => self.flows.deliver_fin(flow, base),
            Output::FlowReset { flow, reason } => self.flows.reset(flow, reason, cut, base),
            Output::FlowEnded { flow } => self.flows.close(flow, base),
            Output::Ended { reason } => self.session_ended(reason),
        }
    }

    /// Something may have become possible for a pipe or a dial.
    pub(super) fn step(&mut self, token: Token) {
        match self.base.agenda.kind(token) {
            Some(Kind::Stripe) => {
                let lost = self.stripes.step(token, self.flows.len(), &mut self.base);
                self.note_loss(lost);
            }
            Some(Kind::Flow) => {
                let late = self.client.as_ref().map_or(OpenError::TimedOut, ClientSide::lack);
                self.flows.step(token, late, &self.stripes, &mut self.base);
            }
            Some(Kind::Dial) => self.step_dial(token),
            None => {}
        }
    }

    fn write(&mut self, token: Token) {
        match self.base.agenda.kind(token) {
            Some(Kind::Stripe) => {
                let lost = self.stripes.write(token, self.flows.len(), &mut self.base);
                self.note_loss(lost);
            }
            Some(Kind::Flow) => self.flows.write(token, &self.stripes, &mut self.base),
            Some(Kind::Dial) | None => {}
        }
    }

    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        self.base.engine.take_events()
    }

    pub(crate) fn take_incoming(&mut self) -> Vec<Opened> {
        self.flows.take_incoming()
    }

    /// Why the session has ended, if it has and there will be no other one.
    pub(crate) fn ended(&self) -> Option<EndReason> {
        self.life.ended
    }

    /// Client: whether flows would be carried now, and need not wait.
    pub(crate) fn takes_flows(&self) -> bool {
        !self.stripes.is_empty() && self.client.as_ref().is_some_and(|it| !it.server_stopped)
    }

    pub(crate) fn notify_ready(&mut self, waiter: Sender<Result<(), OpenError>>) {
        self.life.notify_ready(waiter, !self.stripes.is_empty());
    }

    /// Opens a flow. A client's waits for a session if there is none.
    pub(crate) fn open(&mut self, opening: &Opening, wanted: Wanted) -> Token {
        let now = self.base.engine.now();
        let token = self.flows.add(opening, wanted, &self.stripes, &mut self.base);
        if let Err(error) = opening.target.check() {
            self.conclude(token, FlowEnd::NoSession(OpenError::BadTarget(error)));
            return token;
        }
        self.flows.set_opaque(token, opening.encode());
        let refusal = self.client.as_ref().and_then(|client| client.dialler.refusal(now).cloned());
        if self.life.is_stopping() || self.life.ended.is_some() {
            self.conclude(token, FlowEnd::NoSession(OpenError::ShuttingDown));
        } else if !self.stripes.is_empty() || self.client.is_none() {
            self.flows.ask_for(token, &mut self.base.engine);
        } else if let Some(refusal) = refusal {
            self.conclude(token, FlowEnd::NoSession(OpenError::Unreachable(refusal)));
        } else {
            self.let_wait(token, now);
        }
        self.base.agenda.wake();
        token
    }

    pub(crate) fn is_crowded(&self) -> bool {
        self.memory.is_crowded(&self.base.engine, &self.flows)
    }

    /// Server: takes a stripe, at most the `most`th, whose client has said `hello` and `rest`.
    pub(crate) fn join(
        &mut self,
        pipe: Box<dyn Pipe>,
        hello: Hello,
        rest: Bytes,
        most: usize,
    ) -> Result<(), (Box<dyn Pipe>, Refusal)> {
        if self.life.ended.is_some() {
            return Err((pipe, Refusal::UnknownSession));
        }
        let session = self.base.engine.session();
        if let Err(refusal) = session.may_join(hello.stripe) {
            return Err((pipe, refusal));
        }
        if self.stripes.len() >= most {
            return Err((pipe, Refusal::TooMany));
        }
        let greeting = session.hello(hello.stripe).encode();
        self.add_stripe(Greeted { pipe, hello, rest }, 0, greeting);
        self.base.agenda.wake();
        Ok(())
    }

    /// The session's part of the memory that it shares, in bytes.
    pub(crate) fn load(&self) -> u64 {
        match self.life.ended {
            Some(_) => 0,
            None => memory::kept(&self.base.engine, &self.flows, &self.stripes),
        }
    }

    /// Lets go until `excess` bytes less are kept. If that can't be, the session ends.
    pub(crate) fn shed(&mut self, excess: u64) {
        memory::shed(excess, &mut self.flows, &self.stripes, &mut self.base);
        self.account();
    }

    fn step_dial(&mut self, token: Token) {
        let Some(client) = &mut self.client else { return };
        match client.step_dial(token, &mut self.base) {
            None => {}
            Some(Ok((server, greeted))) => self.add_stripe(greeted, server, Bytes::new()),
            Some(Err(failed)) => {
                let refusal = client.dial_failed(failed, &self.stripes, &mut self.base.engine);
                if let Some(cause) = refusal {
                    self.fail_waiting(&OpenError::Unreachable(cause));
                }
            }
        }
    }

    /// A stripe is up, but for `greeting`, which is still to be sent.
    fn add_stripe(&mut self, greeted: Greeted, server: usize, greeting: Bytes) {
        let flows = self.flows.len();
        let token = self.stripes.add(greeted, server, greeting, flows, &mut self.base);
        self.client.iter_mut().for_each(|client| client.server_stopped = false);
        self.life.tell_waiters(&Ok(()));
        self.flows.ask_for_waiting(&mut self.base.engine);
        self.base.agenda.again(token);
    }

    /// Client: it may have to dial another one.
    fn note_loss(&mut self, lost: Option<StripeFacts>) {
        if let (Some(client), Some(facts)) = (&mut self.client, lost) {
            client.dialler.lost(facts.server, facts.since, self.base.engine.now());
        }
    }

    fn conclude(&mut self, token: Token, how: FlowEnd) {
        self.flows.conclude(token, how, &self.stripes, &mut self.base);
    }

    /// Client: there is no session for this flow now.
    fn let_wait(&mut self, token: Token, now: Instant) {
        if let Some(client) = &mut self.client {
            self.flows.wait(token, client.hurry(now), &mut self.base);
        }
    }

    fn fail_waiting(&mut self, error: &OpenError) {
        self.flows.fail_waiting(error, &self.stripes, &mut self.base);
    }

    /// The session can't open a flow, or has ended and answers no more.
    fn flow_open_failed(&mut self, request: u64) {
        let Some(token) = self.flows.take_request(request) else { return };
        if self.life.is_stopping() || self.client.is_none() {
            self.conclude(token, FlowEnd::NoSession(OpenError::ShuttingDown));
        } else {
            // The other side is going away. Its successor may take it.
            self.let_wait(token, self.base.engine.now());
        }
    }

    fn flow_incoming(&mut self, id: FlowId, opaque: &[u8]) {
        let reason = match Opening::decode(opaque) {
            // A server has connections for its client's listeners, and nothing else has any.
            Ok(of) if self.client.is_some() != of.target.is_of_listener() => Reason::NotAllowed,
            _ if self.is_crowded() => Reason::Unavailable,
            Ok(opening) => {
                return self.flows.arrive(id, opening, &self.stripes, &mut self.base);
            }
            Err(_) => Reason::NotAllowed,
        };
        self.base.engine.defer(Input::FlowRefuse { flow: id, reason });
    }

    /// The other side lets flows finish and takes no more.
    fn peer_stops(&mut self) {
        self.client.iter_mut().for_each(|client| client.server_stopped = true);
        if self.flows.len() > 0 {
            let (session, flows) = (self.base.engine.tag(), self.flows.len());
            self.base.engine.tell(Event::PeerStopping { session, flows });
        }
    }

    /// The session is over. A client begins another one unless it is shutting down.
    fn session_ended(&mut self, reason: EndReason) {
        let cut = self.cut().unwrap_or(Cut::Ended(reason));
        let client = self.client.as_mut();
        let forgotten = client.is_some_and(|client| std::mem::take(&mut client.forgotten));
        let lost = self.flows.take_lost();
        self.stripes.end_session(reason, forgotten, cut, lost, &mut self.base.engine);
        self.flows.cut_all(cut, &mut self.base);
        // The next session, if there is one, begins with keys that are accepted.
        self.life.revoked = false;
        for request in self.flows.requests() {
            self.flow_open_failed(request);
        }
        if let Some(client) = &mut self.client {
            client.server_stopped |= reason == EndReason::PeerClosed;
            client.drop_dials(&mut self.base.agenda);
            if !self.life.is_stopping() {
                self.base.engine.renew(client.begin_session());
                return self.base.engine.defer(Input::Tick);
            }
        }
        self.life.end(reason);
        self.fail_waiting(&OpenError::ShuttingDown);
    }
}
