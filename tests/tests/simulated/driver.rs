//! The production driver, server and bridge in virtual time: random worlds, and one kind of fault
//! at a time.
//!
//! `cargo run --release -p sim -- drive --seeds A..B` runs more worlds.

use sim::{
    LinkSpec, Rate,
    driver::draw::{Action, Answer, FlowPlan, Naming, RequestPlan, ReversePlan, Scenario},
    driver::kind::FaultKind,
    driver::net::{Break, CLIENT, SERVER},
    driver::program::Reach,
    driver::world::{self, Outcome, World},
};
use std::time::Duration;
use striper_core::Reason;
use striper_runtime::{Cut, FlowEnd};

const SECOND: u64 = 1_000_000;

#[test]
fn random_worlds_of_the_production_driver_hold_all_oracles() {
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

/// Four stripes of 20 Mbit/s with 10 ms one way on two routes. A flow of 1 MB each way begins after
/// a second and takes some 150 ms.
fn calm() -> Scenario {
    let mut scenario = Scenario::with_kinds(1, Vec::new());
    let spec = LinkSpec::new(Rate::mbit(20), Duration::from_millis(10));
    scenario.routes = vec![[spec.clone(), spec.clone()], [spec.clone(), spec]];
    scenario.configs = Default::default();
    (scenario.spurious, scenario.cpu) = (100, Duration::from_micros(1));
    // Sockets with little room would carry a few hundred kilobytes a second.
    scenario.cuts.buffer = 64 << 10;
    scenario.flows = vec![FlowPlan::both_ways(SECOND, 1_000_000)];
    scenario
}

const MIDWAY: u64 = SECOND + 100_000;

fn with(kind: FaultKind, faults: impl IntoIterator<Item = Action>) -> Outcome {
    let mut scenario = calm();
    scenario.kinds = vec![kind];
    scenario.script.extend(faults.into_iter().map(|fault| (MIDWAY, fault)));
    World::new(scenario).run()
}

/// The flow and the later proof that all still works.
fn both_complete(outcome: &Outcome) {
    assert_eq!((outcome.flows, outcome.complete, outcome.bytes), (2, 2, 2 * 1_000_000 + 2 * 5_000));
}

fn break_route(route: usize, how: Break) -> Action {
    Action::Break { route, all: true, how }
}

fn reset(route: usize) -> Action {
    break_route(route, Break::Reset([true; 2]))
}

const DIRECTIONS: [[bool; 2]; 3] = [[true, true], [true, false], [false, true]];

#[test]
fn without_faults_no_stripe_is_lost() {
    let outcome = World::new(calm()).run();
    both_complete(&outcome);
    assert_eq!((outcome.stripes_lost, outcome.effects.len()), ([0, 0], 0));
}

/// The number of stripes that each side loses, and how often the fault has its effect.
fn survives(
    kind: FaultKind,
    faults: impl IntoIterator<Item = Action>,
    lost: Option<u64>,
    effects: Option<u64>,
) {
    let outcome = with(kind, faults);
    both_complete(&outcome);
    if let Some(lost) = lost {
        assert_eq!(outcome.stripes_lost, [lost, lost], "{kind:?}");
    }
    if let Some(effects) = effects {
        assert_eq!(outcome.effects.get(&kind), Some(&effects), "{kind:?}");
    }
}

#[test]
fn reset_stripes_cost_retransmissions() {
    let outcome = with(FaultKind::Reset, [reset(0)]);
    both_complete(&outcome);
    assert!(outcome.effects.contains_key(&FaultKind::Reset), "{:?}", outcome.effects);
    assert_eq!(outcome.stripes_lost, [2, 2]);
    // All of them, with bytes unread.
    survives(FaultKind::Reset, [reset(0), reset(1)], Some(4), None);
    for told in [[true, false], [false, true]] {
        survives(FaultKind::HalfDead, [break_route(0, Break::Reset(told))], Some(2), None);
    }
}

#[test]
fn silent_stripes_are_found_out_and_silent_routes_are_waited_for() {
    for from in DIRECTIONS {
        survives(FaultKind::Forget, [break_route(0, Break::Forget(from))], Some(2), None);
        let faults = (0..2).map(|route| Action::Silence { route, from });
        survives(FaultKind::Silence, faults, None, None);
    }
}

#[test]
fn failed_dials_and_accepts_are_tried_again() {
    let resets = [reset(0), reset(1)];
    let each = |fault: fn(usize) -> Action| [fault(0), fault(1)].into_iter().chain(resets.clone());
    let refuse = each(|route| Action::Refuse { route, count: 5 });
    survives(FaultKind::Refuse, refuse, None, Some(10));
    let close = each(|route| Action::AcceptClose { route, count: 5 });
    survives(FaultKind::AcceptClose, close, None, Some(10));
    let none = Action::NoFiles { process: CLIENT, accept: 0, count: 5 };
    survives(FaultKind::DialNoFiles, [none].into_iter().chain(resets.clone()), None, Some(5));
    // After each break, the server accepts no new stripe before it has failed so many times.
    for count in (1..=200).step_by(13) {
        let none = Action::NoFiles { process: SERVER, accept: 1, count };
        let faults = [none].into_iter().chain(resets.clone());
        survives(FaultKind::AcceptNoFiles, faults, None, Some(count.into()));
    }
}

#[test]
fn a_stripe_that_ends_with_a_fin_in_mid_frame_ends_no_flow() {
    let outcome = with(FaultKind::FinMidFrame, [break_route(0, Break::Fin)]);
    both_complete(&outcome);
    assert!(outcome.effects.contains_key(&FaultKind::FinMidFrame), "{:?}", outcome.effects);
}

#[test]
fn strangers_at_the_stripe_port_harm_no_flow_and_are_refused() {
    use sim::driver::draw::Manner::*;
    let strangers = [Garbage, Newer, Slow, Mute, Lost, Gone];
    let strangers = strangers.map(|manner| Action::Stranger { route: 0, manner });
    survives(FaultKind::Stranger, strangers, Some(0), None);
}

#[test]
fn a_clock_that_jumps_and_a_route_that_becomes_slow_break_nothing() {
    for process in [CLIENT, SERVER] {
        for by in [1, 30, 600].map(Duration::from_secs) {
            survives(FaultKind::ClockJump, [Action::Jump { process, by }], None, None);
        }
    }
    let slow = LinkSpec::new(Rate::bits(200_000), Duration::from_millis(100));
    let fault = Action::Change { route: 0, specs: Box::new([slow.clone(), slow]) };
    survives(FaultKind::Change, [fault], None, None);
}

#[test]
fn a_proxy_that_drains_lets_its_flows_end_and_resets_them_without_time() {
    for process in [CLIENT, SERVER] {
        let shutdown = |drain| [Action::Shutdown { process, drain }];
        survives(FaultKind::Shutdown, shutdown(Duration::from_secs(5)), None, None);
        let outcome = with(FaultKind::Shutdown, shutdown(Duration::from_micros(1)));
        assert_eq!((outcome.flows, outcome.complete), (2, 1));
    }
}

#[test]
fn a_proxy_that_stops_waits_no_longer_than_it_may_for_a_program_that_reads_nothing() {
    for process in [CLIENT, SERVER] {
        let mut scenario = calm();
        scenario.kinds = vec![FaultKind::Shutdown];
        let [client, server] = &mut scenario.flows[0].programs;
        let [reader, other] = if process == CLIENT { [client, server] } else { [server, client] };
        // All has arrived at its proxy, and is more than its socket takes.
        (other.bytes, reader.bytes, reader.stop_after) = (200_000, 1, Some(0));
        let drain = SECONDS(1);
        scenario.script.push((2 * SECOND, Action::Shutdown { process, drain }));
        let outcome = World::new(scenario).run();
        assert_eq!((outcome.flows, outcome.complete), (2, 1), "{process}");
        assert_eq!(outcome.ends[0][process], Some(FlowEnd::Cut(Cut::Stopped)));
        assert_eq!(outcome.ends[0][1 - process], Some(FlowEnd::Finished));
    }
}

#[test]
fn a_flow_that_is_done_only_as_its_session_is_stopped_is_not_waited_for() {
    // All of its bytes have arrived, and its program reads none.
    world::run(18_219);
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
fn a_stall_of_one_second_costs_no_stripe() {
    let mut scenario = calm();
    scenario.kinds = vec![FaultKind::Stall];
    for route in 0..2 {
        scenario.script.push((MIDWAY, Action::Silence { route, from: [true; 2] }));
        scenario.script.push((2 * SECOND, Action::Clear { route }));
    }
    let outcome = World::new(scenario).run();
    both_complete(&outcome);
    assert_eq!(outcome.stripes_lost, [0, 0]);
}

#[test]
fn flows_of_a_process_that_ends_are_reset_and_new_ones_work() {
    for process in [CLIENT, SERVER] {
        for mute in [false, true] {
            let kind = if mute { FaultKind::Crash } else { FaultKind::ServerRestart };
            let outcome =
                with(kind, [Action::Restart { process, down: Duration::from_secs(1), mute }]);
            assert_eq!((outcome.flows, outcome.complete), (2, 1));
        }
    }
}

/// An upload of 4 MB that takes some 400 ms, with a process that stands still midway. Polls take
/// time, so after the pause much is read before the rest is looked at. The server sends no data.
fn paused(process: usize, step: u64, time: Duration) -> World {
    let mut scenario = calm();
    scenario.kinds = vec![FaultKind::Pause];
    scenario.cpu = Duration::from_micros(200);
    (scenario.flows[0].programs[0].bytes, scenario.flows[0].programs[1].bytes) = (4_000_000, 0);
    scenario.flows[0].programs[1].answers = true;
    // At many moments: at some of them, the driver has other work to finish first.
    scenario.script.push((SECOND + 80_000 + 5_003 * step, Action::Pause { process, time }));
    World::new(scenario)
}

#[test]
fn bytes_that_came_during_a_pause_are_read_before_a_stripe_is_given_up() {
    for step in 0..40 {
        // When the client goes on, all bytes that it waits for have come.
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
            let counts = (outcome.complete, outcome.stripes_lost);
            assert_eq!(counts, (2, [0, 0]), "{process}, {time:?}");
        }
    }
}

#[test]
fn a_transfer_is_over_soon_after_a_pause_of_half_a_minute() {
    for process in [CLIENT, SERVER] {
        for step in 0..10 {
            // The peer gives its stripes up meanwhile.
            let outcome = paused(process, 5 * step, Duration::from_secs(30)).run();
            let end = SECOND + 80_000 + 25_015 * step + 30 * SECOND;
            let over = outcome.over_at[0].map(|at| at.expect("a flow that is over") - end);
            // The rest of the transfer takes 400 ms. With waiting flows, dials are at most a second
            // apart.
            let is_soon = over.iter().all(|after| *after < 2 * SECOND);
            assert!(is_soon, "{process}, step {step}: {over:?} µs");
            assert_eq!(outcome.complete, 2);
        }
    }
}

#[test]
fn a_process_that_stood_still_for_ten_minutes_works_again() {
    for process in [CLIENT, SERVER] {
        let outcome =
            with(FaultKind::Pause, [Action::Pause { process, time: Duration::from_secs(600) }]);
        assert!(outcome.complete >= 1);
    }
}

#[test]
fn a_connection_asked_for_as_its_session_ends_is_not_forgotten() {
    // If what the session was asked for gets no answer, this world never ends.
    world::run(2_206);
}

#[test]
fn a_program_that_resets_breaks_only_its_own_flow() {
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
        // Earlier bytes get up to a second to be read.
        assert!((5 * SECOND..=6_200_000).contains(&noticed), "noticed at {noticed} µs");
    }
}

