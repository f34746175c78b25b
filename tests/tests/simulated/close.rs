//! Ends of flows: half-close, reset, refusal, the end of the session. Each arrives unchanged at the
//! other side.

use sim::{
    Answer, Checks, EndState, Ending, FlowPlan, Rate, ReadPlan, SendPlan, Setup, Side, Start, World,
};
use std::time::Duration;
use striper_core::{EndReason, Input, Reason};

const SECOND: u64 = 1_000_000;

fn world() -> World {
    let mut setup = Setup::capped(1, &[10, 5, 2].map(Rate::mbit), Duration::from_millis(20));
    setup.checks = Checks::Thinning;
    setup.routes.iter_mut().flatten().for_each(|link| link.choppy = true);
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    setup.repeat = format!("cargo test -p striper-tests --test simulated {test}");
    World::new(setup)
}

/// Runs a flow to its end, which must come in time.
fn run(plan: FlowPlan, end: u64) -> (World, usize) {
    let mut world = world();
    let flow = world.open(plan);
    assert!(world.run_to_end(end), "{:#?}", world.flow(flow));
    (world, flow)
}

#[test]
fn after_a_half_close_the_answer_still_comes() {
    for opener in Side::BOTH {
        for asks in Side::BOTH {
            let mut plan = FlowPlan { opener, ..FlowPlan::both_ways(SECOND, 300_000) };
            plan.sends[asks.other().index()].start = Start::AfterFin;
            let (world, flow) = run(plan, 5 * SECOND);
            let flow = world.flow(flow);
            assert!(flow.is_complete());
            let (question, answer) = (flow.end(asks.other()), flow.end(asks));
            assert!(answer.fin_at > question.fin_at, "the answer follows the question's end");
        }
    }
}

#[test]
fn a_flow_without_data_finishes_in_both_directions() {
    for opener in Side::BOTH {
        let plan = FlowPlan { opener, ..FlowPlan::both_ways(SECOND, 0) };
        let (world, flow) = run(plan, 2 * SECOND);
        assert!(world.flow(flow).is_complete());
    }
}

/// The world checks that all data before a reset is delivered before it.
#[test]
fn a_reset_arrives_as_a_reset_after_what_was_sent_before_it() {
    for opener in Side::BOTH {
        for breaks in Side::BOTH {
            for bytes in [0, 1, 200_000] {
                let mut plan = FlowPlan { opener, ..FlowPlan::upload(SECOND, 0) };
                plan.sends[breaks.index()] = SendPlan { end: Ending::Reset, ..SendPlan::of(bytes) };
                plan.sends[breaks.other().index()] =
                    SendPlan { end: Ending::Never, ..SendPlan::of(100_000) };
                let (world, flow) = run(plan, 5 * SECOND);
                let flow = world.flow(flow);
                let (here, there) = (flow.end(breaks), flow.end(breaks.other()));
                assert_eq!(here.state, EndState::ResetHere);
                if there.state != EndState::NotYet {
                    assert_eq!(there.state, EndState::PeerReset(Reason::Aborted));
                    assert_eq!(there.delivered, bytes);
                }
                assert!(!there.got_fin);
            }
        }
    }
}

#[test]
fn a_reset_in_mid_flow_breaks_both_directions_even_without_a_consumer() {
    for breaks in Side::BOTH {
        for stopped in [false, true] {
            let reset = Some((breaks, 2 * SECOND));
            let mut plan = FlowPlan { reset, ..FlowPlan::both_ways(SECOND, 4 << 20) };
            if stopped {
                plan.reads[breaks.other().index()] =
                    ReadPlan { rate: None, stop_after: Some(10_000), burst: None };
            }
            // A second to notice that it takes nothing, and one for data on the way.
            let (mut world, flow) = run(plan, 5 * SECOND);
            let state = world.flow(flow).end(breaks.other()).state;
            assert_eq!(state, EndState::PeerReset(Reason::Aborted));
            world.run_until(20 * SECOND);
            for stats in Side::BOTH.map(|side| world.stats(side)) {
                assert_eq!((stats.flows, stats.held, stats.reordering), (0, 0, 0));
            }
        }
    }
}

#[test]
fn a_refused_flow_says_why() {
    for opener in Side::BOTH {
        for (after, bytes) in [(0, 0), (0, 100_000), (1, 4 << 20)] {
            let mut plan = FlowPlan { opener, ..FlowPlan::both_ways(SECOND, bytes) };
            plan.answer = Answer::Refuse(Duration::from_secs(after), Reason::ConnectionRefused);
            let (mut world, flow) = run(plan, 10 * SECOND);
            let end = world.flow(flow).end(opener);
            assert_eq!(end.state, EndState::Refused(Reason::ConnectionRefused));
            assert_eq!(end.delivered, 0);
            world.run_until(20 * SECOND);
            Side::BOTH.iter().for_each(|side| assert_eq!(world.stats(*side).flows, 0));
        }
    }
}

#[test]
fn a_shutdown_lets_flows_finish() {
    for side in Side::BOTH {
        let mut world = world();
        // 17 Mbit/s need more than three seconds for 8 MiB.
        let flow = world.open(FlowPlan::both_ways(SECOND, 8 << 20));
        world.command(2 * SECOND, side, Input::Shutdown);
        let late = world.open(FlowPlan::both_ways(5 * SECOND / 2, 1));
        assert!(world.run_to_end(10 * SECOND), "{:#?}", world.flows());
        world.run_until(20 * SECOND);
        assert!(world.flow(flow).is_complete());
        assert_eq!(world.flow(late).end(Side::Client).state, EndState::Lost, "too late");
        // Both drain, and the one that is done first closes the session for both.
        let reasons = Side::BOTH.map(|side| world.ended(side).expect("an ended session"));
        assert!(reasons.contains(&EndReason::Shutdown), "{reasons:?}");
    }
}

#[test]
fn an_abort_resets_flows_on_both_sides() {
    for side in Side::BOTH {
        let mut world = world();
        let flow = world.open(FlowPlan::both_ways(SECOND, 4 << 20));
        world.command(2 * SECOND, side, Input::Abort);
        assert!(world.run_to_end(3 * SECOND), "{:#?}", world.flow(flow));
        for side in Side::BOTH {
            assert_eq!(world.flow(flow).end(side).state, EndState::Lost);
        }
        assert_eq!(world.ended(side), Some(EndReason::Aborted));
        assert_eq!(world.ended(side.other()), Some(EndReason::PeerClosed));
    }
}
