//! The sessions of a server and what they share: who may join or begin one, and their cost.

use super::options::ServerOptions;
use super::succession::Predecessor;
use crate::admission::budget::{Budget, Holder, Share};
use crate::admission::descriptors::{self, HasRoom, Room};
use crate::admission::limits::Limits;
use crate::admission::places::Places;
use crate::admission::shedding::shed_excess;
#[cfg(feature = "testing")]
use crate::driver::Footprint;
use crate::driver::{self, Pump};
use crate::events::Events;
use crate::handover::{Queue, Receiver, Sender, oneshot};
use crate::incoming::Incoming;
use crate::pipe::{Peer, Pipe};
use crate::ports::clock::Clock;
use crate::ports::{Listen, Spawn};
use crate::record::Traces;
use crate::report::{EndedSessions, Event, FlowStatus, Status, StripeRefusal};
use crate::routes::Routes;
use crate::tls::keys::Keys;
use crate::tls::{ServerTls, with_records};
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use striper_core::{Config, Hello, HelloKind, Reason, Refusal, SessionId};

/// The name of a session: its caller's key, if callers need one, and its id.
type Name = (Holder, SessionId);

/// Ports that each take the place of the one before.
pub(super) type Ports = Queue<Box<dyn Listen>>;

pub(super) struct Sessions {
    clock: Rc<dyn Clock>,
    /// The settings of sessions that begin now.
    config: Cell<Config>,
    limits: RefCell<Limits>,
    traces: RefCell<Option<Arc<Traces>>>,
    budget: Rc<Budget>,
    events: Events,
    spawn: Spawn,
    entropy: Rc<dyn Fn() -> u64>,
    /// The knowledge of their stripes about routes.
    routes: Rc<Routes>,
    /// The keys of the clients that may call. Everybody if `None`.
    keys: RefCell<Option<ServerTls>>,
    /// Each under its caller's key. Another key can neither join it nor learn that it exists.
    sessions: RefCell<BTreeMap<Name, Rc<RefCell<Pump>>>>,
    /// The sums of those that were there.
    ended: Cell<EndedSessions>,
    /// Flows that nobody has taken yet. `limits.unanswered` bounds them.
    incoming: Queue<Incoming>,
    /// One for each [`Incoming`] that has no answer.
    unanswered: Rc<Places>,
    /// File descriptors that flows leave to others; zero where flows cost none.
    spare_files: Rc<Cell<u64>>,
    draining: Cell<bool>,
    predecessor: RefCell<Option<Rc<dyn Predecessor>>>,
    /// The gate accepts stripes while this exists.
    gate: RefCell<Option<Sender<()>>>,
    ports: Rc<Ports>,
}

impl Sessions {
    /// None yet. The gate stays open until the receiver says otherwise.
    pub(super) fn new(
        clock: Rc<dyn Clock>,
        spawn: Spawn,
        entropy: Rc<dyn Fn() -> u64>,
        options: ServerOptions,
        events: Events,
        spare_files: Rc<Cell<u64>>,
    ) -> (Rc<Self>, Receiver<()>) {
        let (open, closed) = oneshot();
        let tls = options.tls();
        let sessions = Rc::new(Sessions {
            clock,
            budget: Budget::new(options.session.memory_limit, options.limits.memory_per_session),
            config: Cell::new(match options.keys {
                Some(_) => with_records(options.session),
                None => options.session,
            }),
            unanswered: Places::new(options.limits.unanswered),
            limits: RefCell::new(options.limits),
            traces: RefCell::new(options.traces),
            events,
            spawn,
            entropy,
            routes: Rc::default(),
            keys: RefCell::new(tls),
            sessions: RefCell::default(),
            ended: Cell::default(),
            incoming: Queue::new(),
            spare_files,
            draining: Cell::new(false),
            predecessor: RefCell::default(),
            gate: RefCell::new(Some(open)),
            ports: Rc::new(Queue::new()),
        });
        if let Some(tls) = &*sessions.keys.borrow() {
            sessions.budget.set_keys(tls.keys());
        }
        (sessions, closed)
    }

