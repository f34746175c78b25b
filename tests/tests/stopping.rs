//! SIGTERM: connections may finish, new ones are not taken. A second one, or the end of patience,
//! cuts.

use std::io::ErrorKind;
use std::net::TcpStream;
use striper_tests::{
    Origin, Pair, Pattern, Proxy, connect, expect_fin, expect_reset, expect_reset_at, finish,
    try_connect,
};

const UP: Pattern = Pattern(1);
const DOWN: Pattern = Pattern(2);

/// A connection under way.
struct Talk {
    client: TcpStream,
    server: TcpStream,
    said: u64,
}

impl Talk {
    fn open(through: &Proxy, origin: &Origin) -> Talk {
        let client = connect(through.addr());
        let mut talk = Talk { client, server: origin.accept(), said: 0 };
        talk.go_on();
        talk
    }

    fn go_on(&mut self) {
        let range = self.said..self.said + 100_000;
        UP.send(&mut self.client, range.clone());
        UP.expect(&mut self.server, range.clone());
        DOWN.send(&mut self.server, range.clone());
        DOWN.expect(&mut self.client, range.clone());
        self.said = range.end;
    }

    fn finish(mut self) {
        self.go_on();
        finish(&self.client);
        expect_fin(&mut self.server);
        finish(&self.server);
        expect_fin(&mut self.client);
    }
}

/// Nobody takes a connection there any more: it is refused, or was still in the system's queue and
/// is reset.
fn assert_closed(through: &Proxy) {
    match try_connect(through.addr()) {
        Ok(mut stream) => assert!(expect_reset(&mut stream).is_empty()),
        Err(error) => {
            assert!(matches!(
                error.kind(),
                ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset
            ))
        }
    }
}

#[test]
fn a_stopped_client_side_lets_connections_finish_and_takes_no_new_ones() {
    let origin = Origin::start();
    let mut pair = Pair::to(origin.addr());
    let talk = Talk::open(&pair.client, &origin);
    pair.client.terminate();
    let stopping = pair.client.wait_for("stopping");
    assert_eq!((stopping.text("signal"), stopping.number("connections")), ("SIGTERM", 1));
    assert_closed(&pair.client);
    talk.finish();
    assert_eq!(pair.client.exit_code(), Some(0));
    assert_eq!(
        pair.server.wait_for("session_ended").text("level"),
        "info",
        "nothing to worry about"
    );
}

#[test]
fn a_stopped_server_side_lets_connections_finish_and_takes_no_new_ones() {
    let origin = Origin::start();
    let mut server = Proxy::server(origin.addr().ip(), origin.addr(), &[]);
    let client = Proxy::client(origin.addr().ip(), server.addr(), &["--connect-timeout", "200ms"]);
    let talk = Talk::open(&client, &origin);
    server.terminate();
    server.wait_for("stopping");
    expect_reset_at(client.addr());
    talk.finish();
    assert_eq!(server.exit_code(), Some(0));
    assert_eq!(server.count("connection_opened"), 1);
}

#[test]
fn a_stopped_relay_lets_connections_finish_and_takes_no_new_ones() {
    let origin = Origin::start();
    let mut relay =
        Proxy::start(&["relay", "0", &origin.addr().to_string(), "--drain-timeout", "10m"]);
    let talk = Talk::open(&relay, &origin);
    relay.terminate();
    relay.wait_for("stopping");
    assert_closed(&relay);
    talk.finish();
    assert_eq!(relay.exit_code(), Some(0));
}

#[test]
fn a_side_without_connections_stops_at_once() {
    let origin = Origin::start();
    let mut pair = Pair::to(origin.addr());
    pair.client.terminate();
    assert_eq!(pair.client.exit_code(), Some(0));
    pair.server.terminate();
    assert_eq!(pair.server.exit_code(), Some(0));
    let mut relay = Proxy::start(&["relay", "0", &origin.addr().to_string()]);
    relay.terminate();
    assert_eq!(relay.exit_code(), Some(0));
}

/// Proxies in front of an origin, one of which is to be stopped. The last one is where connections
/// come in.
fn arrangements(origin: &Origin, options: &[&str]) -> Vec<(Vec<Proxy>, usize)> {
    let ip = origin.addr().ip();
    let pair = || {
        let server = Proxy::server(ip, origin.addr(), options);
        let client = Proxy::client(ip, server.addr(), options);
        vec![server, client]
    };
    let relay = Proxy::start(&[&["relay", "0", &origin.addr().to_string()], options].concat());
    vec![(pair(), 0), (pair(), 1), (vec![relay], 0)]
}

#[test]
fn a_second_signal_stops_at_once_and_resets_what_is_left() {
    let origin = Origin::start();
    for (mut proxies, stopped) in arrangements(&origin, &["--drain-timeout", "10m"]) {
        let mut talk = Talk::open(proxies.last().expect("a proxy"), &origin);
        let proxy = &mut proxies[stopped];
        proxy.terminate();
        proxy.wait_for("stopping");
        talk.go_on();
        proxy.terminate();
        assert_eq!(proxy.exit_code(), Some(143));
        expect_reset(&mut talk.client);
        expect_reset(&mut talk.server);
    }
}

#[test]
fn connections_that_outlast_the_drain_timeout_are_reset_and_the_exit_code_says_so() {
    let origin = Origin::start();
    for (mut proxies, stopped) in arrangements(&origin, &["--drain-timeout", "200ms"]) {
        let mut talk = Talk::open(proxies.last().expect("a proxy"), &origin);
        proxies[stopped].terminate();
        assert_eq!(proxies[stopped].exit_code(), Some(7));
        assert_eq!(proxies[stopped].wait_for("stopped").number("cut"), 1);
        expect_reset(&mut talk.client);
        expect_reset(&mut talk.server);
    }
}
