//! The logs of both sides: ordinary events, peers that vanish, and wrong keys.

use std::io::{Read, Write};
use striper_tests::stranger::{Stranger, create, hello};
use striper_tests::{Event, Origin, Pair, Proxy, Route, TempDir, UP, Vacant, run};

/// A pair with a key named `site`, over a route.
struct Keyed {
    route: Route,
    origin: Origin,
    pair: Pair,
    _folder: TempDir,
}

fn keyed() -> Keyed {
    let (route, origin, folder) = (Route::start(), Origin::start(), TempDir::create());
    let key = folder.text("site.key");
    run(&["keygen", &key], &[]).success();
    let options = ["-k", &key];
    let pair = Pair::with(Some(&route), origin.addr(), &options, &options);
    Keyed { route, origin, pair, _folder: folder }
}

fn assert_calm(proxy: &Proxy) {
    let is_grave = |event: &Event| matches!(event.text("level"), "warn" | "error");
    let events = proxy.events();
    assert!(!events.iter().any(is_grave), "{events:?}");
    assert!(events.last().is_some_and(|event| event.is("stopped")), "{events:?}");
}

#[test]
fn the_log_names_the_peer_of_a_session_from_its_start_to_its_end() {
    let Keyed { route, origin, pair: Pair { mut client, server }, _folder } = keyed();
    for side in [&client, &server] {
        for event in ["ready", "session_started"].map(|name| side.wait_for(name)) {
            assert_eq!(event.text("key"), "site", "{event}");
        }
    }
    let started = server.wait_for("session_started");
    assert!(started.text("peer").starts_with("127.0.0.1:"), "{started}");
    let whose = format!(" with {} (key site) is up", started.text("peer"));
    assert!(started.text("message").ends_with(&whose), "{started}");

    route.reset_one();
    let lost = client.wait_for("stripe_lost");
    let ups = client.wait_for_some("stripe_up", 5);
    let mut places: Vec<u64> = ups[..4].iter().map(|event| event.number("place")).collect();
    places.sort_unstable();
    assert_eq!(places, [1, 2, 3, 4]);
    assert_eq!(ups[4].number("place"), lost.number("place"), "it takes the place of the lost one");
    assert_eq!(ups[4].number("stripe"), 4, "an id is never used again");

    let (mut local, mut target) = client.open(&origin);
    route.lead_to(Vacant::reserve().addr());
    route.reset_all();
    for side in [&client, &server] {
        let stranded = side.wait_for("session_stranded");
        let fields = (stranded.number("connections"), stranded.text("key"));
        assert_eq!(fields, (1, "site"), "{stranded}");
    }
    route.lead_to(server.addr());
    for side in [&client, &server] {
        let resumed = side.wait_for("session_resumed");
        assert!(resumed.text("message").ends_with(": 1 connection goes on"), "{resumed}");
    }
    UP.send(&mut local, 10..1_000);
    UP.expect(&mut target, 10..1_000);

    client.kill();
    let stranded = server.wait_for_some("session_stranded", 2).remove(1);
    let text = stranded.text("message");
    assert!(text.contains(" with 127.0.0.1:"), "{text}");
    let kept = " (key site) has no stripe left: 1 connection is kept until ";
    assert!(text.contains(kept), "{text}");
}

#[test]
fn a_connection_has_the_same_names_when_it_begins_and_when_it_ends() {
    let Keyed { route: _route, origin, pair: Pair { client, server }, _folder } = keyed();
    let (local, target) = client.open(&origin);
    let from = local.local_addr().unwrap().to_string();
    drop((local, target));
    for (side, key) in [(&client, ""), (&server, "site")] {
        for event in ["connection_opened", "connection_ended"].map(|name| side.wait_for(name)) {
            let names = ["connection", "from", "key"].map(|name| event.text(name).to_owned());
            assert_eq!(names, ["1", &from, key], "{event}");
        }
    }
    let target = origin.addr().to_string();
    assert_eq!(server.wait_for("connection_ended").text("target"), target);
}

#[test]
fn a_session_without_connections_that_loses_its_stripes_has_no_line() {
    let origin = Origin::start();
    let Pair { mut client, mut server } = Pair::to(origin.addr());
    client.kill();
    server.wait_for_some("stripe_lost", 4);
    server.stop();
    assert_eq!(server.count("session_stranded"), 0);
}

#[test]
fn an_ordinary_stop_of_the_server_is_no_reason_to_warn() {
    let Keyed { route, origin, pair: Pair { mut client, mut server }, _folder } = keyed();
    let open = client.open(&origin);
    server.terminate();
    let stopping = server.wait_for("stopping");
    assert!(stopping.text("message").contains("1 connection may finish until "), "{stopping}");
    assert_eq!(stopping.text("drain_timeout_seconds"), "30.000");
    let stopping = client.wait_for("peer_stopping");
    assert_eq!((stopping.text("level"), stopping.number("connections")), ("info", 1));
    drop(open);
    assert_eq!(server.exit_code(), Some(0));
    route.lead_to(Vacant::reserve().addr());
    assert_eq!(client.wait_for("peer_unreachable").text("level"), "info");
    client.stop();
    [&client, &server].into_iter().for_each(assert_calm);
}

