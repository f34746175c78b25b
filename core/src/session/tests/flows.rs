//! Flows from their OPEN to their end, in what order their frames may come, and the end of a
//! session.

use super::*;

#[test]
fn bytes_and_fins_cross_in_both_directions() {
    let mut pair = Pair::new(Config::default());
    let data = pattern(3_000_000);
    let flow = pair.open();
    pair.run();
    assert_eq!(pair.sides[1].seen.incoming, [flow]);
    pair.give(1, Input::FlowAccept { flow });
    pair.send_all(0, flow, &data);
    pair.give(0, Input::FlowFinish { flow });
    pair.run();
    assert_eq!(pair.sides[0].seen.accepted, [flow]);
    assert_eq!(pair.sides[1].seen.finished, [flow]);
    assert!(pair.sides[0].seen.finished.is_empty(), "half-close is per direction");
    pair.send_all(1, flow, &data);
    pair.give(1, Input::FlowFinish { flow });
    pair.run();
    for side in 0..2 {
        assert!(pair.received(side, flow) == data);
        assert_eq!(pair.sides[side].seen.ended, [flow]);
        assert_eq!(pair.sides[side].session.stats().flows, 0);
    }
}

#[test]
fn frames_of_a_flow_may_overtake_its_open_in_every_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut pair = Pair::new(Config {
            stripes: 3,
            scheduler: crate::SchedulerKind::RoundRobin,
            ..Config::default()
        });
        (0..3).for_each(|stripe| pair.hold(StripeId(stripe), true));
        let flow = pair.open();
        let data = pattern(40_000);
        pair.send_all(0, flow, &data);
        pair.give(0, Input::FlowFinish { flow });
        for stripe in order {
            pair.hold(StripeId(stripe), false);
            pair.run();
        }
        assert!(pair.received(1, flow) == data, "order {order:?}");
        assert_eq!(pair.sides[1].seen.finished, [flow]);
    }
}

#[test]
fn a_reset_delivers_earlier_bytes_first() {
    let mut pair = Pair::new(Config { stripes: 2, ..Config::default() });
    let data = pattern(100_000);
    let flow = pair.open();
    pair.run();
    pair.hold(StripeId(0), true);
    pair.hold(StripeId(1), true);
    pair.send_all(1, flow, &data);
    pair.give(1, Input::FlowReset { flow, reason: Reason::Aborted });
    for stripe in [StripeId(1), StripeId(0)] {
        pair.hold(stripe, false);
        pair.run();
    }
    assert!(pair.received(0, flow) == data);
    assert_eq!(pair.sides[0].seen.reset, [(flow, Reason::Aborted)]);
    assert_eq!((pair.sides[0].session.stats().flows, pair.sides[1].session.stats().flows), (0, 0));
}

#[test]
fn a_reset_waits_at_most_a_second_for_a_consumer_that_has_stopped() {
    let mut pair = Pair::new(Config::default());
    let flow = pair.open();
    pair.run();
    pair.sides[0].seen.lazy = true;
    let data = pattern(2_000_000);
    let mut sent = 0;
    while let len @ 1.. = pair.send(1, flow, &data[sent..]) {
        sent += len;
        pair.run();
    }
    pair.give(1, Input::FlowReset { flow, reason: Reason::Aborted });
    pair.run();
    assert!(pair.sides[0].seen.reset.is_empty() || pair.received(0, flow).len() == sent);
    pair.run_until(pair.now + Duration::from_secs(2));
    assert_eq!(pair.sides[0].seen.reset, [(flow, Reason::Aborted)]);
    assert_eq!((pair.sides[0].session.stats().flows, pair.sides[1].session.stats().flows), (0, 0));
}

#[test]
fn a_refused_flow_ends_on_both_sides() {
    let mut pair = Pair::new(Config::default());
    let flow = pair.open();
    pair.send(0, flow, b"hello");
    pair.run();
    pair.give(1, Input::FlowRefuse { flow, reason: Reason::ConnectionRefused });
    pair.run();
    assert_eq!(pair.sides[0].seen.refused, [(flow, Reason::ConnectionRefused)]);
    assert_eq!((pair.sides[0].session.stats().flows, pair.sides[1].session.stats().flows), (0, 0));
}

#[test]
fn a_drained_session_ends_when_its_flows_have() {
    let mut pair = Pair::new(Config::default());
    let flow = pair.open();
    pair.run();
    pair.give(0, Input::Shutdown);
    pair.run();
    assert_eq!(pair.sides[0].seen.over, None);
    pair.give(0, Input::FlowFinish { flow });
    pair.give(1, Input::FlowFinish { flow });
    pair.run();
    for side in 0..2 {
        assert!(matches!(
            pair.sides[side].seen.over,
            Some(EndReason::Shutdown | EndReason::PeerClosed)
        ));
        assert_eq!(pair.sides[side].seen.ended, [flow], "ended, not reset");
    }
}

#[test]
fn a_slow_consumer_sees_the_fin_of_a_session_that_the_other_side_closed() {
    let mut pair = Pair::new(Config::default());
    let flow = pair.open();
    pair.run();
    pair.sides[1].seen.lazy = true;
    pair.send_all(0, flow, &pattern(1000));
    pair.give(0, Input::FlowFinish { flow });
    pair.give(1, Input::FlowFinish { flow });
    pair.run();
    pair.give(0, Input::Shutdown);
    pair.run();
    assert!(pair.sides[1].seen.over.is_some());
    assert_eq!(pair.sides[1].seen.finished, [flow]);
    assert_eq!(
        (&pair.sides[1].seen.ended[..], &pair.sides[1].seen.reset[..]),
        (&[flow][..], &[][..])
    );
}
