//! Listeners of the server (`-R`), whose connections go to targets of the client.

use std::net::SocketAddr;
use striper_tests::listed::{Listed, lines};
use striper_tests::{Origin, Proxy, Route, Vacant, connect, exchange, expect_reset, try_connect};

const ANY: &[&str] = &["server", "127.0.0.1:0", "--allow-listen", "*"];

/// A client with this `-R`, and where the server listens for it.
fn client(server: SocketAddr, remote: &str) -> (Proxy, SocketAddr) {
    let client = Proxy::start(&["client", &server.to_string(), "-R", remote]);
    let listen = client.wait_for("listening").text("listen").parse().unwrap();
    (client, listen)
}

#[test]
fn connections_to_a_listener_of_the_server_reach_the_target_of_the_client() {
    let [one, other] = [(); 2].map(|()| Origin::start());
    let server = Proxy::start(ANY);
    let remote = [&one, &other].map(|origin| format!("0:{}", origin.addr()));
    let address = server.addr().to_string();
    let client = Proxy::start(&["client", &address, "-R", &remote[0], "-R", &remote[1]]);
    for event in client.wait_for_some("listening", 2) {
        let origin = if event.text("target") == one.addr().to_string() { &one } else { &other };
        let program = connect(event.text("listen").parse().unwrap());
        exchange(&program, &origin.accept(), 0..3_000_000);
    }
    assert_eq!(server.count("connection_opened"), 2);
    let opened = server.wait_for("connection_opened");
    assert!(opened.text("message").contains(" at 127.0.0.1:"), "{opened}");
}

#[test]
fn a_listener_that_is_not_allowed_has_its_reason_on_both_sides() {
    let (origin, vacant) = (Origin::start(), Vacant::reserve());
    let there = vacant.addr();
    let remote = format!("{there}:{}", origin.addr());
    let other = if there.port() == 1024 { "1025" } else { "1024" };
    let server = Proxy::start(&["server", "127.0.0.1:0", "--allow-listen", other]);
    let client = Proxy::start(&["client", &server.addr().to_string(), "-R", &remote]);
    let told = server.wait_for("listener_refused");
    assert!(told.text("message").contains("no --allow-listen rule allows it"), "{told}");
    let told = client.wait_for("listener_refused");
    let text = told.text("message");
    assert!(text.contains(&format!("not listening on {there}")), "{told}");
    assert!(text.contains("no --allow-listen of it allows that"), "{told}");
    assert!(try_connect(there).is_err());
}

#[test]
fn an_address_that_is_taken_is_told_and_asked_for_again() {
    let (origin, taken) = (Origin::start(), Origin::start());
    let server = Proxy::start(ANY);
    let remote = format!("{}:{}", taken.addr(), origin.addr());
    let client = Proxy::start(&["client", &server.addr().to_string(), "-R", &remote]);
    let told = server.wait_for("listener_refused");
    assert!(told.text("message").contains("another program listens there; "), "{told}");
    client.wait_for("listener_refused");
    let address = taken.addr();
    drop(taken);
    client.wait_for("listening");
    exchange(&connect(address), &origin.accept(), 0..1000);
}

#[test]
fn a_connection_is_reset_if_the_target_of_the_client_can_not_be_reached() {
    let (server, vacant) = (Proxy::start(ANY), Vacant::reserve());
    let (client, listen) = client(server.addr(), &format!("0:{}", vacant.addr()));
    expect_reset(&mut connect(listen));
    let told = client.wait_for("connection_failed");
    assert!(told.text("message").contains("refused"), "{told}");
    let told = server.wait_for("connection_ended");
    assert_eq!(told.text("end"), "refused");
}

