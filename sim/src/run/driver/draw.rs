//! The plan of a world, as plain data that a seed draws.
//!
//! Each seed draws a subset of the fault kinds first, and their density. So some worlds are calm
//! but for one fault, and others have everything at once.

mod flow;

pub use flow::{Answer, Ending, FlowPlan, Naming, ProgramPlan, RequestPlan, ReversePlan};

use super::kind::FaultKind;
use super::net::{Break, CLIENT, Cuts, SERVER};
use crate::base::{Rate, listed, log_duration, log_range, pick, seed};
use crate::net::{Control, LinkSpec};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use striper_core::SchedulerKind::{Earliest, RoundRobin, UntilCongested};
use striper_core::{Config, limits::FLOW_FLOOR};

const SLOWEST: Rate = Rate::bits(1_000);
/// The most listeners of a world, beside one for the end.
const LISTENERS: usize = 3;
/// The time until which faults begin, in microseconds.
pub const FAULTS: u64 = 20_000_000;

#[derive(Clone, Debug)]
pub struct Scenario {
    pub seed: u64,
    pub kinds: Vec<FaultKind>,
    /// The ways between the proxies, from the client and back.
    pub routes: Vec<[LinkSpec; 2]>,
    pub cuts: Cuts,
    pub configs: [Config; 2],
    /// One poll in so many wakes a task for nothing; none if 0.
    pub spurious: u32,
    pub cpu: Duration,
    pub flows: Vec<FlowPlan>,
    pub script: Vec<(u64, Action)>,
}

listed! {
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    Manner {
        Garbage,
        Newer,
        Slow,
        Mute,
        /// Wants to join a session that does not exist.
        Lost,
        Gone,
    }
}

/// A `Break` hits all connections of a route or the oldest, `Change` and `AcceptClose` new ones.
/// `NoFiles` is about dials (0) or accepts (1). With `mute` a machine loses power.
#[derive(Clone, Debug)]
pub enum Action {
    Break { route: usize, all: bool, how: Break },
    Cut { route: usize, after: u64, how: Break },
    Silence { route: usize, from: [bool; 2] },
    Clear { route: usize },
    Refuse { route: usize, count: u32 },
    AcceptClose { route: usize, count: u32 },
    Stranger { route: usize, manner: Manner },
    Restart { process: usize, down: Duration, mute: bool },
    Shutdown { process: usize, drain: Duration },
    Pause { process: usize, time: Duration },
    Jump { process: usize, by: Duration },
    NoFiles { process: usize, accept: usize, count: u32 },
    Change { route: usize, specs: Box<[LinkSpec; 2]> },
    Heal,
    Start { process: usize },
    Stopped { process: usize, again: u32 },
}

impl Scenario {
    pub fn draw(seed: u64) -> Scenario {
        let mut rng = seed::stream(seed, "driver kinds", 0);
        let share = *pick(&mut rng, &[0.04, 0.1, 0.25, 0.5, 0.8]);
        let kinds: Vec<FaultKind> =
            FaultKind::ALL.iter().copied().filter(|_| rng.random_bool(share)).collect();
        Self::with_kinds(seed, kinds)
    }

    pub fn with_kinds(seed: u64, kinds: Vec<FaultKind>) -> Scenario {
        let rng = &mut seed::stream(seed, "driver setup", 0);
        let stripes = *pick(rng, &[1, 1, 2, 2, 3, 4, 4, 8]);
        let lossy = kinds.contains(&FaultKind::Loss);
        let routes: Vec<[LinkSpec; 2]> = (0..*pick(rng, &[1, 1, 2, 3]))
            .map(|_| {
                let spec = draw_link(rng, lossy);
                if rng.random() { [spec.clone(), spec] } else { [spec, draw_link(rng, lossy)] }
            })
            .collect();
        let mut config = || Config {
            stripes,
            scheduler: *pick(rng, &[Earliest, Earliest, UntilCongested, RoundRobin]),
            memory_limit: *pick(rng, &[2 << 20, 16 << 20, 128 << 20]),
            window_limit: log_range(rng, FLOW_FLOOR, 16 << 20),
            max_flows: *pick(rng, &[64, 64, 16_384]),
            heartbeat: Duration::from_millis(log_range(rng, 1_000, 10_000)),
            ..Config::default()
        };
        let configs = [config(), config()];
        let cuts = Cuts {
            reads: *pick(rng, &[0, 2, 8, 64]),
            writes: *pick(rng, &[0, 2, 8, 64]),
            buffer: *pick(rng, &[4 << 10, 64 << 10, 256 << 10]),
        };
        let (spurious, cpu) = (*pick(rng, &[0, 10, 100]), *pick(rng, &[0, 1, 20, 200]));
        let cpu = Duration::from_micros(cpu);
        let slowest = routes.iter().flatten().map(floor_rate).min().unwrap_or(SLOWEST);
        let mut budget = (slowest.as_bits() * 30 / 8).min(768 << 10);
        let rng = &mut seed::stream(seed, "driver flows", 0);
        let mut flows: Vec<FlowPlan> = Vec::new();
        for _ in 0..*pick(rng, &[1, 1, 2, 3, 5, 12, 30]) {
            let own = flows.iter().all(|flow| flow.naming != Naming::Own);
            let listens = flows.iter().filter(|flow| flow.reverse.is_some()).count() < LISTENERS;
            flows.push(flow::draw_flow(rng, &kinds, &mut budget, [own, listens]));
        }
        let rng = &mut seed::stream(seed, "driver script", 0);
        let mut script = Vec::new();
        for kind in &kinds {
            for _ in 0..*pick(rng, &[1, 1, 2, 5]) {
                draw_fault(rng, *kind, routes.len(), lossy, &mut script);
            }
        }
        Scenario { seed, kinds, routes, cuts, configs, spurious, cpu, flows, script }
    }