#[test]
fn a_stop_of_both_sides_at_once_is_no_reason_to_warn() {
    for _ in 0..5 {
        let Keyed { route: _route, origin, pair: Pair { client, server }, _folder } = keyed();
        drop(client.open(&origin));
        let mut sides = [server, client];
        sides.iter().for_each(Proxy::terminate);
        for side in &mut sides {
            assert_eq!(side.exit_code(), Some(0));
            assert_calm(side);
        }
    }
}

#[test]
fn a_client_with_a_wrong_key_has_one_warning() {
    let (folder, origin) = (TempDir::create(), Origin::start());
    let [right, wrong] = ["right.key", "wrong.key"].map(|name| folder.text(name));
    for key in [&right, &wrong] {
        run(&["keygen", key], &[]).success();
    }
    let server = Proxy::server(origin.addr(), &["-k", &right]);
    let mut client = Proxy::client(server.addr(), &["-k", &wrong]);
    // Four stripes each time.
    let refused = server.wait_for_some("stripe_refused", 12);
    let levels: Vec<&str> = refused.iter().map(|event| event.text("level")).collect();
    assert_eq!(levels.iter().filter(|level| **level == "warn").count(), 1, "{levels:?}");
    client.wait_for("peer_unreachable");
    client.stop();
    assert_eq!(client.count("peer_unreachable"), 1);
}

#[test]
fn a_refused_caller_has_no_second_line_when_another_caller_displaces_it() {
    let origin = Origin::start();
    let mut server = Proxy::server(origin.addr(), &["--limit", "handshakes=1"]);
    let mut refused = Stranger::call(server.addr());
    refused.say(&hello(2, &create(7, 0)));
    assert_eq!(server.wait_for("stripe_refused").text("from"), refused.name());
    // It still has its place, since it has not hung up.
    let mut next = Stranger::call(server.addr());
    next.say(b"GET / HTTP/1.1\r\n\r\n");
    let is_of = |event: &Event, caller: &Stranger| {
        event.is("stripe_refused") && event.text("from") == caller.name()
    };
    server.wait_for_any("the next", |event| is_of(event, &next));
    server.stop();
    let events = server.events();
    let lines = events.iter().filter(|event| is_of(event, &refused));
    assert_eq!(lines.count(), 1, "{events:?}");
}

#[test]
fn a_server_whose_first_bytes_vary_has_one_warning() {
    let (stranger, dials) = (Origin::start(), 12);
    let mut client = Proxy::client(stranger.addr(), &["--connect-timeout", "10m"]);
    let waits = client.connect();
    for (number, mut stream) in stranger.incoming().take(dials).enumerate() {
        let _ = stream.read(&mut [0; 1000]);
        let _ = write!(stream, "SSH-2.0-OpenSSH_{number}\r\n");
    }
    let told = client.wait_for("peer_unreachable");
    assert!(told.text("message").contains("an ssh server"), "{told}");
    // Each further dial has begun after the failure of an earlier one.
    drop(waits);
    client.stop();
    assert_eq!(client.count("peer_unreachable"), 1);
}

#[test]
fn a_connection_that_is_cut_by_a_stop_has_its_cause_on_both_sides() {
    let origin = Origin::start();
    let Pair { client, server } = Pair::with(None, origin.addr(), &["--drain-timeout", "0s"], &[]);
    let _open = client.open(&origin);
    client.terminate();
    let ends = [
        (&client, "reset: this side has stopped"),
        (&server, "reset: the other side ended the session"),
    ];
    for (side, reason) in ends {
        assert_eq!(side.wait_for("connection_ended").text("reason"), reason);
    }
}

#[test]
fn a_stop_writes_the_counts_of_refused_callers() {
    let origin = Origin::start();
    let mut server = Proxy::start_with(&["-s", "127.0.0.1:0", &origin.addr().to_string()], &[]);
    let mut callers = [(); 3].map(|()| Stranger::call(server.addr()));
    for caller in &mut callers {
        caller.say(b"GET / HTTP/1.1\r\n\r\n");
        caller.dismissed();
    }
    server.stop();
    let events = server.events();
    let refused = events.iter().filter(|event| event.is("stripe_refused"));
    let unsaid: Vec<u64> = refused.map(|event| event.number("unsaid")).collect();
    assert_eq!(unsaid, [0, 2], "{events:?}");
    assert!(events.last().is_some_and(|event| event.is("stopped")), "{events:?}");
}
