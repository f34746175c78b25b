//! A session's answers about itself, the stripes that may join, and its end.

use super::*;
use crate::stats::StripeLimit;
use crate::stripe::estimator::RateEstimator;
use crate::wire::hello::Refusal;

#[test]
fn settings_below_their_limits_are_raised_and_told() {
    let config =
        Config { memory_limit: 0, heartbeat: Duration::ZERO, stripes: 3, ..Config::default() };
    let mut alone = alone(Role::Client, 0, config);
    let told = alone.end.session.config();
    assert_eq!((told.memory_limit, told.heartbeat), (2 << 20, Duration::from_millis(10)));
    assert_eq!(told.stripes, 3);
    alone.now = alone.now + ms(77);
    alone.give(Input::Tick);
    assert_eq!(alone.end.session.now(), alone.now);
}

#[test]
fn the_first_stripe_creates_the_session_and_later_ones_join_it() {
    let mut alone = client(0);
    assert_eq!(alone.end.session.hello(StripeId(0)).kind, HelloKind::Create);
    alone.up(0);
    assert_eq!(alone.end.session.hello(StripeId(1)).kind, HelloKind::Join);
}

#[test]
fn a_stripe_may_join_once_while_there_is_room_and_a_session() {
    let most = crate::config::MAX_STRIPES as u64;
    let mut alone = server(most - 1);
    let may_join = |alone: &Scripted, stripe| alone.end.session.may_join(StripeId(stripe));
    assert_eq!(may_join(&alone, 0), Err(Refusal::StripeUsed));
    assert_eq!(may_join(&alone, most), Ok(()));
    alone.up(most);
    assert_eq!(may_join(&alone, most + 1), Err(Refusal::TooMany));
    alone.give(Input::Abort);
    assert_eq!(may_join(&alone, most + 1), Err(Refusal::UnknownSession));
}

#[test]
fn memory_in_use_is_credit_given_and_data_held_beyond_the_floors() {
    let mut alone = client(1);
    alone.answers = false;
    alone.open(&[0; 20_000]);
    let early = crate::config::INITIAL_EARLY;
    // A window for the flow, and early credit for sixteen, one of which every session begins with.
    assert_eq!(alone.end.session.memory_used(), (16 * early, 20_000 - (16 << 10)));
    assert_eq!(alone.stats().credit_outstanding, 16 * early);
    alone.give(Input::Abort);
    assert_eq!(alone.end.session.memory_used(), (0, 0));
}

#[test]
fn a_window_takes_a_fourth_of_the_memory_left() {
    let mut alone = client(1);
    let free = 40_000;
    let receive = alone.end.session.memory_used().0 + free;
    alone.give(Input::MemoryLimit { receive, send: 0 });
    alone.open(b"");
    let credit = (16 << 10) + free / 4;
    let frames = alone.frames();
    let given = frames.iter().find_map(|(_, frame)| match frame {
        Frame::Open { credit, .. } => Some(*credit),
        _ => None,
    });
    assert_eq!(given, Some(credit), "{frames:?}");
}

#[test]
fn the_end_acknowledges_all_stripes_on_every_stripe() {
    let mut alone = client(0);
    alone.answers = false;
    (0..2).for_each(|stripe| alone.up(stripe));
    let grant = Frame::Grant { flows: 0, early: 0 };
    let brought = grant.encode(0).len() as u64;
    alone.hear(0, grant);
    alone.frames();
    alone.give(Input::Abort);
    let last = |stripe| {
        let counts = vec![(StripeId(0), brought)];
        [(stripe, Frame::Ack { counts }), (stripe, Frame::Close { code: 1 })]
    };
    assert_eq!(alone.frames(), [last(0), last(1)].concat());
}

