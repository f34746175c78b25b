//! A target that nobody answers for.

use striper_tests::{
    Origin, Pair, Pattern, Proxy, Vacant, expect_reset, expect_reset_at, loopbacks, reset,
};

#[test]
fn a_refused_connection_is_reset_and_later_ones_work() {
    for address in loopbacks() {
        let target = Vacant::on(address);
        let pair = Pair::to(target.addr());
        for _ in 0..3 {
            expect_reset_at(pair.client.addr());
        }
        let refusal = pair.server.wait_for("connection_refused");
        assert_eq!(refusal.text("error"), "connection refused");
        let told = pair.client.wait_for("connection_ended");
        assert_eq!(told.text("reason"), "refused: connection to the target refused");
        let origin = target.listen();
        let mut client = pair.connect();
        Pattern(1).send(&mut client, 0..1000);
        Pattern(1).expect(&mut origin.accept(), 0..1000);
        assert_eq!(pair.client.count("stripe_lost"), 0, "a refusal concerns no stripe");
    }
}

#[test]
fn a_connection_under_way_does_not_notice_that_another_is_refused() {
    let origin = Origin::start();
    let pair = Pair::to(origin.addr());
    let mut client = pair.connect();
    let mut server = origin.accept();
    drop(origin);
    expect_reset_at(pair.client.addr());
    Pattern(1).send(&mut client, 0..1_000_000);
    Pattern(1).expect(&mut server, 0..1_000_000);
}

#[test]
fn a_target_with_an_unknown_name_is_refused() {
    let server = Proxy::start(&["-s", "0", "no-such-host.invalid:1"]);
    let client = Proxy::client(server.addr().ip(), server.addr(), &[]);
    expect_reset_at(client.addr());
    assert_eq!(server.wait_for("connection_refused").text("error"), "unknown host");
}

/// The connection to the target came about, so there may have been data.
#[test]
fn a_target_that_resets_at_once_resets_the_client() {
    let origin = Origin::start();
    let pair = Pair::to(origin.addr());
    let mut client = pair.connect();
    reset(origin.accept());
    assert!(expect_reset(&mut client).is_empty());
}
