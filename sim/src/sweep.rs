//! Random worlds: each seed draws routes, settings, flows and faults of its own.
//!
//! A world has two phases. In the first, things break at random and only safety is demanded (the oracles of
//! [`crate::world`]). Then all faults end, programs read and send without restraint, and everything must come to its
//! end by a deadline computed from what is left to carry and the routes that carry it: flows complete unless a program
//! broke them off, and nothing is held any more.

use crate::app::{Answer, EndState, Ending, FlowPlan, Half, Reader, Side, Start};
use crate::faults::{Fault, Told};
use crate::link::{LinkSpec, MSS};
use crate::seed;
use crate::world::{Checks, Setup, World};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::ops::Range;
use std::time::Duration;
use striper_core::config::{Config, FLOW_FLOOR};
use striper_core::{Reason, SchedulerKind};

/// When faults end, in microseconds.
const HEAL: u64 = 20_000_000;

/// What detection, timeouts that have doubled and dialing may take after that, in microseconds: silence limit, a
/// retransmission timeout that began during a silence, and dials that were refused before.
const GRACE: u64 = 60_000_000;

/// How a seed's world went.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// Flows.
    pub flows: u64,
    /// Those that completed in both directions.
    pub complete: u64,
    /// Faults.
    pub faults: u64,
    /// Stripes that the client's session lost.
    pub stripes_lost: u64,
    /// Payload bytes delivered, both ways.
    pub delivered: u64,
    /// Inputs to both sessions.
    pub inputs: u64,
    /// A hash of all that both sessions put out.
    pub digest: u64,
}

/// Runs the worlds of these seeds; the answer is the text to print. A failure panics, and says how to repeat it.
pub fn run(seeds: Range<u64>) -> String {
    let mut sum = Outcome::default();
    let worlds = seeds.end - seeds.start;
    for seed in seeds {
        let outcome = world(seed);
        sum.flows += outcome.flows;
        sum.complete += outcome.complete;
        sum.faults += outcome.faults;
        sum.stripes_lost += outcome.stripes_lost;
        sum.delivered += outcome.delivered;
        sum.inputs += outcome.inputs;
        sum.digest = sum.digest.rotate_left(1) ^ outcome.digest;
    }
    format!(
        "{worlds} worlds without a violation: {} flows, {} of them complete (programs broke the others off), {} faults, \
         {} stripes lost,\n{} MiB delivered, {} inputs to sessions; digest {:016x}\n",
        sum.flows,
        sum.complete,
        sum.faults,
        sum.stripes_lost,
        sum.delivered >> 20,
        sum.inputs,
        sum.digest,
    )
}

/// Runs the world of one seed.
pub fn world(seed: u64) -> Outcome {
    let setup = draw_setup(seed, &mut seed::stream(seed, "sweep setup", 0));
    let routes = setup.routes.clone();
    let window = setup.config.iter().map(|config| config.window_limit).min().expect("two settings");
    let floors: Vec<u64> = routes.iter().flatten().map(floor_rate).collect();
    let slowest = *floors.iter().min().expect("a route");

    let mut world = World::new(setup);
    let crowded = draw_crowd(seed, &mut world);
    let mut rng = seed::stream(seed, "sweep flows", 0);
    // At most what the slowest stripe could carry in a minute, so that a world takes minutes of virtual time, not days;
    // and few enough bytes that a world takes a fraction of a real second.
    let mut budget = (slowest * 60 / 8).min(4 << 20);
    let drawn = *pick(&mut rng, &[1, 1, 2, 3, 5, 10, 40]);
    for _ in 0..drawn {
        let plan = draw_flow(&mut rng, &mut budget);
        world.open(plan);
    }
    let count = crowded + drawn;
    let faults = draw_faults(&mut seed::stream(seed, "sweep faults", 0), &mut world, &routes);

    world.run_until(HEAL);
    world.heal();
    world.make_eager();
    let bytes: u64 = world.flows().iter().flat_map(|flow| &flow.plan.sends).map(|half| half.bytes).sum();
    // With a window of W a flow moves at least W a round trip, and a round trip is at worst that of a full queue and
    // a full window on the slowest stripe.
    let queue = routes.iter().flatten().map(|spec| spec.queue).max().expect("a route");
    let round_trip = 1_500_000 + (queue + (512 << 10) + window) * 8_000_000 / slowest;
    let deadline = HEAL + GRACE + bytes * 8_000_000 / slowest * 4 + (bytes / window + 4 * count) * round_trip;
    let done = world.run_to_end(deadline);
    assert!(done, "by {deadline} µs not over: {:#?}", world.flows().iter().find(|flow| !flow.is_over()));
    check_flows(&world);
    world.run_until(world.now() + GRACE);
    check_rest(&world);
    let ends = |world: &World| {
        world.flows().iter().flat_map(|flow| flow.ends.clone()).map(|end| end.delivered).sum()
    };
    Outcome {
        flows: count,
        complete: world.flows().iter().filter(|flow| flow.is_complete()).count() as u64,
        faults,
        stripes_lost: world.stats(Side::Client).stripes_lost,
        delivered: ends(&world),
        inputs: world.inputs(),
        digest: world.digest(),
    }
}

