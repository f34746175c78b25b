//! The pump: one task that owns a session, its stripes' pipes and the local pipes of the flows that
//! it carries.
//!
//! Everything that happens is an input of the session, given by this task alone and in one place,
//! so inputs are serialised by construction and nothing waits in a mailbox. A turn takes the pipes
//! that are ready, receives a few chunks from each and writes at once what comes of them; the pump
//! sleeps only when nothing is ready. It waits for pipes, requests and its one timer, never for a
//! flow, and receiving from a stripe never waits for a write.
//!
//! It knows neither sockets nor an executor: pipes, dials, time and randomness are given to it.

mod adapt;
mod attempt;
pub mod budget;
mod check;
mod dialler;
mod flow;
mod flows;
mod greet;
mod ready;
mod shed;
mod stripe;
mod stripes;
#[cfg(test)]
mod tests;

pub use attempt::CONNECT_LIMIT;
pub use check::Footprint;
pub use greet::{HearError, hear, say};

use crate::clock::{Clock, Timer};
use crate::dial::Dial;
use crate::keys::{Peer, PeerName};
use crate::local::{Receiver, Sender};
use crate::record::{Recording, TraceStop, Traces};
use crate::report::{Cut, Event, FlowEnd, OpenError, SessionStatus, SessionTag};
use crate::target::{HostPort, Target};
use crate::tls::{Accepted, ClientTls};
use attempt::Attempt;
use budget::Share;
use dialler::{Dialler, Plan};
use flow::Flow;
use ready::ReadyList;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use stripe::Stripe;
use striper_core::{
    Config, EndReason, FlowId, Input, Instant, Output, Reason, Role, Session, SessionId, StripeId,
};

/// Chunks received from one pipe before the others get their turn.
const BUDGET: usize = 4;

/// Turns without sleep before the executor gets to look for sockets that have become ready
/// meanwhile.
const TURNS: usize = 8;

/// How long turns go on without such a look, and about how long one chunk may take: what a peer
/// sends may be as much work as it likes, and other sessions wait meanwhile.
const SLICE: Duration = Duration::from_millis(1);

/// How long that look may take if nothing is ready.
const BREATH: Duration = Duration::from_micros(50);

/// How often local pipes that are not being received from are asked whether they have broken.
const SWEEP: Duration = Duration::from_millis(500);

/// What dials, and for how long flows wait for it.
pub struct Dialling {
    /// Makes the connections.
    pub dial: Rc<dyn Dial>,
    /// The server's addresses.
    pub servers: Vec<HostPort>,
    /// How long a flow waits for a first stripe.
    pub connect_timeout: Duration,
    /// Random numbers.
    pub entropy: Rc<dyn Fn() -> u64>,
    /// What stripes need, if they are encrypted.
    pub tls: Option<ClientTls>,
}

/// What only the client's end of a session has.
struct ClientSide {
    dial: Rc<dyn Dial>,
    dialler: Dialler,
    connect_timeout: Duration,
    entropy: Rc<dyn Fn() -> u64>,
    next_stripe: u64,
    /// What the stripes of this session need, if they are encrypted, and what those of the next one
    /// will.
    tls: Option<ClientTls>,
    next_tls: Option<ClientTls>,
    /// Who is accepted now, if stripes are encrypted.
    allowed: Option<Accepted>,
    /// Flows that wait for a session.
    waiting: BTreeSet<usize>,
}

/// What has a waker of its own.
enum Slot {
    Stripe(Box<Stripe>),
    Flow(Box<Flow>),
    Dial(Box<Attempt>),
    /// Taken out for the moment.
    Empty,
}

