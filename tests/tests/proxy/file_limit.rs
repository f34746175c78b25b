//! A process without free file descriptors goes on when it has some again.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use striper_tests::{Event, Origin, Pair, Proxy, Route, try_connect};

const FILES: u64 = 40;
const FLOOD: usize = 100;

/// Many connections. Some may be reset before this end knows that it was connected.
fn flood(to: SocketAddr) -> Vec<TcpStream> {
    let connect = |_| match try_connect(to) {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
        connected => Some(connected.expect("a connection")),
    };
    (0..FLOOD).filter_map(connect).collect()
}

fn flood_and_end(proxy: &Proxy) {
    proxy.limit_files(FILES);
    let connections = flood(proxy.addr());
    assert_complained(proxy);
    drop(connections);
}

fn assert_complained(proxy: &Proxy) {
    let failure = proxy.wait_for("accept_failed");
    assert!(failure.text("message").contains("raise the limit of open files"), "{failure}");
    assert!(proxy.count("accept_failed") < 5, "it has few lines");
}

#[test]
fn a_proxy_survives_more_connections_than_it_may_have() {
    let origin = Origin::start();
    let Pair { client, server } = Pair::to(origin.addr());
    let relay = Proxy::relay(origin.addr(), &[]);
    for proxy in [&client, &relay] {
        flood_and_end(proxy);
        proxy.assert_works(&origin);
    }
    assert_eq!(client.count("stripe_lost"), 0);
    flood_and_end(&server);
    client.assert_works(&origin);
    Proxy::client(server.addr(), &[]).assert_works(&origin);
}

#[test]
fn a_server_survives_more_flows_than_it_may_have() {
    let Pair { client, server } = Pair::to(greeter());
    server.limit_files(FILES);
    let connections = flood(client.addr());
    let greeted = connections.iter().filter(|connection| is_greeted(connection)).count();
    assert!(0 < greeted && greeted < FILES as usize, "{greeted}");
    let refused = server.wait_for("connection_failed");
    assert!(refused.text("reason").contains("Too many open files"), "{refused}");
    assert!(refused.text("message").contains("raise the limit of open files"), "{refused}");
    let is_told = |event: &Event| event.text("reason").contains("short of resources");
    client.wait_for_any("the cause", is_told);
    drop(connections);
    server.wait_for_some("connection_ended", greeted);
    assert!(is_greeted(&client.connect()));
}

/// A target that sends a byte to each connection and keeps it until its end.
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

fn is_greeted(mut connection: &TcpStream) -> bool {
    match connection.read(&mut [0; 1]) {
        Ok(1) => true,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
        other => panic!("{other:?} is neither a greeting nor a reset"),
    }
}

#[test]
fn many_stripes_leave_files_to_connections_and_both_sides_have_a_warning() {
    let origin = Origin::start();
    let server = Proxy::server(origin.addr(), &[]);
    server.limit_files(FILES);
    let client = Proxy::client(server.addr(), &["-n", "64"]);
    let refusal = server.wait_for("stripe_refused");
    assert!(refusal.text("message").contains("ulimit -n"), "{refusal}");
    let unreachable = client.wait_for("peer_unreachable");
    assert!(unreachable.text("message").contains("use fewer stripes: -n"), "{unreachable}");
    client.assert_works(&origin);
    assert!(server.count("accept_failed") <= 1, "it has one line");
}

/// Callers must leave a reserve, so that a server can dial the target for its clients.
#[test]
fn callers_that_fill_the_stripe_port_keep_no_target_from_being_dialled() {
    let Pair { client, server } = Pair::to(greeter());
    server.limit_files(FILES);
    let strangers = flood(server.addr());
    assert_complained(&server);
    let connections: Vec<TcpStream> = (0..5).map(|_| client.connect()).collect();
    assert!(connections.iter().all(is_greeted));
    drop(strangers);
}

/// Else a server could take the files that its client needs for stripes and programs.
#[test]
fn a_burst_from_a_listener_of_the_server_leaves_files_to_the_client() {
    let (route, server) = (Route::start(), Proxy::start(&["server", "0", "--allow-listen", "*"]));
    route.lead_to(server.addr());
    let remote = format!("0:{}", greeter());
    let client = Proxy::start(&["client", &route.addr().to_string(), "-R", &remote]);
    let listen = client.wait_for("listening").text("listen").parse().unwrap();
    client.wait_for_all_stripes();
    client.limit_files(2 * FILES);
    let before = server.files();
    route.silence();
    let connections = flood(listen);
    while server.files() < before + connections.len() {
        thread::yield_now();
    }
    route.heal();
    let greeted = connections.iter().filter(|connection| is_greeted(connection)).count();
    assert!(0 < greeted, "some have room");
    assert!(client.files() as u64 <= 2 * FILES - 16, "{}", client.files());
}