/// Every flow that no program broke off has come through whole.
fn check_flows(world: &World) {
    for flow in world.flows() {
        let broken = flow.plan.reset.is_some()
            || matches!(flow.plan.answer, Answer::Refuse(..))
            || flow.plan.sends.iter().any(|half| half.end == Ending::Reset);
        assert!(broken || flow.is_complete(), "not complete: {flow:#?}");
        assert!(flow.ends.iter().all(|end| end.state != EndState::Lost), "lost: {flow:#?}");
    }
}

/// With no flow left, neither session holds anything.
fn check_rest(world: &World) {
    for side in Side::BOTH {
        let stats = world.stats(side);
        assert_eq!((stats.flows, stats.held, stats.reordering), (0, 0, 0), "the {side:?} at rest");
        assert_eq!(world.ended(side), None, "the {side:?}'s session has ended");
    }
}

/// What a stripe carries at the very least, in bit/s: TCP with random losses moves about MSS / (RTT · √p) (Mathis et
/// al., 1997), here taken as a third of that, and of the cap.
fn floor_rate(spec: &LinkSpec) -> u64 {
    let round_trip = 2 * spec.delay + spec.queue * 8_000_000 / spec.rate + 1_000;
    let lossy = if spec.loss == 0 {
        u64::MAX
    } else {
        let root = (u64::from(spec.loss)).isqrt().max(1);
        MSS * 8 * 1_000_000 / round_trip * 1_000 / root
    };
    (spec.rate.min(lossy) / 3).max(1_000)
}

fn pick<'a, T>(rng: &mut ChaCha8Rng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

/// A number between two others, each order of magnitude as likely as the next.
fn log_range(rng: &mut ChaCha8Rng, low: u64, high: u64) -> u64 {
    let bits = rng.random_range(low.ilog2()..=high.ilog2());
    rng.random_range(1u64 << bits..2u64 << bits).clamp(low, high)
}

fn draw_setup(seed: u64, rng: &mut ChaCha8Rng) -> Setup {
    let stripes = *pick(rng, &[1, 1, 2, 2, 3, 4, 4, 8, 16]);
    let even = rng.random::<bool>();
    let common = draw_link(rng);
    let routes = (0..stripes)
        .map(|_| if even { [common.clone(), common.clone()] } else { [draw_link(rng), draw_link(rng)] })
        .collect();
    let scheduler = *pick(
        rng,
        &[
            SchedulerKind::Earliest,
            SchedulerKind::Earliest,
            SchedulerKind::UntilCongested,
            SchedulerKind::RoundRobin,
        ],
    );
    let mut config = || Config {
        stripes,
        scheduler,
        memory_limit: *pick(rng, &[2 << 20, 3 << 20, 16 << 20, 128 << 20]),
        window_limit: log_range(rng, FLOW_FLOOR, 16 << 20),
        max_flows: *pick(rng, &[1, 4, 64, 16_384]),
        heartbeat: Duration::from_millis(log_range(rng, 1_000, 10_000)),
        #[cfg(feature = "buggify")]
        buggify: rng.random(),
        ..Config::default()
    };
    let config = [config(), config()];
    Setup {
        seed,
        routes,
        config,
        checks: Checks::Thinning,
        repeat: format!("cargo run -p sim -- sweep --seeds {seed}..{}", seed + 1),
        rebirth: false,
    }
}

fn draw_link(rng: &mut ChaCha8Rng) -> LinkSpec {
    let rate = log_range(rng, 64_000, 100_000_000);
    let mut spec = LinkSpec::new(rate, log_range(rng, 1, 300_000));
    spec.loss = *pick(rng, &[0, 0, 0, 100, 1_000, 10_000, 30_000]);
    spec.choppy = rng.random_range(0..4) > 0;
    // At most two seconds of queue, beyond which detection would take queueing for death.
    let deepest = (rate / 4).max(8 * MSS);
    let any = log_range(rng, 4 << 10, deepest);
    spec.queue = *pick(rng, &[spec.queue, 4 << 10, any]);
    spec.send_buffer = *pick(rng, &[16 << 10, 256 << 10, 4 << 20]);
    spec
}