#[test]
fn a_flow_that_is_cut_off_is_reset_unless_its_local_side_is_gone() {
    let cut = |gone: bool| {
        let mut alone = client(1);
        alone.open(b"");
        alone.hear_data(0, FLOW, 0, b"half", false);
        if gone {
            alone.give(Input::FlowReset { flow: FLOW, reason: Reason::Aborted });
        } else {
            alone.hear(0, Frame::Reset { flow: FLOW, reason: 0, final_offset: 8 });
        }
        alone.told();
        alone.give(Input::Abort);
        let mut told = alone.told();
        told.retain(|output| !matches!(output, Output::CloseStripe { .. }));
        told
    };
    let ended = Output::Ended { reason: EndReason::Aborted };
    assert_eq!(cut(true), core::slice::from_ref(&ended));
    assert_eq!(cut(false), [Output::FlowReset { flow: FLOW, reason: Reason::SessionLost }, ended]);
}

#[test]
fn stripes_are_wanted_as_they_are_missing_and_none_after_the_end() {
    let wanted = |told: Vec<Output>| -> Vec<usize> {
        let count =
            |output| if let Output::StripesWanted { count } = output { Some(count) } else { None };
        told.into_iter().filter_map(count).collect()
    };
    let mut alone = alone(Role::Client, 0, Config { stripes: 2, ..Config::default() });
    alone.give(Input::Tick);
    assert_eq!(wanted(alone.told()), [2]);
    alone.up(0);
    assert_eq!(wanted(alone.told()), [1]);
    let mut full = alone.clone();
    full.up(1);
    assert_eq!(wanted(full.told()), [0]);
    for (mut alone, last) in [(alone, &[0][..]), (full, &[])] {
        alone.give(Input::Abort);
        assert_eq!(wanted(alone.told()), last);
    }
}

#[test]
fn totals_outlive_the_session_and_held_bytes_do_not() {
    let mut alone = client(1);
    alone.open(b"hello");
    alone.hear_data(0, FLOW, 5, b"overtaken", false);
    assert_eq!(alone.stats().reordering, 9);
    alone.give(Input::Abort);
    let stats = alone.stats();
    assert_eq!((stats.payload_sent, stats.reordering, stats.reordering_peak), (5, 0, 9));
}

#[test]
fn opens_that_wait_fail_when_the_session_drains() {
    let mut alone = client(0);
    for request in 0..crate::config::INITIAL_FLOWS + 1 {
        alone.give(Input::FlowOpen { request, opaque: Bytes::new() });
    }
    alone.told();
    alone.give(Input::Shutdown);
    assert_eq!(alone.told(), [Output::FlowOpenFailed { request: crate::config::INITIAL_FLOWS }]);
}

#[test]
fn a_stripe_ends_the_wait_for_one() {
    let mut alone = server(1);
    alone.wait(ms(70_000));
    assert_eq!(alone.told(), []);
}

#[test]
fn a_silent_stripe_is_pinged_when_nothing_has_come_for_a_heartbeat() {
    let mut alone = server(1);
    let pinged = |alone: &Scripted| live(alone, 0).probes().ping().is_some();
    alone.answers = false;
    alone.wait(ms(6_000));
    alone.hear(0, Frame::Credit { flow: FLOW, limit: 5 });
    alone.wait(ms(9_999));
    assert!(!pinged(&alone));
    alone.wait(ms(1));
    assert!(pinged(&alone));
}

#[test]
fn a_flow_that_waits_for_room_is_told_once_it_has_some() {
    let mut alone = server(1);
    alone.hear(0, Frame::Open { flow: FLOW, early: 0, credit: 100, opaque: Bytes::new() });
    alone.told();
    alone.give(Input::FlowData { flow: FLOW, data: Bytes::from_static(&[0; 100]) });
    for (limit, told) in [(100, 0), (101, 1), (102, 0)] {
        alone.hear(0, Frame::Credit { flow: FLOW, limit });
        let writable = Output::FlowWritable { flow: FLOW };
        let count = alone.told().into_iter().filter(|output| *output == writable).count();
        assert_eq!(count, told, "credit {limit}");
    }
}

