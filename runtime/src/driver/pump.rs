//! The pump: one task's session and its pipes.
//!
//! Everything that happens is an input of the session, given by this task alone and in one place,
//! so inputs are serialised by construction and nothing waits in a mailbox. The parts own what they
//! change; the pump decides which of them hears of what, in which order. Its turns say when.

use super::agenda::{Agenda, Kind};
use super::attempt::Greeted;
use super::client_side::{ClientSide, Dialling};
use super::engine::Engine;
use super::flows::{Flows, Opened};
use super::life::Life;
use super::memory::{self, Memory};
use super::ready::Token;
use super::stripe_end::StripeFacts;
use super::stripes::Stripes;
use crate::admission::budget::Share;
use crate::handover::Sender;
use crate::pipe::{Peer, PeerName, Pipe};
use crate::ports::clock::Clock;
use crate::record::Traces;
use crate::report::{Event, FlowEnd, FlowReport, OpenError};
use crate::target::Target;
use crate::tls::ClientTls;
use bytes::Bytes;
use std::rc::Rc;
use std::time::Duration;
use striper_core::{
    Config, EndReason, FlowId, Hello, Input, Instant, Output, Reason, Refusal, Role, SessionId,
};

/// A session and its pipes.
pub struct Pump {
    engine: Engine,
    agenda: Agenda,
    stripes: Stripes,
    flows: Flows,
    life: Life,
    client: Option<ClientSide>,
    memory: Memory,
}

impl Pump {
    /// The client's end: dials stripes, and begins a new session when one has ended.
    pub fn client(
        clock: Rc<dyn Clock>,
        config: Config,
        dialling: Dialling,
        traces: Option<Rc<Traces>>,
    ) -> Self {
        let client = ClientSide::new(dialling);
        let mut pump = Pump {
            agenda: Agenda::new(clock.timer()),
            engine: Engine::new(clock, config, client.fresh_id(), Role::Client, traces),
            stripes: Stripes::new(Some(config.stripes), None),
            flows: Flows::default(),
            life: Life::default(),
            client: Some(client),
            memory: Memory::default(),
        };
        pump.engine.input(Input::Tick);
        pump
    }

    /// The server's end of one session, which is over when that is.
    pub fn server(
        clock: Rc<dyn Clock>,
        config: Config,
        id: SessionId,
        instance: u64,
        peer: Option<PeerName>,
        share: Share,
        traces: Option<Rc<Traces>>,
    ) -> Self {
        let agenda = Agenda::new(clock.timer());
        let engine = Engine::new(clock, config, id, Role::Server { instance }, traces);
        let mut pump = Pump {
            memory: Memory::sharing(share, &engine),
            agenda,
            engine,
            stripes: Stripes::new(None, peer),
            flows: Flows::default(),
            life: Life::default(),
            client: None,
        };
        pump.hear_limit();
        pump
    }

    /// The session with its time and its events.
    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What is to be done next.
    pub(super) fn agenda(&self) -> &Agenda {
        &self.agenda
    }

    /// What is to be done next, to be taken up.
    pub(super) fn agenda_mut(&mut self) -> &mut Agenda {
        &mut self.agenda
    }

    /// Its stripes.
    pub fn stripes(&self) -> &Stripes {
        &self.stripes
    }

    /// Its flows.
    pub fn flows(&self) -> &Flows {
        &self.flows
    }

    /// The client's side of it, unless it is a server's.
    pub fn client_side(&self) -> Option<&ClientSide> {
        self.client.as_ref()
    }

    /// A turn begins: tells the session what the others leave of the memory that it shares.
    pub(super) fn hear_limit(&mut self) {
        self.memory.hear_limit(&mut self.engine);
    }

    /// A turn is over: says what the session uses of the memory that it shares.
    pub(super) fn account(&mut self) {
        self.memory.account(&self.engine, &self.flows, &self.stripes);
    }

    /// Nothing is ready: does what can only be done then. Client: when to look for dials again.
    pub(super) fn begin_rest(&mut self, now: Instant) -> Option<Instant> {
        let has_new_keys = self.client.as_ref()?.has_new_keys();
        // What a session carries belongs to the keys that it has begun with.
        if has_new_keys && self.flows.is_idle() && !self.life.is_stopping() {
            self.engine.defer(Input::Abort);
            self.settle();
        }
        let urgent = self.stripes.is_empty() && self.flows.needs_stripe();
        self.client.as_mut()?.dial(now, urgent, &mut self.agenda)
    }

    /// Whether it is over for good; then those who wait hear it.
    pub(super) fn finish_if_over(&mut self) -> bool {
        self.life.finish_if(self.agenda.len() == 0)
    }