#[test]
fn a_listener_is_there_while_a_session_is_resumed() {
    let (origin, route, server) = (Origin::start(), Route::start(), Proxy::start(ANY));
    route.lead_to(server.addr());
    let (client, listen) = client(route.addr(), &format!("0:{}", origin.addr()));
    client.wait_for_all_stripes();
    let (program, target) = (connect(listen), origin.accept());
    route.reset_all();
    exchange(&program, &target, 0..100_000);
    exchange(&connect(listen), &origin.accept(), 0..100_000);
    assert_eq!((client.count("listening"), client.count("session_started")), (1, 1));
}

#[test]
fn a_listener_is_back_after_the_server_has_started_again() {
    let (origin, route, mut server) = (Origin::start(), Route::start(), Proxy::start(ANY));
    route.lead_to(server.addr());
    let there = Vacant::reserve().addr();
    let remote = format!("{there}:{}", origin.addr());
    let (client, listen) = client(route.addr(), &remote);
    assert_eq!(listen, there);
    server.stop();
    assert!(try_connect(there).is_err());
    let server = Proxy::start(ANY);
    route.lead_to(server.addr());
    client.wait_for_some("listening", 2);
    exchange(&connect(there), &origin.accept(), 0..1000);
}

#[test]
fn a_client_that_was_killed_and_starts_again_has_its_listener_back() {
    let (origin, server) = (Origin::start(), Proxy::start(ANY));
    let (mut first, listen) = client(server.addr(), &format!("0:{}", origin.addr()));
    let _open = (connect(listen), origin.accept());
    first.kill();
    server.wait_for("session_stranded");
    let (_second, again) = client(server.addr(), &format!("{listen}:{}", origin.addr()));
    assert_eq!(again, listen);
    exchange(&connect(listen), &origin.accept(), 0..1000);
}

#[test]
fn a_client_with_all_the_listeners_it_may_have_gets_them_back_too() {
    let (origin, server) = (Origin::start(), Proxy::start(ANY));
    let vacant: Vec<Vacant> = (0..64).map(|_| Vacant::reserve()).collect();
    let there: Vec<SocketAddr> = vacant.iter().map(Vacant::addr).collect();
    drop(vacant);
    let mut args = vec!["client".to_owned(), server.addr().to_string()];
    args.extend(there.iter().flat_map(|at| ["-R".to_owned(), format!("{at}:{}", origin.addr())]));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let mut first = Proxy::start(&args);
    for address in &there {
        while try_connect(*address).is_err() {
            std::thread::yield_now();
        }
    }
    // With a connection that the server knows, its session waits for the client.
    let open = connect(there[0]);
    let from = open.local_addr().unwrap().to_string();
    server.wait_for_any("the connection", |event| {
        event.is("connection_opened") && event.text("from") == from
    });
    first.kill();
    server.wait_for("session_stranded");
    let _second = Proxy::start(&args);
    server.wait_for_any("a listener that is taken over", |event| {
        event.is("listener_ended") && event.text("message").contains("for a lost client")
    });
}

#[test]
fn a_listener_closes_when_either_side_stops() {
    for stops in ["client", "server"] {
        let (origin, mut server) = (Origin::start(), Proxy::start(ANY));
        let (mut client, listen) = client(server.addr(), &format!("0:{}", origin.addr()));
        let (program, target) = (connect(listen), origin.accept());
        let stopping = if stops == "client" { &mut client } else { &mut server };
        stopping.terminate();
        assert_eq!(stopping.wait_for("stopping").number("connections"), 1, "{stops}");
        server.wait_for("listener_ended");
        assert!(try_connect(listen).is_err(), "{stops}");
        exchange(&program, &target, 0..1000);
        drop((program, target));
        let stopping = if stops == "client" { &mut client } else { &mut server };
        assert_eq!(stopping.exit_code(), Some(0), "{stops}");
    }
}

