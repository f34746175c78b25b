//! The production driver, server and bridge in virtual time: random worlds, and one kind of fault
//! at a time.
//!
//! `cargo run --release -p sim -- drive --seeds A..B` runs as many worlds as one likes.

use sim::{
    LinkSpec, Rate,
    driver::draw::{Action, FlowPlan, Scenario},
    driver::kind::FaultKind,
    driver::net::{Break, CLIENT, SERVER},
    driver::world::{self, Outcome, World},
};
use std::time::Duration;

const SECOND: u64 = 1_000_000;

#[test]
fn random_worlds_of_the_production_driver_hold_all_that_is_promised() {
    for seed in 0..250 {
        world::run(seed);
    }
}

#[test]
fn a_random_world_of_the_production_driver_runs_the_same_way_twice() {
    for seed in 1_000..1_010 {
        let once = world::run(seed);
        // Real time must not matter.
        std::thread::sleep(Duration::from_millis(seed % 7));
        assert_eq!(once, world::run(seed));
    }
}

/// Four stripes of 20 Mbit/s with 10 ms one way on two routes, and a flow of 1 MB each way that
/// begins after a second; the transfer takes some 150 ms.
fn calm() -> Scenario {
    let mut scenario = Scenario::with_kinds(1, Vec::new());
    let spec = LinkSpec::new(Rate::mbit(20), Duration::from_millis(10));
    scenario.routes = vec![[spec.clone(), spec.clone()], [spec.clone(), spec]];
    scenario.configs = Default::default();
    (scenario.spurious, scenario.cpu) = (100, Duration::from_micros(1));
    scenario.flows = vec![FlowPlan::both_ways(SECOND, 1_000_000)];
    scenario
}

/// That, with one fault in the middle of the transfer.
fn with(kinds: &[FaultKind], faults: impl IntoIterator<Item = Action>) -> Outcome {
    let mut scenario = calm();
    scenario.kinds = kinds.to_vec();
    scenario.script.extend(faults.into_iter().map(|fault| (SECOND + 100_000, fault)));
    World::new(scenario).run()
}

/// The flow and the later proof that all still works.
fn both_complete(outcome: &Outcome) {
    assert_eq!((outcome.flows, outcome.complete, outcome.bytes), (2, 2, 2 * 1_000_000 + 2 * 5_000));
}

fn took_effect(outcome: &Outcome, kind: FaultKind) {
    assert!(outcome.effects.contains_key(&kind), "no {kind:?} in {:?}", outcome.effects);
}

#[test]
fn without_faults_no_stripe_is_lost() {
    let outcome = with(&[], []);
    both_complete(&outcome);
    assert_eq!((outcome.stripes_lost, outcome.effects.len()), ([0, 0], 0));
}

#[test]
fn reset_stripes_cost_a_resend() {
    let how = Break::Reset([true; 2]);
    let outcome = with(&[FaultKind::Reset], [Action::Break { route: 0, all: true, how }]);
    both_complete(&outcome);
    took_effect(&outcome, FaultKind::Reset);
    assert_eq!(outcome.stripes_lost, [2, 2]);
}

#[test]
fn a_reset_of_all_stripes_with_bytes_unread_costs_a_resend() {
    let fault = |route| Action::Break { route, all: true, how: Break::Reset([true; 2]) };
    let outcome = with(&[FaultKind::Reset], [fault(0), fault(1)]);
    both_complete(&outcome);
    assert_eq!(outcome.stripes_lost, [4, 4]);
}

#[test]
fn a_stripe_that_breaks_within_its_first_bytes_is_dialled_again() {
    for after in [1, 2, 8, 30, 40, 45, 60, 100, 1_000, 20_000] {
        for how in [
            Break::Reset([true; 2]),
            Break::Reset([true, false]),
            Break::Reset([false, true]),
            Break::Fin,
            Break::Forget([true; 2]),
        ] {
            let mut scenario = calm();
            scenario.kinds = vec![FaultKind::ResetAfter];
            // When the first stripes come about.
            scenario.script.push((0, Action::Cut { route: 0, after, how }));
            let outcome = World::new(scenario).run();
            both_complete(&outcome);
        }
    }
}

#[test]
fn a_stripe_that_ends_with_a_fin_in_mid_frame_ends_no_flow() {
    let outcome =
        with(&[FaultKind::FinMidFrame], [Action::Break { route: 0, all: true, how: Break::Fin }]);
    both_complete(&outcome);
    took_effect(&outcome, FaultKind::FinMidFrame);
}