    /// When something is due, beside dials.
    pub(super) fn next_time(&mut self, now: Instant) -> Option<Instant> {
        let tick = self.engine.session().deadline().map(|(at, _)| at);
        let sweep = self.flows.next_sweep(now);
        let times = [tick, self.agenda.next_time(), sweep, self.life.stops_at()];
        times.into_iter().flatten().min()
    }

    /// Does what is due.
    pub(super) fn do_due(&mut self, now: Instant) {
        let stops = self.life.stops_at().is_some_and(|at| at <= now);
        if self.engine.session().deadline().is_some_and(|(at, _)| at <= now) {
            self.engine.input(Input::Tick);
        }
        if stops {
            self.engine.input(Input::Abort);
        }
        while let Some(token) = self.agenda.next_due(now) {
            self.step(token);
            self.settle();
        }
        self.flows.sweep(now, &self.stripes, &mut self.engine, &mut self.agenda);
        self.settle();
    }

    /// Performs what is to be done until nothing is.
    pub(super) fn settle(&mut self) {
        loop {
            while !self.engine.is_settled() {
                let mut outputs = self.engine.take_outputs();
                for output in outputs.drain(..) {
                    self.perform(output);
                }
                self.engine.performed(outputs);
            }
            let Some(token) = self.agenda.next_unwritten() else { return };
            self.write(token);
        }
    }

    fn perform(&mut self, output: Output) {
        let agenda = &mut self.agenda;
        match output {
            Output::Transmit { stripe, header, payload } => {
                self.stripes.transmit(stripe, header, payload, agenda);
            }
            Output::StripePace { stripe, unsent } => self.stripes.pace(stripe, unsent),
            Output::CloseStripe { stripe, reason } => {
                let (engine, flows) = (&mut self.engine, self.flows.len());
                let lost = self.stripes.close(stripe, reason, flows, engine, agenda);
                self.note_loss(lost);
            }
            Output::StripesWanted { count } => {
                self.client.iter_mut().for_each(|client| client.want(count));
            }
            Output::FlowOpened { request, flow } => {
                self.flows.opened(request, flow, &mut self.engine, agenda);
            }
            Output::FlowOpenFailed { request } => self.flow_open_failed(request),
            Output::FlowIncoming { flow, opaque } => self.flow_incoming(flow, &opaque),
            Output::FlowAccepted { .. } => {}
            Output::Draining => self.peer_stops(),
            Output::FlowRefused { flow, reason } => {
                self.flows.cut(flow, FlowEnd::Refused(reason), self.engine.now(), agenda);
            }
            Output::FlowWritable { flow } => self.flows.resume(flow, agenda),
            Output::FlowData { flow, data } => self.flows.deliver(flow, data, agenda),
            Output::FlowFinished { flow } => self.flows.deliver_fin(flow, agenda),
            Output::FlowReset { flow, reason } => {
                self.flows.cut(flow, FlowEnd::Reset(reason), self.engine.now(), agenda);
            }
            Output::FlowEnded { flow } => self.flows.close(flow, agenda),
            Output::Ended { reason } => self.session_ended(reason),
        }
    }

    /// Something may have become possible for a pipe or a dial.
    pub(super) fn step(&mut self, token: Token) {
        let (engine, agenda) = (&mut self.engine, &mut self.agenda);
        match agenda.kind(token) {
            Some(Kind::Stripe) => {
                let lost = self.stripes.step(token, self.flows.len(), engine, agenda);
                self.note_loss(lost);
            }
            Some(Kind::Flow) => self.flows.step(token, &self.stripes, engine, agenda),
            Some(Kind::Dial) => self.step_dial(token),
            None => {}
        }
    }

    /// A pipe has something new to be written.
    fn write(&mut self, token: Token) {
        let (engine, agenda) = (&mut self.engine, &mut self.agenda);
        match agenda.kind(token) {
            Some(Kind::Stripe) => {
                let lost = self.stripes.write(token, self.flows.len(), engine, agenda);
                self.note_loss(lost);
            }
            Some(Kind::Flow) => self.flows.write(token, &self.stripes, engine, agenda),
            Some(Kind::Dial) | None => {}
        }
    }

