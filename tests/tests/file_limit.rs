//! A process that has no file descriptor left goes on when it has some again.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use striper_tests::{Event, Origin, Pair, Pattern, Proxy, connect, try_connect};

const FILES: u64 = 40;
const FLOOD: usize = 100;

/// Many connections. Some may be reset before one learns that they were connected.
fn flood(to: SocketAddr) -> Vec<TcpStream> {
    let connect = |_| match try_connect(to) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        connected => Some(connected.expect("a connection")),
    };
    (0..FLOOD).filter_map(connect).collect()
}

/// A new connection works, whatever the flood has left in the queue.
fn assert_works(through: SocketAddr, origin: &Origin) {
    let mut client = connect(through);
    Pattern(1).send(&mut client, 0..1000);
    while origin.accept().read(&mut [0; 1000]).ok() != Some(1000) {}
}

fn assert_complained(proxy: &Proxy) {
    let failure = proxy.wait_for("accept_failed");
    assert!(failure.text("message").contains("raise the limit of open files"), "{failure}");
    assert!(proxy.count("accept_failed") < 5, "it does not say so again and again");
}

#[test]
fn a_client_side_survives_more_connections_than_it_may_have() {
    let origin = Origin::start();
    let pair = Pair::to(origin.addr());
    pair.client.limit_files(FILES);
    let connections = flood(pair.client.addr());
    assert_complained(&pair.client);
    drop(connections);
    assert_works(pair.client.addr(), &origin);
    assert_eq!(pair.client.count("stripe_lost"), 0);
}

#[test]
fn a_server_side_survives_more_connections_than_it_may_have() {
    let pair = Pair::to(greeter());
    pair.server.limit_files(FILES);
    let connections = flood(pair.client.addr());
    let greeted = connections.iter().filter(|connection| is_greeted(connection)).count();
    assert!(0 < greeted && greeted < FILES as usize, "{greeted}");
    let refused = pair.server.wait_for("connection_refused");
    assert!(refused.text("error").contains("Too many open files"), "{refused}");
    assert!(refused.text("message").contains("raise the limit of open files"), "{refused}");
    let is_told = |event: &Event| event.text("reason").contains("short of resources");
    pair.client.wait_for_any("the cause", is_told);
    drop(connections);
    pair.server
        .wait_for_some("the end of the flood", greeted, |event| event.is("connection_ended"));
    assert!(is_greeted(&pair.connect()));
}

/// A server that greets all who come and stays with them until they finish.
fn greeter() -> SocketAddr {
    let origin = Origin::start();
    let address = origin.addr();
    thread::spawn(move || {
        for mut stream in origin.incoming() {
            thread::spawn(move || {
                stream.write_all(b"!").and_then(|()| stream.read_to_end(&mut Vec::new()))
            });
        }
    });
    address
}

/// Whether a connection reached the greeter; otherwise it is reset.
fn is_greeted(mut connection: &TcpStream) -> bool {
    match connection.read(&mut [0; 1]) {
        Ok(1) => true,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
        other => panic!("{other:?} is neither a greeting nor a reset"),
    }
}

#[test]
fn a_stripe_port_survives_more_callers_than_it_may_have() {
    let origin = Origin::start();
    let pair = Pair::to(origin.addr());
    pair.server.limit_files(FILES);
    let strangers = flood(pair.server.addr());
    assert_complained(&pair.server);
    drop(strangers);
    assert_works(pair.client.addr(), &origin);
    let newcomer = Proxy::client(origin.addr().ip(), pair.server.addr(), &[]);
    assert_works(newcomer.addr(), &origin);
}

#[test]
fn a_relay_survives_more_connections_than_it_may_have() {
    let origin = Origin::start();
    let relay = Proxy::start(&["relay", "0", &origin.addr().to_string()]);
    relay.limit_files(FILES);
    let connections = flood(relay.addr());
    assert_complained(&relay);
    drop(connections);
    assert_works(relay.addr(), &origin);
}

#[test]
fn many_stripes_leave_files_to_connections_and_both_sides_say_what_is_short() {
    let origin = Origin::start();
    let server = Proxy::server(origin.addr().ip(), origin.addr(), &[]);
    server.limit_files(FILES);
    let client = Proxy::client(origin.addr().ip(), server.addr(), &["-n", "64"]);
    let refusal = server.wait_for("stripe_refused");
    assert!(refusal.text("message").contains("ulimit -n"), "{refusal}");
    let unreachable = client.wait_for("peer_unreachable");
    assert!(unreachable.text("message").contains("use fewer stripes: -n"), "{unreachable}");
    assert_works(client.addr(), &origin);
    assert_eq!(server.count("accept_failed").max(1), 1, "it is said once");
}

/// Connections that strangers hold leave a reserve, so that the target of who is in already can
/// still be dialled.
#[test]
fn callers_that_fill_the_stripe_port_keep_no_target_from_being_dialled() {
    let pair = Pair::to(greeter());
    pair.server.limit_files(FILES);
    let strangers = flood(pair.server.addr());
    assert_complained(&pair.server);
    let connections: Vec<TcpStream> = (0..5).map(|_| pair.connect()).collect();
    assert!(connections.iter().all(is_greeted));
    drop(strangers);
}
