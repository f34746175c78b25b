//! Both proxies as they run in production, on a simulated network, with programs at their ends.
//!
//! A world steps one task of one process at a time, in an order drawn from the seed. It lets time
//! pass only when nothing is ready. First things break, and only safety is demanded. Then faults
//! end, and everything must be over by a deadline. Each flow is complete, or was broken by
//! something that the scenario did. Nothing is left behind.

mod causes;
mod doors;
mod faults;
mod oracles;
mod processes;
mod reports;
mod targets;
mod tasks;
mod ways;

use super::draw::{
    Action, Answer, FAULTS, FlowPlan, Manner, Naming, RequestPlan, ReversePlan, Scenario,
};
use super::executor::Executor;
use super::kind::FaultKind;
use super::net::{Break, CLIENT, Event, Net, PROGRAMS, SERVER, SharedNet};
use super::pipe::{SimClock, SimDial, SimListen};
use super::program::{FlowState, Program, Progress, Reach};
use crate::base::{Rate, micros, seed};
use crate::net::LinkSpec;
use causes::Causes;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use striper_core::{EndReason, Hello, HelloKind, SessionId, StripeId, Violation};
use striper_runtime::clock::{Clock, sleep_until};
use striper_runtime::local::{Client, ClientOptions, Server, ServerOptions};
use striper_runtime::{
    DialError, Event as Told, FlowEnd, FlowReport, HostPort, Legs, Pipe, Received, Target,
    bridge_in,
};

/// More polls than these while time stands still are a busy loop.
const MOST_POLLS: u64 = 200_000;
/// Polls of both proxies while they have nothing to do, per second.
const IDLE_POLLS: u64 = 200;
/// Microseconds after all faults for detection, timeouts that have doubled, dials and refusals.
const GRACE: u64 = 120_000_000;
/// Microseconds after all faults to find out a stall, wait the longest between dials, and dial.
const RECOVERY: u64 = 44_000_000;
/// The time that stopped sessions may linger, in microseconds: the resume limit and a little more.
const SETTLE: u64 = 75_000_000;
const CONNECT: Duration = Duration::from_secs(30);
/// The time until a program dials a listener again that is not there.
const RETRY: Duration = Duration::from_millis(300);

/// Kinds of faults that neither take a stripe away nor keep a proxy from its work.
const HARMLESS: &[FaultKind] = &[
    FaultKind::Stranger,
    FaultKind::LocalReset,
    FaultKind::TargetRefused,
    FaultKind::Loss,
    FaultKind::SlowReader,
    FaultKind::Change,
    FaultKind::TargetDenied,
    FaultKind::TargetMute,
    FaultKind::TargetLate,
    FaultKind::TargetGone,
    FaultKind::RequestDropped,
    FaultKind::HalfClose,
    FaultKind::ListenerDropped,
];

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    pub flows: u64,
    pub complete: u64,
    /// When the programs at both ends of each flow noticed that it broke, in microseconds.
    pub broken_at: Vec<[Option<u64>; 2]>,
    pub over_at: Vec<[Option<u64>; 2]>,
    /// The reports of each flow, at the client and at the server, if the pump carried it.
    pub ends: Vec<[Option<FlowEnd>; 2]>,
    pub reached: Vec<Reach>,
    /// How often the server has listened for each flow.
    pub listened: Vec<u64>,
    pub stripes_lost: [u64; 2],
    pub bytes: u64,
    pub polls: u64,
    pub effects: BTreeMap<FaultKind, u64>,
    pub digest: u64,
}

type Flows = Rc<RefCell<Vec<(FlowPlan, Rc<RefCell<FlowState>>)>>>;

struct Repeat(u64);

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Repeat(seed) = *self;
            eprintln!("repeat it with: cargo run -p sim -- drive --seeds {seed}..{}", seed + 1);
        }
    }
}