    /// What has happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.engine.take_events()
    }

    /// Flows that the peer has opened since the last call.
    pub fn take_incoming(&mut self) -> Vec<Opened> {
        self.flows.take_incoming()
    }

    /// Why the session has ended, if it has and there will be no other one.
    pub fn ended(&self) -> Option<EndReason> {
        self.life.ended()
    }

    /// Takes no more flows, lets those there are end until `drain` is over, then resets the rest
    /// and is over. `waiter` is dropped then.
    pub fn shutdown(&mut self, drain: Duration, waiter: Sender<()>) {
        if self.life.is_over() {
            return;
        }
        self.life.shut_down(self.engine.now() + drain, waiter);
        self.fail_waiting(&OpenError::ShuttingDown);
        self.engine.input(Input::Shutdown);
        self.agenda.wake();
    }

    /// Ends the session at once; a client begins another one.
    pub fn abort(&mut self) {
        self.engine.defer(Input::Abort);
        self.agenda.wake();
    }

    /// Ends the session if it has neither stripes nor flows, and says whether it did.
    pub fn abandon(&mut self) -> bool {
        let abandoned = self.stripes.is_empty() && self.flows.is_empty();
        if abandoned {
            self.memory.give_up_share();
            self.abort();
        }
        abandoned
    }

    /// Hears when a stripe is up.
    pub fn notify_ready(&mut self, waiter: Sender<Result<(), OpenError>>) {
        self.life.notify_ready(waiter, !self.stripes.is_empty());
    }

    /// Client: what stripes need from the next session on. That begins when the present one carries
    /// nothing, and at once if not all of its stripes lead to somebody who `is_accepted`.
    pub fn set_tls(&mut self, tls: ClientTls, is_accepted: impl Fn(&Peer) -> bool) {
        if let Some(client) = &mut self.client {
            client.set_tls(tls);
        }
        if !self.stripes.all_lead_to(is_accepted) {
            self.engine.defer(Input::Abort);
        }
        self.agenda.wake();
    }

    /// Client: carries `local` over a new flow to `target`. `opened` hears when the session knows
    /// it, `report` when it has ended.
    pub fn open(
        &mut self,
        target: &Target,
        local: Box<dyn Pipe>,
        opened: Option<Sender<Result<(), OpenError>>>,
        report: Sender<FlowReport>,
    ) {
        let now = self.engine.now();
        let token = self.flows.add(local, opened, report, now, &self.stripes, &mut self.agenda);
        if let Err(error) = target.check() {
            return self.conclude(token, FlowEnd::NoSession(OpenError::BadTarget(error)));
        }
        self.flows.set_opaque(token, target.encode());
        let refusal = self.client.as_ref().and_then(|client| client.refusal(now));
        if self.life.is_stopping() {
            self.conclude(token, FlowEnd::NoSession(OpenError::ShuttingDown));
        } else if !self.stripes.is_empty() {
            self.flows.ask_for(token, &mut self.engine);
        } else if let Some(refusal) = refusal {
            self.conclude(token, FlowEnd::NoSession(OpenError::Unreachable(refusal)));
        } else {
            self.let_wait(token, now);
        }
        self.agenda.wake();
    }

    /// Server: accepts a flow that the client opened, and carries `local` over it.
    pub fn attach(&mut self, id: FlowId, local: Box<dyn Pipe>, report: Sender<FlowReport>) {
        self.flows.attach(id, local, report, &mut self.engine, &mut self.agenda);
    }

    /// Server: refuses a flow that the client opened.
    pub fn refuse(&mut self, id: FlowId, reason: Reason) {
        if let Some(token) = self.flows.token(id) {
            self.engine.input(Input::FlowRefuse { flow: id, reason });
            self.conclude(token, FlowEnd::Refused(reason));
            self.agenda.wake();
        }
    }

    /// Server: takes a stripe whose client has said `hello` and then `rest`, or says why not: there
    /// may be `most` at once.
    pub fn join(
        &mut self,
        pipe: Box<dyn Pipe>,
        hello: Hello,
        rest: Bytes,
        most: usize,
    ) -> Result<(), (Box<dyn Pipe>, Refusal)> {
        if self.life.ended().is_some() {
            return Err((pipe, Refusal::UnknownSession));
        }
        let session = self.engine.session();
        if let Err(refusal) = session.may_join(hello.stripe) {
            return Err((pipe, refusal));
        }
        if self.stripes.len() >= most {
            return Err((pipe, Refusal::TooMany));
        }
        let greeting = session.hello(hello.stripe).encode();
        self.add_stripe(Greeted { pipe, hello, rest }, 0, greeting);
        self.agenda.wake();
        Ok(())
    }

    /// What the session keeps of the memory that it shares, in bytes.
    pub fn load(&self) -> u64 {
        match self.life.ended() {
            Some(_) => 0,
            None => memory::kept(&self.engine, &self.flows, &self.stripes),
        }
    }

    /// Lets go until `excess` bytes less are kept. If that can't be, the session ends.
    pub fn shed(&mut self, excess: u64) {
        let (flows, engine) = (&mut self.flows, &mut self.engine);
        memory::shed(excess, flows, &self.stripes, engine, &mut self.agenda);
        self.account();
    }

    /// Client: goes on with a dial.
    fn step_dial(&mut self, token: Token) {
        let Some(client) = &mut self.client else { return };
        match client.step_dial(token, &mut self.engine, &mut self.agenda) {
            None => {}
            Some(Ok((server, greeted))) => self.add_stripe(greeted, server, Bytes::new()),
            Some(Err(failed)) => {
                let refusal = client.dial_failed(failed, &self.stripes, &mut self.engine);
                refusal
                    .into_iter()
                    .for_each(|cause| self.fail_waiting(&OpenError::Unreachable(cause)));
            }
        }
    }

    /// A stripe is up, but for `greeting`, which is still to be sent.
    fn add_stripe(&mut self, greeted: Greeted, server: usize, greeting: Bytes) {
        let (engine, flows) = (&mut self.engine, self.flows.len());
        let token = self.stripes.add(greeted, server, greeting, flows, engine, &mut self.agenda);
        self.client.iter_mut().for_each(ClientSide::stripe_up);
        self.life.tell_waiters(&Ok(()));
        self.flows.ask_for_waiting(&mut self.engine);
        self.agenda.again(token);
    }

    /// Client: it may have to dial another one.
    fn note_loss(&mut self, lost: Option<StripeFacts>) {
        if let (Some(client), Some(facts)) = (&mut self.client, lost) {
            client.stripe_lost(facts.server, facts.since, self.engine.now());
        }
    }

    /// A flow is over for us.
    fn conclude(&mut self, token: Token, how: FlowEnd) {
        self.flows.conclude(token, how, &self.stripes, &self.engine, &mut self.agenda);
    }

    /// Client: there is no session for this flow now.
    fn let_wait(&mut self, token: Token, now: Instant) {
        if let Some(client) = &mut self.client {
            self.flows.wait(token, client.hurry(now), &mut self.agenda);
        }
    }

    /// Client: there will be no session for flows that wait for one.
    fn fail_waiting(&mut self, error: &OpenError) {
        self.flows.fail_waiting(error, &self.stripes, &self.engine, &mut self.agenda);
    }

    /// Client: the session can't open a flow, or has ended and answers no more.
    fn flow_open_failed(&mut self, request: u64) {
        let Some(token) = self.flows.take_request(request) else { return };
        if self.life.is_stopping() {
            self.conclude(token, FlowEnd::NoSession(OpenError::ShuttingDown));
        } else {
            // The other side is going away. Whoever comes in its place may take it.
            self.let_wait(token, self.engine.now());
        }
    }

    /// Server: the client has opened a flow.
    fn flow_incoming(&mut self, id: FlowId, opaque: &[u8]) {
        let crowded = self.flows.len() as u64 >= self.engine.config().max_flows.saturating_mul(2)
            || self.memory.is_tight();
        let reason = match Target::decode(opaque) {
            _ if self.client.is_some() => Reason::NotAllowed,
            _ if crowded => Reason::Unavailable,
            Ok(target) => {
                let (stripes, engine) = (&self.stripes, &self.engine);
                return self.flows.arrive(id, target, stripes, engine, &mut self.agenda);
            }
            Err(_) => Reason::NotAllowed,
        };
        self.engine.defer(Input::FlowRefuse { flow: id, reason });
    }

    /// The other side lets flows finish and takes no more.
    fn peer_stops(&mut self) {
        self.client.iter_mut().for_each(ClientSide::server_stops);
        if !self.flows.is_empty() {
            let (session, flows) = (self.engine.tag(), self.flows.len());
            self.engine.tell(Event::PeerStopping { session, flows });
        }
    }

    /// The session is over. A client begins another one unless it is shutting down.
    fn session_ended(&mut self, reason: EndReason) {
        let forgotten = self.client.as_mut().is_some_and(ClientSide::take_forgotten);
        let lost_flows = self.engine.end();
        self.stripes.end_session(reason, forgotten, lost_flows, &mut self.engine);
        self.flows.cut_all(self.engine.now(), &mut self.agenda);
        for request in self.flows.requests() {
            self.flow_open_failed(request);
        }
        if let Some(client) = &mut self.client {
            if reason == EndReason::PeerClosed {
                client.server_stops();
            }
            client.drop_dials(&mut self.agenda);
            if !self.life.is_stopping() {
                self.engine.renew(client.begin_session());
                return self.engine.defer(Input::Tick);
            }
        }
        self.life.end(reason);
        self.fail_waiting(&OpenError::ShuttingDown);
    }
}
