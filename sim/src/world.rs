//! Two real sessions, the TCP connections between them and the programs behind them, in virtual time.
//!
//! The world plays the part of both proxies' drivers: it performs each output, tells the session what came of it, and
//! sends a tick when a deadline has come, after everything else of that microsecond. Nothing in it depends on anything
//! but its [`Setup`] and what was scheduled, so a run can be repeated bit for bit.
//!
//! Oracles after every input to a session: those of [`crate::app`]; the deadline lies ahead; no byte is transmitted on a
//! stripe that the session has closed; a session ends once, says nothing afterwards, and never over a violation, since
//! both peers are honest. With [`Setup::checks`] also the session's own invariants, and that a tick before the
//! deadline yields nothing.

mod breaks;
mod check;
mod flows;
mod lives;
mod stripes;

use crate::agenda::Agenda;
use crate::app::{Flow, FlowPlan, Side};
use crate::faults::{Fault, Kind, Kinds, Upset};
use crate::link::{LinkEvent, LinkSpec};
use crate::seed::{self, Digest};
use lives::{Life, Process};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;
use striper_core::{Config, EndReason, Input, Instant, Output, Role, Session, SessionId, Stats};
use stripes::{Conn, Route};

/// When a session's own invariants are checked, which costs time in proportion to its state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Checks {
    /// Never.
    Off,
    /// After every input at first, after every 64th beyond 4,000 and every 1024th beyond 40,000, so that large worlds
    /// remain bearable.
    Thinning,
    /// After every input.
    Always,
}

impl Checks {
    fn due(self, inputs: u64) -> bool {
        match self {
            Checks::Off => false,
            Checks::Thinning => {
                inputs < 4_000 || inputs.is_multiple_of(if inputs < 40_000 { 64 } else { 1024 })
            }
            Checks::Always => true,
        }
    }
}

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Where every random choice comes from.
    pub seed: u64,
    /// The routes that stripes take, each as it is from the client and from the server. A stripe that is dialed takes
    /// the route with the fewest stripes.
    pub routes: Vec<[LinkSpec; 2]>,
    /// The settings of both sessions, the client's first.
    pub config: [Config; 2],
    /// When the sessions' own invariants are checked.
    pub checks: Checks,
    /// The command that repeats this world; printed when it fails.
    pub repeat: String,
    /// A client whose session ends begins another one, as the driver does.
    pub rebirth: bool,
}

impl Setup {
    /// A world with these caps (bit/s), a stripe each, and the same delay (one-way, in microseconds) on all.
    pub fn capped(seed: u64, caps: &[u64], delay: u64) -> Self {
        let config = Config { stripes: caps.len(), ..Config::default() };
        Setup {
            seed,
            routes: caps.iter().map(|cap| [LinkSpec::new(*cap, delay), LinkSpec::new(*cap, delay)]).collect(),
            config: [config; 2],
            checks: Checks::Off,
            repeat: String::new(),
            rebirth: false,
        }
    }
}

/// What happens in a world by itself or by plan.
#[derive(Clone, Debug)]
enum Event {
    Link { conn: usize, way: usize, event: LinkEvent },
    Connected { conn: usize },
    DialLimit { conn: usize },
    Redial,
    Lose { conn: usize, side: Side },
    Open { flow: usize },
    Answer { flow: usize },
    Produce { flow: usize, side: Side },
    Consume { flow: usize, side: Side },
    ResetFlow { flow: usize, side: Side },
    Fault { route: usize, fault: Fault },
    Upset { side: Side, upset: Upset },
    Restart { side: Side, crash: u64 },
    Resume { side: Side, pause: u64 },
    Command { side: Side, input: Input },
}

/// What is to be done at once, in order.
#[derive(Clone, Debug)]
enum Job {
    /// For a session, by its place in [`World::lives`].
    Input(usize, Input),
    Produce(usize, Side),
    Consume(usize, Side),
}

/// Sees each input to a session: whose it is, the time on that side's clock, and what came of it.
pub type Observer = Box<dyn FnMut(Side, Instant, &Input, &[Output])>;