    /// The file descriptors that are left to others, which a port shares.
    pub(super) fn spare_files(&self) -> Rc<Cell<u64>> {
        self.spare_files.clone()
    }

    pub(super) fn limits(&self) -> Limits {
        self.limits.borrow().clone()
    }

    pub(super) fn ports(&self) -> Rc<Ports> {
        self.ports.clone()
    }

    /// The settings of sessions are for those that begin from now on; the other limits, and less
    /// memory, are for all.
    pub(super) fn set_limits(&self, session: Config, limits: Limits) {
        self.config.set(match self.keys.borrow().is_some() {
            true => with_records(session),
            false => session,
        });
        self.budget.set_limits(session.memory_limit, limits.memory_per_session);
        self.unanswered.set_limit(limits.unanswered);
        self.spare_files.set(limits.spare_files);
        *self.limits.borrow_mut() = limits;
    }

    pub(super) fn chance(&self) -> u64 {
        (self.entropy)()
    }

    pub(super) fn tls(&self) -> Option<ServerTls> {
        self.keys.borrow().clone()
    }

    /// The next flow that a client opened and still wants.
    pub(super) async fn next_incoming(&self) -> Incoming {
        loop {
            let incoming = poll_fn(|cx| self.incoming.poll_pop(cx)).await;
            if incoming.is_alive() {
                return incoming;
            }
        }
    }

    pub(super) fn set_keys(&self, keys: &Keys) {
        let tls = self.keys.borrow().as_ref().map(|tls| tls.with_keys(keys));
        let Some(tls) = tls else { return };
        self.budget.set_keys(tls.keys());
        self.keys.replace(Some(tls.clone()));
        for ((key, _), pump) in &*self.sessions.borrow() {
            if key.is_none_or(|key| !tls.accepts(&key)) {
                pump.borrow_mut().end_revoked();
            }
        }
    }

    pub(super) fn status(&self) -> Status {
        let sessions = self.sessions.borrow();
        let sessions = sessions.values().map(|pump| driver::status(&pump.borrow())).collect();
        Status { sessions, last_dial_error: None, ended: self.ended.get() }
    }

    /// A session leaves the table for good.
    fn note_end(&self, pump: &Pump) {
        let mut ended = self.ended.get();
        ended.add(&driver::status(pump).stats);
        self.ended.set(ended);
    }

    pub(super) fn flows(&self, most: usize) -> Vec<FlowStatus> {
        let mut flows = Vec::new();
        for pump in self.sessions.borrow().values() {
            flows.extend(driver::flows(&pump.borrow(), most - flows.len()));
        }
        flows
    }

    pub(super) fn close_flow(&self, label: u64) -> bool {
        self.sessions.borrow().values().any(|pump| pump.borrow_mut().close_flow(label))
    }

    pub(super) fn set_traces(&self, traces: Option<Arc<Traces>>) {
        for pump in self.sessions.borrow().values() {
            pump.borrow_mut().set_traces(traces.clone());
        }
        self.traces.replace(traces);
    }

    #[cfg(feature = "testing")]
    pub(crate) fn check_invariants(&self) -> Footprint {
        self.sessions
            .borrow()
            .values()
            .fold(Footprint::default(), |sum, pump| sum + driver::check_invariants(&pump.borrow()))
    }

    pub(super) fn set_predecessor(&self, predecessor: Option<Rc<dyn Predecessor>>) {
        self.predecessor.replace(predecessor);
    }

    /// The predecessor, if it may have the session that a stripe's client means.
    pub(super) fn predecessor_for(
        &self,
        pipe: &dyn Pipe,
        hello: &Hello,
    ) -> Option<Rc<dyn Predecessor>> {
        let predecessor = self.predecessor.borrow().clone()?;
        let name = (pipe.info().peer.map(|peer| peer.key), hello.session);
        (!self.sessions.borrow().contains_key(&name)).then_some(predecessor)
    }

