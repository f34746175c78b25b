//! Runs a scenario of two honest sides, in two phases.
//!
//! In the first phase things break, and only safety is demanded: the oracles of
//! `crate::run`. Then all trouble ends, programs read and send without restraint, and
//! everything must end by a computed deadline. A flow is complete by then, unless a program broke
//! it off or a process that carried it lost its memory. Nothing is held any more.

use super::{Honest, Outcome};
use crate::base::{Kind, Rate, micros};
use crate::net::{Answer, Ending, Fault, Flow, LinkSpec, MSS, ProcessFault};
use crate::run::{Checks, Observer, Setup, World};
use std::time::Duration;
use striper_core::{Config, Session};

/// Kinds that count as one fault if they show at all.
const BY_NATURE: [Kind; 14] = [
    Kind::Loss,
    Kind::Jitter,
    Kind::Overflow,
    Kind::ShortWrite,
    Kind::ByteRead,
    Kind::Coalesced,
    Kind::StuckReader,
    Kind::SlowReader,
    Kind::BurstReader,
    Kind::TinyWrites,
    Kind::FlowReset,
    Kind::FlowRefused,
    Kind::SmallWindow,
    Kind::LowLimit,
];

pub fn world(scenario: &Honest) -> World {
    let mut world = World::new(Setup {
        seed: scenario.seed,
        routes: scenario.routes.clone(),
        shared: None,
        foreign: Vec::new(),
        config: scenario.config,
        checks: if scenario.bytes() > 4 << 20 { Checks::Thinning } else { Checks::Always },
        repeat: String::new(),
        restarts_session: true,
    });
    for plan in &scenario.flows {
        world.open(plan.clone());
    }
    for (at, route, fault) in &scenario.faults {
        world.fault(*at, *route, fault.clone());
    }
    for (at, side, process_fault) in &scenario.process_faults {
        world.process_fault(*at, *side, *process_fault);
    }
    world
}

pub fn run(scenario: &Honest, observer: Option<Observer>) -> Outcome {
    let mut world = world(scenario);
    if let Some(observer) = observer {
        world.observe(observer);
    }
    world.run_until(scenario.heal);
    world.heal();
    world.make_eager();
    let deadline = scenario.heal.saturating_add(time_to_complete(scenario));
    let done = world.run_to_end(deadline);
    let wait = deadline - scenario.heal;
    let unfinished = world.flows().iter().find(|flow| !flow.is_over());
    let unfinished = unfinished.map_or(String::new(), |flow| format!("{flow:?}"));
    assert!(done, "not over {wait} µs after all was healed: {unfinished}");
    world.flows().iter().for_each(|flow| check_flow(&world, flow));
    let deadline = world.now() + time_to_settle(scenario);
    let rests = world.run_while(deadline, |world| !is_at_rest(world));
    assert!(rests, "flows are over and sessions keep something of them: {}", leftovers(&world));
    outcome(&world)
}

fn outcome(world: &World) -> Outcome {
    let nature = BY_NATURE.iter().filter(|kind| world.felt().has(**kind)).count();
    let count = |of: fn(&Flow) -> bool| world.flows().iter().filter(|flow| of(flow)).count() as u64;
    Outcome {
        events: world.inputs(),
        faults: world.hits() + nature as u64,
        felt: world.felt(),
        flows: world.flows().len() as u64,
        complete: count(Flow::is_complete),
        broken: count(|flow| !flow.is_complete() && !flow.is_lost()),
        lost: count(Flow::is_lost),
        delivered: world.flows().iter().flat_map(|flow| &flow.ends).map(|end| end.delivered).sum(),
        control: world.sessions().map(control_used).max().unwrap_or(0),
        digest: world.digest(),
    }
}

/// The most that has been used up of the control that may come at once, in parts of 10,000.
fn control_used(session: &Session) -> u64 {
    (session.stats().control_peak * 10_000).div_ceil(session.config().control_burst)
}

fn check_flow(world: &World, flow: &Flow) {
    let broken = flow.plan.reset.is_some()
        || matches!(flow.plan.answer, Answer::Refuse(..))
        || flow.plan.sends.iter().any(|half| half.end == Ending::Reset);
    assert!(broken || flow.is_lost() || flow.is_complete(), "not complete: {flow:?}");
    assert!(!flow.is_lost() || world.has_lost_sessions(), "lost without a cause: {flow:?}");
}

fn is_at_rest(world: &World) -> bool {
    world.live_sessions().all(|session| {
        let stats = session.stats();
        (stats.flows, stats.held, stats.reordering) == (0, 0, 0) && session.memory_used().0 <= EARLY
    })
}

/// The largest grant of early credit, which a session may have promised to flows of the future.
const EARLY: u64 = 16 * (240 << 10);

