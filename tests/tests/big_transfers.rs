//! Much data, both ways at once.

use std::net::SocketAddr;
use std::thread;
use striper_tests::{Origin, Pair, Pattern, connect, finish, loopbacks};

const SIZE: u64 = 64 << 20;
const UP: Pattern = Pattern(1);
const DOWN: Pattern = Pattern(2);

/// Moves data both ways at once between `through` and `origin`, and sees both ends.
fn both_ways(through: SocketAddr, origin: &Origin, size: u64) {
    let client = connect(through);
    let server = origin.accept();
    thread::scope(|scope| {
        for (stream, sends, expects) in [(&client, UP, DOWN), (&server, DOWN, UP)] {
            scope.spawn(move || {
                sends.send(&mut &*stream, 0..size);
                finish(stream);
            });
            scope.spawn(move || expects.expect_all(&mut &*stream, 0..size));
        }
    });
}

#[test]
fn much_data_both_ways_at_once_arrives_unchanged() {
    for address in loopbacks() {
        let origin = Origin::on(address);
        let pair = Pair::to(origin.addr());
        both_ways(pair.client.addr(), &origin, SIZE);
        for (proxy, sent) in [(&pair.client, "sent"), (&pair.server, "received")] {
            let end = proxy.wait_for("connection_ended");
            assert_eq!((end.text("end"), end.number(sent)), ("finished", SIZE), "{end}");
        }
    }
}

#[test]
fn every_scheduler_and_number_of_stripes_carries_both_ways() {
    let origin = Origin::start();
    for (scheduler, stripes) in [("earliest", "1"), ("uc", "3"), ("rr", "8"), ("earliest", "64")] {
        let options = ["--scheduler", scheduler, "-n", stripes];
        let ip = origin.addr().ip();
        let server = striper_tests::Proxy::server(ip, origin.addr(), &options[..2]);
        let client = striper_tests::Proxy::client(ip, server.addr(), &options);
        both_ways(client.addr(), &origin, 4 << 20);
        client.wait_for_some("as many stripes as asked for", stripes.parse().unwrap(), |event| {
            event.is("stripe_up")
        });
    }
}
