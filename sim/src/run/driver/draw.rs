//! What happens in a world, as plain data, and how a seed draws it.
//!
//! Each seed draws a subset of the fault kinds first, and how dense they are; so some worlds are
//! calm but for one fault, and others have everything at once.

use super::kind::FaultKind;
use super::net::{Break, CLIENT, Cuts, SERVER};
use crate::base::draw::{log_duration, log_range, pick};
use crate::base::rate::Rate;
use crate::base::seed;
use crate::net::link::{LinkSpec, MSS};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;
use striper_core::SchedulerKind;
use striper_core::config::{Config, FLOW_FLOOR};

/// No way is taken to be slower.
const SLOWEST: Rate = Rate::bits(1_000);

/// Until when faults begin, in microseconds.
pub const FAULTS: u64 = 20_000_000;

/// A world.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where every choice comes from.
    pub seed: u64,
    /// What was drawn.
    pub kinds: Vec<FaultKind>,
    /// The ways between the proxies, from the client and back.
    pub routes: Vec<[LinkSpec; 2]>,
    /// How reads and writes are cut.
    pub cuts: Cuts,
    /// Settings of the client's and the server's sessions.
    pub configs: [Config; 2],
    /// One poll in so many wakes a task for nothing; none if 0.
    pub spurious: u32,
    /// What a poll takes at most.
    pub cpu: Duration,
    /// Flows.
    pub flows: Vec<FlowPlan>,
    /// Faults, each with its time in microseconds.
    pub script: Vec<(u64, Action)>,
}

/// What one program does.
#[derive(Clone, Debug)]
pub struct ProgramPlan {
    /// How many bytes it sends.
    pub bytes: u64,
    /// It begins when it has seen the other's FIN.
    pub answers: bool,
    /// How many bytes at once.
    pub piece: usize,
    /// How long it waits after each piece.
    pub pause: Duration,
    /// What it does after its last byte.
    pub end: Ending,
    /// How many bytes it reads at once.
    pub read: usize,
    /// How long it waits after each read.
    pub read_pause: Duration,
    /// It stops reading after so many bytes until all faults are over.
    pub stop_after: Option<u64>,
    /// It breaks off at that time, in microseconds.
    pub reset_at: Option<u64>,
}

/// What a program does after its last byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// Sends its FIN.
    Finish,
    /// Breaks off.
    Reset,
    /// Leaves it open until all faults are over.
    Late,
}

/// A flow.
#[derive(Clone, Debug)]
pub struct FlowPlan {
    /// When, in microseconds.
    pub at: u64,
    /// The programs at the client's side and at the server's.
    pub programs: [ProgramPlan; 2],
    /// The target refuses.
    pub refused: bool,
    /// That side uses the library's flow and a bridge instead of letting the pump carry the socket.
    pub bridged: [bool; 2],
}

impl FlowPlan {
    /// Both programs send so many bytes and finish.
    pub fn both_ways(at: u64, bytes: u64) -> Self {
        let program = ProgramPlan {
            bytes,
            answers: false,
            piece: 16 << 10,
            pause: Duration::ZERO,
            end: Ending::Finish,
            read: 64 << 10,
            read_pause: Duration::ZERO,
            stop_after: None,
            reset_at: None,
        };
        FlowPlan { at, programs: [program.clone(), program], refused: false, bridged: [false; 2] }
    }
}

/// How a stranger at the stripe port behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Says something else.
    Garbage,
    /// Says HELLO of another version.
    Newer,
    /// Says HELLO, one byte a second.
    Slow,
    /// Says nothing.
    Mute,
    /// Wants to join a session that does not exist.
    Lost,
    /// Goes away at once.
    Gone,
}

impl Manner {
    /// All of them.
    const ALL: [Manner; 6] =
        [Manner::Garbage, Manner::Newer, Manner::Slow, Manner::Mute, Manner::Lost, Manner::Gone];
}

/// Something that goes wrong.
#[derive(Clone, Debug)]
#[expect(missing_docs, reason = "each variant says what its fields are")]
pub enum Action {
    /// Connections of a route break; all or the oldest.
    Break { route: usize, all: bool, how: Break },
    /// The next connection of a route breaks after so many bytes.
    Cut { route: usize, after: u64, how: Break },
    /// A route carries nothing from those sides.
    Silence { route: usize, from: [bool; 2] },
    /// Until here.
    Clear { route: usize },
    /// The next dials are refused.
    Refuse { route: usize, count: u32 },
    /// The next connections are closed on the way.
    AcceptClose { route: usize, count: u32 },
    /// Somebody calls at the stripe port.
    Stranger { route: usize, manner: Manner },
    /// A process ends, and another one starts in its place after `down`. `mute`: its machine
    /// loses power.
    Restart { process: usize, down: Duration, mute: bool },
    /// A proxy is asked to stop within `drain`; then another one starts in its place.
    Shutdown { process: usize, drain: Duration },
    /// A process stands still for so long.
    Pause { process: usize, time: Duration },
    /// A process's clock jumps forward by so much.
    Jump { process: usize, by: Duration },
    /// A process has no file descriptors for so many dials (0) or accepts (1).
    NoFiles { process: usize, accept: usize, count: u32 },
    /// New connections of a route are like this.
    Change { route: usize, specs: Box<[LinkSpec; 2]> },
    /// Everything is well again.
    Heal,
    /// A process that was down starts.
    Start { process: usize },
    /// A process that was asked to stop has to have done so.
    Stopped { process: usize, again: u32 },
}

impl Scenario {
    /// The world of a seed.
    pub fn draw(seed: u64) -> Scenario {
        let mut rng = seed::stream(seed, "driver kinds", 0);
        let share = *pick(&mut rng, &[0.04, 0.1, 0.25, 0.5, 0.8]);
        let kinds: Vec<FaultKind> =
            FaultKind::ALL.into_iter().filter(|_| rng.random_bool(share)).collect();
        Self::with_kinds(seed, kinds)
    }