    pub(super) fn spawn(&self, task: Pin<Box<dyn Future<Output = ()>>>) {
        (self.spawn)(task);
    }

    pub(super) fn clock(&self) -> Rc<dyn Clock> {
        self.clock.clone()
    }

    /// How long a caller may take for its handshake.
    pub(super) fn handshake_time(&self) -> Duration {
        self.limits().handshake_time
    }

    pub(super) async fn retire(&self) {
        self.gate.take();
        let pumps: Vec<_> = self.sessions.borrow().values().cloned().collect();
        let mut waits = Vec::new();
        for pump in pumps {
            let (sender, over) = oneshot();
            pump.borrow_mut().retire(sender);
            waits.push(over);
        }
        for over in waits {
            let _ = over.await;
        }
    }

    pub(super) async fn shutdown(&self, drain: Duration) {
        self.draining.set(true);
        // Flows that nobody has answered yet are refused.
        drop(self.incoming.take());
        let pumps: Vec<_> = self.sessions.borrow().values().cloned().collect();
        let mut waits = Vec::new();
        for pump in pumps {
            let (sender, over) = oneshot();
            pump.borrow_mut().shutdown(drain, sender);
            waits.push(over);
        }
        for over in waits {
            let _ = over.await;
        }
        self.gate.take();
    }

    /// Takes a stripe whose client has said `hello` and then `rest`, or says why not.
    pub(super) fn admit(
        self: &Rc<Self>,
        pipe: Box<dyn Pipe>,
        hello: Hello,
        rest: Bytes,
    ) -> Result<(), (Box<dyn Pipe>, Refusal)> {
        let peer = pipe.info().peer.cloned();
        if !self.accepts(peer.as_ref()) {
            return Err((pipe, Refusal::KeyNeeded));
        }
        let name = (peer.as_ref().map(|peer| peer.key), hello.session);
        let known = self.sessions.borrow().get(&name).cloned();
        let is_first = known.as_ref().is_none_or(|pump| pump.borrow().stripes().is_empty());
        let leaves_room = is_first || descriptors::leaves_flows(self.spare_files.get());
        if !(leaves_room && self.has_room(name.0, true)) {
            return Err((pipe, Refusal::TooMany));
        }
        let pump = match (known, hello.kind) {
            (Some(pump), HelloKind::Create | HelloKind::Join) => pump,
            (None, HelloKind::Create) if self.draining.get() => {
                return Err((pipe, Refusal::Draining));
            }
            (None, HelloKind::Create) => {
                let Some(share) = self.make_room(name.0) else {
                    return Err((pipe, Refusal::TooMany));
                };
                let instance = (self.entropy)();
                let traces = self.traces.borrow().clone();
                let clock = self.clock.clone();
                let pump = Pump::server(
                    clock,
                    self.config.get(),
                    hello.session,
                    instance,
                    peer,
                    share,
                    traces,
                );
                let pump = Rc::new(RefCell::new(pump.knowing(self.routes.clone())));
                self.sessions.borrow_mut().insert(name, pump.clone());
                self.run(name, pump.clone());
                pump
            }
            _ => return Err((pipe, Refusal::UnknownSession)),
        };
        pump.borrow_mut().join(pipe, hello, rest, self.limits.borrow().stripes)
    }

    /// Tells of a caller that was turned away, but not after the end: all callers are dropped then.
    pub(super) fn turned_away(&self, from: SocketAddr, error: StripeRefusal) {
        if self.gate.borrow().is_some() {
            self.events.tell(Event::StripeRefused { from, error });
        }
    }

