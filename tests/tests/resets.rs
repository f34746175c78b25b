//! A broken connection arrives broken: never as an end that looks orderly.

use std::io::Write;
use std::net::TcpStream;
use striper_tests::{
    Origin, Pair, Pattern, expect_fin, expect_reset, finish, flush, loopbacks, reset,
};

const DATA: Pattern = Pattern(1);

/// A connection on which a byte has gone each way.
fn open(pair: &Pair, origin: &Origin) -> (TcpStream, TcpStream) {
    let (mut client, mut server) = (pair.connect(), origin.accept());
    for (from, to) in [(0, 1), (1, 0)] {
        let ends = [&mut client, &mut server];
        let [mut from, mut to] =
            [from, to].map(|end: usize| ends[end].try_clone().expect("a socket"));
        DATA.send(&mut from, 0..1);
        DATA.expect(&mut to, 0..1);
    }
    (client, server)
}

#[test]
fn a_reset_by_the_client_is_one_for_the_server() {
    for address in loopbacks() {
        let origin = Origin::on(address);
        let pair = Pair::to(origin.addr());
        let (client, mut server) = open(&pair, &origin);
        reset(client);
        assert!(expect_reset(&mut server).is_empty());
    }
}

#[test]
fn a_reset_by_the_server_is_one_for_the_client() {
    for address in loopbacks() {
        let origin = Origin::on(address);
        let pair = Pair::to(origin.addr());
        let (mut client, server) = open(&pair, &origin);
        reset(server);
        assert!(expect_reset(&mut client).is_empty());
        for proxy in [&pair.client, &pair.server] {
            assert_eq!(proxy.wait_for("connection_ended").text("end"), "reset");
        }
    }
}

#[test]
fn a_reset_after_the_end_of_the_other_direction_is_still_a_reset() {
    let origin = Origin::start();
    let pair = Pair::to(origin.addr());
    let (mut client, server) = open(&pair, &origin);
    finish(&client);
    expect_fin(&mut server.try_clone().unwrap());
    reset(server);
    assert!(expect_reset(&mut client).is_empty());
    let (client, mut server) = open(&pair, &origin);
    finish(&server);
    expect_fin(&mut client.try_clone().unwrap());
    reset(client);
    assert!(expect_reset(&mut server).is_empty());
}

/// Closing with input unread makes the system send an RST, which must not overtake what was sent
/// before.
#[test]
fn a_server_that_closes_with_unread_input_is_heard_to_its_last_byte() {
    for address in loopbacks() {
        let origin = Origin::on(address);
        let pair = Pair::to(origin.addr());
        for size in [0, 1, 100_000] {
            let (mut client, mut server) = open(&pair, &origin);
            client.write_all(b"this is never read").unwrap();
            // Its input is there before it closes.
            server.peek(&mut [0; 1]).unwrap();
            DATA.send(&mut server, 0..size);
            flush(&server);
            drop(server);
            let got = expect_reset(&mut client);
            assert_eq!(got.len() as u64, size);
            DATA.check(0, &got);
        }
    }
}

/// Nobody receives from the connection of a peer that does not read, and yet its reset is seen.
#[test]
fn a_reset_is_seen_while_the_other_end_does_not_read() {
    let origin = Origin::start();
    let pair = Pair::to(origin.addr());
    let (client, mut server) = open(&pair, &origin);
    fill(&client);
    reset(client);
    let got = expect_reset(&mut server);
    DATA.check(0, &got);
    let (mut client, server) = open(&pair, &origin);
    fill(&server);
    reset(server);
    DATA.check(0, &expect_reset(&mut client));
}

/// Sends until nothing more is taken.
fn fill(stream: &TcpStream) {
    let data = DATA.bytes(0..64 << 20);
    stream.set_write_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    let error =
        { stream }.write_all(&data).expect_err("a connection that takes so much without a reader");
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
}
