//! Connections of every habit: those that wait to be spoken to, and many at once.

use std::sync::Barrier;
use std::thread;
use striper_tests::stranger::Stranger;
use striper_tests::{Origin, Pair, Pattern, Proxy, Route, connect, expect_fin, finish, loopbacks};

#[test]
fn a_server_may_speak_first() {
    for address in loopbacks() {
        let origin = Origin::on(address);
        let pair = Pair::to(origin.addr());
        let mut client = pair.connect();
        let mut server = origin.accept();
        Pattern(1).send(&mut server, 0..50);
        Pattern(1).expect(&mut client, 0..50);
        Pattern(2).send(&mut client, 0..50);
        Pattern(2).expect(&mut server, 0..50);
    }
}

#[test]
fn two_hundred_connections_at_once_share_four_stripes() {
    const COUNT: u64 = 200;
    const SIZE: u64 = 200_000;
    let origin = Origin::start();
    let route = Route::new();
    let pair = Pair::over(&route, origin.addr());
    // All are open before any ends.
    let all_open = Barrier::new(COUNT as usize);
    thread::scope(|scope| {
        for number in 0..COUNT {
            let (pair, all_open) = (&pair, &all_open);
            scope.spawn(move || {
                let mut client = pair.connect();
                Pattern(number).send(&mut client, 0..1);
                Pattern(number).expect(&mut client, 0..1);
                all_open.wait();
                Pattern(number).send(&mut client, 1..SIZE);
                finish(&client);
                Pattern(number).expect_all(&mut client, 1..SIZE);
            });
        }
        for _ in 0..COUNT {
            let mut server = origin.accept();
            scope.spawn(move || {
                let mut from = server.try_clone().unwrap();
                std::io::copy(&mut from, &mut server).unwrap();
                finish(&server);
                expect_fin(&mut from);
            });
        }
    });
    assert_eq!(route.accepted(), 4);
    for proxy in [&pair.client, &pair.server] {
        let ends =
            proxy.wait_for_some("all ends", COUNT as usize, |event| event.is("connection_ended"));
        assert!(ends.iter().all(|end| end.text("end") == "finished"));
    }
}

/// The stripes are shared, the credit is not.
#[test]
fn a_connection_that_nobody_reads_does_not_hold_up_others() {
    let origin = Origin::start();
    let pair = Pair::to(origin.addr());
    let stuck: Vec<_> = (0..20)
        .map(|_| {
            let client = pair.connect();
            let server = origin.accept();
            client.set_nonblocking(true).unwrap();
            (client, server)
        })
        .collect();
    let (data, mut taken) = (Pattern(3).bytes(0..1 << 20), true);
    while taken {
        taken =
            stuck.iter().any(|(client, _)| std::io::Write::write(&mut { client }, &data).is_ok());
    }
    let mut client = pair.connect();
    let mut server = origin.accept();
    thread::scope(|scope| {
        scope.spawn(|| Pattern(4).send(&mut client, 0..8 << 20));
        Pattern(4).expect(&mut server, 0..8 << 20);
    });
}

#[test]
fn a_server_side_serves_many_client_sides() {
    let origin = Origin::start();
    let server = Proxy::server(origin.addr().ip(), origin.addr(), &[]);
    let _idle: Vec<_> = (0..200).map(|number| Stranger::join(server.addr(), number)).collect();
    let client = Proxy::client(origin.addr().ip(), server.addr(), &[]);
    let (mut here, mut there) = (connect(client.addr()), origin.accept());
    thread::scope(|scope| {
        scope.spawn(|| Pattern(1).send(&mut here, 0..8 << 20));
        Pattern(1).expect(&mut there, 0..8 << 20);
    });
}
