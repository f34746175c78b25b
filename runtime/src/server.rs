//! The exit: accepts stripes, puts them together into sessions, and hands out the flows that
//! clients open.

use crate::Executor;
use crate::client::{stopped, with_records};
use crate::clock::{Clock, SystemClock};
use crate::congestion::CongestionChoice;
use crate::descriptors::{self, Room};
use crate::driver::budget::{Budget, Holder, Share};
use crate::driver::{Footprint, Pump};
use crate::gate::Gate;
use crate::keys::{Keys, Peer, PeerName};
use crate::limits::Limits;
use crate::listen::{Listen, Listener, Patience};
use crate::local::{Queue, Receiver, Sender, oneshot};
use crate::pipe::Pipe;
use crate::pipe::flow::Flow;
use crate::pipe::memory::memory_pipe;
use crate::places::{Place, Places};
use crate::record::Traces;
use crate::report::{Event, FlowReport, Status, StripeRefusal};
use crate::target::Target;
use crate::tls::ServerTls;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::time::Duration;
use striper_core::{Config, FlowId, Hello, HelloKind, Reason, Refusal, SessionId};

/// Settings of a [`Server`].
#[derive(Clone, Debug, Default)]
pub struct ServerOptions {
    /// Settings of each session. The memory limit is that of all together.
    pub session: Config,
    /// Who may call. Without, everybody who reaches the port may, and stripes are not encrypted.
    pub keys: Option<Keys>,
    /// Where its sessions are recorded, if they are.
    pub traces: Option<Rc<Traces>>,
    /// What controls congestion on stripes. [`Server::start_in`] leaves that to its listener.
    pub congestion: CongestionChoice,
    /// What strangers and peers may cost it. [`Server::start_in`] leaves the file descriptors in
    /// reserve to its listener.
    pub limits: Limits,
}

/// Begins a task. It runs until it is ready or what runs it is dropped.
pub type Spawn = Rc<dyn Fn(Pin<Box<dyn Future<Output = ()>>>)>;

/// A handle to the exit. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    shared: Rc<Shared>,
}

/// What a session is known by: its caller's key, if callers need one, and its id.
type Name = (Holder, SessionId);

/// What the tasks of a server have in common.
pub(crate) struct Shared {
    clock: Rc<dyn Clock>,
    config: Config,
    limits: Limits,
    traces: Option<Rc<Traces>>,
    budget: Rc<Budget>,
    addr: SocketAddr,
    pub events: Rc<dyn Fn(Event)>,
    spawn: Spawn,
    pub entropy: Rc<dyn Fn() -> u64>,
    /// Who may call, and what that takes. Everybody if `None`.
    pub keys: RefCell<Option<ServerTls>>,
    /// Each under its caller's key, so that who has another can neither join it nor learn that it
    /// exists.
    sessions: RefCell<BTreeMap<Name, Rc<RefCell<Pump>>>>,
    incoming: Queue<Incoming>,
    /// One for each [`Incoming`] that has no answer.
    unanswered: Rc<Places>,
    /// File descriptors that flows leave to others; zero where flows cost none.
    spare_files: Cell<u64>,
    draining: Cell<bool>,
    /// The gate accepts stripes while this exists.
    gate: RefCell<Option<Sender<()>>>,
}

impl Server {
    /// Listens for stripes. `events` is called from tasks of `ex` and must not block.
    pub async fn bind(
        ex: &Executor,
        listen: SocketAddr,
        options: ServerOptions,
        events: Rc<dyn Fn(Event)>,
    ) -> io::Result<Server> {
        let mut listener = Listener::bind(listen, events.clone()).await?;
        listener.choose(&options.congestion)?;
        Ok(Self::on(ex, listener, options, events))
    }

    /// Accepts stripes on a listener that is there already. [`Listener::choose`] has told it what
    /// controls congestion; the options say it for stripes that are up.
    pub fn on(
        ex: &Executor,
        mut listener: Listener,
        options: ServerOptions,
        events: Rc<dyn Fn(Event)>,
    ) -> Server {
        listener.keep_spare(options.limits.spare_files);
        let ex = Rc::downgrade(ex);
        let spawn: Spawn = Rc::new(move |task| {
            if let Some(ex) = ex.upgrade() {
                ex.spawn(task).detach();
            }
        });
        let entropy = Rc::new(rand::random::<u64>);
        let spare = options.limits.spare_files;
        let server = Self::start_in(
            SystemClock::shared(),
            Box::new(listener),
            spawn,
            entropy,
            options,
            events,
        );
        server.shared.spare_files.set(spare);
        server
    }

