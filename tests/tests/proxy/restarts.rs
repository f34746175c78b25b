//! A client or a server goes away and comes back without its state.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;
use striper_tests::{
    DOWN, Event, Origin, Pair, Pattern, Proxy, Route, UP, Vacant, exchange, expect_fin,
    expect_reset, expect_reset_at, finish, take_little, try_finish,
};

#[test]
fn connections_wait_for_a_killed_server_and_are_reset_when_it_is_back() {
    let (route, origin) = (Route::start(), Origin::start());
    let options = ["--connect-timeout", "10m"];
    let Pair { client, mut server } = Pair::with(Some(&route), origin.addr(), &options, &[]);
    let mut open = [(); 3].map(|()| client.open(&origin));
    let nobody = Vacant::reserve();
    route.lead_to(nobody.addr());
    server.kill();
    let stranded = client.wait_for("session_stranded");
    assert_eq!((stranded.text("level"), stranded.number("connections")), ("warn", 3));
    let text = stranded.text("message");
    assert!(text.contains("3 connections are kept until "), "{text}");
    let is_closed = |event: &Event| event.is("peer_unreachable") && event.text("level") == "warn";
    let unreachable = client.wait_for_any("a failed dial", is_closed);
    assert!(unreachable.text("message").contains("it has been reached before"), "{unreachable}");
    for (local, _) in &mut open {
        local.set_nonblocking(true).expect("a socket");
        let error = local.read(&mut [0; 1]).expect_err("the connection is still open");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        local.set_nonblocking(false).expect("a socket");
    }
    let restarted = Proxy::server(origin.addr(), &[]);
    route.lead_to(restarted.addr());
    for (local, target) in &mut open {
        assert!(expect_reset(local).is_empty());
        // The system closes the sockets of a killed process, maybe in order.
        let _ = target.read(&mut [0; 1]);
    }
    let forgotten = client.wait_for("session_forgotten");
    assert!(forgotten.text("message").contains("is lost with 3 connections;"), "{forgotten}");
    exchange(&client.connect(), &origin.accept(), 0..1_000_000);
    assert_eq!(client.count("session_started"), 2);
}

#[test]
fn a_new_connection_is_reset_at_once_while_others_wait() {
    let origin = Origin::start();
    let mut server = Proxy::server(origin.addr(), &[]);
    let client = Proxy::client(server.addr(), &["--connect-timeout", "10m"]);
    let _kept = client.open(&origin);
    server.kill();
    client.wait_for("session_stranded");
    client.wait_for_any("a refusal", |event| event.text("reason") == "connection refused");
    expect_reset_at(client.addr());
    let end = client.wait_for("connection_ended");
    assert_eq!((end.number("connection"), end.text("end")), (2, "no_session"));
}

#[test]
fn a_connection_made_while_the_server_is_away_is_carried_when_it_is_back() {
    let (route, origin) = (Route::start(), Origin::start());
    let Pair { client, mut server } = Pair::over(&route, origin.addr());
    let nobody = Vacant::reserve();
    route.lead_to(nobody.addr());
    server.kill();
    client.wait_for("peer_unreachable");
    let mut waiting = client.connect();
    UP.send(&mut waiting, 0..1_000_000);
    finish(&waiting);
    let restarted = Proxy::server(origin.addr(), &[]);
    route.lead_to(restarted.addr());
    let mut target = origin.accept();
    UP.expect_all(&mut target, 0..1_000_000);
    drop(target);
    expect_fin(&mut waiting);
}

const TOTAL: u64 = 50_000_000;

/// A transfer in one direction, a third of which has arrived.
struct Transfer {
    pattern: Pattern,
    to: TcpStream,
}

impl Transfer {
    fn begin(pattern: Pattern, mut from: TcpStream, mut to: TcpStream) -> Transfer {
        take_little(&to);
        thread::spawn(move || {
            if from.write_all(&pattern.bytes(0..TOTAL)).is_ok() && try_finish(&from) {
                // The connection must not be closed before its other direction ends.
                let _ = from.read(&mut [0; 1]);
            }
        });
        pattern.expect(&mut to, 0..TOTAL / 3);
        Transfer { pattern, to }
    }

    /// The rest that still comes is correct and incomplete, and it has no clean end.
    fn expect_cut(mut self, end: ErrorKind) {
        let mut rest = Vec::new();
        let error = self.to.read_to_end(&mut rest).expect_err("a clean end");
        assert_eq!(error.kind(), end);
        assert!(TOTAL / 3 + (rest.len() as u64) < TOTAL);
        self.pattern.check(TOTAL / 3, &rest);
    }
}

/// One up and one down, each on a connection of its own: the system reports a reset only once.
fn transfers(client: &Proxy, origin: &Origin) -> [Transfer; 2] {
    let (up, above) = (client.connect(), origin.accept());
    let (below, down) = (client.connect(), origin.accept());
    [Transfer::begin(UP, up, above), Transfer::begin(DOWN, down, below)]
}

#[test]
fn transfers_over_a_restarted_server_are_reset_on_both_ends() {
    let (route, origin) = (Route::start(), Origin::start());
    let Pair { client, mut server } = Pair::over(&route, origin.addr());
    let transfers = transfers(&client, &origin);
    let restarted = Proxy::server(origin.addr(), &[]);
    route.lead_to(restarted.addr());
    server.kill();
    transfers.into_iter().for_each(|transfer| transfer.expect_cut(ErrorKind::ConnectionReset));
    exchange(&client.connect(), &origin.accept(), 0..100_000);
}

#[test]
fn transfers_over_a_restarted_client_have_no_clean_end() {
    let origin = Origin::start();
    let Pair { mut client, server } = Pair::to(origin.addr());
    let [up, down] = transfers(&client, &origin);
    client.kill();
    let restarted = Proxy::client(server.addr(), &[]);
    exchange(&restarted.connect(), &origin.accept(), 0..100_000);
    down.expect_cut(ErrorKind::ConnectionReset);
    // The server waits for stripes of the old client, and resets its connections when it gives up.
    up.to.set_read_timeout(Some(Duration::from_millis(300))).expect("a socket");
    up.expect_cut(ErrorKind::WouldBlock);
}
