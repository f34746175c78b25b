//! A world: both proxies as they run in production, on a simulated network, with programs at their ends.
//!
//! It steps one task of one process at a time, in an order drawn from the seed, and lets time pass only when nothing is ready. First
//! things break and only safety is demanded; then all is well again, and everything must come to its end by a deadline: flows
//! complete, or were broken by something that the scenario did, and nothing is left behind.

use super::draw::{Action, FAULTS, FlowPlan, Manner, Scenario};
use super::executor::Executor;
use super::kind::Kind;
use super::net::{Break, CLIENT, Event, Net, PROGRAMS, SERVER, SharedNet};
use super::pipe::{SimClock, SimDial, SimListen, SimPipe};
use super::program::{FlowState, Program};
use crate::link::LinkSpec;
use crate::seed;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use striper_core::{EndReason, Hello, HelloKind, Reason, SessionId, StripeId, Violation};
use striper_runtime::clock::{Clock, sleep_until};
use striper_runtime::{
    Client, ClientOptions, DialError, Event as Told, FlowEnd, HostPort, Pipe, Received, Server,
    ServerOptions, Target, bridge_in,
};

/// More polls than this while time stands still are a busy loop.
const MOST_POLLS: u64 = 200_000;

/// Polls of both proxies while they have nothing to do, per second.
const IDLE_POLLS: u64 = 200;

/// What detection, timeouts that have doubled, dials and refusals may take once all is well, in microseconds.
const GRACE: u64 = 120_000_000;

/// How long stopped sessions may linger, in microseconds: the resume limit and a little.
const SETTLE: u64 = 75_000_000;

/// How long a program waits for its proxy to answer.
const CONNECT: Duration = Duration::from_secs(30);

/// Kinds of faults that neither take a stripe away nor keep a proxy from its work.
const HARMLESS: [Kind; 6] =
    [Kind::Stranger, Kind::LocalReset, Kind::TargetRefused, Kind::Loss, Kind::SlowReader, Kind::Change];

/// How a world went.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Flows.
    pub flows: u64,
    /// Those that completed.
    pub complete: u64,
    /// When the programs at both ends of each flow noticed that it broke, in microseconds.
    pub broken_at: Vec<[Option<u64>; 2]>,
    /// Stripes that the client and the server lost while programs ran.
    pub stripes_lost: [u64; 2],
    /// Bytes that programs read.
    pub bytes: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// How often each fault took effect.
    pub effects: BTreeMap<Kind, u64>,
    /// Of all that happened.
    pub digest: u64,
}

/// All flows of a world.
type Flows = Rc<RefCell<Vec<(FlowPlan, Rc<RefCell<FlowState>>)>>>;

/// Prints how to repeat a world if it fails.
struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat it with: cargo run -p sim -- drive --seeds {}..{}", self.0, self.0 + 1);
        }
    }
}

/// What proxies have told.
#[derive(Default)]
struct Said {
    /// Sessions ended then: their flows may be reset.
    kills: Vec<u64>,
    /// Stripes that the client and the server lost.
    lost: [u64; 2],
    /// A server has lost its state.
    restarted: bool,
}

/// A world.
pub struct World {
    scenario: Scenario,
    net: SharedNet,
    executors: [Executor; 3],
    client: Option<Client>,
    server: Option<Server>,
    flows: Flows,
    said: Rc<RefCell<Said>>,
    eager: Rc<Cell<bool>>,
    stopped: [Rc<Cell<bool>>; 2],
    entrance: usize,
    exit: usize,
    origin: usize,
    /// The first route from programs to the entrance; then one a flow, and the same again to the origin.
    flow_routes: usize,
    rng: ChaCha8Rng,
    polls: u64,
    polls_now: u64,
    repeat: Repeat,
}

/// Runs the world of a seed.
pub fn run(seed: u64) -> Outcome {
    World::new(Scenario::draw(seed)).run()
}