/// The whole simulated world.
pub struct World {
    now: u64,
    setup: Setup,
    agenda: Agenda<Event>,
    jobs: VecDeque<Job>,
    /// Every session that there ever was.
    lives: Vec<Life>,
    /// The latest session of each side.
    current: [usize; 2],
    processes: [Process; 2],
    /// Links that were written to and have to be given to the operating system: (connection, way).
    dirty: Vec<(usize, usize)>,
    outputs: Vec<Output>,
    routes: Vec<Route>,
    conns: Vec<Conn>,
    /// Those of which at least one end is of use.
    present: Vec<usize>,
    wanted: usize,
    /// A `Redial` is under way.
    redial_set: bool,
    flows: Vec<Flow>,
    /// Flows that are not over.
    open: BTreeSet<usize>,
    rng: ChaCha8Rng,
    digest: Digest,
    inputs: u64,
    /// Pieces of stripes' bytes that went into sessions, and frames put on stripes: each makes at most one delivery.
    pieces: u64,
    deliveries: u64,
    felt: Kinds,
    blows: u64,
    observer: Option<Observer>,
}

/// More inputs than this at one moment mean that it never ends.
const MAX_JOBS: u64 = 4_000_000;

impl World {
    /// A world at time zero, whose client begins to dial.
    pub fn new(setup: Setup) -> Self {
        let mut rng = seed::stream(setup.seed, "world", 0);
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let roles = [Role::Client, Role::Server { instance: rng.next_u64() }];
        let processes = Side::BOTH.map(Process::new);
        let lives = Side::BOTH
            .map(|side| {
                let index = side.index();
                Life::new(side, roles[index], SessionId(id), setup.config[index], processes[index].clock(0))
            })
            .into();
        let mut world = World {
            now: 0,
            agenda: Agenda::new(),
            jobs: VecDeque::new(),
            lives,
            current: [0, 1],
            processes,
            dirty: Vec::new(),
            outputs: Vec::new(),
            routes: setup.routes.iter().cloned().map(Route::new).collect(),
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
            blows: 0,
            observer: None,
            setup,
        };
        // The first to happen, so that an observer misses nothing.
        for side in Side::BOTH {
            world.command(0, side, Input::Tick);
        }
        world
    }

    /// From now on `observer` sees every input to a session and what came of it, in order. Asked for right after
    /// [`World::new`], that is all of them.
    pub fn observe(&mut self, observer: Observer) {
        self.observer = Some(observer);
    }

    /// Microseconds since the beginning.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Has a flow opened when its plan says so. Its number is that of [`World::flow`].
    pub fn open(&mut self, plan: FlowPlan) -> usize {
        let index = self.flows.len();
        self.agenda.add(plan.at.max(self.now), Event::Open { flow: index });
        self.flows.push(Flow::new(index, plan));
        self.open.insert(index);
        index
    }

    /// Has something go wrong with a route, by its number in the setup.
    pub fn fault(&mut self, at: u64, route: usize, fault: Fault) {
        self.agenda.add(at.max(self.now), Event::Fault { route, fault });
    }

    /// Has something happen to a side's process.
    pub fn upset(&mut self, at: u64, side: Side, upset: Upset) {
        self.agenda.add(at.max(self.now), Event::Upset { side, upset });
    }

    /// Gives a side's session an input of its own, such as `Shutdown` or `Abort`.
    pub fn command(&mut self, at: u64, side: Side, input: Input) {
        self.agenda.add(at.max(self.now), Event::Command { side, input });
    }

    /// From now on every program reads all, sends without a limit and ends what it had left open.
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

    /// Lets everything happen up to a time, that included.
    pub fn run_until(&mut self, end: u64) {
        self.run_while(end, |_| true);
    }

    /// Lets things happen while a condition holds, at most up to a time. Whether the condition has ceased to hold.
    pub fn run_while(&mut self, end: u64, condition: impl Fn(&World) -> bool) -> bool {
        while condition(self) {
            if !self.step(end) {
                self.now = self.now.max(end);
                return !condition(self);
            }
        }
        true
    }

    /// Lets things happen until all flows are over, at most up to a time. Whether they are.
    pub fn run_to_end(&mut self, end: u64) -> bool {
        self.run_while(end, |world| !world.open.is_empty())
    }

    /// Lets things happen until both sides have all their stripes, at most up to a time. Whether they have.
    pub fn warm_up(&mut self, end: u64) -> bool {
        let stripes = self.setup.config[0].stripes;
        self.run_while(end, |world| !Side::BOTH.iter().all(|side| world.stripes_up(*side) == stripes))
    }