#[test]
fn silent_stripes_are_found_out_and_replaced() {
    for from in [[true, true], [true, false], [false, true]] {
        let fault = Action::Break { route: 0, all: true, how: Break::Forget(from) };
        let outcome = with(&[FaultKind::Forget], [fault]);
        both_complete(&outcome);
        assert_eq!(outcome.stripes_lost, [2, 2]);
    }
}

#[test]
fn routes_that_carry_nothing_until_later_are_waited_for() {
    for from in [[true, true], [true, false], [false, true]] {
        let faults = (0..2).map(|route| Action::Silence { route, from });
        both_complete(&with(&[FaultKind::Silence], faults));
    }
}

#[test]
fn a_stall_of_one_second_costs_no_stripe() {
    let mut scenario = calm();
    scenario.kinds = vec![FaultKind::Stall];
    for route in 0..2 {
        scenario.script.push((SECOND + 100_000, Action::Silence { route, from: [true; 2] }));
        scenario.script.push((2 * SECOND, Action::Clear { route }));
    }
    let outcome = World::new(scenario).run();
    both_complete(&outcome);
    assert_eq!(outcome.stripes_lost, [0, 0]);
}

#[test]
fn a_reset_that_only_one_side_sees_is_found_out_by_the_other() {
    for told in [[true, false], [false, true]] {
        let fault = Action::Break { route: 0, all: true, how: Break::Reset(told) };
        let outcome = with(&[FaultKind::HalfDead], [fault]);
        both_complete(&outcome);
        assert_eq!(outcome.stripes_lost, [2, 2]);
    }
}

#[test]
fn refused_dials_are_tried_again_until_one_is_taken() {
    let reset = |route| Action::Break { route, all: true, how: Break::Reset([true; 2]) };
    let refuse = |route| Action::Refuse { route, count: 5 };
    let outcome = with(&[FaultKind::Refuse], [refuse(0), refuse(1), reset(0), reset(1)]);
    both_complete(&outcome);
    assert_eq!(outcome.effects[&FaultKind::Refuse], 10);
}

#[test]
fn stripes_that_are_accepted_and_closed_are_dialled_again() {
    let reset = |route| Action::Break { route, all: true, how: Break::Reset([true; 2]) };
    let close = |route| Action::AcceptClose { route, count: 5 };
    let outcome = with(&[FaultKind::AcceptClose], [close(0), close(1), reset(0), reset(1)]);
    both_complete(&outcome);
    assert_eq!(outcome.effects[&FaultKind::AcceptClose], 10);
}

#[test]
fn strangers_at_the_stripe_port_harm_nobody_and_are_sent_away() {
    use sim::driver::draw::Manner::*;
    let strangers = [Garbage, Newer, Slow, Mute, Lost, Gone]
        .map(|manner| Action::Stranger { route: 0, manner });
    let outcome = with(&[FaultKind::Stranger], strangers);
    both_complete(&outcome);
    assert_eq!(outcome.stripes_lost, [0, 0]);
}

#[test]
fn flows_of_a_process_that_ends_are_reset_and_new_ones_work() {
    for process in [CLIENT, SERVER] {
        for mute in [false, true] {
            let kind = if mute { FaultKind::Crash } else { FaultKind::ServerRestart };
            let outcome =
                with(&[kind], [Action::Restart { process, down: Duration::from_secs(1), mute }]);
            assert_eq!((outcome.flows, outcome.complete), (2, 1));
        }
    }
}

/// An upload of 4 MB that takes some 400 ms, in whose midst a process stands still; polls take
/// time, so that after it much is read before the rest has been looked at. The server sends nothing
/// of its own.
fn paused(process: usize, step: u64, time: Duration) -> World {
    let mut scenario = calm();
    scenario.kinds = vec![FaultKind::Pause];
    scenario.cpu = Duration::from_micros(200);
    (scenario.flows[0].programs[0].bytes, scenario.flows[0].programs[1].bytes) = (4_000_000, 0);
    scenario.flows[0].programs[1].answers = true;
    // At many moments: in some the driver has something to do and goes on with that before it can
    // look.
    scenario.script.push((SECOND + 80_000 + 5_003 * step, Action::Pause { process, time }));
    World::new(scenario)
}