impl World {
    /// A world in which nothing has happened yet.
    pub fn new(scenario: Scenario) -> Self {
        let seed = scenario.seed;
        let net = Net::new(seed, scenario.cuts);
        let mut rng = seed::stream(seed, "driver world", 0);
        let (entrance, exit, origin) = {
            let mut net = net.borrow_mut();
            for process in 0..2 {
                net.processes[process].ahead = rng.random_range(0..1_000_000_000);
            }
            let ports = (net.add_port(CLIENT), net.add_port(SERVER), net.add_port(PROGRAMS));
            for specs in &scenario.routes {
                net.add_route(specs.clone(), ports.1);
            }
            for (index, (at, _)) in scenario.script.iter().enumerate() {
                net.agenda.add(*at, Event::Script(index));
            }
            ports
        };
        let mut world = World {
            flow_routes: scenario.routes.len(),
            executors: Default::default(),
            client: None,
            server: None,
            flows: Rc::default(),
            said: Rc::default(),
            eager: Rc::default(),
            stopped: Default::default(),
            entrance,
            exit,
            origin,
            rng,
            polls: 0,
            polls_now: 0,
            repeat: Repeat(seed),
            net,
            scenario,
        };
        for plan in world.scenario.flows.clone() {
            world.add_flow(plan);
        }
        world.start(SERVER);
        world.start(CLIENT);
        world.start_origin();
        world
    }

    /// Runs it to its end.
    pub fn run(mut self) -> Outcome {
        let paused = self.scenario.script.iter().filter_map(|(at, action)| match action {
            Action::Pause { time, .. } => Some(at + time),
            _ => None,
        });
        let heal = paused.max().unwrap_or(0).max(FAULTS);
        self.run_until(heal, false);
        self.heal();
        // Whatever has happened: a new connection works.
        self.add_flow(FlowPlan::both_ways(heal + 45_000_000, 5_000));
        let proof = self.flows.borrow().len() - 1;
        self.run_until(self.deadline(heal), true);
        self.judge(proof);
        let stripes_lost = self.said.borrow().lost;
        self.settle();
        self.stop();
        let net = self.net.borrow();
        let flows = self.flows.borrow();
        let bytes = flows.iter().flat_map(|(_, flow)| flow.borrow().sides.clone()).map(|side| side.read);
        let mut effects = net.effects.clone();
        for kind in [Kind::Loss] {
            if self.scenario.kinds.contains(&kind) {
                effects.insert(kind, 1);
            }
        }
        let _ = &self.repeat;
        Outcome {
            flows: flows.len() as u64,
            complete: flows.iter().filter(|(_, flow)| flow.borrow().is_complete()).count() as u64,
            broken_at: flows
                .iter()
                .map(|(_, flow)| flow.borrow().sides.each_ref().map(|side| side.broken_at))
                .collect(),
            stripes_lost,
            bytes: bytes.sum(),
            polls: self.polls,
            effects,
            digest: net.digest.value(),
        }
    }

    /// By when everything must be over: what is left to carry on the slowest way, and what detection and dialling may take.
    fn deadline(&self, heal: u64) -> u64 {
        let scenario = &self.scenario;
        let slowest = scenario.floor_rate();
        let flows = self.flows.borrow();
        let bytes: u64 = flows.iter().flat_map(|(plan, _)| &plan.programs).map(|program| program.bytes).sum();
        let window = scenario.configs.iter().map(|config| config.window_limit).min().unwrap_or(1);
        let window = window.min(scenario.cuts.buffer);
        let queue = scenario.routes.iter().flatten().map(|spec| spec.queue).max().unwrap_or(0);
        let round_trip = 1_500_000 + (queue + (512 << 10)) * 8_000_000 / slowest;
        let turns = bytes / window + 4 * flows.len() as u64;
        // After heal a proof flow begins; a session may have to be given up first.
        heal + 60_000_000 + GRACE + bytes * 8_000_000 / slowest * 4 + turns * round_trip
    }

    fn add_flow(&mut self, plan: FlowPlan) {
        let index = self.flows.borrow().len();
        let local = LinkSpec { send_buffer: 64 << 10, ..LinkSpec::new(10_000_000_000, 20) };
        let (to_entrance, state) = {
            let mut net = self.net.borrow_mut();
            let to_entrance = net.add_route([local.clone(), local.clone()], self.entrance);
            let to_origin = net.add_route([local.clone(), local], self.origin);
            net.routes[to_origin].refuse = if plan.refused { u32::MAX } else { 0 };
            (to_entrance, Rc::new(RefCell::new(FlowState { index, ..FlowState::default() })))
        };
        self.flows.borrow_mut().push((plan.clone(), state.clone()));
        let (net, eager) = (self.net.clone(), self.eager.clone());
        self.executors[PROGRAMS].spawn(async move {
            let clock = SimClock { net: net.clone(), process: PROGRAMS };
            sleep_until(&clock, striper_core::Instant::from_micros(plan.at)).await;
            match SimDial::connect(net.clone(), PROGRAMS, to_entrance, CONNECT).await {
                Ok(pipe) => {
                    let plan = plan.programs[0].clone();
                    Program { flow: state, side: 0, plan, eager, net }.run(pipe, clock).await;
                }
                Err(_) => state.borrow_mut().sides[0].over = true,
            }
        });
    }