    /// A flow by its number.
    pub fn flow(&self, index: usize) -> &Flow {
        &self.flows[index]
    }

    /// All flows.
    pub fn flows(&self) -> &[Flow] {
        &self.flows
    }

    /// What a side's latest session tells about itself.
    pub fn stats(&self, side: Side) -> Stats {
        self.session(side).stats()
    }

    /// A side's latest session.
    pub fn session(&self, side: Side) -> &Session {
        &self.lives[self.current[side.index()]].session
    }

    /// Why a side's latest session has ended, if it has.
    pub fn ended(&self, side: Side) -> Option<EndReason> {
        self.lives[self.current[side.index()]].ended
    }

    /// Every session that is of use, also a server's that no client will come back for.
    pub fn live_sessions(&self) -> impl Iterator<Item = &Session> {
        self.lives.iter().filter(|life| life.is_alive()).map(|life| &life.session)
    }

    /// Whether a session has ended or died.
    pub fn has_lost_sessions(&self) -> bool {
        self.lives.iter().any(|life| !life.is_alive())
    }

    /// The kinds of trouble that have really happened.
    pub fn felt(&self) -> Kinds {
        let links = self.conns.iter().flat_map(|conn| &conn.links);
        let mut felt = self.felt;
        links.for_each(|link| felt.join(link.felt()));
        felt
    }

    /// How many faults and upsets really hit something.
    pub fn blows(&self) -> u64 {
        self.blows
    }

    /// A hash of everything that both sessions have put out, with the time of each.
    pub fn digest(&self) -> u64 {
        self.digest.value()
    }

    /// How many inputs both sessions have had.
    pub fn inputs(&self) -> u64 {
        self.inputs
    }

    /// The next event or tick, if it comes by `end`.
    fn step(&mut self, end: u64) -> bool {
        let tick = self.lives.iter().enumerate().filter_map(|(index, life)| self.tick_at(index, life)).min();
        let event = self.agenda.next_time();
        if let Some(at) = event.filter(|at| *at <= end && tick.is_none_or(|(tick, _)| *at <= tick)) {
            self.now = at;
            let (_, event) = self.agenda.pop().expect("an event whose time was just read");
            self.happen(event);
        } else if let Some((at, life)) = tick.filter(|(at, _)| *at <= end) {
            self.now = at;
            self.jobs.push_back(Job::Input(life, Input::Tick));
            self.drain();
        } else {
            return false;
        }
        true
    }

    /// When a session is to be ticked.
    fn tick_at(&self, index: usize, life: &Life) -> Option<(u64, usize)> {
        let process = &self.processes[life.side.index()];
        let at = life.deadline.filter(|_| !process.is_stopped())?;
        Some((process.time_of(at).max(self.now), index))
    }

    fn happen(&mut self, event: Event) {
        if let Some(side) = self.stopped_side(&event) {
            self.felt.add(Kind::Pause);
            self.processes[side.index()].put_off(event);
            return;
        }
        match event {
            Event::Link { conn, way, event } => self.link_event(conn, way, event),
            Event::Connected { conn } => self.connected(conn),
            Event::DialLimit { conn } => self.dial_limit(conn),
            Event::Redial => self.redial(),
            Event::Lose { conn, side } => self.lose(conn, side),
            Event::Open { flow } => self.open_now(flow),
            Event::Answer { flow } => self.answer(flow),
            Event::Produce { flow, side } => self.jobs.push_back(Job::Produce(flow, side)),
            Event::Consume { flow, side } => self.jobs.push_back(Job::Consume(flow, side)),
            Event::ResetFlow { flow, side } => self.reset_flow(flow, side),
            Event::Fault { route, fault } => self.apply(route, fault),
            Event::Upset { side, upset } => self.apply_upset(side, upset),
            Event::Restart { side, crash } => self.restart(side, crash),
            Event::Resume { side, pause } => self.resume(side, pause),
            Event::Command { side, input } => {
                self.jobs.push_back(Job::Input(self.current[side.index()], input));
            }
        }
        self.drain();
    }