#[test]
fn a_refused_target_refuses_only_its_own_flow() {
    let mut scenario = calm();
    scenario.flows.push(FlowPlan::both_ways(SECOND, 1_000_000));
    scenario.flows[0].answer = Answer::Refuses;
    let outcome = World::new(scenario).run();
    assert_eq!((outcome.flows, outcome.complete), (3, 2));
    assert!(outcome.effects.contains_key(&FaultKind::TargetRefused), "{:?}", outcome.effects);
}

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

/// A request with 1,000 early bytes that waits for its answer.
fn request(patience: Option<Duration>) -> Option<RequestPlan> {
    Some(RequestPlan { early: 1_000, waits: true, dawdle: Duration::ZERO, patience })
}

/// Flows whose targets answer like this, named in every way and opened in two.
fn to(answer: Answer) -> Outcome {
    let mut scenario = calm();
    scenario.flows.clear();
    for naming in [Naming::Own, Naming::Host, Naming::Address, Naming::Unix] {
        for request in [None, request(None)] {
            if naming == Naming::Own && request.is_some() {
                continue;
            }
            let plan = FlowPlan::both_ways(SECOND, 20_000);
            scenario.flows.push(FlowPlan { naming, answer, request, ..plan });
        }
    }
    World::new(scenario).run()
}