    /// Programs at the target's side.
    fn start_origin(&mut self) {
        let listen = SimListen::new(self.net.clone(), self.origin);
        let (net, eager, flows) = (self.net.clone(), self.eager.clone(), self.flows.clone());
        let (spawn, first) = (self.executors[PROGRAMS].spawner(), self.flow_routes);
        self.executors[PROGRAMS].spawn(async move {
            loop {
                let Ok(pipe) = listen.accept().await else { continue };
                let route = pipe.number().and_then(|number| net.borrow().route_of(number)).expect("a route");
                let (plan, flow) = flows.borrow()[(route - first) / 2].clone();
                let again = flow.borrow().sides[1].started;
                assert!(!again, "flow {} is connected to its target twice", flow.borrow().index);
                let clock = SimClock { net: net.clone(), process: PROGRAMS };
                let plan = plan.programs[1].clone();
                let program = Program { flow, side: 1, plan, eager: eager.clone(), net: net.clone() };
                spawn(Box::pin(program.run(pipe, clock)));
            }
        });
    }

    // Processes

    fn start(&mut self, process: usize) {
        let net = self.net.clone();
        let clock = SimClock::shared(&net, process);
        let entropy = RefCell::new(seed::stream(
            self.scenario.seed,
            "driver entropy",
            net.borrow().now * 2 + process as u64,
        ));
        let entropy: Rc<dyn Fn() -> u64> = Rc::new(move || entropy.borrow_mut().random());
        let events = self.events(process);
        let executor = self.executors[process].clone();
        let session = self.scenario.configs[process];
        if process == CLIENT {
            let servers = (0..self.scenario.routes.len())
                .map(|route| HostPort::new("exit", u16::try_from(route).unwrap_or(0)))
                .collect();
            let options = ClientOptions { servers, session, ..ClientOptions::default() };
            let dial = Rc::new(SimDial { net: net.clone(), process });
            let (client, run) = Client::start_in(clock, dial, entropy, options, events);
            executor.spawn(run);
            executor.spawn(entrance(self.proxy(process), SimListen::new(net, self.entrance), client.clone()));
            self.client = Some(client);
        } else {
            let listen = Box::new(SimListen::new(net, self.exit));
            let options = ServerOptions { session, traces: None };
            let server = Server::start_in(clock, listen, executor.spawner(), entropy, options, events);
            executor.spawn(exit(self.proxy(process), server.clone()));
            self.server = Some(server);
        }
        self.stopped[process] = Rc::default();
    }

    fn proxy(&self, process: usize) -> Proxy {
        Proxy {
            net: self.net.clone(),
            process,
            spawn: self.executors[process].spawner(),
            flows: self.flows.clone(),
            first: self.flow_routes,
        }
    }

    /// What a log would get. Nothing in it may say that the other side broke the protocol.
    fn events(&self, process: usize) -> Rc<dyn Fn(Told)> {
        let (said, net) = (self.said.clone(), self.net.clone());
        Rc::new(move |event| {
            let now = net.borrow().now;
            net.borrow_mut().digest.number(now);
            let mut said = said.borrow_mut();
            match event {
                Told::SessionEnded { reason, .. } => {
                    let complained = matches!(reason, EndReason::Violation(_) | EndReason::PeerComplained);
                    let restart = said.restarted
                        && matches!(
                            reason,
                            EndReason::Violation(Violation::InstanceChanged) | EndReason::PeerComplained
                        );
                    assert!(!complained || restart, "at process {process}: a session ended by {reason:?}");
                    said.kills.push(now);
                }
                Told::StripeLost { .. } => said.lost[process] += 1,
                Told::SessionForgotten { .. } => {
                    assert!(said.restarted || !said.kills.is_empty(), "a server has forgotten a session");
                    said.kills.push(now);
                }
                _ => {}
            }
        })
    }