    /// Does what is to be done at this moment, until nothing is.
    fn drain(&mut self) {
        let mut count = 0;
        loop {
            while let Some(job) = self.jobs.pop_front() {
                match job {
                    Job::Input(life, input) => self.handle(life, input),
                    Job::Produce(flow, side) => self.produce(flow, side),
                    Job::Consume(flow, side) => self.consume(flow, side),
                }
                count += 1;
                assert!(count < MAX_JOBS, "this moment never ends");
            }
            // Written once all outputs are performed, as a driver does it with one vectored write a stripe.
            let mut dirty = std::mem::take(&mut self.dirty);
            for (conn, way) in dirty.drain(..) {
                self.write(conn, way);
            }
            if self.dirty.is_empty() {
                self.dirty = dirty;
            }
            if self.jobs.is_empty() && self.dirty.is_empty() {
                break;
            }
        }
    }

    /// Has a link written to the operating system when all of this moment is done.
    fn soil(&mut self, conn: usize, way: usize) {
        if !self.dirty.contains(&(conn, way)) {
            self.dirty.push((conn, way));
        }
    }

    /// One input to a session, the oracles, and the outputs.
    fn handle(&mut self, index: usize, input: Input) {
        let life = &mut self.lives[index];
        if !life.is_alive() {
            return;
        }
        let side = life.side;
        let now = self.processes[side.index()].clock(self.now);
        let (session, mut outputs) = (&mut life.session, std::mem::take(&mut self.outputs));
        self.pieces += u64::from(matches!(input, Input::StripeBytes { .. }));
        life.told_to_end |= matches!(input, Input::Shutdown | Input::Abort);
        life.draining |= matches!(input, Input::Shutdown);
        if let Input::StripeDown { stripe } = input {
            self.conns[stripe.0 as usize].ends[side.index()].down = true;
        }
        if let Some(observe) = &mut self.observer {
            session.handle(now, input.clone(), &mut outputs);
            observe(side, now, &input, &outputs);
        } else {
            session.handle(now, input, &mut outputs);
        }
        self.inputs += 1;
        life.deadline = session.deadline().map(|(at, _)| at);
        assert!(
            life.deadline.is_none_or(|at| at > now),
            "{:?} has come at {now:?} already",
            session.deadline()
        );
        if session.view_stripes().next().is_some() {
            life.stripeless_since = None;
        } else {
            life.stripeless_since.get_or_insert(now);
        }
        self.check_work(&outputs);
        if self.setup.checks.due(self.inputs) {
            self.check(index, now);
        }
        for output in outputs.drain(..) {
            assert!(self.lives[index].ended.is_none(), "an output after the end: {output:?}");
            self.fold(side, &output);
            self.perform(index, output);
        }
        self.outputs = outputs;
    }

    fn perform(&mut self, life: usize, output: Output) {
        match output {
            Output::Transmit { .. }
            | Output::StripePace { .. }
            | Output::CloseStripe { .. }
            | Output::StripesWanted { .. } => self.perform_stripe(life, output),
            Output::Draining => self.lives[life].draining = true,
            Output::Ended { reason } => self.session_ended(life, reason),
            _ => self.perform_flow(life, output),
        }
    }

    fn fold(&mut self, side: Side, output: &Output) {
        self.digest.word(self.now * 2 + side.index() as u64);
        match output {
            Output::Transmit { stripe, header, payload } => {
                self.digest.word(stripe.0);
                self.digest.words(header);
                // The first bytes tell which piece it is, since the pattern hardly repeats.
                self.digest.word(payload.len() as u64);
                self.digest.words(&payload[..payload.len().min(8)]);
            }
            Output::FlowData { flow, data } => {
                self.digest.word(flow.0);
                self.digest.word(data.len() as u64);
                self.digest.words(&data[..data.len().min(8)]);
            }
            Output::FlowWritable { flow } => self.digest.word(flow.0),
            Output::StripePace { stripe, unsent } => self.digest.word(stripe.0 ^ unsent << 16),
            other => self.digest.bytes(format!("{other:?}").as_bytes()),
        }
    }

    fn after(&self, time: Duration) -> u64 {
        self.now + time.as_micros() as u64
    }
}

impl Drop for World {
    /// A failed run says how to see it again.
    fn drop(&mut self) {
        if std::thread::panicking() && !self.setup.repeat.is_empty() {
            eprintln!("failed at {} µs of virtual time; repeat with: {}", self.now, self.setup.repeat);
        }
    }
}