fn client_ends(outcome: &Outcome) -> Vec<Option<FlowEnd>> {
    outcome.ends[..7].iter().map(|[client, _]| client.clone()).collect()
}

#[test]
fn each_kind_of_target_decides_how_its_flows_end() {
    for (answer, end) in [
        (Answer::Accepts, FlowEnd::Finished),
        (Answer::Denied, FlowEnd::Refused(Reason::NotAllowed)),
        (Answer::Refuses, FlowEnd::Refused(Reason::ConnectionRefused)),
        (Answer::Unanswered, FlowEnd::Refused(Reason::Unavailable)),
        (Answer::Never, FlowEnd::Refused(Reason::TimedOut)),
        (Answer::Late(9 * SECOND), FlowEnd::Finished),
        (Answer::Late(11 * SECOND), FlowEnd::Refused(Reason::TimedOut)),
    ] {
        let outcome = to(answer);
        assert_eq!(client_ends(&outcome), vec![Some(end.clone()); 7], "{answer:?}");
        let complete = if end == FlowEnd::Finished { 8 } else { 1 };
        assert_eq!((outcome.flows, outcome.complete), (8, complete), "{answer:?}");
    }
}

#[test]
fn a_request_that_is_dropped_calls_the_dial_of_its_target_off() {
    let mut scenario = calm();
    let plan = FlowPlan::both_ways(SECOND, 20_000);
    for patience in [SECONDS(1), SECONDS(11)] {
        let (answer, request) = (Answer::Never, request(Some(patience)));
        scenario.flows.push(FlowPlan { answer, request, ..plan.clone() });
    }
    let outcome = World::new(scenario).run();
    let timed_out = FlowEnd::Refused(Reason::TimedOut);
    assert_eq!((&outcome.reached[1], &outcome.ends[1]), (&Reach::Unwanted, &[None, None]));
    assert_eq!(outcome.ends[2], [Some(timed_out), None], "the target's time was over first");
}