    /// Ends a process as a crash does.
    fn kill(&mut self, process: usize, mute: bool) {
        self.net.borrow_mut().processes[process].mute = mute;
        self.executors[process].kill();
        if process == CLIENT {
            self.client = None;
        } else {
            self.server = None;
            self.said.borrow_mut().restarted = true;
        }
        self.executors[process].kill();
        let now = self.net.borrow().now;
        self.said.borrow_mut().kills.push(now);
        self.net.borrow_mut().processes[process].mute = false;
    }

    fn is_up(&self, process: usize) -> bool {
        if process == CLIENT { self.client.is_some() } else { self.server.is_some() }
    }

    // Faults

    fn perform(&mut self, action: Action) {
        match action {
            Action::Break { route, all, how } => {
                let mut net = self.net.borrow_mut();
                let hit = net.connections_of(route);
                let count = if all { hit.len() } else { 1 };
                for number in hit.into_iter().take(count) {
                    net.note(match how {
                        Break::Reset([true, true]) => Kind::Reset,
                        Break::Reset(_) => Kind::HalfDead,
                        Break::Fin => Kind::FinMidFrame,
                        Break::Forget(_) => Kind::Forget,
                    });
                    net.break_connection(number, how);
                }
            }
            Action::Cut { route, after, how } => {
                self.net.borrow_mut().routes[route].cut.push_back((after, how));
            }
            Action::Silence { route, from } => {
                let mut net = self.net.borrow_mut();
                let kind = if from == [true; 2] { Kind::Silence } else { Kind::OneWay };
                if !net.connections_of(route).is_empty() {
                    net.note(kind);
                }
                net.routes[route].silent = from;
            }
            Action::Clear { route } => {
                let mut net = self.net.borrow_mut();
                net.note(Kind::Stall);
                net.routes[route].silent = [false; 2];
            }
            Action::Refuse { route, count } => self.net.borrow_mut().routes[route].refuse += count,
            Action::AcceptClose { route, count } => self.net.borrow_mut().routes[route].close += count,
            Action::Stranger { route, manner } => {
                self.net.borrow_mut().note(Kind::Stranger);
                let net = self.net.clone();
                let hears = self.scenario.kinds.iter().all(|kind| HARMLESS.contains(kind));
                self.executors[PROGRAMS].spawn(stranger(net, route, manner, hears));
            }
            Action::Restart { process, down, mute } => {
                if self.is_up(process) {
                    self.kill(process, mute);
                    let kind = match (mute, process) {
                        (true, _) => Kind::Crash,
                        (false, CLIENT) => Kind::ClientRestart,
                        (false, _) => Kind::ServerRestart,
                    };
                    self.net.borrow_mut().note(kind);
                    self.later(down, Action::Start { process });
                }
            }
            Action::Start { process } => {
                if !self.is_up(process) {
                    self.start(process);
                }
            }
            Action::Shutdown { process, drain } => {
                if self.is_up(process) {
                    self.net.borrow_mut().note(Kind::Shutdown);
                    self.shut_down(process, drain);
                }
            }
            Action::Stopped { process, again } => self.has_stopped(process, again),
            Action::Pause { process, time } => {
                let mut net = self.net.borrow_mut();
                net.note(Kind::Pause);
                let until = net.now + time;
                net.processes[process].paused_until = net.processes[process].paused_until.max(until);
                // So that the world's clock stops there.
                net.agenda.add(until, Event::Script(usize::MAX));
            }
            Action::Jump { process, by } => {
                let mut net = self.net.borrow_mut();
                net.note(Kind::ClockJump);
                net.processes[process].ahead += by;
            }
            Action::NoFiles { process, accept, count } => {
                self.net.borrow_mut().processes[process].no_files[accept] += count;
            }
            Action::Change { route, specs } => {
                let mut net = self.net.borrow_mut();
                net.note(Kind::Change);
                net.change(route, specs);
            }
            Action::Heal => {}
        }
    }

    fn later(&mut self, wait: u64, action: Action) {
        let index = self.scenario.script.len();
        let mut net = self.net.borrow_mut();
        let at = net.now + wait;
        self.scenario.script.push((at, action));
        net.agenda.add(at, Event::Script(index));
    }

