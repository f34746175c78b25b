//! Consumers that are slow or have stopped, and the smallest windows: no other flow suffers.

use sim::{Checks, FlowPlan, Rate, ReadPlan, Setup, Side, World};
use std::time::Duration;
use striper_core::Config;
use striper_core::limits::{FLOW_FLOOR, INITIAL_WINDOW};

const SECOND: u64 = 1_000_000;

fn setup(stripes: usize, rate: Rate) -> Setup {
    let mut setup = Setup::capped(1, &vec![rate; stripes], Duration::from_millis(20));
    setup.checks = Checks::Thinning;
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    setup.repeat = format!("cargo test -p striper-tests --test simulated {test}");
    setup
}

fn unread(at: u64, bytes: u64) -> FlowPlan {
    let mut plan = FlowPlan::upload(at, bytes);
    plan.reads[Side::Server.index()] = ReadPlan { rate: None, stop_after: Some(0), burst: None };
    plan
}

#[test]
fn a_flow_whose_consumer_stops_blocks_no_other() {
    let mut world = World::new(setup(4, Rate::mbit(10)));
    let stuck = world.open(unread(SECOND, 4 << 20));
    let flow = world.open(FlowPlan::upload(2 * SECOND, 8 << 20));
    // Alone it would take 1.7 s.
    assert!(world.run_while(4 * SECOND + SECOND / 2, |world| !world.flow(flow).is_complete()));
    assert!(!world.flow(stuck).is_over());
    assert!(world.flow(stuck).end(Side::Server).delivered >= INITIAL_WINDOW);
    world.make_eager();
    assert!(world.run_to_end(20 * SECOND));
    assert!(world.flow(stuck).is_complete());
}

#[test]
fn a_slow_consumer_gets_all_data_at_its_pace() {
    let mut world = World::new(setup(4, Rate::mbit(10)));
    let mut plan = FlowPlan::upload(SECOND, 1 << 20);
    plan.reads[Side::Server.index()] =
        ReadPlan { rate: Some(Rate::bytes(100_000)), stop_after: None, burst: None };
    let slow = world.open(plan);
    let fast = world.open(FlowPlan::upload(SECOND, 8 << 20));
    assert!(world.run_while(4 * SECOND, |world| !world.flow(fast).is_complete()));
    assert!(world.run_to_end(14 * SECOND), "{:#?}", world.flow(slow));
    assert!(world.flow(slow).is_complete());
}

#[test]
fn the_smallest_windows_still_move_everything() {
    let mut setup = setup(3, Rate::mbit(10));
    setup.routes.iter_mut().flatten().for_each(|link| link.choppy = true);
    for config in &mut setup.config {
        *config = Config { window_limit: FLOW_FLOOR, memory_limit: 2 << 20, ..*config };
    }
    let mut world = World::new(setup);
    let flows: Vec<usize> =
        (0..20).map(|_| world.open(FlowPlan::both_ways(SECOND, 200_000))).collect();
    assert!(world.run_to_end(30 * SECOND));
    assert!(flows.iter().all(|flow| world.flow(*flow).is_complete()));
}

#[test]
fn after_ten_thousand_stuck_flows_the_next_one_still_moves() {
    let mut world = World::new(Setup { checks: Checks::Off, ..setup(4, Rate::mbit(100)) });
    for _ in 0..10_000 {
        world.open(unread(SECOND, 300_000));
    }
    world.run_until(30 * SECOND);
    let delivered = |world: &World, flow: usize| world.flow(flow).end(Side::Server).delivered;
    for flow in 0..10_000 {
        let delivered = delivered(&world, flow);
        assert!(delivered >= FLOW_FLOOR, "flow {flow} has its floor: {delivered}");
    }
    let stats = world.stats(Side::Server);
    assert!(stats.credit_outstanding <= setup(1, Rate::bits(1_000)).config[1].memory_limit / 2);
    let next = world.open(FlowPlan::upload(30 * SECOND, 100_000));
    let is_complete = world.run_while(40 * SECOND, |world| !world.flow(next).is_complete());
    assert!(is_complete, "{:#?}", world.flow(next));
}

#[test]
fn a_lone_new_flow_gets_its_initial_window_without_a_round_trip() {
    // With a window of congestion that does not get in the way: 256 KiB at 100 Mbit/s take 21 ms,
    // one way takes 100 ms.
    let mut setup = setup(1, Rate::mbit(100));
    for link in setup.routes.iter_mut().flatten() {
        (link.delay, link.window) = (Duration::from_millis(100), 1 << 20);
    }
    let mut world = World::new(setup);
    let flow = world.open(FlowPlan::upload(SECOND, INITIAL_WINDOW));
    let is_open = |world: &World| world.flow(flow).end(Side::Server).delivered < INITIAL_WINDOW;
    assert!(world.run_while(SECOND + 130_000, is_open));
}

/// Freed memory lets several flows go on, and the first of them may take all of it.
#[test]
fn flows_that_waited_for_memory_go_on_when_there_is_some() {
    for flows in [6, 20] {
        let mut setup = setup(1, Rate::mbit(10));
        setup.config[0].memory_limit = 2 << 20;
        let mut world = World::new(setup);
        for _ in 0..flows {
            world.open(FlowPlan::upload(SECOND, 300_000));
        }
        // At 1.25 MB a second.
        world.run_to_end(SECOND * 2 + flows * SECOND / 3);
        assert!(world.flows().iter().all(|flow| flow.is_complete()));
    }
}

#[test]
fn both_sides_hold_no_more_than_their_limits() {
    let mut setup = setup(2, Rate::mbit(50));
    setup.config.iter_mut().for_each(|config| config.memory_limit = 4 << 20);
    let mut world = World::new(setup);
    for _ in 0..50 {
        world.open(unread(SECOND, 4 << 20));
    }
    for tenth in 10..100 {
        world.run_until(tenth * SECOND / 10);
        assert!(world.stats(Side::Client).held <= (2 << 20) + 51 * FLOW_FLOOR);
        assert!(world.stats(Side::Server).credit_outstanding <= 2 << 20);
    }
}