    /// [`Server::bind`] with time, connections, tasks and random numbers of the caller's choice.
    pub fn start_in(
        clock: Rc<dyn Clock>,
        listen: Box<dyn Listen>,
        spawn: Spawn,
        entropy: Rc<dyn Fn() -> u64>,
        options: ServerOptions,
        events: Rc<dyn Fn(Event)>,
    ) -> Server {
        let (open, closed) = oneshot();
        let shared = Rc::new(Shared {
            clock,
            budget: Budget::new(options.session.memory_limit, options.limits.memory_per_session),
            config: match options.keys {
                Some(_) => with_records(options.session),
                None => options.session,
            },
            limits: options.limits.clone(),
            traces: options.traces,
            keys: RefCell::new(options.keys.as_ref().map(ServerTls::new)),
            addr: listen.local_addr(),
            events,
            spawn,
            entropy,
            sessions: RefCell::default(),
            incoming: Queue::new(),
            unanswered: Places::new(options.limits.unanswered),
            spare_files: Cell::new(0),
            draining: Cell::new(false),
            gate: RefCell::new(Some(open)),
        });
        if let Some(tls) = &*shared.keys.borrow() {
            shared.budget.set_keys(tls.keys());
        }
        let (clock, spawn) = (shared.clock.clone(), shared.spawn.clone());
        let gate = Gate::new(clock, spawn, Rc::downgrade(&shared), &options.limits);
        let patience = Patience::new(shared.events.clone());
        (shared.spawn)(Box::pin(gate.run(listen, patience, closed)));
        Server { shared }
    }

    /// Where stripes are expected.
    pub fn local_addr(&self) -> SocketAddr {
        self.shared.addr
    }

    /// The next flow that a client opened. Pending forever once [`Server::shutdown`] has been
    /// called.
    pub async fn accept(&self) -> Incoming {
        loop {
            let incoming = poll_fn(|cx| self.shared.incoming.poll_pop(cx)).await;
            if incoming.is_alive() {
                return incoming;
            }
        }
    }

    /// From now on these keys decide who may call. Sessions of keys that are no longer among them
    /// end at once. Has no effect on a server that was started without.
    pub fn set_keys(&self, keys: Keys) {
        if self.shared.keys.borrow().is_none() {
            return;
        }
        let tls = ServerTls::new(&keys);
        self.shared.budget.set_keys(tls.keys());
        self.shared.keys.replace(Some(tls.clone()));
        for ((key, _), pump) in &*self.shared.sessions.borrow() {
            if key.is_none_or(|key| !tls.accepts(&key)) {
                pump.borrow_mut().end_revoked();
            }
        }
    }

    /// What there is to tell now.
    pub fn status(&self) -> Status {
        let sessions = self.shared.sessions.borrow();
        let sessions = sessions.values().map(|pump| pump.borrow().status()).collect();
        Status { sessions, last_dial_error: None }
    }

    /// For simulations: panics with a description if something does not hold that must, and says
    /// how much is held.
    #[doc(hidden)]
    pub fn check_invariants(&self) -> Footprint {
        let sessions = self.shared.sessions.borrow();
        sessions.values().fold(Footprint::default(), |sum, pump| {
            let pump = pump.borrow();
            pump.check_invariants();
            sum + pump.footprint()
        })
    }

    /// Takes no more sessions or flows, lets those there are end within `drain`, then resets the
    /// rest and stops.
    pub async fn shutdown(&self, drain: Duration) {
        self.shared.draining.set(true);
        // Those that nobody has answered yet are refused.
        drop(self.shared.incoming.take());
        let pumps: Vec<_> = self.shared.sessions.borrow().values().cloned().collect();
        let mut waits = Vec::new();
        for pump in pumps {
            let (sender, over) = oneshot();
            pump.borrow_mut().shutdown(drain, sender);
            waits.push(over);
        }
        for over in waits {
            let _ = over.await;
        }
        self.shared.gate.take();
    }
}

