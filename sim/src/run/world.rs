//! Two real sessions, the TCP connections between them and the programs behind them, in virtual
//! time.
//!
//! The world plays the part of both proxies' drivers. It performs each output and tells the session
//! the result. It sends a tick when a deadline has come, after everything else of that microsecond.
//! A world depends only on its [`Setup`] and on the events that were scheduled, so a run can be
//! repeated bit for bit.
//!
//! Oracles after every input to a session:
//! - those of [`crate::net::Flow`] and of [`striper_core::testing::Endpoint`];
//! - the deadline lies ahead;
//! - a session never ends over a violation, since both peers are honest;
//! - with [`Setup::checks`], the session's own invariants hold, and a tick before the deadline
//!   yields nothing.

mod breaks;
mod check;
mod conn;
mod dials;
mod flows;
mod foreign;
mod lives;
mod setup;
mod steps;
mod stripes;

use crate::base::{Agenda, Digest, Kinds, Side, seed};
use crate::net::{Fault, Flow, FlowPlan, Greedy, ProcessFault, Shared};
use crate::run::Observer;
use conn::{Conn, Route};
use lives::{Life, Process};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
pub use setup::{Checks, Setup};
use std::collections::{BTreeSet, VecDeque};
use steps::{Event, Job};
use striper_core::{EndReason, Input, Output, Role, Session, SessionId, Stats};

pub struct World {
    now: u64,
    setup: Setup,
    agenda: Agenda<Event>,
    jobs: VecDeque<Job>,
    lives: Vec<Life>,
    current: [usize; 2],
    processes: [Process; 2],
    /// Links that were written to and have to be given to the operating system: (connection, way).
    to_write: Vec<(usize, usize)>,
    outputs: Vec<Output>,
    routes: Vec<Route>,
    shared: [Option<Shared>; 2],
    foreign: Vec<Greedy>,
    conns: Vec<Conn>,
    /// Connections of which at least one end is of use.
    present: Vec<usize>,
    wanted: usize,
    redial_set: bool,
    flows: Vec<Flow>,
    open: BTreeSet<usize>,
    rng: ChaCha8Rng,
    digest: Digest,
    inputs: u64,
    /// Pieces of stripes' bytes and frames on stripes. Each makes at most one delivery.
    pieces: u64,
    deliveries: u64,
    felt: Kinds,
    hits: u64,
    observer: Option<Observer>,
}

impl World {
    pub fn new(setup: Setup) -> Self {
        let mut rng = seed::stream(setup.seed, "world", 0);
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let roles = [Role::Client, Role::Server { instance: rng.next_u64() }];
        let processes = Side::BOTH.map(Process::new);
        let life = |side: Side| {
            let (role, config) = (roles[side.index()], setup.config[side.index()]);
            Life::new(side, role, SessionId(id), config, processes[side.index()].clock(0))
        };
        let lives = Side::BOTH.map(life).into();
        let mut world = World {
            now: 0,
            agenda: Agenda::new(),
            jobs: VecDeque::new(),
            lives,
            current: [0, 1],
            processes,
            to_write: Vec::new(),
            outputs: Vec::new(),
            routes: setup.routes.iter().cloned().map(Route::new).collect(),
            shared: [0, 1].map(|_| setup.shared.clone().map(Shared::new)),
            foreign: Vec::new(),
            conns: Vec::new(),
            present: Vec::new(),
            wanted: 0,
            redial_set: false,
            flows: Vec::new(),
            open: BTreeSet::new(),
            rng,
            digest: Digest::new(),
            inputs: 0,
            pieces: 0,
            deliveries: 0,
            felt: Kinds::default(),
            hits: 0,
            observer: None,
            setup,
        };
        // These events come first, so that an observer misses nothing.
        for side in Side::BOTH {
            world.command(0, side, Input::Tick);
        }
        world.begin_foreign();
        world
    }

    pub fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    pub fn now(&self) -> u64 {
        self.now
    }

    pub fn open(&mut self, plan: FlowPlan) -> usize {
        let index = self.flows.len();
        self.agenda.add(plan.at.max(self.now), Event::Open { flow: index });
        self.flows.push(Flow::new(index, plan));
        self.open.insert(index);
        index
    }

    pub fn fault(&mut self, at: u64, route: usize, fault: Fault) {
        self.agenda.add(at.max(self.now), Event::Fault { route, fault });
    }

    pub fn process_fault(&mut self, at: u64, side: Side, process_fault: ProcessFault) {
        self.agenda.add(at.max(self.now), Event::ProcessFault { side, process_fault });
    }

    /// Gives a side's latest session an input of its own, such as `Shutdown` or `Abort`.
    pub fn command(&mut self, at: u64, side: Side, input: Input) {
        self.agenda.add(at.max(self.now), Event::Command { side, input });
    }

    pub fn make_eager(&mut self) {
        for index in 0..self.flows.len() {
            self.flows[index].eager = true;
            for side in Side::BOTH {
                self.jobs.push_back(Job::Consume(index, side));
                self.jobs.push_back(Job::Produce(index, side));
            }
        }
        self.drain();
    }

    /// Ends every fault that has an end, on all routes and in both processes, now.
    pub fn heal(&mut self) {
        Side::BOTH.into_iter().for_each(|side| self.revive(side));
        for route in 0..self.routes.len() {
            self.apply(route, Fault::Heal);
        }
        self.drain();
    }

    /// Runs up to a time, that included.
    pub fn run_until(&mut self, end: u64) {
        self.run_while(end, |_| true);
    }

    /// Runs while a condition holds, at most up to a time. Whether it has ceased to hold.
    pub fn run_while(&mut self, end: u64, condition: impl Fn(&World) -> bool) -> bool {
        while condition(self) {
            if !self.step(end) {
                self.now = self.now.max(end);
                return !condition(self);
            }
        }
        true
    }

    pub fn run_to_end(&mut self, end: u64) -> bool {
        self.run_while(end, |world| !world.open.is_empty())
    }

    pub fn warm_up(&mut self, end: u64) -> bool {
        let stripes = self.setup.config[0].stripes;
        self.run_while(end, |world| {
            !Side::BOTH.iter().all(|side| world.stripes_up(*side) == stripes)
        })
    }

    pub fn flow(&self, index: usize) -> &Flow {
        &self.flows[index]
    }

    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    pub fn stats(&self, side: Side) -> Stats {
        self.session(side).stats()
    }

    pub fn session(&self, side: Side) -> &Session {
        &self.lives[self.current[side.index()]].end.session
    }

    pub fn ended(&self, side: Side) -> Option<EndReason> {
        self.lives[self.current[side.index()]].ended
    }

    /// The sessions that are of use, also a server's that no client will come back for.
    pub fn live_sessions(&self) -> impl Iterator<Item = &Session> {
        self.lives.iter().filter(|life| life.is_alive()).map(|life| &life.end.session)
    }

    pub fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.lives.iter().map(|life| &life.end.session)
    }

    pub fn has_lost_sessions(&self) -> bool {
        self.lives.iter().any(|life| !life.is_alive())
    }

    pub fn felt(&self) -> Kinds {
        let links = self.conns.iter().flat_map(|conn| &conn.links);
        let mut felt = self.felt;
        links.for_each(|link| felt.join(link.felt));
        felt
    }

    pub fn hits(&self) -> u64 {
        self.hits
    }

    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    pub fn inputs(&self) -> u64 {
        self.inputs
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() && !self.setup.repeat.is_empty() {
            eprintln!(
                "failed at {} µs of virtual time; repeat with: {}",
                self.now, self.setup.repeat
            );
        }
    }
}