#[test]
fn what_came_while_a_process_stood_still_is_heard_before_anything_is_given_up() {
    for step in 0..40 {
        // All that the client waits for has come when it goes on.
        let outcome = paused(CLIENT, step, Duration::from_secs(7)).run();
        assert_eq!((outcome.complete, outcome.stripes_lost), (2, [0, 0]), "step {step}");
    }
}

#[test]
fn a_pause_below_the_stall_limit_costs_no_stripe_on_either_side() {
    for process in [CLIENT, SERVER] {
        for step in 0..20 {
            let time = Duration::from_millis(500 + 150 * step);
            let outcome = paused(process, step, time).run();
            assert_eq!(
                (outcome.complete, outcome.stripes_lost),
                (2, [0, 0]),
                "{process}, {time:?}"
            );
        }
    }
}

#[test]
fn a_transfer_is_over_soon_after_a_pause_of_half_a_minute() {
    for process in [CLIENT, SERVER] {
        for step in 0..10 {
            // The other side gives its stripes up meanwhile.
            let outcome = paused(process, 5 * step, Duration::from_secs(30)).run();
            let end = SECOND + 80_000 + 25_015 * step + 30 * SECOND;
            let over = outcome.over_at[0].map(|at| at.expect("a flow that is over") - end);
            // The rest of the transfer takes 400 ms, and the longest wait between dials while flows
            // wait is a second.
            assert!(
                over.iter().all(|after| *after < 2 * SECOND),
                "{process}, step {step}: {over:?} µs"
            );
            assert_eq!(outcome.complete, 2);
        }
    }
}

#[test]
fn a_process_that_stood_still_for_ten_minutes_works_again() {
    for process in [CLIENT, SERVER] {
        let outcome =
            with(&[FaultKind::Pause], [Action::Pause { process, time: Duration::from_secs(600) }]);
        assert!(outcome.complete >= 1);
    }
}

#[test]
fn a_clock_that_jumps_forward_breaks_nothing() {
    for process in [CLIENT, SERVER] {
        for by in [1, 30, 600].map(Duration::from_secs) {
            let outcome = with(&[FaultKind::ClockJump], [Action::Jump { process, by }]);
            both_complete(&outcome);
        }
    }
}

#[test]
fn a_connection_asked_for_as_its_session_ends_is_not_forgotten() {
    // The first stripe comes up with the server's farewell right behind its HELLO.
    world::run(15_032);
}

#[test]
fn a_program_that_breaks_off_breaks_its_flow_alone() {
    for side in 0..2 {
        let mut scenario = calm();
        scenario.flows.push(FlowPlan::both_ways(SECOND, 1_000_000));
        scenario.flows[0].programs[side].reset_at = Some(SECOND + 100_000);
        let outcome = World::new(scenario).run();
        assert_eq!((outcome.flows, outcome.complete), (3, 2));
    }
}

#[test]
fn a_reset_is_noticed_within_a_second_while_the_other_end_reads_nothing() {
    for side in 0..2 {
        let mut scenario = calm();
        scenario.kinds = vec![FaultKind::LocalReset];
        // More than every buffer on the way takes.
        scenario.flows[0].programs[side].bytes = 100_000_000;
        scenario.flows[0].programs[side].reset_at = Some(5 * SECOND);
        scenario.flows[0].programs[1 - side].stop_after = Some(0);
        let outcome = World::new(scenario).run();
        let noticed = outcome.broken_at[0][1 - side].expect("the reset is passed on");
        // Beside the time for the way, earlier bytes are given up to a second.
        assert!((5 * SECOND..=6_200_000).contains(&noticed), "noticed at {noticed} µs");
    }
}

#[test]
fn a_refused_target_refuses_its_flow_alone() {
    let mut scenario = calm();
    scenario.flows.push(FlowPlan::both_ways(SECOND, 1_000_000));
    scenario.flows[0].refused = true;
    let outcome = World::new(scenario).run();
    assert_eq!((outcome.flows, outcome.complete), (3, 2));
    took_effect(&outcome, FaultKind::TargetRefused);
}

#[test]
fn a_proxy_that_drains_lets_its_flows_end() {
    for process in [CLIENT, SERVER] {
        let outcome = with(
            &[FaultKind::Shutdown],
            [Action::Shutdown { process, drain: Duration::from_secs(5) }],
        );
        both_complete(&outcome);
    }
}

#[test]
fn a_proxy_that_has_no_time_to_drain_resets_its_flows() {
    for process in [CLIENT, SERVER] {
        let outcome = with(
            &[FaultKind::Shutdown],
            [Action::Shutdown { process, drain: Duration::from_micros(1) }],
        );
        assert_eq!((outcome.flows, outcome.complete), (2, 1));
    }
}