    pub fn floor_rate(&self) -> Rate {
        let changed = self.script.iter().filter_map(|(_, action)| match action {
            Action::Change { specs, .. } => Some(&**specs),
            _ => None,
        });
        self.routes.iter().chain(changed).flatten().map(floor_rate).min().unwrap_or(SLOWEST)
    }
}

fn floor_rate(spec: &LinkSpec) -> Rate {
    (spec.lossy_rate() / 3).max(SLOWEST)
}

fn draw_link(rng: &mut ChaCha8Rng, lossy: bool) -> LinkSpec {
    let rate = Rate::bits(log_range(rng, 64_000, 1_000_000_000));
    let mut spec = LinkSpec::new(rate, log_duration(rng, 1, 200_000));
    if lossy {
        spec.loss = *pick(rng, &[100, 1_000, 10_000, 30_000]);
    }
    spec.send_buffer = *pick(rng, &[16 << 10, 256 << 10, 4 << 20]);
    spec.congestion = *pick(rng, &Control::ALL);
    spec
}

fn when(rng: &mut ChaCha8Rng) -> u64 {
    match rng.random_range(0..3) {
        0 => rng.random_range(0..FAULTS),
        _ => log_range(rng, 1_000, FAULTS),
    }
}

fn draw_fault(
    rng: &mut ChaCha8Rng,
    kind: FaultKind,
    routes: usize,
    lossy: bool,
    script: &mut Vec<(u64, Action)>,
) {
    let (at, route, all) = (when(rng), rng.random_range(0..routes), rng.random_range(0..3) == 0);
    let process = *pick(rng, &[CLIENT, SERVER]);
    let from = *pick(rng, &[[true, true], [true, false], [false, true]]);
    let one = *pick(rng, &[[true, false], [false, true]]);
    let (count, after) = (log_range(rng, 1, 20) as u32, log_range(rng, 1, 100_000));
    let mut silence = |from, time: u64| {
        for route in (0..routes).filter(|hit| all || *hit == route) {
            script.push((at, Action::Silence { route, from }));
            if at + time < FAULTS {
                script.push((at + time, Action::Clear { route }));
            }
        }
    };
    let action = match kind {
        FaultKind::Reset => Action::Break { route, all, how: Break::Reset([true; 2]) },
        FaultKind::ResetUnread => Action::Break { route, all: true, how: Break::Reset([true; 2]) },
        FaultKind::HalfDead => Action::Break { route, all, how: Break::Reset(one) },
        FaultKind::ResetAfter => {
            Action::Cut { route, after, how: Break::Reset(if all { one } else { [true; 2] }) }
        }
        FaultKind::FinMidFrame if all => Action::Break { route, all: true, how: Break::Fin },
        FaultKind::FinMidFrame => Action::Cut { route, after, how: Break::Fin },
        FaultKind::Forget if rng.random() => Action::Cut { route, after, how: Break::Forget(from) },
        FaultKind::Forget => Action::Break { route, all, how: Break::Forget(from) },
        FaultKind::Silence => return silence([true; 2], FAULTS),
        FaultKind::OneWay => return silence(one, FAULTS),
        FaultKind::Stall => return silence(from, log_range(rng, 10_000, 60_000_000)),
        FaultKind::Refuse => Action::Refuse { route, count },
        FaultKind::AcceptClose => Action::AcceptClose { route, count },
        FaultKind::Stranger => Action::Stranger { route, manner: *pick(rng, Manner::ALL) },
        FaultKind::ServerRestart | FaultKind::ClientRestart => {
            let process = if kind == FaultKind::ServerRestart { SERVER } else { CLIENT };
            Action::Restart { process, down: log_duration(rng, 1, 5_000_000), mute: false }
        }
        FaultKind::Crash => {
            Action::Restart { process, down: log_duration(rng, 1_000, 5_000_000), mute: true }
        }
        FaultKind::Shutdown => {
            Action::Shutdown { process, drain: log_duration(rng, 1, 10_000_000) }
        }
        FaultKind::Pause => Action::Pause { process, time: log_duration(rng, 1_000, 600_000_000) },
        FaultKind::ClockJump => Action::Jump { process, by: log_duration(rng, 1_000, 600_000_000) },
        FaultKind::DialNoFiles => Action::NoFiles { process, accept: 0, count },
        FaultKind::AcceptNoFiles => Action::NoFiles { process, accept: 1, count },
        FaultKind::Change => {
            let specs = [draw_link(rng, lossy), draw_link(rng, lossy)];
            Action::Change { route, specs: Box::new(specs) }
        }
        // These are in the routes and in the plans of flows.
        FaultKind::Loss
        | FaultKind::SlowReader
        | FaultKind::LocalReset
        | FaultKind::HalfClose
        | FaultKind::RequestDropped
        | FaultKind::ListenerDropped
        | FaultKind::TargetRefused
        | FaultKind::TargetDenied
        | FaultKind::TargetMute
        | FaultKind::TargetLate
        | FaultKind::TargetGone => return,
    };
    script.push((at, action));
}