    /// Whether a caller's key is accepted now: keys may have changed since its handshake began.
    fn accepts(&self, peer: Option<&Peer>) -> bool {
        match (&*self.keys.borrow(), peer) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(tls), Some(peer)) => tls.accepts(&peer.key),
        }
    }

    /// A place for one more session of this key, maybe that of sessions without stripes and flows.
    fn make_room(&self, key: Holder) -> Option<Share> {
        let mut sessions = self.sessions.borrow_mut();
        let has_room = |sessions: &BTreeMap<Name, Rc<RefCell<Pump>>>| {
            let of_key = sessions.keys().filter(|(known, _)| *known == key).count();
            let limits = self.limits.borrow();
            let most = if key.is_some() { limits.sessions_per_key } else { usize::MAX };
            sessions.len() < limits.sessions && of_key < most
        };
        if !has_room(&sessions) {
            sessions.retain(|_, pump| {
                let abandoned = pump.borrow_mut().abandon();
                if abandoned {
                    self.note_end(&pump.borrow());
                }
                !abandoned
            });
        }
        has_room(&sessions).then(|| self.budget.share(key))
    }

    /// How much room there is for one more connection to a target of a key's flow, or to a stripe
    /// of it if `stripe`. While file descriptors are scarce, a key has room up to the mean of
    /// stripes and flows of all keys with a session. So a client that opens without end keeps
    /// nobody out.
    fn has_room(&self, key: Holder, stripe: bool) -> bool {
        let pending = self.unanswered.taken() as u64;
        if descriptors::room(self.spare_files.get(), pending, u64::MAX) == Room::Plenty {
            return true;
        }
        let mut held: BTreeMap<Holder, usize> = BTreeMap::new();
        let mut known = 0;
        for ((key, _), pump) in &*self.sessions.borrow() {
            let pump = pump.borrow();
            *held.entry(*key).or_default() += pump.stripes().len() + pump.flows().kept();
            known += pump.stripes().len() + pump.flows().connections();
        }
        match descriptors::room(self.spare_files.get(), pending, known as u64) {
            Room::Plenty => true,
            Room::None if !stripe => false,
            Room::None | Room::Scarce => {
                // One more key than now, if there is one: somebody may come that has nothing yet.
                let own = held.get(&key).copied().unwrap_or(0);
                own * self.budget.keys().min(held.len() + 1) <= held.values().sum()
            }
        }
    }

    /// If sessions keep more memory than they may, some let go of it.
    fn shed_excess(&self) {
        let sessions = self.sessions.borrow();
        let held = sessions.iter().map(|((holder, _), pump)| (*holder, pump));
        let load = |pump: &Rc<RefCell<Pump>>| pump.borrow().load();
        shed_excess(&self.budget, held, load, |pump, excess| pump.borrow_mut().shed(excess));
    }

    fn run(self: &Rc<Self>, name: Name, pump: Rc<RefCell<Pump>>) {
        let all = self.clone();
        let known = Rc::downgrade(self);
        let room: HasRoom =
            Rc::new(move || known.upgrade().is_some_and(|all| all.has_room(name.0, false)));
        let run = poll_fn(move |cx| {
            let polled = driver::run(&mut pump.borrow_mut(), cx);
            let happened = pump.borrow_mut().take_events();
            let opened = pump.borrow_mut().take_incoming();
            if pump.borrow().ended().is_some() {
                // It may have last words, but nobody can join it. Another may have taken its name.
                let mut sessions = all.sessions.borrow_mut();
                if sessions.get(&name).is_some_and(|known| Rc::ptr_eq(known, &pump)) {
                    sessions.remove(&name);
                    all.note_end(&pump.borrow());
                }
            }
            for opened in opened {
                match all.unanswered.take(name.0, all.budget.keys()) {
                    Some(place) if !all.draining.get() => {
                        let (pump, room) = (Rc::downgrade(&pump), room.clone());
                        all.incoming.push(Incoming::new(pump, opened, place, room));
                    }
                    _ => pump.borrow_mut().refuse(opened.0, Reason::Unavailable),
                }
            }
            happened.into_iter().for_each(|event| all.events.tell(event));
            all.shed_excess();
            polled
        });
        (self.spawn)(Box::pin(run));
    }
}