/// A session and its pipes.
pub struct Pump {
    clock: Rc<dyn Clock>,
    timer: Box<dyn Timer>,
    config: Config,
    id: SessionId,
    session: Session,
    client: Option<ClientSide>,
    /// Where sessions are recorded, and the present one's trace.
    traces: Option<Rc<Traces>>,
    recording: Option<Recording>,
    /// Its part of the memory that several sessions share.
    share: Option<Share>,
    /// Who is at the other end, if it had to prove that.
    peer: Option<PeerName>,
    ready: ReadyList,
    slots: Slab<Slot>,
    stripes: BTreeMap<StripeId, usize>,
    flows: HashMap<FlowId, usize>,
    /// Flows that the session has been asked for, by request.
    opening: HashMap<u64, usize>,
    next_request: u64,
    /// Slots to be stepped in this turn; those that are left of one that took too long come first
    /// in the next.
    work: Vec<usize>,
    /// Slots to be stepped in the next turn without having been woken.
    again: Vec<usize>,
    /// Slots with something new to be written.
    unwritten: VecDeque<usize>,
    /// Bytes that wait in the queues of flows which the session has ended with a reset.
    parting: u64,
    /// Slots to be stepped at a time. Entries that have lost their meaning do no harm.
    agenda: BTreeSet<(Instant, usize)>,
    /// When other sessions are to get their turn.
    slice_end: Instant,
    outputs: Vec<Output>,
    /// Inputs that came up while outputs were performed.
    inputs: VecDeque<Input>,
    sweep_at: Option<Instant>,
    /// There may be local pipes that are not being received from.
    unwatched: bool,
    /// The server has said that it doesn't know the session.
    forgotten: bool,
    /// The session has had a stripe.
    established: bool,
    /// The session has lost its last stripe and has flows.
    stranded: bool,
    /// How many flows the end of the session has reset.
    lost_flows: usize,
    /// Why it has reset them.
    cut: Cut,
    /// The session is to end, because the key of the other side is no longer accepted.
    revoked: bool,
    /// Client: the server has said that it stops, or has ended the last session.
    parted: bool,
    ended: Option<EndReason>,
    /// When to stop waiting for flows to end.
    stop_at: Option<Instant>,
    events: Vec<Event>,
    incoming: Vec<(FlowId, Target, Receiver<()>)>,
    ready_waiters: Vec<Sender<Result<(), OpenError>>>,
    over_waiters: Vec<Sender<()>>,
    over: bool,
}

impl Pump {
    /// The client's end: dials stripes, and begins a new session when one has ended.
    pub fn client(
        clock: Rc<dyn Clock>,
        config: Config,
        dialling: Dialling,
        traces: Option<Rc<Traces>>,
    ) -> Self {
        let id = fresh_id(&*dialling.entropy);
        let entropy = dialling.entropy.clone();
        let client = ClientSide {
            dial: dialling.dial,
            dialler: Dialler::new(dialling.servers, Box::new(move || entropy())),
            connect_timeout: dialling.connect_timeout,
            entropy: dialling.entropy,
            next_stripe: 0,
            allowed: dialling.tls.as_ref().map(ClientTls::accepted),
            tls: dialling.tls,
            next_tls: None,
            waiting: BTreeSet::new(),
        };
        let mut pump = Self::new(clock, config, id, Role::Client, Some(client), traces);
        pump.input(Input::Tick);
        pump
    }

    /// The server's end of one session, which is over when that is.
    pub fn server(
        clock: Rc<dyn Clock>,
        config: Config,
        id: SessionId,
        instance: u64,
        peer: Option<PeerName>,
        mut share: Share,
        traces: Option<Rc<Traces>>,
    ) -> Self {
        let pump = Self::new(clock, config, id, Role::Server { instance }, None, traces);
        share.use_up(pump.session.memory_used(), 0);
        let mut pump = Pump { share: Some(share), peer, ..pump };
        pump.hear_limit();
        pump
    }

    /// Tells the session what the others leave of the memory that it shares with them.
    fn hear_limit(&mut self) {
        if let Some((receive, send)) = self.share.as_mut().and_then(Share::changed) {
            self.input(Input::MemoryLimit { receive, send });
        }
    }