impl Shared {
    /// Takes a stripe whose client has said `hello` and then `rest`, or says why not.
    pub fn admit(
        self: &Rc<Self>,
        pipe: Box<dyn Pipe>,
        hello: Hello,
        rest: Bytes,
    ) -> Result<(), (Box<dyn Pipe>, Refusal)> {
        let peer = pipe.peer();
        if !self.accepts(peer.as_ref()) {
            return Err((pipe, Refusal::KeyNeeded));
        }
        let name = (peer.as_ref().map(|peer| peer.key), hello.session);
        let known = self.sessions.borrow().get(&name).cloned();
        let is_first = known.as_ref().is_none_or(|pump| pump.borrow().stripes() == 0);
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
                let traces = self.traces.clone();
                let (clock, peer) = (self.clock.clone(), peer.map(|peer| peer.name));
                let pump =
                    Pump::server(clock, self.config, hello.session, instance, peer, share, traces);
                let pump = Rc::new(RefCell::new(pump));
                self.sessions.borrow_mut().insert(name, pump.clone());
                self.run(name, pump.clone());
                pump
            }
            _ => return Err((pipe, Refusal::UnknownSession)),
        };
        pump.borrow_mut().join(pipe, hello, rest, self.limits.stripes)
    }

    /// Tells of a caller that was turned away. After the end nobody is told: all callers are
    /// dropped.
    pub fn turned_away(&self, from: SocketAddr, error: StripeRefusal) {
        if self.gate.borrow().is_some() {
            (self.events)(Event::StripeRefused { from, error });
        }
    }

    /// Whether a caller has a key that is accepted now; it may have been another one when it began
    /// to shake hands.
    fn accepts(&self, peer: Option<&Peer>) -> bool {
        match (&*self.keys.borrow(), peer) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(tls), Some(peer)) => tls.accepts(&peer.key),
        }
    }

    /// A place for one more session of this key, at the expense of those that have lost their
    /// stripes and carry nothing if need be.
    fn make_room(&self, key: Holder) -> Option<Share> {
        let mut sessions = self.sessions.borrow_mut();
        let has_room = |sessions: &BTreeMap<Name, Rc<RefCell<Pump>>>| {
            let of_key = sessions.keys().filter(|(known, _)| *known == key).count();
            let most = if key.is_some() { self.limits.sessions_per_key } else { usize::MAX };
            sessions.len() < self.limits.sessions && of_key < most
        };
        if !has_room(&sessions) {
            sessions.retain(|_, pump| !pump.borrow_mut().abandon());
        }
        has_room(&sessions).then(|| self.budget.share(key))
    }

    /// How much room there is for one more connection to a target of a key's flow, or to a stripe
    /// of it if `stripe`. While file descriptors are scarce, there is some only if the key has not
    /// more stripes and flows than the mean of all that have a session: nobody is kept out by one
    /// who opens without end.
    fn has_room(&self, key: Holder, stripe: bool) -> bool {
        let pending = self.unanswered.taken() as u64;
        if descriptors::room(self.spare_files.get(), pending, u64::MAX) == Room::Plenty {
            return true;
        }
        let mut held: BTreeMap<Holder, usize> = BTreeMap::new();
        let mut known = 0;
        for ((key, _), pump) in &*self.sessions.borrow() {
            let pump = pump.borrow();
            *held.entry(*key).or_default() += pump.stripes() + pump.carried_flows();
            known += pump.connections();
        }
        match descriptors::room(self.spare_files.get(), pending, known as u64) {
            Room::Plenty => true,
            Room::None if !stripe => false,
            Room::None | Room::Scarce => {
                // One more key than there are now, if there is one: somebody may come who has
                // nothing yet.
                let own = held.get(&key).copied().unwrap_or(0);
                own * self.budget.keys().min(held.len() + 1) <= held.values().sum()
            }
        }
    }

    /// If sessions keep more memory than they may, those of the key that keeps the most let go of
    /// some.
    fn relieve(&self) {
        let sessions = self.sessions.borrow();
        for _ in 0..4 * sessions.len() {
            let Some(excess) = self.budget.excess() else { return };
            let Some((holder, _)) = self.budget.heaviest() else { return };
            let own = sessions.iter().filter(|((key, _), _)| *key == holder);
            let loads = own.map(|(_, pump)| (pump.borrow().load(), pump));
            let Some((load, pump)) =
                loads.max_by_key(|(load, _)| *load).filter(|(load, _)| *load > 0)
            else {
                return;
            };
            // Half at a time, until another one has more.
            pump.borrow_mut().shed(excess.min(load / 2 + 1));
        }
    }

    /// Runs a session until it is over.
    fn run(self: &Rc<Self>, name: Name, pump: Rc<RefCell<Pump>>) {
        let shared = self.clone();
        let run = poll_fn(move |cx| {
            let polled = pump.borrow_mut().poll(cx);
            let happened = pump.borrow_mut().take_events();
            let opened = pump.borrow_mut().take_incoming();
            if pump.borrow().ended().is_some() {
                // It may still have last words to send, but nobody can join it any more. Another
                // may have taken its name meanwhile.
                let mut sessions = shared.sessions.borrow_mut();
                if sessions.get(&name).is_some_and(|known| Rc::ptr_eq(known, &pump)) {
                    sessions.remove(&name);
                }
            }
            for (flow, target, unwanted) in opened {
                let unanswered = shared.unanswered.take(name.0, shared.budget.keys());
                if shared.draining.get() || unanswered.is_none() {
                    pump.borrow_mut().refuse(flow, Reason::Unavailable);
                    continue;
                }
                let has_room = shared.has_room(name.0, false);
                let pump = Rc::downgrade(&pump);
                shared.incoming.push(Incoming {
                    target,
                    flow,
                    pump,
                    unanswered,
                    has_room,
                    unwanted,
                });
            }
            happened.into_iter().for_each(&*shared.events);
            shared.relieve();
            polled
        });
        (self.spawn)(Box::pin(run));
    }
}

