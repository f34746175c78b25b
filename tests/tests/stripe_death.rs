//! Stripes die in the middle of transfers, and no byte is lost, twisted or doubled.

use std::net::TcpStream;
use std::thread;
use striper_tests::{Origin, Pair, Pattern, Route, finish};

/// More than windows and sockets hold: what is read to a third has not all been sent.
const SIZE: u64 = 64 << 20;
const UP: Pattern = Pattern(1);
const DOWN: Pattern = Pattern(2);

/// Both directions at once, with `fault` when the client has a third and the server has a third.
fn transfer(pair: &Pair, origin: &Origin, fault: impl FnOnce()) {
    let (client, server) = (pair.connect(), origin.accept());
    let expect =
        |mut stream: &TcpStream, pattern: Pattern, from, to| pattern.expect(&mut stream, from..to);
    thread::scope(|scope| {
        for (stream, pattern) in [(&client, UP), (&server, DOWN)] {
            scope.spawn(move || {
                pattern.send(&mut &*stream, 0..SIZE);
                finish(stream);
            });
        }
        let third = scope.spawn(|| expect(&server, UP, 0, SIZE / 3));
        expect(&client, DOWN, 0, SIZE / 3);
        third.join().expect("a third");
        fault();
        scope.spawn(|| UP.expect_all(&mut &server, SIZE / 3..SIZE));
        DOWN.expect_all(&mut &client, SIZE / 3..SIZE);
    });
}

fn over_a_route() -> (Route, Origin, Pair) {
    let (route, origin) = (Route::new(), Origin::start());
    let pair = Pair::over(&route, origin.addr());
    (route, origin, pair)
}

fn assert_one_session(pair: &Pair) {
    for proxy in [&pair.client, &pair.server] {
        assert_eq!((proxy.count("session_started"), proxy.count("session_ended")), (1, 0));
    }
}

#[test]
fn a_transfer_survives_the_reset_of_a_stripe_and_a_new_one_takes_its_place() {
    let (route, origin, pair) = over_a_route();
    transfer(&pair, &origin, || route.reset_one());
    for proxy in [&pair.client, &pair.server] {
        proxy.wait_for("stripe_lost");
        proxy.wait_for_any("a fifth stripe", |event| {
            event.is("stripe_up") && event.number("stripe") == 4
        });
    }
    assert_one_session(&pair);
}

#[test]
fn a_transfer_survives_the_reset_of_all_stripes() {
    let (route, origin, pair) = over_a_route();
    transfer(&pair, &origin, || route.reset_all());
    let lost =
        pair.client.wait_for_some("all stripes to be lost", 4, |event| event.is("stripe_lost"));
    assert_eq!(lost.last().map(|event| event.number("live")), Some(0), "all at once");
    assert_one_session(&pair);
}

#[test]
fn a_transfer_survives_the_reset_of_one_stripe_after_another() {
    let (route, origin, pair) = over_a_route();
    transfer(&pair, &origin, || {
        for death in 1..=12 {
            route.reset_one();
            pair.client.wait_for_some("another stripe", 4 + death, |event| event.is("stripe_up"));
        }
    });
    assert_one_session(&pair);
}

#[test]
fn a_transfer_survives_a_stripe_that_passes_nothing_any_more() {
    let (route, origin, pair) = over_a_route();
    transfer(&pair, &origin, || route.silence_one());
    // Whoever notices first tells the other.
    let reasons = [&pair.client, &pair.server]
        .map(|proxy| proxy.wait_for("stripe_lost").text("reason").to_owned());
    assert!(reasons.iter().any(|reason| reason == "nothing acknowledged any more"), "{reasons:?}");
    assert_one_session(&pair);
}

#[test]
fn a_transfer_survives_the_silence_of_the_whole_route() {
    let (route, origin, pair) = over_a_route();
    transfer(&pair, &origin, || {
        route.silence();
        let lost = |event: &striper_tests::Event| event.is("stripe_lost");
        pair.client.wait_for_some("all stripes to be lost", 4, lost);
        pair.server.wait_for_some("all stripes to be lost", 4, lost);
        route.heal();
    });
    assert_one_session(&pair);
}

/// What comes late from a stripe that was given up does no harm.
#[test]
fn a_transfer_survives_stripes_that_come_back_from_the_dead() {
    let (route, origin, pair) = over_a_route();
    transfer(&pair, &origin, || {
        route.silence_one();
        pair.client.wait_for("stripe_lost");
        route.silence_one();
        route.heal();
    });
    assert_one_session(&pair);
}

#[test]
fn an_idle_connection_survives_the_reset_of_all_stripes() {
    let (route, origin, pair) = over_a_route();
    let (mut client, mut server) = (pair.connect(), origin.accept());
    route.reset_all();
    UP.send(&mut client, 0..10);
    UP.expect(&mut server, 0..10);
    DOWN.send(&mut server, 0..10);
    DOWN.expect(&mut client, 0..10);
    assert_one_session(&pair);
}