    /// The world of a seed with just these kinds of faults.
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
            scheduler: *pick(
                rng,
                &[
                    SchedulerKind::Earliest,
                    SchedulerKind::Earliest,
                    SchedulerKind::UntilCongested,
                    SchedulerKind::RoundRobin,
                ],
            ),
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
        let flows = (0..*pick(rng, &[1, 1, 2, 3, 5, 12, 30]))
            .map(|_| draw_flow(rng, &kinds, &mut budget))
            .collect();
        let rng = &mut seed::stream(seed, "driver script", 0);
        let mut script = Vec::new();
        for kind in &kinds {
            for _ in 0..*pick(rng, &[1, 1, 2, 5]) {
                draw_fault(rng, *kind, routes.len(), lossy, &mut script);
            }
        }
        Scenario { seed, kinds, routes, cuts, configs, spurious, cpu, flows, script }
    }

    /// What the slowest way carries at the very least.
    pub fn floor_rate(&self) -> Rate {
        let changed = self.script.iter().filter_map(|(_, action)| match action {
            Action::Change { specs, .. } => Some(&**specs),
            _ => None,
        });
        self.routes.iter().chain(changed).flatten().map(floor_rate).min().unwrap_or(SLOWEST)
    }
}

/// TCP with random losses moves about MSS / (RTT · √p) (Mathis et al., 1997), here taken as a third
/// of that, and of the cap.
fn floor_rate(spec: &LinkSpec) -> Rate {
    let round_trip = 2 * spec.delay_micros() + spec.queueing() + 1_000;
    let lossy = match spec.loss {
        0 => spec.rate,
        loss => {
            Rate::bits(MSS * 8 * 1_000_000 / round_trip * 1_000 / u64::from(loss).isqrt().max(1))
        }
    };
    (spec.rate.min(lossy) / 3).max(SLOWEST)
}

fn draw_link(rng: &mut ChaCha8Rng, lossy: bool) -> LinkSpec {
    let rate = Rate::bits(log_range(rng, 64_000, 1_000_000_000));
    let mut spec = LinkSpec::new(rate, log_duration(rng, 1, 200_000));
    if lossy {
        spec.loss = *pick(rng, &[100, 1_000, 10_000, 30_000]);
    }
    spec.send_buffer = *pick(rng, &[16 << 10, 256 << 10, 4 << 20]);
    spec
}

fn draw_flow(rng: &mut ChaCha8Rng, kinds: &[FaultKind], budget: &mut u64) -> FlowPlan {
    let mut program = || {
        let bytes = match rng.random_range(0..8) {
            0 => 0,
            1 => 1,
            _ => log_range(rng, 1, (*budget / 3).max(2)),
        };
        *budget = budget.saturating_sub(bytes);
        let trickles = rng.random_range(0..6) == 0 && bytes < 2_000;
        let slow = kinds.contains(&FaultKind::SlowReader) && rng.random();
        let resets = kinds.contains(&FaultKind::LocalReset);
        let read = if slow {
            *pick(rng, &[1, 1, 100, 4_096])
        } else {
            *pick(rng, &[4_096, 64 << 10, 1 << 20])
        };
        ProgramPlan {
            bytes,
            answers: rng.random_range(0..4) == 0,
            piece: if trickles { 1 } else { *pick(rng, &[100, 1_448, 16 << 10, 1 << 20]) },
            pause: match rng.random_range(0..3) {
                0 => log_duration(rng, 10, 100_000),
                _ => Duration::ZERO,
            },
            end: match rng.random_range(0..8) {
                0 => Ending::Late,
                1 | 2 if resets => Ending::Reset,
                _ => Ending::Finish,
            },
            read,
            read_pause: if slow { log_duration(rng, 10, 100_000) } else { Duration::ZERO },
            stop_after: match rng.random_range(0..4) {
                0 if slow => Some(0),
                1 if slow => Some(log_range(rng, 1, 256 << 10)),
                _ => None,
            },
            reset_at: (resets && rng.random_range(0..3) == 0).then(|| rng.random_range(0..FAULTS)),
        }
    };
    let mut programs = [program(), program()];
    if programs.iter().all(|program| program.answers) {
        programs[0].answers = false;
    }
    FlowPlan {
        at: if rng.random() {
            rng.random_range(0..FAULTS)
        } else {
            rng.random_range(0..FAULTS / 10)
        },
        programs,
        refused: kinds.contains(&FaultKind::TargetRefused) && rng.random_range(0..3) == 0,
        bridged: [rng.random_range(0..3) == 0, rng.random_range(0..3) == 0],
    }
}

/// A time for a fault: anywhere, or early, when connections come about.
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
    let count = log_range(rng, 1, 20) as u32;
    let after = log_range(rng, 1, 100_000);
    let mut silence = |from, time: u64| {
        let hit: Vec<usize> = if all { (0..routes).collect() } else { vec![route] };
        for route in hit {
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
        FaultKind::Stranger => Action::Stranger { route, manner: *pick(rng, &Manner::ALL) },
        FaultKind::ServerRestart => {
            Action::Restart { process: SERVER, down: log_duration(rng, 1, 5_000_000), mute: false }
        }
        FaultKind::ClientRestart => {
            Action::Restart { process: CLIENT, down: log_duration(rng, 1, 5_000_000), mute: false }
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
        // These are in the routes and in what programs do.
        FaultKind::Loss
        | FaultKind::SlowReader
        | FaultKind::LocalReset
        | FaultKind::TargetRefused => return,
    };
    script.push((at, action));
}
