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

mod flows;
mod stripes;

use crate::agenda::Agenda;
use crate::app::{EndState, Flow, FlowPlan, Side};
use crate::faults::Fault;
use crate::link::{LinkEvent, LinkSpec};
use crate::seed::{self, Digest};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;
use striper_core::{Config, EndReason, FlowId, Input, Instant, Output, Role, Session, SessionId, Stats};
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
    Open { flow: usize },
    Answer { flow: usize },
    Produce { flow: usize, side: Side },
    Consume { flow: usize, side: Side },
    ResetFlow { flow: usize, side: Side },
    Fault { route: usize, fault: Fault },
    Command { side: Side, input: Input },
}

/// What is to be done at once, in order.
#[derive(Clone, Debug)]
enum Job {
    Input(Side, Input),
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
    sessions: [Session; 2],
    deadlines: [Option<u64>; 2],
    ended: [Option<EndReason>; 2],
    /// Links that were written to and have to be given to the operating system: (connection, way).
    dirty: BTreeSet<(usize, usize)>,
    outputs: Vec<Output>,
    routes: Vec<Route>,
    conns: Vec<Conn>,
    wanted: usize,
    flows: Vec<Flow>,
    by_id: BTreeMap<FlowId, usize>,
    /// Flows that are not over.
    open: BTreeSet<usize>,
    rng: ChaCha8Rng,
    digest: Digest,
    inputs: u64,
    observer: Option<Observer>,
}

/// The sessions' clocks start at different times, so that a time of one taken for one of the other shows.
const ORIGIN: [u64; 2] = [1_000, 7_200_000_000];

/// More inputs than this at one moment mean that it never ends.
const MAX_JOBS: u64 = 4_000_000;

