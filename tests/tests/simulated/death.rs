//! Stripes die in every way, and a flow only pauses.

use sim::{Checks, EndState, Fault, FlowPlan, Rate, Setup, Side, Told, World};
use std::time::Duration;
use striper_core::EndReason;

const SECOND: u64 = 1_000_000;

fn world(stripes: usize) -> World {
    let mut setup = Setup::capped(1, &vec![Rate::mbit(10); stripes], Duration::from_millis(20));
    setup.checks = Checks::Thinning;
    setup.routes.iter_mut().flatten().for_each(|link| link.choppy = true);
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    setup.repeat = format!("cargo test -p striper-tests --test simulated {test}");
    World::new(setup)
}

fn completes(world: &mut World, flow: usize, end: u64) {
    assert!(world.run_to_end(end), "late: {:#?}", world.flow(flow));
    assert!(world.flow(flow).is_complete());
}

/// 4 MiB each way over four stripes take about 0.9 s; after 0.5 s one of them has `fault`. The flow
/// must end within `limit` after that.
fn survives(fault: Fault, limit: u64) {
    let mut world = world(4);
    let flow = world.open(FlowPlan::both_ways(SECOND, 4 << 20));
    world.fault(SECOND * 3 / 2, 1, fault);
    completes(&mut world, flow, SECOND * 3 / 2 + limit);
    world.run_until(100 * SECOND);
    assert_eq!(Side::BOTH.map(|side| world.stripes_up(side)), [4, 4], "replaced");
}

#[test]
fn a_flow_survives_the_end_of_a_stripe_in_every_way() {
    for (fault, limit) in [
        (Fault::Reset { told: Told::Both }, 2),
        (Fault::Reset { told: Told::Only(Side::Client) }, 2),
        (Fault::Reset { told: Told::Only(Side::Server) }, 2),
        (Fault::Close { by: Side::Client }, 2),
        (Fault::Close { by: Side::Server }, 2),
        (Fault::Forget { from: [true, true] }, 3),
        (Fault::Forget { from: [true, false] }, 3),
        (Fault::Forget { from: [false, true] }, 3),
    ] {
        survives(fault, limit * SECOND);
    }
}

#[test]
fn a_route_that_goes_silent_and_comes_back_is_used_again() {
    let mut world = world(2);
    world.fault(2 * SECOND, 0, Fault::Silence { from: [true, true] });
    world.fault(10 * SECOND, 0, Fault::Heal);
    let flow = world.open(FlowPlan::upload(SECOND, 40 << 20));
    completes(&mut world, flow, 35 * SECOND);
}

/// Midway through a flow, all routes fall silent, and stripes may be reset; later all is well.
fn all_die(told: Option<Told>, heal: bool) -> (World, usize) {
    let mut world = world(4);
    let flow = world.open(FlowPlan::both_ways(SECOND, 4 << 20));
    for route in 0..4 {
        world.fault(SECOND * 3 / 2, route, Fault::Silence { from: [true, true] });
        if let Some(told) = told {
            world.fault(SECOND * 3 / 2, route, Fault::Reset { told });
        }
        if heal {
            world.fault(30 * SECOND, route, Fault::Heal);
        }
    }
    (world, flow)
}

#[test]
fn when_all_stripes_die_and_return_nothing_is_lost() {
    let told = [Told::Both, Told::Only(Side::Client), Told::Only(Side::Server)];
    for (told, limit) in told.map(|told| (Some(told), 40)).into_iter().chain([(None, 45)]) {
        let (mut world, flow) = all_die(told, true);
        assert!(!world.run_to_end(29 * SECOND));
        completes(&mut world, flow, limit * SECOND);
    }
}

#[test]
fn when_no_stripe_comes_back_flows_are_reset() {
    let (mut world, flow) = all_die(Some(Told::Both), false);
    assert!(!world.run_to_end(60 * SECOND), "given up too early");
    assert!(world.run_to_end(65 * SECOND));
    for side in Side::BOTH {
        let end = world.flow(flow).end(side);
        assert_eq!(end.state, EndState::Lost);
        assert!(!end.got_fin, "truncation must not look like success");
        assert_eq!(world.ended(side), Some(EndReason::NoStripe));
    }
}

#[test]
fn stripes_may_die_again_and_again() {
    let mut world = world(3);
    let flow = world.open(FlowPlan::both_ways(SECOND, 16 << 20));
    for nth in 0..60 {
        let told = [Told::Both, Told::Only(Side::Client), Told::Only(Side::Server)][nth % 3];
        world.fault(SECOND + nth as u64 * 150_000, nth * 7 % 3, Fault::Reset { told });
    }
    completes(&mut world, flow, 40 * SECOND);
    assert!(world.stats(Side::Client).stripes_lost >= 30);
}

#[test]
fn dials_that_are_refused_are_tried_again() {
    let mut world = world(2);
    world.fault(0, 0, Fault::RefuseDials(5));
    world.fault(0, 1, Fault::RefuseDials(5));
    let flow = world.open(FlowPlan::both_ways(0, 100_000));
    completes(&mut world, flow, 5 * SECOND);
}

#[test]
fn a_stripe_that_joins_late_is_used() {
    let mut world = world(2);
    world.fault(0, 1, Fault::Silence { from: [true, true] });
    world.fault(4 * SECOND, 1, Fault::Heal);
    let flow = world.open(FlowPlan::upload(SECOND, 20 << 20));
    // One stripe alone would take 16.8 s.
    completes(&mut world, flow, 13 * SECOND);
}

#[test]
fn an_idle_session_notices_a_dead_stripe_and_replaces_it() {
    let mut world = world(2);
    world.fault(5 * SECOND, 0, Fault::Forget { from: [true, true] });
    world.run_until(60 * SECOND);
    assert_eq!(world.stats(Side::Client).stripes_lost, 1);
    let flow = world.open(FlowPlan::both_ways(60 * SECOND, 1 << 20));
    completes(&mut world, flow, 62 * SECOND);
}