/// A flow from the server's side, and the later proofs that both sides work.
fn reverse(lives: [Option<Duration>; 2], faults: impl IntoIterator<Item = Action>) -> Outcome {
    let mut scenario = calm();
    scenario.flows[0].reverse = Some(ReversePlan { lives });
    scenario.script.extend(faults.into_iter().map(|fault| (MIDWAY, fault)));
    World::new(scenario).run()
}

#[test]
fn connections_to_a_listener_of_the_server_arrive_at_the_client() {
    let outcome = reverse([None; 2], []);
    assert_eq!((outcome.flows, outcome.complete, outcome.listened[0]), (3, 3, 1));
    assert_eq!(outcome.reached, [Reach::Reached, Reach::Reached, Reach::Reached]);
}

#[test]
fn a_listener_that_either_side_drops_comes_back_and_its_flow_goes_on() {
    for lives in [[Some(SECONDS(2)), None], [None, Some(SECONDS(2))]] {
        let outcome = reverse(lives, []);
        assert_eq!(outcome.complete, 3);
        assert!(outcome.listened[0] > 3, "it came {} times", outcome.listened[0]);
    }
}

#[test]
fn a_listener_is_back_in_the_next_session() {
    for process in [CLIENT, SERVER] {
        for mute in [false, true] {
            let down = SECONDS(1);
            let outcome = reverse([None; 2], [Action::Restart { process, down, mute }]);
            assert_eq!((outcome.complete, outcome.listened[0]), (2, 2), "{process} {mute}");
        }
    }
}

#[test]
fn only_flows_whose_target_can_not_be_dialled_are_refused() {
    for count in (1..=60).step_by(7) {
        let none = Action::NoFiles { process: SERVER, accept: 0, count };
        let mut scenario = calm();
        scenario.kinds = vec![FaultKind::DialNoFiles];
        scenario.script.push((MIDWAY, none));
        let later = |number: u64| FlowPlan::both_ways(SECOND + 150_000 + number * 1_000, 20_000);
        scenario.flows.extend((0..80).map(later));
        let outcome = World::new(scenario).run();
        let refused = outcome.flows - outcome.complete;
        assert_eq!((outcome.flows, refused), (82, u64::from(count)), "{count}");
        assert_eq!(outcome.effects[&FaultKind::DialNoFiles], u64::from(count), "{count}");
    }
}

#[test]
fn lost_packets_only_cost_time() {
    let mut scenario = calm();
    scenario.kinds = vec![FaultKind::Loss];
    scenario.routes.iter_mut().flatten().for_each(|spec| spec.loss = 10_000);
    both_complete(&World::new(scenario).run());
}

#[test]
fn slow_and_stopped_readers_block_no_other_flow() {
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
fn the_librarys_flows_and_the_bridge_carry_the_same_as_the_pump() {
    for bridged in [[true, false], [false, true], [true, true]] {
        let mut scenario = calm();
        scenario.flows[0].bridged = bridged;
        both_complete(&World::new(scenario).run());
    }
}
