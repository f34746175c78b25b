//! When things happen: clocks that jump, and stripes that end as soon as they have begun.

use bytes::Bytes;
use std::time::Duration;
use striper_core::testing::{SERVER, Scripted, data, open, reset};
use striper_core::wire::frame::Frame;
use striper_core::{Config, EndReason, FlowId, Input, Instant, Role, StripeId, Violation};

/// Sessions in every state that waits for something, on both sides; whether a stripe is up.
fn waiting() -> Vec<(&'static str, Scripted, bool)> {
    let mut all = Vec::new();
    for role in [Role::Client, SERVER] {
        let (theirs, ours) = if role == Role::Client { (0, 1) } else { (1, 0) };
        let born = Scripted::new(role, Default::default());
        let mut idle = born.clone().with(2);
        (0..2).for_each(|stripe| idle.acknowledge(stripe));
        let mut sending = idle.clone();
        sending.give(Input::FlowOpen { request: 0, opaque: Bytes::new() });
        sending.give(Input::FlowData { flow: FlowId(ours), data: vec![7; 16 << 10].into() });
        let mut doubted = sending.clone();
        doubted.wait(Duration::from_secs(2));
        let mut receiving = idle.clone();
        receiving.hear(0, open(theirs, 0));
        receiving.hear_with(0, data(theirs, 5), b"behind a gap");
        let mut lingering = receiving.clone();
        lingering.habits.consumes = false;
        lingering.hear_with(0, data(theirs, 0), b"waits");
        lingering.hear(0, reset(theirs, 30));
        let mut bereaved = sending.clone();
        (0..2).for_each(|stripe| bereaved.down(stripe));
        let mut draining = sending.clone();
        draining.give(Input::Shutdown);
        all.extend([
            ("just born", born, false),
            ("idle", idle, true),
            ("with data unacknowledged", sending, true),
            ("with stripes in doubt", doubted, true),
            ("with a gap", receiving, true),
            ("with a reset that waits", lingering, true),
            ("without a stripe", bereaved, false),
            ("draining", draining, true),
        ]);
    }
    all
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_clock_that_jumps_ahead_ends_no_session_that_has_a_stripe() {
    for (what, victim, has_stripe) in waiting() {
        for jump in [1, 10, 59, 61, 3_600, 86_400 * 365 * 100].map(Duration::from_secs) {
            let mut victim = victim.clone();
            victim.now = victim.now + jump;
            victim.give(Input::Tick);
            let lost = !has_stripe && jump >= victim.end.session.config().resume_limit;
            let expected = lost.then_some(EndReason::NoStripe);
            assert_eq!(victim.ended(), expected, "{what}, {jump:?}");
            if has_stripe {
                assert_eq!(victim.stats().stripes.len(), 2, "{what}, {jump:?}");
                (0..2).for_each(|stripe| victim.acknowledge(stripe));
                victim.wait(Duration::from_secs(3));
                assert_eq!(victim.stats().stripes.len(), 2, "{what}: {jump:?} and three seconds");
            }
        }
    }
}

#[test]
fn a_clock_that_jumps_back_stands_still_until_it_is_there_again() {
    for (what, victim, _) in waiting() {
        for to in [0, 1, 999_999] {
            let mut jumped = victim.clone();
            jumped.give(Input::Tick);
            let (now, mut steady) = (jumped.now, jumped.clone());
            jumped.now = Instant::from_micros(to);
            jumped.give(Input::Tick);
            steady.give(Input::Tick);
            assert_eq!(jumped.end.session.now(), now, "{what}");
            assert_eq!(jumped.end.session.deadline(), steady.end.session.deadline(), "{what}");
            (jumped.now, steady.now) = (now, now);
            jumped.wait(HOUR);
            steady.wait(HOUR);
            let [jumped, steady] = [jumped, steady].map(|side| (side.ended(), side.bytes_said));
            assert_eq!(jumped, steady, "{what}");
        }
    }
}

#[test]
fn a_clock_that_jumps_to_and_fro_fills_no_allowance_twice() {
    let config = Config { control_burst: 64 << 10, control_per_second: 1000, ..Config::default() };
    let mut victim = Scripted::new(SERVER, config).with(2);
    let late = victim.now + HOUR;
    let mut heard = 0;
    while victim.ended().is_none() {
        victim.now = if heard % 2 == 0 { late } else { Instant::ZERO };
        victim.hear(0, Frame::Ping { nonce: 1 });
        heard += 1;
        assert!(heard < 40_000, "an hour fills the allowance up once");
    }
    assert_eq!(victim.ended(), Some(EndReason::Violation(Violation::Flood)));
    assert!(heard > 20_000);
}

#[test]
fn stripes_that_end_after_their_hello_cost_a_few_bytes_each() {
    for settled in [true, false] {
        let mut victim = Scripted::server(1);
        victim.hear_with(0, open(1, 0), b"hello");
        victim.acknowledge(0);
        let (before, mut most) = (victim.bytes_said, 0);
        for stripe in 1..=512 {
            victim.up(stripe);
            victim.down(stripe);
            most = most.max(victim.end.session.hello(StripeId(9999)).encode().len());
            if settled {
                // As an honest peer would: it says the same, and acknowledges what it is told.
                victim.hear(0, Frame::StripeGone { stripe: StripeId(stripe), received: 0 });
                victim.acknowledge(0);
            }
            assert_eq!(victim.ended(), None, "{stripe} stripes");
        }
        let each = (victim.bytes_said - before) / 512;
        println!("{each} bytes said for each, a HELLO of {most} at most, settled: {settled}");
        assert!(each <= 80, "{each} bytes for each");
        assert!(most <= if settled { 64 } else { 16 << 10 }, "a HELLO of {most} bytes");
        assert_eq!(victim.stats().flows, 1);
        victim.up(600);
        victim.down(600);
        // Beyond 512 unsettled stripes no more are asked for. The route may be at fault: no blame.
        assert_eq!(victim.ended(), (!settled).then_some(EndReason::NoStripe));
    }
}

#[test]
fn more_than_512_stripes_that_the_peer_says_are_gone_are_a_violation() {
    let mut victim = Scripted::server(1);
    let gone = |stripe| Frame::StripeGone { stripe: StripeId(stripe), received: 0 };
    (1..=512).for_each(|stripe| victim.hear(0, gone(stripe)));
    assert_eq!(victim.ended(), None);
    victim.hear(0, gone(513));
    assert_eq!(victim.ended(), Some(EndReason::Violation(Violation::TooManyGoneStripes)));
}

#[test]
fn a_last_stripe_that_ends_at_once_leaves_the_flows_to_the_next() {
    let mut victim = Scripted::client(0);
    victim.give(Input::FlowOpen { request: 0, opaque: Bytes::new() });
    victim.give(Input::FlowData { flow: FlowId(1), data: vec![7; 5000].into() });
    for stripe in 0..50 {
        victim.up(stripe);
        assert!(victim.end.sent(StripeId(stripe)) > 5000, "all of it goes on each");
        victim.down(stripe);
    }
    victim.up(50);
    victim.acknowledge(50);
    victim.hear(50, Frame::Accept { flow: FlowId(1) });
    assert_eq!((victim.ended(), victim.stats().held), (None, 0));
}