#[test]
fn connections_to_the_listener_of_one_key_leave_files_to_another_key() {
    let [anns, bobs] = [(); 2].map(|()| Origin::start());
    let (listed, keys) = Listed::start(
        &["server", "127.0.0.1:0", &bobs.addr().to_string(), "--allow-listen", "*"],
        [("ann", ""), ("bob", "")],
    );
    let address = listed.server.addr().to_string();
    let start = |key: &str, way: [&str; 2]| {
        Proxy::start(&[&["client", &address], &way[..], &listed.keys(key)].concat())
    };
    let ann = start(&keys[0], ["-R", &format!("0:{}", anns.addr())]);
    let listen = ann.wait_for("listening").text("listen").parse().unwrap();
    listed.server.limit_files(256);
    // At once, so that the server accepts many before its session hears of one.
    let _many: Vec<_> = (0..400).map(|_| try_connect(listen)).collect();
    listed.server.wait_for("connection_refused");
    let bob = start(&keys[1], ["-L", "127.0.0.1:0"]);
    let _open: Vec<_> = (0..30).map(|_| bob.open(&bobs)).collect();
}

#[test]
fn a_key_has_the_listeners_of_its_own_rules_until_they_are_read_again() {
    let (origin, other) = (Origin::start(), Vacant::reserve().addr());
    let other_rule = other.port().to_string();
    let (listed, keys) = Listed::start(
        &["server", "127.0.0.1:0", "--allow-listen", &other_rule],
        [("ann", "  allow-listen *\n"), ("bob", "")],
    );
    let address = listed.server.addr().to_string();
    let start = |key: &str, remote: &str| {
        Proxy::start(&[&["client", &address, "-R", remote], &listed.keys(key)[..]].concat())
    };
    let anywhere = format!("0:{}", origin.addr());
    let [ann, bob] = [&keys[0], &keys[1]].map(|key| start(key, &anywhere));
    let listen = ann.wait_for("listening").text("listen").parse().unwrap();
    exchange(&connect(listen), &origin.accept(), 0..1000);
    bob.wait_for("listener_refused");
    let bob = start(&keys[1], &format!("{other}:{}", origin.addr()));
    bob.wait_for("listening");
    let (program, target) = (connect(listen), origin.accept());
    listed.list(&lines(&keys, ["  allow-listen 1\n", ""]), "keys_read");
    assert_eq!(listed.server.wait_for("listener_ended").text("listen"), listen.to_string());
    assert!(try_connect(listen).is_err());
    exchange(&program, &target, 0..1000);
    exchange(&connect(other), &origin.accept(), 0..1000);
    ann.wait_for("listener_refused");
}

#[test]
fn no_client_listens_in_place_of_the_target_of_the_server() {
    let (origin, target) = (Origin::start(), Vacant::reserve().addr());
    for name in [target.to_string(), format!("localhost:{}", target.port())] {
        let server = Proxy::start(&["server", "127.0.0.1:0", &name, "--allow-listen", "*"]);
        let remote = format!("{target}:{}", origin.addr());
        let client = Proxy::start(&["client", &server.addr().to_string(), "-R", &remote]);
        client.wait_for("listener_refused");
        let told = server.wait_for("listener_refused");
        assert!(told.text("reason").contains("own target has this port"), "{told}");
        assert!(try_connect(target).is_err());
    }
}

#[test]
fn a_server_without_a_rule_for_listeners_needs_a_target() {
    let finished = striper_tests::run(&["server", "127.0.0.1:0"], &[]);
    assert_eq!(finished.code, Some(2));
    for (args, part) in [
        (&["server", "127.0.0.1:0", "--allow-listen", "x:1"][..], "not on a name"),
        (&["client", "127.0.0.1:1", "-R", "80"], "names no target"),
        (&["client", "127.0.0.1:1", "-R", "/x.sock:a:1"], "no TCP port"),
        (&["client", "192.0.2.1:1", "-R", "80:localhost:80"], "need a key"),
        (&["server", "0.0.0.0:0", "--allow-listen", "80"], "needs a key"),
    ] {
        let finished = striper_tests::run(args, &[]);
        assert_eq!(finished.code, Some(2), "{}", finished.stderr);
        assert!(finished.stderr.contains(part), "{}", finished.stderr);
    }
}