    fn shut_down(&mut self, process: usize, drain: u64) {
        let stopped = self.stopped[process].clone();
        let limit = Duration::from_micros(drain);
        let (client, server) = (self.client.clone(), self.server.clone());
        self.executors[process].spawn(async move {
            match (process, client, server) {
                (CLIENT, Some(client), _) => client.shutdown(limit).await,
                (_, _, Some(server)) => server.shutdown(limit).await,
                _ => {}
            }
            stopped.set(true);
        });
        let now = self.net.borrow().now;
        self.said.borrow_mut().kills.push(now);
        // A session that has no stripe any more keeps its last words for a second; then nothing is left.
        self.later(drain + 15_000_000, Action::Stopped { process, again: 0 });
    }

    /// A proxy that was told to stop has done so, unless it stood still or has been killed meanwhile.
    fn has_stopped(&mut self, process: usize, again: u32) {
        if !self.is_up(process) {
            return;
        }
        let paused = self.net.borrow().processes[process].paused_until;
        let now = self.net.borrow().now;
        if paused + 15_000_000 > now && paused > 0 && again < 3 {
            return self.later(
                paused.saturating_sub(now) + 15_000_001,
                Action::Stopped { process, again: again + 1 },
            );
        }
        if !self.stopped[process].get() && self.scenario.kinds.contains(&Kind::Crash) {
            // Another process than the one that was told.
            return;
        }
        if self.stopped[process].get() {
            assert_eq!(self.executors[process].len(), 1, "tasks of a stopped proxy, process {process}");
            self.kill(process, false);
            self.start(process);
        } else {
            let restarts = [Kind::ServerRestart, Kind::ClientRestart]
                .iter()
                .any(|kind| self.scenario.kinds.contains(kind));
            let several = self
                .scenario
                .script
                .iter()
                .filter(|(_, action)| matches!(action, Action::Stopped { .. }))
                .count()
                > 1;
            assert!(restarts || several, "process {process} was told to stop and has not");
        }
    }

    /// All faults end.
    fn heal(&mut self) {
        for process in [SERVER, CLIENT] {
            if !self.is_up(process) {
                self.start(process);
            }
        }
        let mut net = self.net.borrow_mut();
        for route in 0..self.flow_routes {
            let route = &mut net.routes[route];
            (route.silent, route.refuse, route.close) = ([false; 2], 0, 0);
            route.cut.clear();
        }
        for process in &mut net.processes {
            (process.no_files, process.paused_until) = ([0; 2], 0);
        }
        net.keep_alive(self.flow_routes);
        drop(net);
        self.eager.set(true);
        self.executors[PROGRAMS].wake_all();
    }

    // Time

    fn run_until(&mut self, until: u64, all_over: bool) {
        loop {
            while self.net.borrow().agenda.next_time().is_some_and(|at| at <= self.net.borrow().now) {
                self.happen();
            }
            if self.step() {
                continue;
            }
            if all_over && self.are_flows_over() {
                return;
            }
            let next = {
                let net = self.net.borrow();
                let timers = (0..3).filter_map(|process| net.next_timer_of(process));
                timers.chain(net.agenda.next_time()).min()
            };
            let mut net = self.net.borrow_mut();
            let Some(next) = next.filter(|next| *next <= until) else {
                net.now = until.max(net.now);
                assert!(!all_over, "by {until} µs not over: {:?}", self.unfinished());
                return;
            };
            if next > net.now {
                self.polls_now = 0;
                net.now = next;
            }
        }
    }

    fn happen(&mut self) {
        let script = {
            let mut net = self.net.borrow_mut();
            let Some((at, event)) = net.agenda.pop() else { return };
            net.digest.number(at);
            if let Event::Link(number, way, _) = &event {
                net.digest.number(number * 2 + *way as u64);
            }
            net.happen(event)
        };
        if let Some(index) = script
            && let Some((_, action)) = self.scenario.script.get(index)
        {
            let action = action.clone();
            self.perform(action);
        }
    }

