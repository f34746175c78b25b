//! Stripes die in every way, and no flow notices more than a pause.

use sim::{Checks, EndState, Fault, FlowPlan, Rate, Setup, Side, Told, World};
use std::time::Duration;
use striper_core::EndReason;

const SECOND: u64 = 1_000_000;

fn world(stripes: usize) -> World {
    let mut setup = Setup::capped(1, &vec![Rate::mbit(10); stripes], Duration::from_millis(20));
    setup.checks = Checks::Thinning;
    setup.routes.iter_mut().flatten().for_each(|link| link.choppy = true);
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    setup.repeat = format!("cargo test -p striper-tests --test simulated_death {test}");
    World::new(setup)
}

/// 4 MiB each way over four stripes take about 0.9 s; at 0.5 s one of them suffers `fault`. All
/// must be over `limit` after that.
fn survives(fault: Fault, limit: u64) {
    let mut world = world(4);
    let flow = world.open(FlowPlan::both_ways(SECOND, 4 << 20));
    world.fault(SECOND * 3 / 2, 1, fault);
    assert!(world.run_to_end(SECOND * 3 / 2 + limit), "late: {:#?}", world.flow(flow));
    assert!(world.flow(flow).is_complete());
    world.run_until(100 * SECOND);
    assert_eq!(
        (world.stripes_up(Side::Client), world.stripes_up(Side::Server)),
        (4, 4),
        "replaced"
    );
}

#[test]
fn a_stripe_that_is_reset_costs_a_resend() {
    survives(Fault::Reset { told: Told::Both }, 2 * SECOND);
}

#[test]
fn a_reset_that_only_the_client_sees_is_passed_on() {
    survives(Fault::Reset { told: Told::Only(Side::Client) }, 2 * SECOND);
}

#[test]
fn a_reset_that_only_the_server_sees_is_passed_on() {
    survives(Fault::Reset { told: Told::Only(Side::Server) }, 2 * SECOND);
}

#[test]
fn a_stripe_that_one_side_closes_costs_a_resend() {
    survives(Fault::Close { by: Side::Client }, 2 * SECOND);
    survives(Fault::Close { by: Side::Server }, 2 * SECOND);
}

#[test]
fn a_silent_stripe_is_found_out() {
    survives(Fault::Forget { from: [true, true] }, 3 * SECOND);
}

#[test]
fn a_stripe_that_is_silent_in_one_direction_is_found_out() {
    survives(Fault::Forget { from: [true, false] }, 3 * SECOND);
    survives(Fault::Forget { from: [false, true] }, 3 * SECOND);
}

#[test]
fn a_route_that_goes_silent_and_comes_back_is_used_again() {
    let mut world = world(2);
    world.fault(2 * SECOND, 0, Fault::Silence { from: [true, true] });
    world.fault(10 * SECOND, 0, Fault::Heal);
    let flow = world.open(FlowPlan::upload(SECOND, 40 << 20));
    assert!(world.run_to_end(35 * SECOND), "{:#?}", world.flow(flow));
    assert!(world.flow(flow).is_complete());
}

#[test]
fn when_all_stripes_die_and_return_nothing_is_lost() {
    for told in [Told::Both, Told::Only(Side::Client), Told::Only(Side::Server)] {
        let mut world = world(4);
        let flow = world.open(FlowPlan::both_ways(SECOND, 4 << 20));
        for route in 0..4 {
            world.fault(SECOND * 3 / 2, route, Fault::Silence { from: [true, true] });
            world.fault(SECOND * 3 / 2, route, Fault::Reset { told });
            world.fault(30 * SECOND, route, Fault::Heal);
        }
        assert!(!world.run_to_end(29 * SECOND));
        assert!(world.run_to_end(40 * SECOND), "{:#?}", world.flow(flow));
        assert!(world.flow(flow).is_complete());
    }
}

#[test]
fn when_all_stripes_fall_silent_and_return_nothing_is_lost() {
    let mut world = world(4);
    let flow = world.open(FlowPlan::both_ways(SECOND, 4 << 20));
    for route in 0..4 {
        world.fault(SECOND * 3 / 2, route, Fault::Silence { from: [true, true] });
        world.fault(30 * SECOND, route, Fault::Heal);
    }
    assert!(world.run_to_end(45 * SECOND), "{:#?}", world.flow(flow));
    assert!(world.flow(flow).is_complete());
}

#[test]
fn when_no_stripe_comes_back_flows_are_reset_and_never_finished() {
    let mut world = world(4);
    let flow = world.open(FlowPlan::both_ways(SECOND, 4 << 20));
    for route in 0..4 {
        world.fault(SECOND * 3 / 2, route, Fault::Silence { from: [true, true] });
        world.fault(SECOND * 3 / 2, route, Fault::Reset { told: Told::Both });
    }
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
    assert!(world.run_to_end(40 * SECOND), "{:#?}", world.flow(flow));
    assert!(world.flow(flow).is_complete());
    assert!(world.stats(Side::Client).stripes_lost >= 30);
}

#[test]
fn dials_that_are_refused_are_tried_again() {
    let mut world = world(2);
    world.fault(0, 0, Fault::RefuseDials(5));
    world.fault(0, 1, Fault::RefuseDials(5));
    let flow = world.open(FlowPlan::both_ways(0, 100_000));
    assert!(world.run_to_end(5 * SECOND), "{:#?}", world.flow(flow));
    assert!(world.flow(flow).is_complete());
}

#[test]
fn a_stripe_that_joins_late_is_used() {
    let mut world = world(2);
    world.fault(0, 1, Fault::Silence { from: [true, true] });
    world.fault(4 * SECOND, 1, Fault::Heal);
    let flow = world.open(FlowPlan::upload(SECOND, 20 << 20));
    // One stripe alone would take 16.8 s.
    assert!(world.run_to_end(13 * SECOND), "{:#?}", world.flow(flow));
    assert!(world.flow(flow).is_complete());
}

#[test]
fn an_idle_session_notices_a_dead_stripe_and_replaces_it() {
    let mut world = world(2);
    world.fault(5 * SECOND, 0, Fault::Forget { from: [true, true] });
    world.run_until(60 * SECOND);
    assert_eq!(world.stats(Side::Client).stripes_lost, 1);
    let flow = world.open(FlowPlan::both_ways(60 * SECOND, 1 << 20));
    assert!(world.run_to_end(62 * SECOND));
    assert!(world.flow(flow).is_complete());
}