#[test]
fn dials_without_file_descriptors_are_tried_again() {
    let reset = |route| Action::Break { route, all: true, how: Break::Reset([true; 2]) };
    let none = Action::NoFiles { process: CLIENT, accept: 0, count: 5 };
    let outcome = with(&[FaultKind::DialNoFiles], [none, reset(0), reset(1)]);
    both_complete(&outcome);
    assert_eq!(outcome.effects[&FaultKind::DialNoFiles], 5);
}

#[test]
fn a_server_without_file_descriptors_goes_on_accepting_later() {
    let reset = |route| Action::Break { route, all: true, how: Break::Reset([true; 2]) };
    let none = Action::NoFiles { process: SERVER, accept: 1, count: 5 };
    let outcome = with(&[FaultKind::AcceptNoFiles], [none, reset(0), reset(1)]);
    both_complete(&outcome);
    assert_eq!(outcome.effects[&FaultKind::AcceptNoFiles], 5);
}

/// After each break of all stripes the server side accepts none of the new ones before it has
/// failed so many times.
#[test]
fn however_often_accepting_fails_for_want_of_file_descriptors_nothing_is_lost() {
    let reset = |route| Action::Break { route, all: true, how: Break::Reset([true; 2]) };
    for count in (1..=200).step_by(13) {
        let none = Action::NoFiles { process: SERVER, accept: 1, count };
        let outcome = with(&[FaultKind::AcceptNoFiles], [none, reset(0), reset(1)]);
        both_complete(&outcome);
        assert_eq!(outcome.effects[&FaultKind::AcceptNoFiles], u64::from(count), "{count}");
    }
}

/// The target of one flow can't be dialled: that one is refused, and the transfer under way loses
/// nothing.
#[test]
fn however_often_dialling_targets_fails_for_want_of_file_descriptors_only_those_flows_are_refused()
{
    for count in (1..=60).step_by(7) {
        let none = Action::NoFiles { process: SERVER, accept: 0, count };
        let mut scenario = calm();
        scenario.kinds = vec![FaultKind::DialNoFiles];
        scenario.script.push((SECOND + 100_000, none));
        let later = |number: u64| FlowPlan::both_ways(SECOND + 150_000 + number * 1_000, 20_000);
        scenario.flows.extend((0..80).map(later));
        let outcome = World::new(scenario).run();
        let refused = outcome.flows - outcome.complete;
        assert_eq!((outcome.flows, refused), (82, u64::from(count)), "{count}");
        assert_eq!(outcome.effects[&FaultKind::DialNoFiles], u64::from(count), "{count}");
    }
}

#[test]
fn lost_packets_are_no_more_than_slow() {
    let mut scenario = calm();
    scenario.kinds = vec![FaultKind::Loss];
    scenario.routes.iter_mut().flatten().for_each(|spec| spec.loss = 10_000);
    both_complete(&World::new(scenario).run());
}

#[test]
fn a_reader_of_single_bytes_and_one_that_stops_block_nobody_else() {
    let mut scenario = calm();
    scenario.kinds = vec![FaultKind::SlowReader];
    scenario.flows.push(FlowPlan::both_ways(SECOND, 1_000_000));
    scenario.flows.push(FlowPlan::both_ways(SECOND, 1_000_000));
    (scenario.flows[0].programs[1].read, scenario.flows[0].programs[1].read_pause) =
        (1, Duration::from_millis(1));
    scenario.flows[1].programs[0].stop_after = Some(0);
    let outcome = World::new(scenario).run();
    assert_eq!((outcome.flows, outcome.complete, outcome.stripes_lost), (4, 4, [0, 0]));
}

#[test]
fn the_library_s_flows_and_the_bridge_carry_what_the_pump_carries() {
    for bridged in [[true, false], [false, true], [true, true]] {
        let mut scenario = calm();
        scenario.flows[0].bridged = bridged;
        both_complete(&World::new(scenario).run());
    }
}

#[test]
fn a_route_that_becomes_a_hundred_times_slower_is_left_for_the_others() {
    let slow = LinkSpec::new(Rate::bits(200_000), Duration::from_millis(100));
    let fault = Action::Change { route: 0, specs: Box::new([slow.clone(), slow]) };
    both_complete(&with(&[FaultKind::Change], [fault]));
}