    /// Polls one task, if one is ready anywhere.
    fn step(&mut self) -> bool {
        let now = self.net.borrow().now;
        let awake: Vec<usize> =
            (0..3).filter(|process| self.net.borrow().processes[*process].paused_until <= now).collect();
        let ready: Vec<usize> =
            awake.iter().copied().filter(|process| self.executors[*process].ready() > 0).collect();
        if ready.is_empty() {
            return awake.into_iter().filter(|process| self.look(*process)).count() > 0;
        }
        let process = ready[self.rng.random_range(0..ready.len())];
        if self.rng.random_range(0..8) == 0 {
            self.look(process);
        }
        let executor = self.executors[process].clone();
        let Some(task) = executor.step(|count| self.rng.random_range(0..count)) else { return true };
        self.polls += 1;
        self.polls_now += 1;
        assert!(self.polls_now < MOST_POLLS, "a busy loop, process {process}");
        let mut net = self.net.borrow_mut();
        net.digest.number(task * 4 + process as u64);
        if self.scenario.cpu > 0 && self.rng.random_range(0..4) == 0 {
            let time = self.rng.random_range(0..=self.scenario.cpu);
            net.now += time;
            if time > 0 {
                self.polls_now = 0;
            }
        }
        drop(net);
        if self.scenario.spurious > 0 && self.rng.random_range(0..self.scenario.spurious) == 0 {
            executor.wake_one(|count| self.rng.random_range(0..count));
        }
        if self.polls < 2_000 || self.polls.is_multiple_of(16) {
            self.check();
        }
        true
    }

    /// A process looks what has become ready. Says whether anything has.
    fn look(&mut self, process: usize) -> bool {
        let woken = self.net.borrow_mut().look(process);
        let any = !woken.is_empty();
        for waker in woken {
            waker.wake();
        }
        any
    }

    // Oracles

    fn check(&self) {
        if let Some(client) = &self.client {
            client.check_invariants();
        }
        if let Some(server) = &self.server {
            server.check_invariants();
        }
    }

    fn are_flows_over(&self) -> bool {
        let flows = self.flows.borrow();
        flows.iter().all(|(_, flow)| {
            let flow = flow.borrow();
            flow.sides[0].over && (!flow.sides[1].started || flow.sides[1].over)
        })
    }

    fn unfinished(&self) -> Vec<(usize, FlowPlan, [super::program::Progress; 2])> {
        let flows = self.flows.borrow();
        let open = |flow: &FlowState| !flow.sides[0].over || (flow.sides[1].started && !flow.sides[1].over);
        flows
            .iter()
            .filter(|(_, flow)| open(&flow.borrow()))
            .map(|(plan, flow)| (flow.borrow().index, plan.clone(), flow.borrow().sides.clone()))
            .take(2)
            .collect()
    }

    /// Each flow has completed, or the scenario did something that explains why not.
    fn judge(&self, proof: usize) {
        let kills = &self.said.borrow().kills;
        let kinds = &self.scenario.kinds;
        for (plan, flow) in self.flows.borrow().iter() {
            let flow = flow.borrow();
            for (side, report) in flow.reports.iter().enumerate() {
                let Some(report) = report else { continue };
                let broken = flow.sides.iter().any(|side| side.aborted);
                if report.end == FlowEnd::Finished && !broken {
                    let (sent, received) = (plan.programs[side].bytes, plan.programs[1 - side].bytes);
                    assert_eq!((report.sent, report.received), (sent, received), "the report of {flow:?}");
                }
                assert!(
                    report.end != FlowEnd::Reset(Reason::SessionLost) || !kills.is_empty(),
                    "lost without a cause: {flow:?}"
                );
            }
            if flow.is_complete() {
                let told = flow.reports.iter().flatten().all(|report| report.end == FlowEnd::Finished);
                assert!(told || !kills.is_empty(), "complete, and reported otherwise: {flow:?}");
                continue;
            }
            assert_ne!(flow.index, proof, "a new connection after all faults does not work: {flow:?}");
            let by_program = plan.refused || flow.sides.iter().any(|side| side.aborted);
            let by_kill = kills.iter().any(|at| *at >= plan.at);
            let no_session =
                matches!(flow.reports[0], Some(ref report) if matches!(report.end, FlowEnd::NoSession(_)));
            let unreachable = [
                Kind::Refuse,
                Kind::AcceptClose,
                Kind::Silence,
                Kind::OneWay,
                Kind::Stall,
                Kind::Pause,
                Kind::ClockJump,
                Kind::DialNoFiles,
                Kind::AcceptNoFiles,
                Kind::Forget,
                Kind::ServerRestart,
                Kind::Crash,
                Kind::Shutdown,
                Kind::ClientRestart,
                Kind::Loss,
                Kind::ResetAfter,
                Kind::Reset,
                Kind::ResetUnread,
                Kind::FinMidFrame,
                Kind::HalfDead,
            ];
            let by_reach = unreachable.iter().any(|kind| kinds.contains(kind));
            // Nobody said why: the proxy was not there, or the library's user was told.
            let opened = flow.reports[0].is_none() && (plan.bridged[0] || !flow.sides[0].started);
            let refused = kinds.contains(&Kind::DialNoFiles)
                || matches!(flow.reports[0], Some(ref report) if matches!(report.end, FlowEnd::Refused(_)));
            let excused = by_program
                || by_kill
                || ((no_session || opened) && by_reach)
                || (refused
                    && (kinds.contains(&Kind::DialNoFiles)
                        || kinds.contains(&Kind::Pause)
                        || kinds.contains(&Kind::ClockJump)));
            assert!(excused, "not complete: {flow:#?}\n{plan:#?}");
        }
    }