#[test]
fn a_stripe_that_can_not_take_data_is_congested_once_until_it_can() {
    let mut alone = client(1);
    alone.habits.writes = false;
    alone.open(&[0; 100_000]);
    let congestions = |alone: &Scripted| alone.stats().stripes[0].congestions;
    assert_eq!(congestions(&alone), 1);
    alone.give(Input::Tick);
    assert_eq!(congestions(&alone), 1);
    for more in 2..4 {
        let total = live(&alone, 0).sent();
        alone.give(Input::StripeWritten { stripe: StripeId(0), total });
        assert_eq!(congestions(&alone), more);
    }
    alone.habits.writes = true;
    let total = live(&alone, 0).sent();
    alone.give(Input::StripeWritten { stripe: StripeId(0), total });
    let last = congestions(&alone);
    alone.give(Input::Tick);
    assert_eq!(congestions(&alone), last, "nothing waits");
}

#[test]
fn a_stripe_tells_whether_data_waits_or_credit_is_used_up() {
    let limit = |alone: &Scripted| alone.stats().stripes[0].limit;
    let mut alone = server(1);
    alone.hear(0, Frame::Open { flow: FLOW, early: 0, credit: 20_000, opaque: Bytes::new() });
    assert_eq!(limit(&alone), StripeLimit::Application, "nothing was given");
    alone.give(Input::FlowData { flow: FLOW, data: Bytes::from_static(&[0; 20_000]) });
    assert_eq!(limit(&alone), StripeLimit::Receiver);
    alone.hear(0, Frame::Credit { flow: FLOW, limit: 200_000 });
    assert_eq!(limit(&alone), StripeLimit::Application);
    alone.habits.writes = false;
    alone.give(Input::FlowData { flow: FLOW, data: Bytes::from_static(&[0; 180_000]) });
    assert_eq!(limit(&alone), StripeLimit::Route);
    let (mut alone, before) = (server(1), ms(3000));
    alone.wait(before);
    alone.give(Input::Tick);
    let times = alone.stats().stripes[0].limited;
    assert!(times.by(StripeLimit::Application) >= before, "{times:?}");
    alone.hear(0, Frame::Open { flow: FLOW, early: 0, credit: 5, opaque: Bytes::new() });
    alone.give(Input::FlowData { flow: FLOW, data: Bytes::from_static(&[0; 5]) });
    alone.give(Input::FlowFinish { flow: FLOW });
    assert_eq!(limit(&alone), StripeLimit::Application, "no more comes");
}

#[test]
fn the_pace_of_a_stripe_is_told_when_it_has_doubled_or_halved() {
    let mut alone = client(0);
    alone.up(0);
    let pace = |alone: &mut Scripted, rate: Option<u64>| -> Vec<u64> {
        if let Some(rate) = rate {
            *live_mut(alone, 0).rate_mut() = RateEstimator::new(alone.now);
            measure(alone, 0, rate);
        }
        alone.give(Input::Tick);
        let unsent = |output| {
            if let Output::StripePace { unsent, .. } = output { Some(unsent) } else { None }
        };
        alone.told().into_iter().filter_map(unsent).collect()
    };
    assert_eq!(pace(&mut alone, None), [8 << 10]);
    assert_eq!(pace(&mut alone, Some(1_600_000)), []);
    assert_eq!(pace(&mut alone, Some(10_000_000)), [100_000]);
    assert_eq!(pace(&mut alone, Some(19_000_000)), []);
    assert_eq!(pace(&mut alone, Some(5_000_000)), [50_000]);
    assert_eq!(pace(&mut alone, Some(5_000_000)), []);
}

#[test]
fn a_stripe_full_of_entries_that_ask_for_nothing_is_pinged() {
    let mut alone = server(1);
    alone.answers = false;
    alone.habits.checks = false;
    let nonce = alone.end.session.control.nonce();
    // Of two kinds in turn: what follows its like joins it.
    for _ in 0..2048 {
        alone.hear(0, Frame::Ping { nonce: 5 });
        alone.hear(0, Frame::Grant { flows: 0, early: 0 });
        alone.wait(ms(5));
    }
    assert_eq!(live(&alone, 0).ledger().len(), 4096);
    alone.give(Input::Tick);
    assert_eq!(alone.end.session.control.nonce(), nonce);
    alone.hear(0, Frame::Ping { nonce: 5 });
    alone.give(Input::Tick);
    assert_eq!(alone.end.session.control.nonce(), nonce + 1);
}
