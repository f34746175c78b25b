//! `relay`: a plain relay passes all that a pair passes.

use std::net::IpAddr;
use std::thread;
use striper_tests::{
    Origin, Pattern, Proxy, Vacant, connect, expect_fin, expect_reset, expect_reset_at, finish,
    flush, loopbacks, reset,
};

fn relay(address: IpAddr) -> (Origin, Proxy) {
    let origin = Origin::on(address);
    let listen = std::net::SocketAddr::new(address, 0).to_string();
    let proxy = Proxy::start(&["relay", &listen, &origin.addr().to_string()]);
    (origin, proxy)
}

#[test]
fn a_relay_passes_data_both_ways_and_the_end_of_each_direction() {
    for address in loopbacks() {
        let (origin, relay) = relay(address);
        let (mut client, mut server) = (connect(relay.addr()), origin.accept());
        thread::scope(|scope| {
            scope.spawn(|| {
                Pattern(1).send(&mut client, 0..20_000_000);
                finish(&client);
                Pattern(2).expect_all(&mut client, 0..20_000_000);
            });
            Pattern(1).expect_all(&mut server, 0..20_000_000);
            Pattern(2).send(&mut server, 0..20_000_000);
            finish(&server);
        });
        let end = relay.wait_for("connection_ended");
        assert_eq!(
            (end.text("end"), end.number("sent"), end.number("received")),
            ("finished", 20_000_000, 20_000_000)
        );
    }
}

#[test]
fn a_relay_passes_the_servers_end_first() {
    let (origin, relay) = relay(loopbacks()[0]);
    let (mut client, mut server) = (connect(relay.addr()), origin.accept());
    finish(&server);
    expect_fin(&mut client);
    Pattern(1).send(&mut client, 0..1000);
    finish(&client);
    Pattern(1).expect_all(&mut server, 0..1000);
}

#[test]
fn a_relay_passes_resets_as_resets() {
    for address in loopbacks() {
        let (origin, relay) = relay(address);
        let (client, mut server) = (connect(relay.addr()), origin.accept());
        reset(client);
        expect_reset(&mut server);
        let (mut client, mut server) = (connect(relay.addr()), origin.accept());
        Pattern(1).send(&mut server, 0..100_000);
        flush(&server);
        reset(server);
        let got = expect_reset(&mut client);
        assert_eq!(got.len(), 100_000);
        Pattern(1).check(0, &got);
    }
}

#[test]
fn a_relay_resets_connections_to_a_refused_target_and_goes_on() {
    let target = Vacant::reserve();
    let relay = Proxy::start(&["relay", "0", &target.addr().to_string()]);
    expect_reset_at(relay.addr());
    assert_eq!(relay.wait_for("connection_refused").text("error"), "connection refused");
    let origin = target.listen();
    let mut client = connect(relay.addr());
    Pattern(1).send(&mut client, 0..1000);
    Pattern(1).expect(&mut origin.accept(), 0..1000);
}

#[test]
fn a_relay_that_others_can_reach_says_so_and_a_broken_one_says_at_which_end() {
    let origin = Origin::start();
    let relay = Proxy::start(&["relay", "0.0.0.0:0", &origin.addr().to_string()]);
    let warning = relay.wait_for("public");
    assert!(warning.text("message").contains(&origin.addr().to_string()), "{warning}");
    let here = std::net::SocketAddr::new(loopbacks()[0], relay.addr().port());
    let (mut client, server) = (connect(here), origin.accept());
    reset(server);
    expect_reset(&mut client);
    let end = relay.wait_for("connection_ended");
    assert_eq!((end.text("end"), end.text("leg")), ("reset", "far"));
    assert!(end.text("message").contains(&format!("broke at {}", origin.addr())), "{end}");
}