/// A flow that a client opened. Answer it by carrying or refusing it; dropped, it is refused.
///
/// What the client has sent meanwhile is kept, within its credit.
pub struct Incoming {
    target: Target,
    flow: FlowId,
    pump: Weak<RefCell<Pump>>,
    /// Its place among those without an answer.
    unanswered: Option<Place>,
    has_room: bool,
    unwanted: Receiver<()>,
}

impl Incoming {
    /// Whether the client still wants it.
    fn is_alive(&self) -> bool {
        self.pump.upgrade().is_some_and(|pump| pump.borrow().carries(self.flow))
    }

    /// Waits until the client no longer wants it, or has gone. Who connects to a target meanwhile
    /// need not go on.
    pub async fn unwanted(&mut self) {
        (&mut self.unwanted).await;
    }

    /// Whether the process has a file descriptor to spare for its target. When these become few,
    /// what is left goes to clients that have fewer flows than others, and to stripes. The error is
    /// what the system says when there is none at all; refuse it then.
    pub fn ensure_room(&self) -> io::Result<()> {
        if self.has_room { Ok(()) } else { Err(rustix::io::Errno::MFILE.into()) }
    }

    /// Which client, if clients need a key.
    pub fn peer(&self) -> Option<PeerName> {
        self.pump.upgrade().and_then(|pump| pump.borrow().peer())
    }

    /// What the client wants to reach.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Accepts, carries `local` over the flow, and says how that went when it has ended. Dropping
    /// the future of this does not end the flow.
    pub async fn carry(mut self, mut local: Box<dyn Pipe>) -> FlowReport {
        let (report, reported) = oneshot();
        self.unanswered = None;
        match self.pump.upgrade() {
            Some(pump) => pump.borrow_mut().attach(self.flow, local, report),
            None => {
                local.abort();
                drop(report);
            }
        }
        reported.await.unwrap_or_else(stopped)
    }

    /// Tells the client that its target can't be reached.
    pub fn refuse(mut self, reason: Reason) {
        self.answer_no(reason);
    }

    /// Accepts, for use in this process.
    pub fn into_flow(mut self) -> Flow {
        let (inner, outer) = memory_pipe();
        let (report, reported) = oneshot();
        self.unanswered = None;
        if let Some(pump) = self.pump.upgrade() {
            pump.borrow_mut().attach(self.flow, Box::new(inner), report);
        }
        Flow::new(outer, reported)
    }

    fn answer_no(&mut self, reason: Reason) {
        if self.unanswered.take().is_some()
            && let Some(pump) = self.pump.upgrade()
        {
            pump.borrow_mut().refuse(self.flow, reason);
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.answer_no(Reason::Unavailable);
    }
}