fn leftovers(world: &World) -> String {
    let session =
        |session: &Session| format!("{:?} {:?}; ", session.stats(), session.memory_used());
    world.live_sessions().map(session).collect()
}

/// The time from the healing until everything is complete, in microseconds.
///
/// First every break must be noticed and repaired ([`time_to_settle`]). Then all bytes go, at worst
/// on the slowest route at the least rate of TCP there. They go four times over: there is a copy
/// for each stripe that was lost meanwhile, and a stripe in doubt is passed by. With a window of W
/// a flow moves at least W a round trip. The worst round trip is that of a full queue and a full
/// window on the slowest route.
fn time_to_complete(scenario: &Honest) -> u64 {
    let routes = || scenario.routes.iter().flatten();
    let slowest = routes().map(floor_rate).min().expect("a route");
    let bytes = scenario.bytes();
    let windows = scenario.config.iter().map(|config| config.window_limit);
    let window = windows.min().expect("two settings");
    let queue = routes().map(|spec| spec.queue).max().expect("a route");
    let delay = scenario.routes.iter().map(round_trip).max().expect("a route");
    let in_line = queue + (512 << 10).min(bytes) + window.min(bytes);
    // The numbers of a scenario from a file may be as large as they like.
    let slow_round_trip = delay + slowest.micros_for(in_line);
    let rounds = bytes / window.max(1) + 4 * scenario.flows.len() as u64 + 4;
    let transfer = slowest.micros_for(bytes) * 4;
    time_to_settle(scenario)
        .saturating_add(transfer)
        .saturating_add(rounds.saturating_mul(slow_round_trip))
}

/// The time until every broken stripe is noticed and replaced, in microseconds:
///
/// - Late packets arrive, and TCP's own timers, which have doubled during a silence, go off. The
///   longest of both counts, at most the two minutes at which TCP stops doubling.
/// - Silence is asked about after a heartbeat. The stripe is given up after the stall limit or four
///   of the longest measured round trips. A full queue, a stall or a pause may have lengthened
///   these.
/// - A dial that began before has its limit, and the next one works: two seconds and eight round
///   trips, twice.
/// - A session is given up when no stripe has come for the resume limit. Its peer has lost its
///   memory, or has waited for stripes for its own resume limit.
fn time_to_settle(scenario: &Honest) -> u64 {
    let limit = |of: fn(&Config) -> Duration| {
        scenario.config.iter().map(|config| micros(of(config))).max().expect("two settings")
    };
    let delay = scenario.routes.iter().map(round_trip).max().expect("a route");
    let clogged = scenario.faults.iter().filter_map(|(_, _, fault)| match fault {
        Fault::Clog { time, .. } => Some(micros(*time)),
        _ => None,
    });
    let process_faults = || scenario.process_faults.iter().map(|(_, _, fault)| fault);
    let paused = process_faults().filter_map(|fault| match fault {
        ProcessFault::Pause(time) | ProcessFault::Jump(time) => Some(micros(*time)),
        ProcessFault::Crash { .. } => None,
    });
    let held_up = clogged.max().unwrap_or(0).max(paused.max().unwrap_or(0));
    let shortest = scenario.config.iter().map(|config| micros(config.resume_limit)).min();
    let given_up = scenario.heal >= shortest.expect("two settings");
    let crashed = process_faults().any(|fault| matches!(fault, ProcessFault::Crash { .. }));
    let lost_memory = crashed || held_up > 0 || given_up;
    let resume = if lost_memory { limit(|config| config.resume_limit) } else { 0 };
    let silence = scenario.heal.min(120_000_000);
    silence
        + 4 * held_up
        + limit(|config| config.heartbeat)
        + 4 * limit(|config| config.stall_limit)
        + 4 * longest_queue(scenario)
        + 4_000_000
        + 32 * delay
        + 2 * resume
}

fn longest_queue(scenario: &Honest) -> u64 {
    let changes = scenario.faults.iter().filter_map(|(_, _, fault)| match fault {
        Fault::Change(specs) => Some(&**specs),
        _ => None,
    });
    let specs = scenario.routes.iter().chain(changes).flatten();
    specs.map(|spec| spec.rate.micros_for(spec.queue + (64 << 10))).max().expect("a route")
}

fn round_trip(route: &[LinkSpec; 2]) -> u64 {
    let one_way = |spec: &LinkSpec| micros(spec.delay + spec.jitter + spec.coalesce) + 2_000;
    route.iter().map(one_way).sum::<u64>() + 200_000
}

/// The least rate of a stripe: a third of what TCP moves.
fn floor_rate(spec: &LinkSpec) -> Rate {
    let buffered = Rate::bits(spec.send_buffer.max(MSS) * 8_000_000 / spec.round_trip());
    (spec.lossy_rate().min(buffered) / 3).max(Rate::bits(1_000))
}
