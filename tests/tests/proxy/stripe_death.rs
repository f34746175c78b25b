//! Stripes die in the middle of transfers, and no byte is lost, changed or doubled.

use std::thread;
use striper_tests::{DOWN, Origin, Pair, Route, UP, exchange, finish};

/// More than windows and sockets hold, so a third can arrive before all is sent.
const SIZE: u64 = 64 << 20;

/// A transfer both ways over a pair, with `fault` when a third has arrived at both ends. All goes
/// on in one session.
fn transfer(fault: impl FnOnce(&Route, &Pair)) -> (Route, Pair) {
    let (route, origin) = (Route::start(), Origin::start());
    let pair = Pair::over(&route, origin.addr());
    let (local, target) = (pair.client.connect(), origin.accept());
    thread::scope(|scope| {
        for (stream, pattern) in [(&local, UP), (&target, DOWN)] {
            scope.spawn(move || {
                pattern.send(&mut &*stream, 0..SIZE);
                finish(stream);
            });
        }
        let third = scope.spawn(|| UP.expect(&mut &target, 0..SIZE / 3));
        DOWN.expect(&mut &local, 0..SIZE / 3);
        third.join().expect("a third");
        fault(&route, &pair);
        scope.spawn(|| UP.expect_all(&mut &target, SIZE / 3..SIZE));
        DOWN.expect_all(&mut &local, SIZE / 3..SIZE);
    });
    assert_one_session(&pair);
    (route, pair)
}

fn assert_one_session(pair: &Pair) {
    for proxy in [&pair.client, &pair.server] {
        assert_eq!((proxy.count("session_started"), proxy.count("session_ended")), (1, 0));
    }
}

#[test]
fn a_transfer_survives_the_reset_of_a_stripe_which_is_replaced() {
    let (_route, pair) = transfer(|route, _| route.reset_one());
    for proxy in [&pair.client, &pair.server] {
        proxy.wait_for("stripe_lost");
        proxy.wait_for_any("a fifth stripe", |event| {
            event.is("stripe_up") && event.number("stripe") == 4
        });
    }
}

#[test]
fn a_transfer_survives_the_reset_of_all_stripes() {
    let (_route, pair) = transfer(|route, _| route.reset_all());
    let lost = pair.client.wait_for_some("stripe_lost", 4);
    assert_eq!(lost.last().map(|event| event.number("live")), Some(0), "all at once");
}

#[test]
fn a_transfer_survives_the_reset_of_one_stripe_after_another() {
    transfer(|route, pair| {
        for death in 1..=12 {
            route.reset_one();
            pair.client.wait_for_some("stripe_up", 4 + death);
        }
    });
}

#[test]
fn a_transfer_survives_a_stripe_that_has_become_silent() {
    let (_route, pair) = transfer(|route, _| route.silence_one());
    // The side that notices it first tells the other.
    let reasons = [&pair.client, &pair.server]
        .map(|proxy| proxy.wait_for("stripe_lost").text("reason").to_owned());
    assert!(reasons.iter().any(|reason| reason == "nothing acknowledged any more"), "{reasons:?}");
}

#[test]
fn a_transfer_survives_the_silence_of_the_whole_route() {
    transfer(|route, pair| {
        route.silence();
        for proxy in [&pair.client, &pair.server] {
            proxy.wait_for_some("stripe_lost", 4);
        }
        route.heal();
    });
}

/// Bytes that come late from a stripe that was given up do no harm.
#[test]
fn a_transfer_survives_a_lost_stripe_that_speaks_again() {
    transfer(|route, pair| {
        route.silence_one();
        pair.client.wait_for("stripe_lost");
        route.silence_one();
        route.heal();
    });
}

#[test]
fn an_idle_connection_survives_the_reset_of_all_stripes() {
    let (route, origin) = (Route::start(), Origin::start());
    let pair = Pair::over(&route, origin.addr());
    let (local, target) = (pair.client.connect(), origin.accept());
    route.reset_all();
    exchange(&local, &target, 0..10);
    assert_one_session(&pair);
}
