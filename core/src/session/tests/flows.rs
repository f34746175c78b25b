//! Flows from their OPEN to their end, frames in every order, and the end of a session.

use super::*;

#[test]
fn bytes_and_fins_cross_in_both_directions() {
    let (mut pair, flow) = opened(4);
    let data = pattern(3_000_000);
    assert!(pair.sides[1].log.live().eq([flow]));
    pair.give(1, Input::FlowAccept { flow });
    pair.send_all(0, flow, &data);
    pair.give(0, Input::FlowFinish { flow });
    pair.run();
    assert!(pair.flow(0, flow).accepted);
    assert!(pair.flow(1, flow).fin);
    assert!(!pair.flow(0, flow).fin, "half-close is per direction");
    pair.send_all(1, flow, &data);
    pair.give(1, Input::FlowFinish { flow });
    pair.run();
    for side in 0..2 {
        assert!(pair.received(side, flow) == data);
        assert_eq!(pair.flow(side, flow).over, Some(Over::Ended));
        assert_eq!(pair.sides[side].session.stats().flows, 0);
    }
}

#[test]
fn frames_of_a_flow_may_overtake_its_open_in_every_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut pair = Pair::new(round_robin(3));
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
        assert!(pair.flow(1, flow).fin);
    }
}

#[test]
fn a_reset_delivers_earlier_bytes_first() {
    let (mut pair, flow) = opened(2);
    let data = pattern(100_000);
    (0..2).for_each(|stripe| pair.hold(StripeId(stripe), true));
    pair.send_all(1, flow, &data);
    pair.give(1, Input::FlowReset { flow, reason: Reason::Aborted });
    for stripe in [StripeId(1), StripeId(0)] {
        pair.hold(stripe, false);
        pair.run();
    }
    assert!(pair.received(0, flow) == data);
    assert_eq!(pair.flow(0, flow).over, Some(Over::ResetByPeer(Reason::Aborted)));
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
    assert_eq!(pair.flow(0, flow).over, Some(Over::RefusedByPeer(Reason::ConnectionRefused)));
    assert_eq!((pair.sides[0].session.stats().flows, pair.sides[1].session.stats().flows), (0, 0));
}

#[test]
fn a_drained_session_ends_when_its_flows_have() {
    let (mut pair, flow) = opened(4);
    pair.give(0, Input::Shutdown);
    pair.run();
    assert_eq!(pair.sides[0].ended(), None);
    pair.give(0, Input::FlowFinish { flow });
    pair.give(1, Input::FlowFinish { flow });
    pair.run();
    for side in 0..2 {
        let ended = pair.sides[side].ended();
        assert!(matches!(ended, Some(EndReason::Shutdown | EndReason::PeerClosed)));
        assert_eq!(pair.flow(side, flow).over, Some(Over::Ended), "ended, not reset");
    }
}

#[test]
fn a_slow_consumer_sees_the_fin_of_a_session_that_the_other_side_closed() {
    let (mut pair, flow) = opened(4);
    pair.habits[1].consumes = false;
    pair.send_all(0, flow, &pattern(1000));
    pair.give(0, Input::FlowFinish { flow });
    pair.give(1, Input::FlowFinish { flow });
    pair.run();
    pair.give(0, Input::Shutdown);
    pair.run();
    assert!(pair.sides[1].ended().is_some());
    assert!(pair.flow(1, flow).fin);
    assert_eq!(pair.flow(1, flow).over, Some(Over::Ended));
}