    fn new(
        clock: Rc<dyn Clock>,
        config: Config,
        id: SessionId,
        role: Role,
        client: Option<ClientSide>,
        traces: Option<Rc<Traces>>,
    ) -> Self {
        let mut pump = Pump {
            timer: clock.timer(),
            config,
            id,
            session: Session::new(role, id, config, clock.now()),
            client,
            traces,
            recording: None,
            share: None,
            peer: None,
            clock,
            ready: ReadyList::default(),
            slots: Slab::new(),
            stripes: BTreeMap::new(),
            flows: HashMap::new(),
            opening: HashMap::new(),
            next_request: 0,
            work: Vec::new(),
            again: Vec::new(),
            unwritten: VecDeque::new(),
            parting: 0,
            agenda: BTreeSet::new(),
            slice_end: Instant::ZERO,
            outputs: Vec::new(),
            inputs: VecDeque::new(),
            sweep_at: None,
            unwatched: false,
            forgotten: false,
            established: false,
            stranded: false,
            lost_flows: 0,
            cut: Cut::Stopped,
            revoked: false,
            parted: false,
            ended: None,
            stop_at: None,
            events: Vec::new(),
            incoming: Vec::new(),
            ready_waiters: Vec::new(),
            over_waiters: Vec::new(),
            over: false,
        };
        pump.begin_recording();
        pump
    }