impl World {
    /// A world at time zero, whose client begins to dial.
    pub fn new(setup: Setup) -> Self {
        let mut rng = seed::stream(setup.seed, "world", 0);
        let mut id = [0; 16];
        rng.fill_bytes(&mut id);
        let roles = [Role::Client, Role::Server { instance: rng.next_u64() }];
        let sessions = [0, 1].map(|side| {
            Session::new(roles[side], SessionId(id), setup.config[side], Instant::from_micros(ORIGIN[side]))
        });
        let mut world = World {
            now: 0,
            agenda: Agenda::new(),
            jobs: VecDeque::new(),
            sessions,
            deadlines: [None; 2],
            ended: [None; 2],
            dirty: BTreeSet::new(),
            outputs: Vec::new(),
            routes: setup.routes.iter().cloned().map(Route::new).collect(),
            conns: Vec::new(),
            wanted: 0,
            flows: Vec::new(),
            by_id: BTreeMap::new(),
            open: BTreeSet::new(),
            rng,
            digest: Digest::new(),
            inputs: 0,
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

    /// A side's session.
    pub fn session(&self, side: Side) -> &Session {
        &self.sessions[side.index()]
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

    /// Ends every fault that has an end, on all routes, now.
    pub fn heal(&mut self) {
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

    /// What a session tells about itself.
    pub fn stats(&self, side: Side) -> Stats {
        self.sessions[side.index()].stats()
    }

    /// Why a side's session has ended, if it has.
    pub fn ended(&self, side: Side) -> Option<EndReason> {
        self.ended[side.index()]
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
        let tick =
            Side::BOTH.into_iter().filter_map(|side| Some((self.deadlines[side.index()]?, side))).min();
        let event = self.agenda.next_time();
        if let Some(at) = event.filter(|at| *at <= end && tick.is_none_or(|(tick, _)| *at <= tick)) {
            self.now = at;
            let (_, event) = self.agenda.pop().expect("an event whose time was just read");
            self.happen(event);
        } else if let Some((at, side)) = tick.filter(|(at, _)| *at <= end) {
            self.now = at;
            self.feed(side, Input::Tick);
        } else {
            return false;
        }
        true
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Link { conn, way, event } => self.link_event(conn, way, event),
            Event::Connected { conn } => self.connected(conn),
            Event::DialLimit { conn } => self.dial_limit(conn),
            Event::Redial => self.dial(),
            Event::Open { flow } => self.open_now(flow),
            Event::Answer { flow } => self.answer(flow),
            Event::Produce { flow, side } => self.jobs.push_back(Job::Produce(flow, side)),
            Event::Consume { flow, side } => self.jobs.push_back(Job::Consume(flow, side)),
            Event::ResetFlow { flow, side } => self.reset_flow(flow, side),
            Event::Fault { route, fault } => self.apply(route, fault),
            Event::Command { side, input } => self.jobs.push_back(Job::Input(side, input)),
        }
        self.drain();
    }

    /// Gives a session an input and does all that follows at this moment.
    fn feed(&mut self, side: Side, input: Input) {
        self.jobs.push_back(Job::Input(side, input));
        self.drain();
    }

    /// Does what is to be done at this moment, until nothing is.
    fn drain(&mut self) {
        let mut count = 0;
        loop {
            while let Some(job) = self.jobs.pop_front() {
                match job {
                    Job::Input(side, input) => self.handle(side, input),
                    Job::Produce(flow, side) => self.produce(flow, side),
                    Job::Consume(flow, side) => self.consume(flow, side),
                }
                count += 1;
                assert!(count < MAX_JOBS, "this moment never ends");
            }
            // Written once all outputs are performed, as a driver does it with one vectored write a stripe.
            while let Some((conn, way)) = self.dirty.pop_first() {
                self.write(conn, way);
            }
            if self.jobs.is_empty() {
                break;
            }
        }
    }

    /// One input to a session, the oracles, and the outputs.
    fn handle(&mut self, side: Side, input: Input) {
        let now = Instant::from_micros(self.now + ORIGIN[side.index()]);
        let session = &mut self.sessions[side.index()];
        let mut outputs = std::mem::take(&mut self.outputs);
        if let Some(observe) = &mut self.observer {
            session.handle(now, input.clone(), &mut outputs);
            observe(side, now, &input, &outputs);
        } else {
            session.handle(now, input, &mut outputs);
        }
        self.inputs += 1;
        let deadline = session.deadline().map(|(at, _)| at);
        assert!(deadline.is_none_or(|at| at > now), "{:?} has come at {now:?} already", session.deadline());
        self.deadlines[side.index()] = deadline.map(|at| at.as_micros() - ORIGIN[side.index()]);
        if self.setup.checks.due(self.inputs) {
            self.check(side, now);
        }
        assert!(
            self.ended[side.index()].is_none() || outputs.is_empty(),
            "outputs after the end: {outputs:?}"
        );
        for output in outputs.drain(..) {
            self.fold(side, &output);
            self.perform(side, output);
        }
        self.outputs = outputs;
    }

    fn check(&self, side: Side, now: Instant) {
        let session = &self.sessions[side.index()];
        session.check_invariants();
        // On a copy, and not every time, because a copy costs as much as the state is large.
        if self.inputs.is_multiple_of(64) {
            let mut outputs = Vec::new();
            session.clone().handle(now, Input::Tick, &mut outputs);
            assert!(outputs.is_empty(), "a tick before the deadline yields {outputs:?}");
        }
    }

    fn perform(&mut self, side: Side, output: Output) {
        match output {
            Output::Transmit { .. }
            | Output::StripePace { .. }
            | Output::CloseStripe { .. }
            | Output::StripesWanted { .. } => self.perform_stripe(side, output),
            Output::Draining => {}
            Output::Ended { reason } => {
                let honest = !matches!(reason, EndReason::Violation(_) | EndReason::PeerComplained);
                assert!(honest, "the {side:?}'s session ends over an honest peer: {reason}");
                self.ended[side.index()] = Some(reason);
                for index in 0..self.flows.len() {
                    let state = self.flows[index].end(side).state;
                    assert_ne!(state, EndState::Open, "flow {index} outlives the session");
                }
            }
            _ => self.perform_flow(side, output),
        }
    }

    fn fold(&mut self, side: Side, output: &Output) {
        self.digest.number(self.now * 2 + side.index() as u64);
        match output {
            Output::Transmit { stripe, header, payload } => {
                self.digest.number(stripe.0);
                self.digest.bytes(header);
                // The first bytes tell which piece it is, since the pattern hardly repeats.
                self.digest.number(payload.len() as u64);
                self.digest.bytes(&payload[..payload.len().min(8)]);
            }
            Output::FlowData { flow, data } => {
                self.digest.number(flow.0);
                self.digest.number(data.len() as u64);
                self.digest.bytes(&data[..data.len().min(8)]);
            }
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