    /// With no flow left nothing is held, and nothing is done but heartbeats.
    fn settle(&mut self) {
        let now = self.net.borrow().now;
        self.run_until(now + SETTLE, false);
        let (polls, now) = (self.polls, self.net.borrow().now);
        self.run_until(now + 20_000_000, false);
        let polls = self.polls - polls;
        assert!(polls < 20 * IDLE_POLLS, "{polls} polls in 20 s without flows");
        for (name, footprint) in [
            ("client", self.client.as_ref().map(Client::check_invariants)),
            ("server", self.server.as_ref().map(Server::check_invariants)),
        ] {
            let Some(footprint) = footprint else { panic!("the {name} is not up") };
            assert_eq!((footprint.flows, footprint.held), (0, 0), "the {name} at rest: {footprint:?}");
            assert_eq!(
                footprint.slots,
                footprint.stripes + footprint.dials,
                "the {name} at rest: {footprint:?}"
            );
        }
        let live = self.client.as_ref().map_or(0, |client| client.check_invariants().stripes);
        assert_eq!(live, self.scenario.configs[CLIENT].stripes, "stripes at rest");
        let programs = self.executors[PROGRAMS].len();
        assert_eq!(programs, 1, "programs that never end");
        assert_eq!(self.executors[CLIENT].len(), 2, "tasks of the client at rest");
        let sessions = self.server.as_ref().map_or(0, |server| server.status().sessions.len());
        assert_eq!(self.executors[SERVER].len(), 2 + sessions, "tasks of the server at rest");
        assert_eq!(sessions, 1, "sessions at rest");
    }

    /// Both proxies stop, and nothing at all is left.
    fn stop(&mut self) {
        for process in [CLIENT, SERVER] {
            self.shut_down(process, 1_000_000);
            self.scenario.script.pop();
            self.scenario.script.push((0, Action::Heal));
        }
        let now = self.net.borrow().now;
        self.run_until(now + 10_000_000, false);
        for process in [CLIENT, SERVER] {
            assert!(self.stopped[process].get(), "process {process} has not stopped");
            assert_eq!(self.executors[process].len(), 1, "tasks of process {process} when stopped");
            self.kill(process, false);
        }
        let now = self.net.borrow().now;
        self.run_until(now + 200_000_000, false);
        assert_eq!(self.net.borrow().describe(), [""; 0], "connections that nobody has closed");
        self.executors[PROGRAMS].kill();
    }
}

/// What a proxy's own tasks need: what the command line program does around the library.
#[derive(Clone)]
struct Proxy {
    net: SharedNet,
    process: usize,
    spawn: striper_runtime::Spawn,
    flows: Flows,
    first: usize,
}

impl Proxy {
    fn clock(&self) -> SimClock {
        SimClock { net: self.net.clone(), process: self.process }
    }
}