    /// Pumps until nothing is ready. Ready when it is over for good.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.ready.register(cx.waker());
        self.hear_limit();
        let polled = self.turns(cx);
        self.account();
        polled
    }

    /// Says what the session uses of the memory that it shares.
    fn account(&mut self) {
        let kept = self.kept();
        if let Some(share) = &mut self.share {
            share.use_up(self.session.memory_used(), kept);
        }
    }

    /// What is kept for the session, in bytes.
    fn kept(&self) -> u64 {
        let pipes = self.stripes.values().map(|key| match &self.slots[*key] {
            Slot::Stripe(stripe) => stripe.pipe.memory() as u64,
            _ => 0,
        });
        self.session.memory_kept() + self.parting + pipes.sum::<u64>()
    }

    fn turns(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.settle();
        self.slice_end = self.clock.now() + SLICE;
        for _ in 0..TURNS {
            let mut work = std::mem::take(&mut self.work);
            work.append(&mut self.again);
            self.ready.take(&mut work);
            if work.is_empty() {
                self.work = work;
                match self.rest(cx) {
                    Rest::Due => continue,
                    Rest::Asleep => return Poll::Pending,
                    Rest::Over => return Poll::Ready(()),
                }
            }
            let mut done = 0;
            for key in &work {
                self.step(*key);
                self.settle();
                done += 1;
                if self.clock.now() >= self.slice_end {
                    break;
                }
            }
            work.drain(..done);
            self.work = work;
            if self.clock.now() >= self.slice_end {
                break;
            }
        }
        self.breathe(cx)
    }

    /// What has happened since the last call.
    pub fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Flows that the peer has opened since the last call, each with what is ready once it is over.
    pub fn take_incoming(&mut self) -> Vec<(FlowId, Target, Receiver<()>)> {
        std::mem::take(&mut self.incoming)
    }

    /// Why the session has ended, if it has.
    pub fn ended(&self) -> Option<EndReason> {
        self.ended
    }

    /// What there is to tell.
    pub fn status(&self) -> SessionStatus {
        let tcp = self.stripes.iter().filter_map(|(id, key)| match &self.slots[*key] {
            Slot::Stripe(stripe) => Some((*id, stripe.pipe.tcp()?)),
            _ => None,
        });
        SessionStatus {
            session: SessionTag::of(self.id),
            peer: self.peer.clone(),
            stats: self.session.stats(),
            live: self.stripes.len(),
            places: self.places(),
            kept_for: self.kept_for(),
            tcp: tcp.collect(),
        }
    }

    /// Takes no more flows, lets those there are end until `drain` is over, then resets the rest
    /// and is over. `waiter` is dropped then.
    pub fn shutdown(&mut self, drain: Duration, waiter: Sender<()>) {
        if self.over {
            return;
        }
        self.over_waiters.push(waiter);
        self.stop_at = Some(self.clock.now() + drain);
        self.fail_waiting(&OpenError::ShuttingDown);
        self.input(Input::Shutdown);
        self.ready.wake();
    }

    /// Ends the session at once, because the key of the other side is no longer accepted. A client
    /// begins another one.
    pub fn end_revoked(&mut self) {
        self.revoked = true;
        self.inputs.push_back(Input::Abort);
        self.ready.wake();
    }

    /// How many connections its stripes and flows have.
    pub fn connections(&self) -> usize {
        let attached = self.flows.values().filter(|key| match self.slots.get(**key) {
            Some(Slot::Flow(flow)) => flow.pipe.is_some(),
            _ => false,
        });
        self.stripes.len() + attached.count()
    }

    /// How many stripes it has.
    pub fn stripes(&self) -> usize {
        self.stripes.len()
    }

    /// How many flows it carries.
    pub fn carried_flows(&self) -> usize {
        self.flows.len()
    }

    /// Who is at the other end, if it had to prove that.
    pub fn peer(&self) -> Option<PeerName> {
        self.peer.clone()
    }

    /// Client: whether stripes are encrypted.
    pub fn is_secured(&self) -> bool {
        self.client.as_ref().is_some_and(|client| client.tls.is_some())
    }

    /// Client: what stripes need from the next session on. That begins when the present one carries
    /// nothing, since that belongs to the key that it has begun with; and at once if not all of its
    /// stripes lead to somebody who `is_accepted`.
    pub fn set_tls(&mut self, tls: ClientTls, is_accepted: impl Fn(&Peer) -> bool) {
        if let Some(client) = &mut self.client {
            client.allowed = Some(tls.accepted());
            let same = client.tls.as_ref().is_some_and(|now| now.shown() == tls.shown());
            (client.next_tls, client.tls) =
                if same { (None, Some(tls)) } else { (Some(tls), client.tls.take()) };
        }
        self.revoke(is_accepted);
        self.ready.wake();
    }

    /// Client: begins a session with new keys as soon as nothing is carried by the present one.
    fn renew(&mut self) {
        let Some(client) = &mut self.client else { return };
        let carries = !self.flows.is_empty() || !self.opening.is_empty();
        if client.next_tls.is_some() && !carries && self.stop_at.is_none() {
            self.inputs.push_back(Input::Abort);
            self.settle();
        }
    }

    fn revoke(&mut self, is_accepted: impl Fn(&Peer) -> bool) {
        let revoked = self.stripes.values().any(|key| match &self.slots[*key] {
            Slot::Stripe(stripe) => !stripe.pipe.peer().is_some_and(|peer| is_accepted(&peer)),
            _ => false,
        });
        if revoked {
            self.end_revoked();
        }
    }

    fn input(&mut self, input: Input) {
        let now = self.clock.now();
        let before = self.outputs.len();
        if let Some(recording) = &mut self.recording {
            recording.input(now, &input);
        }
        self.session.handle(now, input, &mut self.outputs);
        let outputs = &self.outputs[before..];
        if let Some(Output::Ended { reason }) = outputs.last() {
            self.cut = match reason {
                EndReason::Aborted if self.revoked => Cut::Revoked,
                EndReason::Aborted if self.forgotten => Cut::Forgotten,
                EndReason::Aborted if self.stop_at.is_some() => Cut::Stopped,
                reason => Cut::Ended(*reason),
            };
            let reasons = outputs.iter().filter_map(|output| match output {
                Output::FlowReset { reason, .. } => Some(*reason),
                _ => None,
            });
            // The peer may have reset others just before.
            self.lost_flows = reasons.filter(|reason| *reason == Reason::SessionLost).count();
        }
        let recorded = self.recording.as_mut().map(|recording| recording.outputs(outputs));
        if let Some(Err(TraceStop { path, cause })) = recorded {
            self.recording = None;
            self.events.push(Event::TraceStopped { path, cause });
        }
    }

    /// From its first input on, if sessions are recorded.
    fn begin_recording(&mut self) {
        self.recording = None;
        match self.traces.as_ref().and_then(|traces| traces.begin(&self.session)) {
            Some(Ok(recording)) => self.recording = Some(recording),
            Some(Err(TraceStop { path, cause })) => {
                self.events.push(Event::TraceStopped { path, cause })
            }
            None => {}
        }
    }

    /// Performs what is to be done until nothing is.
    fn settle(&mut self) {
        loop {
            while !self.outputs.is_empty() || !self.inputs.is_empty() {
                let mut outputs = std::mem::take(&mut self.outputs);
                for output in outputs.drain(..) {
                    self.perform(output);
                }
                // Its memory is used again.
                self.outputs = outputs;
                while let Some(input) = self.inputs.pop_front() {
                    self.input(input);
                }
            }
            let Some(key) = self.unwritten.pop_front() else { return };
            self.write(key);
        }
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Transmit { stripe, header, payload } => self.transmit(stripe, header, payload),
            Output::StripePace { stripe, unsent } => self.pace(stripe, unsent),
            Output::CloseStripe { stripe, reason } => self.close_stripe(stripe, reason),
            Output::StripesWanted { count } => {
                if let Some(client) = &mut self.client {
                    client.dialler.wanted = count;
                }
            }
            Output::FlowOpened { request, flow } => self.flow_opened(request, flow),
            Output::FlowOpenFailed { request } => self.flow_open_failed(request),
            Output::FlowIncoming { flow, opaque } => self.flow_incoming(flow, &opaque),
            Output::FlowAccepted { .. } => {}
            Output::Draining => self.peer_stops(),
            Output::FlowRefused { flow, reason } => self.flow_cut(flow, FlowEnd::Refused(reason)),
            Output::FlowWritable { flow } => self.flow_writable(flow),
            Output::FlowData { flow, data } => self.flow_data(flow, data),
            Output::FlowFinished { flow } => self.flow_finished(flow),
            Output::FlowReset { flow, reason: Reason::SessionLost } => {
                self.flow_cut(flow, FlowEnd::Cut(self.cut))
            }
            Output::FlowReset { flow, reason } => self.flow_cut(flow, FlowEnd::Reset(reason)),
            Output::FlowEnded { flow } => self.flow_ended(flow),
            Output::Ended { reason } => self.session_ended(reason),
        }
    }

    /// Something may have become possible for a slot.
    fn step(&mut self, key: usize) {
        match self.slots.get(key) {
            Some(Slot::Stripe(_)) => self.step_stripe(key),
            Some(Slot::Flow(_)) => self.step_flow(key),
            Some(Slot::Dial(_)) => self.step_dial(key),
            Some(Slot::Empty) | None => {}
        }
    }

    /// A slot has something new to be written.
    fn write(&mut self, key: usize) {
        match self.slots.get(key) {
            Some(Slot::Stripe(_)) => self.write_stripe(key),
            Some(Slot::Flow(_)) => self.write_flow(key),
            Some(Slot::Dial(_) | Slot::Empty) | None => {}
        }
    }

    /// Nothing is ready: does what is due, or sleeps.
    fn rest(&mut self, cx: &mut Context<'_>) -> Rest {
        self.renew();
        let now = self.clock.now();
        let next_dial = self.dial_stripes(now);
        if !self.again.is_empty() {
            return Rest::Due;
        }
        if self.ended.is_some() && self.slots.is_empty() {
            self.over = true;
            self.over_waiters.clear();
            return Rest::Over;
        }
        self.watch_unread(now);
        let tick = self.session.deadline().map(|(at, _)| at);
        let agenda = self.agenda.first().map(|(at, _)| *at);
        let stop = self.stop_at.filter(|_| self.ended.is_none());
        let times = [tick, agenda, next_dial, self.sweep_at, stop];
        if let Some(next) = times.into_iter().flatten().min() {
            if next > now {
                let waited = self.timer.poll_until(cx, next);
                return if waited.is_ready() { Rest::Due } else { Rest::Asleep };
            }
        } else {
            return Rest::Asleep;
        }
        if tick.is_some_and(|at| at <= now) {
            self.input(Input::Tick);
        }
        if stop.is_some_and(|at| at <= now) {
            self.input(Input::Abort);
        }
        while let Some((at, key)) = self.agenda.first().copied().filter(|(at, _)| *at <= now) {
            self.agenda.remove(&(at, key));
            self.step(key);
            self.settle();
        }
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep();
        }
        self.settle();
        Rest::Due
    }

    /// Returns to the executor in such a way that it looks for ready sockets before it comes back.
    fn breathe(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.poll_until(cx, self.clock.now() + BREATH).is_ready() {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// The other side lets flows finish and takes no more.
    fn peer_stops(&mut self) {
        self.parted = true;
        if !self.flows.is_empty() {
            let (session, flows) = (SessionTag::of(self.id), self.flows.len());
            self.events.push(Event::PeerStopping { session, flows });
        }
    }

    /// The session is over. A client begins another one unless it is shutting down.
    fn session_ended(&mut self, reason: EndReason) {
        let (session, flows) = (SessionTag::of(self.id), std::mem::take(&mut self.lost_flows));
        if std::mem::take(&mut self.forgotten) {
            self.events.push(Event::SessionForgotten { session, flows });
        } else if self.established || self.client.is_none() {
            let revoked = self.cut == Cut::Revoked;
            self.events.push(Event::SessionEnded { session, reason, revoked, flows });
        }
        self.revoked = false;
        self.parted |= reason == EndReason::PeerClosed;
        self.established = false;
        self.stranded = false;
        self.inputs.clear();
        self.cut_all_flows();
        self.take_back_requests();
        self.drop_dials();
        if let Some(client) = &mut self.client
            && self.stop_at.is_none()
        {
            self.id = fresh_id(&*client.entropy);
            client.next_stripe = 0;
            if client.next_tls.is_some() {
                client.tls = client.next_tls.take();
            }
            self.session = Session::new(Role::Client, self.id, self.config, self.clock.now());
            self.begin_recording();
            self.inputs.push_back(Input::Tick);
        } else {
            self.ended = Some(reason);
            for waiter in self.ready_waiters.drain(..) {
                waiter.send(Err(OpenError::ShuttingDown));
            }
            self.fail_waiting(&OpenError::ShuttingDown);
        }
    }

    /// Dials what is missing. Says when to look again.
    fn dial_stripes(&mut self, now: Instant) -> Option<Instant> {
        let urgent = self.is_urgent();
        loop {
            match self.client.as_ref()?.dialler.plan(now, urgent) {
                Plan::Dial(server) => self.begin_dial(server, now),
                Plan::Wait(at) => return Some(at),
                Plan::Rest => return None,
            }
        }
    }

    /// What each stripe has carried so far.
    fn carried(&self) -> impl Iterator<Item = (StripeId, u64)> {
        self.stripes.iter().filter_map(|(id, key)| match &self.slots[*key] {
            Slot::Stripe(stripe) => Some((*id, stripe.carried())),
            _ => None,
        })
    }
}

/// What came of having nothing to do.
enum Rest {
    /// There is something to do again.
    Due,
    /// It will be woken.
    Asleep,
    /// Nothing will ever be to do.
    Over,
}

fn fresh_id(entropy: &dyn Fn() -> u64) -> SessionId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(&entropy().to_be_bytes());
    id[8..].copy_from_slice(&entropy().to_be_bytes());
    SessionId(id)
}