fn draw_half(rng: &mut ChaCha8Rng, budget: &mut u64) -> Half {
    let most = (*budget / 4).max(2);
    let bytes = match rng.random_range(0..8) {
        0 => 0,
        1 => 1,
        _ => log_range(rng, 1, most),
    };
    *budget = budget.saturating_sub(bytes);
    Half {
        bytes,
        start: *pick(rng, &[Start::AtOnce, Start::AtOnce, Start::AtOnce, Start::AfterFin]),
        rate: if rng.random_range(0..4) == 0 { Some(log_range(rng, 100, 1_000_000)) } else { None },
        piece: *pick(rng, &[100, 1_448, 16 << 10, 64 << 10, 1 << 20]),
        end: *pick(rng, &[Ending::Finish, Ending::Finish, Ending::Finish, Ending::Never, Ending::Reset]),
    }
}

fn draw_reader(rng: &mut ChaCha8Rng) -> Reader {
    Reader {
        rate: if rng.random_range(0..4) == 0 { Some(log_range(rng, 1_000, 1_000_000)) } else { None },
        stop_after: match rng.random_range(0..8) {
            0 => Some(0),
            1 => Some(log_range(rng, 1, 1 << 20)),
            _ => None,
        },
        burst: None,
    }
}

fn draw_flow(rng: &mut ChaCha8Rng, budget: &mut u64) -> FlowPlan {
    let mut sends = [draw_half(rng, budget), draw_half(rng, budget)];
    if sends.iter().all(|half| half.start == Start::AfterFin) {
        sends[0].start = Start::AtOnce;
    }
    let answer_after = log_range(rng, 1, 2_000_000);
    FlowPlan {
        opener: *pick(rng, &Side::BOTH),
        at: rng.random_range(0..HEAL),
        answer: if rng.random_range(0..10) == 0 {
            Answer::Refuse(answer_after, *pick(rng, &[Reason::ConnectionRefused, Reason::Other(99)]))
        } else {
            Answer::Accept(answer_after)
        },
        sends,
        reads: [draw_reader(rng), draw_reader(rng)],
        reset: (rng.random_range(0..8) == 0)
            .then(|| (*pick(rng, &Side::BOTH), rng.random_range(0..2 * HEAL))),
    }
}

/// In one world of eight, more flows at once than the memory limits have room for; how many.
fn draw_crowd(seed: u64, world: &mut World) -> u64 {
    let mut rng = seed::stream(seed, "sweep crowd", 0);
    if rng.random_range(0..8) > 0 {
        return 0;
    }
    let count = rng.random_range(20..60);
    let opener = *pick(&mut rng, &Side::BOTH);
    for _ in 0..count {
        let at = rng.random_range(0..HEAL / 4);
        let mut plan = FlowPlan { opener, ..FlowPlan::both_ways(at, rng.random_range(10_000..150_000)) };
        plan.reads = [draw_reader(&mut rng), draw_reader(&mut rng)];
        world.open(plan);
    }
    count
}

fn draw_faults(rng: &mut ChaCha8Rng, world: &mut World, routes: &[[LinkSpec; 2]]) -> u64 {
    let count = *pick(rng, &[0, 1, 2, 4, 8, 16]);
    for _ in 0..count {
        let at = rng.random_range(0..HEAL);
        let route = rng.random_range(0..routes.len());
        let from = *pick(rng, &[[true, true], [true, false], [false, true]]);
        let told = *pick(rng, &[Told::Both, Told::Both, Told::Only(Side::Client), Told::Only(Side::Server)]);
        let fault = match rng.random_range(0..8) {
            0..3 => Fault::Reset { told },
            3 => Fault::Close { by: *pick(rng, &Side::BOTH) },
            4 => Fault::Forget { from },
            5 => Fault::Silence { from },
            6 => Fault::RefuseDials(rng.random_range(1..20)),
            _ => Fault::Heal,
        };
        // A third of the faults hit every route at once.
        if rng.random_range(0..3) == 0 {
            (0..routes.len()).for_each(|route| world.fault(at, route, fault.clone()));
        } else {
            world.fault(at, route, fault);
        }
    }
    count
}