/// Carries what comes in at the entrance.
async fn entrance(proxy: Proxy, listen: SimListen, client: Client) {
    loop {
        let Ok(mut pipe) = listen.accept().await else {
            let clock = proxy.clock();
            sleep_until(&clock, clock.now() + Duration::from_millis(75)).await;
            continue;
        };
        let route = pipe.number().and_then(|number| proxy.net.borrow().route_of(number)).expect("a route");
        let index = (route - proxy.first) / 2;
        let (plan, flow) = proxy.flows.borrow()[index].clone();
        let (client, clock) = (client.clone(), proxy.clock());
        let target = Target::Host(HostPort::new("origin", u16::try_from(index).unwrap_or(0)));
        (proxy.spawn)(Box::pin(async move {
            if plan.bridged[0] {
                match client.open(target).await {
                    Ok(mut carried) => {
                        bridge_in(&clock, &mut pipe, &mut carried).await;
                    }
                    Err(_) => pipe.abort(),
                }
            } else {
                let report = client.carry(target, Box::new(pipe)).await;
                flow.borrow_mut().reports[0] = Some(report);
            }
        }));
    }
}

/// Connects what clients open.
async fn exit(proxy: Proxy, server: Server) {
    loop {
        let incoming = server.accept().await;
        let proxy = proxy.clone();
        let spawn = proxy.spawn.clone();
        spawn(Box::pin(async move {
            let Target::Host(HostPort { port, .. }) = incoming.target() else { panic!("no target") };
            let index = usize::from(*port);
            let (plan, flow) = proxy.flows.borrow()[index].clone();
            let limit = Duration::from_secs(10);
            let route = proxy.first + 2 * index + 1;
            match SimDial::connect(proxy.net.clone(), proxy.process, route, limit).await {
                Ok(mut pipe) if plan.bridged[1] => {
                    let mut carried = incoming.into_flow();
                    bridge_in(&proxy.clock(), &mut carried, &mut pipe).await;
                }
                Ok(pipe) => {
                    let report = incoming.carry(Box::new(pipe)).await;
                    flow.borrow_mut().reports[1] = Some(report);
                }
                Err(error) => {
                    if error == DialError::Refused {
                        proxy.net.borrow_mut().note(Kind::TargetRefused);
                    }
                    incoming.refuse(error.reason());
                }
            }
        }));
    }
}

/// Somebody who calls at the stripe port. The server must get rid of it, which this one notices if it `hears` everything.
async fn stranger(net: SharedNet, route: usize, manner: Manner, hears: bool) {
    let clock = SimClock { net: net.clone(), process: PROGRAMS };
    let patience = clock.now() + Duration::from_secs(60);
    let mut call = std::pin::pin!(call(net, route, manner));
    let mut late = std::pin::pin!(sleep_until(&clock, patience));
    let over = poll_fn(|cx| {
        if call.as_mut().poll(cx).is_ready() {
            return Poll::Ready(true);
        }
        late.as_mut().poll(cx).map(|()| false)
    });
    assert!(over.await || !hears, "the server keeps a stranger that is {manner:?}");
}

async fn call(net: SharedNet, route: usize, manner: Manner) {
    let clock = SimClock { net: net.clone(), process: PROGRAMS };
    let Ok(mut pipe) = SimDial::connect(net, PROGRAMS, route, Duration::from_secs(5)).await else { return };
    let lost =
        Hello { kind: HelloKind::Join, session: SessionId([7; 16]), stripe: StripeId(3), gone: Vec::new() };
    let hello = lost.encode();
    let mut text: &[u8] = match manner {
        Manner::Garbage => b"GET / HTTP/1.1\r\n\r\n",
        Manner::Newer => b"striper\x7f and so on",
        Manner::Slow | Manner::Lost => &hello,
        Manner::Mute => b"",
        Manner::Gone => return,
    };
    while !text.is_empty() {
        let mut part = if manner == Manner::Slow { &text[..1] } else { text };
        let before = part.len();
        if poll_fn(|cx| pipe.poll_send(cx, &mut part)).await.is_err() {
            return;
        }
        text = &text[before - part.len()..];
        if manner == Manner::Slow {
            sleep_until(&clock, clock.now() + Duration::from_secs(1)).await;
        }
    }
    // Until the server has had enough, however that shows.
    wait_for_end(&mut pipe).await;
}

async fn wait_for_end(pipe: &mut SimPipe) {
    while let Ok(Received::Chunk(_)) = poll_fn(|cx| pipe.poll_recv(cx, 4096)).await {}
}