pub struct World {
    scenario: Scenario,
    net: SharedNet,
    executors: [Executor; 3],
    client: Option<Client>,
    server: Option<Server>,
    flows: Flows,
    causes: Rc<RefCell<Causes>>,
    eager: Rc<Cell<bool>>,
    /// The listeners that the server has for the client.
    doors: doors::Doors,
    /// Listeners are to end.
    closing: Rc<Cell<bool>>,
    stopped: [Rc<Cell<bool>>; 2],
    /// The tasks of each process that are busy with something beside the library.
    busy: [Rc<Cell<usize>>; 2],
    local_port: usize,
    stripe_port: usize,
    target_port: usize,
    /// The first flow's route to the client; its route to the target is next, and so on.
    flow_routes: usize,
    rng: ChaCha8Rng,
    polls: u64,
    polls_now: u64,
    repeat: Repeat,
}

pub fn run(seed: u64) -> Outcome {
    World::new(Scenario::draw(seed)).run()
}

impl World {
    pub fn new(scenario: Scenario) -> Self {
        let seed = scenario.seed;
        let net = Net::new(seed, scenario.cuts);
        let mut rng = seed::stream(seed, "driver world", 0);
        let (local_port, stripe_port, target_port) = {
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
            causes: Rc::default(),
            eager: Rc::default(),
            doors: Rc::default(),
            closing: Rc::default(),
            stopped: Default::default(),
            busy: Default::default(),
            local_port,
            stripe_port,
            target_port,
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
        world.start_targets();
        world
    }

    pub fn run(mut self) -> Outcome {
        let paused = self.scenario.script.iter().filter_map(|(at, action)| match action {
            Action::Pause { time, .. } => Some(at + micros(*time)),
            _ => None,
        });
        let heal = paused.max().unwrap_or(0).max(FAULTS);
        self.run_until(heal, false);
        self.heal();
        // A new connection works, whatever has happened.
        let mut plan = FlowPlan::both_ways(heal + 45_000_000, 5_000);
        if self.flows.borrow().iter().all(|(plan, _)| plan.naming != Naming::Own) {
            plan.naming = Naming::Own;
        }
        let proofs = self.flows.borrow().len()..;
        self.add_flow(plan);
        if self.scenario.flows.iter().any(|plan| plan.reverse.is_some()) {
            let mut plan = FlowPlan::both_ways(heal + 45_000_000, 5_000);
            plan.reverse = Some(ReversePlan { lives: [None; 2] });
            self.add_flow(plan);
        }
        self.run_until(heal + RECOVERY, false);
        self.has_recovered();
        self.run_until(self.deadline(heal), true);
        self.judge(proofs);
        self.close_doors();
        let stripes_lost = self.causes.borrow().lost;
        self.settle();
        self.stop();
        let net = self.net.borrow();
        let flows = self.flows.borrow();
        let mut effects = net.effects.clone();
        if self.scenario.kinds.contains(&FaultKind::Loss) {
            effects.insert(FaultKind::Loss, 1);
        }
        let states = || flows.iter().map(|(_, flow)| flow.borrow());
        let sides: Vec<[Progress; 2]> = states().map(|flow| flow.sides.clone()).collect();
        let times = |of: fn(&Progress) -> Option<u64>| -> Vec<[Option<u64>; 2]> {
            sides.iter().map(|pair| pair.each_ref().map(of)).collect()
        };
        let end = |report: &Option<FlowReport>| report.as_ref().map(|report| report.end.clone());
        let _ = &self.repeat;
        Outcome {
            flows: flows.len() as u64,
            complete: states().filter(|flow| flow.is_complete()).count() as u64,
            broken_at: times(|side| side.broken_at),
            over_at: times(|side| side.over_at),
            ends: states().map(|flow| flow.reports.each_ref().map(end)).collect(),
            reached: states().map(|flow| flow.reach.clone()).collect(),
            listened: states().map(|flow| flow.listened).collect(),
            stripes_lost,
            bytes: sides.iter().flatten().map(|side| side.read).sum(),
            polls: self.polls,
            effects,
            digest: net.digest.value(),
        }
    }

    /// After the time for all bytes on the slowest way, for detection and for dials.
    fn deadline(&self, heal: u64) -> u64 {
        let scenario = &self.scenario;
        let slowest = scenario.floor_rate();
        let flows = self.flows.borrow();
        let bytes: u64 =
            flows.iter().flat_map(|(plan, _)| &plan.programs).map(|program| program.bytes).sum();
        let window = scenario.configs.iter().map(|config| config.window_limit).min().unwrap_or(1);
        let window = window.min(scenario.cuts.buffer);
        let queue = scenario.routes.iter().flatten().map(|spec| spec.queue).max().unwrap_or(0);
        let round_trip = 1_500_000 + slowest.micros_for(queue + (512 << 10));
        let turns = bytes / window + 4 * flows.len() as u64;
        // After heal a proof flow begins; a session may have to be given up first.
        heal + 60_000_000 + GRACE + slowest.micros_for(bytes) * 4 + turns * round_trip
    }

    fn add_flow(&mut self, plan: FlowPlan) {
        let index = self.flows.borrow().len();
        let local = LinkSpec {
            send_buffer: 64 << 10,
            ..LinkSpec::new(Rate::mbit(10_000), Duration::from_micros(20))
        };
        let (to_client, state) = {
            let mut net = self.net.borrow_mut();
            let door = plan.reverse.is_some().then(|| net.add_port(SERVER));
            let port = door.unwrap_or(self.local_port);
            let to_client = net.add_route([local.clone(), local.clone()], port);
            let to_target = net.add_route([local.clone(), local], self.target_port);
            targets::prepare(&mut net.routes[to_target], plan.answer);
            (to_client, Rc::new(RefCell::new(FlowState { index, door, ..FlowState::default() })))
        };
        self.flows.borrow_mut().push((plan.clone(), state.clone()));
        self.start_listener(index);
        let (net, eager) = (self.net.clone(), self.eager.clone());
        self.executors[PROGRAMS].spawn(async move {
            let clock = SimClock { net: net.clone(), process: PROGRAMS };
            sleep_until(&clock, striper_core::Instant::from_micros(plan.at)).await;
            let mut dialled = SimDial::connect(net.clone(), PROGRAMS, to_client, CONNECT).await;
            let patience = clock.now() + CONNECT;
            while plan.reverse.is_some() && dialled.is_err() && clock.now() < patience {
                // The listener may come, or come back.
                sleep_until(&clock, clock.now() + RETRY).await;
                dialled = SimDial::connect(net.clone(), PROGRAMS, to_client, CONNECT).await;
            }
            match dialled {
                Ok(pipe) => {
                    let plan = plan.programs[0].clone();
                    Program { flow: state, side: 0, plan, eager, net }.run(pipe, clock).await;
                }
                Err(_) => {
                    let side = &mut state.borrow_mut().sides[0];
                    (side.over, side.over_at) = (true, Some(clock.now().as_micros()));
                }
            }
        });
    }

    fn run_until(&mut self, until: u64, all_over: bool) {
        loop {
            while self.net.borrow().agenda.next_time().is_some_and(|at| at <= self.net.borrow().now)
            {
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

    fn step(&mut self) -> bool {
        let now = self.net.borrow().now;
        let awake: Vec<usize> = (0..3)
            .filter(|process| self.net.borrow().processes[*process].paused_until <= now)
            .collect();
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
        let Some(task) = executor.step(|count| self.rng.random_range(0..count)) else {
            return true;
        };
        self.polls += 1;
        self.polls_now += 1;
        assert!(self.polls_now < MOST_POLLS, "a busy loop, process {process}");
        let mut net = self.net.borrow_mut();
        net.digest.number(task * 4 + process as u64);
        if !self.scenario.cpu.is_zero() && self.rng.random_range(0..4) == 0 {
            let time = self.rng.random_range(0..=micros(self.scenario.cpu));
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

    /// A process looks which of its sockets have become ready. Whether any has.
    fn look(&mut self, process: usize) -> bool {
        let woken = self.net.borrow_mut().look(process);
        let any = !woken.is_empty();
        for waker in woken {
            waker.wake();
        }
        any
    }
}
