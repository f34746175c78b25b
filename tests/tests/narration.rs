//! The logs of both sides: the ordinary course of things, sides that vanish, and wrong keys.

use std::io::{Read, Write};
use std::net::TcpStream;
use striper_tests::stranger::{Stranger, create, hello};
use striper_tests::{Event, Origin, Pair, Pattern, Proxy, Route, TempDir, Vacant, connect, run};

/// A pair with a key named `site`, over a route.
fn keyed(route: &Route, origin: &Origin) -> (TempDir, Pair) {
    let folder = TempDir::new();
    let key = folder.text("site.key");
    run(&["keygen", &key], &[]).success();
    let server = Proxy::server(origin.addr().ip(), origin.addr(), &["-k", &key]);
    route.lead_to(server.addr());
    let client = Proxy::client(origin.addr().ip(), route.addr(), &["-k", &key]);
    client.wait_for("stripe_up");
    (folder, Pair { client, server })
}

/// An open connection, both ends of it.
fn open(client: &Proxy, origin: &Origin) -> (TcpStream, TcpStream) {
    let (mut here, mut there) = (connect(client.addr()), origin.accept());
    Pattern(1).send(&mut here, 0..10);
    Pattern(1).expect(&mut there, 0..10);
    (here, there)
}

fn warnings(proxy: &Proxy) -> Vec<Event> {
    let grave = |event: &Event| matches!(event.text("level"), "warn" | "error");
    proxy.events().into_iter().filter(grave).collect()
}

#[test]
fn a_client_side_says_that_it_waits_for_a_killed_server_side_and_what_was_lost() {
    let (route, origin) = (Route::new(), Origin::start());
    let mut pair = Pair::over(&route, origin.addr());
    let _open = open(&pair.client, &origin);
    route.lead_to(Vacant::reserve().addr());
    pair.server.kill();
    let stranded = pair.client.wait_for("session_stranded");
    assert_eq!((stranded.text("level"), stranded.number("connections")), ("warn", 1));
    let text = stranded.text("message");
    assert!(text.contains("1 connection is kept until "), "{text}");
    let restarted = Proxy::server(origin.addr().ip(), origin.addr(), &[]);
    route.lead_to(restarted.addr());
    let forgotten = pair.client.wait_for("session_forgotten");
    assert_eq!(forgotten.number("connections"), 1);
    assert!(forgotten.text("message").contains("is lost with 1 connection;"), "{forgotten}");
}

#[test]
fn both_sides_say_when_connections_without_a_stripe_go_on() {
    let (route, origin) = (Route::new(), Origin::start());
    let (_folder, pair) = keyed(&route, &origin);
    let (mut here, mut there) = open(&pair.client, &origin);
    route.lead_to(Vacant::reserve().addr());
    route.reset_all();
    for side in [&pair.client, &pair.server] {
        let stranded = side.wait_for("session_stranded");
        assert_eq!(
            (stranded.number("connections"), stranded.text("key")),
            (1, "site"),
            "{stranded}"
        );
    }
    route.lead_to(pair.server.addr());
    for side in [&pair.client, &pair.server] {
        let resumed = side.wait_for("session_resumed");
        assert!(resumed.text("message").ends_with(": 1 connection goes on"), "{resumed}");
    }
    Pattern(1).send(&mut here, 10..1_000);
    Pattern(1).expect(&mut there, 10..1_000);
}

#[test]
fn a_server_side_names_the_client_side_that_has_vanished() {
    let (route, origin) = (Route::new(), Origin::start());
    let (_folder, mut pair) = keyed(&route, &origin);
    let _open = open(&pair.client, &origin);
    pair.client.kill();
    let stranded = pair.server.wait_for("session_stranded");
    let text = stranded.text("message");
    assert!(
        text.contains(" with 127.0.0.1:") && text.contains(" (key site) has no stripe left"),
        "{text}"
    );
    assert!(text.contains("1 connection is kept until "), "{text}");
}

#[test]
fn a_session_without_connections_that_loses_its_stripes_is_nothing_to_tell() {
    let origin = Origin::start();
    let mut pair = Pair::to(origin.addr());
    pair.client.kill();
    pair.server.wait_for_some("the loss of all stripes", 4, |event| event.is("stripe_lost"));
    pair.server.terminate();
    assert_eq!(pair.server.exit_code(), Some(0));
    assert_eq!(pair.server.count("session_stranded"), 0);
}

#[test]
fn an_ordinary_stop_of_the_server_side_is_no_reason_to_warn() {
    let (route, origin) = (Route::new(), Origin::start());
    let (_folder, mut pair) = keyed(&route, &origin);
    let (here, there) = open(&pair.client, &origin);
    pair.server.terminate();
    let stopping = pair.client.wait_for("peer_stopping");
    assert_eq!((stopping.text("level"), stopping.number("connections")), ("info", 1));
    drop((here, there));
    assert_eq!(pair.server.exit_code(), Some(0));
    route.lead_to(Vacant::reserve().addr());
    assert_eq!(pair.client.wait_for("peer_unreachable").text("level"), "info");
    pair.client.terminate();
    assert_eq!(pair.client.exit_code(), Some(0));
    for side in [&pair.client, &pair.server] {
        assert!(warnings(side).is_empty(), "{:?}", warnings(side));
        assert!(
            side.events().last().is_some_and(|event| event.is("stopped")),
            "nothing comes after it"
        );
    }
}

#[test]
fn a_stop_of_both_sides_at_once_is_no_reason_to_warn() {
    for _ in 0..5 {
        let (route, origin) = (Route::new(), Origin::start());
        let (_folder, mut pair) = keyed(&route, &origin);
        drop(open(&pair.client, &origin));
        pair.server.terminate();
        pair.client.terminate();
        for side in [&mut pair.client, &mut pair.server] {
            assert_eq!(side.exit_code(), Some(0));
            assert!(warnings(side).is_empty(), "{:?}", warnings(side));
            assert!(
                side.events().last().is_some_and(|event| event.is("stopped")),
                "nothing comes after it"
            );
        }
    }
}

#[test]
fn a_killed_server_side_is_not_taken_for_another_program() {
    let (route, origin) = (Route::new(), Origin::start());
    let mut pair = Pair::over(&route, origin.addr());
    route.lead_to(Vacant::reserve().addr());
    pair.server.kill();
    let unreachable = pair.client.wait_for("peer_unreachable");
    assert_eq!(unreachable.text("level"), "warn");
    assert!(unreachable.text("message").contains("it has been reached before"), "{unreachable}");
}

#[test]
fn a_client_side_with_a_wrong_key_is_warned_of_once() {
    let (folder, origin) = (TempDir::new(), Origin::start());
    let [right, wrong] = ["right.key", "wrong.key"].map(|name| folder.text(name));
    for key in [&right, &wrong] {
        run(&["keygen", key], &[]).success();
    }
    let server = Proxy::server(origin.addr().ip(), origin.addr(), &["-k", &right]);
    let mut client = Proxy::client(origin.addr().ip(), server.addr(), &["-k", &wrong]);
    // At once, four stripes each time.
    let turned_away = server.wait_for_some("refusals", 12, |event| event.is("stripe_refused"));
    let levels: Vec<&str> = turned_away.iter().map(|event| event.text("level")).collect();
    assert_eq!(levels.iter().filter(|level| **level == "warn").count(), 1, "{levels:?}");
    client.wait_for("peer_unreachable");
    client.terminate();
    assert_eq!(client.exit_code(), Some(0));
    assert_eq!(client.count("peer_unreachable"), 1);
}

#[test]
fn a_caller_that_has_been_refused_is_not_told_of_again_when_it_is_displaced() {
    let origin = Origin::start();
    let mut server = Proxy::server(origin.addr().ip(), origin.addr(), &["--limit", "handshakes=1"]);
    let mut refused = Stranger::call(server.addr());
    refused.say(&hello(2, &create(7, 0)));
    assert_eq!(server.wait_for("stripe_refused").text("from"), refused.name());
    // It still has its place, since it has not hung up.
    let mut next = Stranger::call(server.addr());
    next.say(b"GET / HTTP/1.1\r\n\r\n");
    let is_of = |event: &Event, caller: &Stranger| {
        let from = caller.name();
        event.is("stripe_refused") && event.text("from") == from
    };
    server.wait_for_any("the next", |event| is_of(event, &next));
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    let events = server.events();
    let lines = events.iter().filter(|event| is_of(event, &refused));
    assert_eq!(lines.count(), 1, "{events:?}");
}

#[test]
fn a_server_whose_first_bytes_vary_is_warned_of_once() {
    let (stranger, dials) = (Origin::start(), 12);
    let options = ["--connect-timeout", "10m"];
    let mut client = Proxy::client(stranger.addr().ip(), stranger.addr(), &options);
    let waits = connect(client.addr());
    for (number, mut stream) in stranger.incoming().take(dials).enumerate() {
        let _ = stream.read(&mut [0; 1000]);
        let _ = write!(stream, "SSH-2.0-OpenSSH_{number}\r\n");
    }
    let told = client.wait_for("peer_unreachable");
    assert!(told.text("message").contains("an ssh server"), "{told}");
    // Each further dial is begun when an earlier one has failed.
    drop(waits);
    client.terminate();
    assert_eq!(client.exit_code(), Some(0));
    assert_eq!(client.count("peer_unreachable"), 1);
}

#[test]
fn both_sides_call_a_key_by_its_name_alone_and_say_from_where_a_session_is() {
    let (route, origin) = (Route::new(), Origin::start());
    let (_folder, pair) = keyed(&route, &origin);
    for side in [&pair.client, &pair.server] {
        for event in ["ready", "session_started"].map(|name| side.wait_for(name)) {
            assert_eq!(event.text("key"), "site", "{event}");
        }
    }
    let started = pair.server.wait_for("session_started");
    assert!(started.text("peer").starts_with("127.0.0.1:"), "{started}");
    let whose = format!(" with {} (key site) is up", started.text("peer"));
    assert!(started.text("message").ends_with(&whose), "{started}");
}

#[test]
fn a_stripe_takes_the_place_of_the_one_that_it_replaces() {
    let (route, origin) = (Route::new(), Origin::start());
    let pair = Pair::over(&route, origin.addr());
    route.reset_one();
    let lost = pair.client.wait_for("stripe_lost");
    let ups = pair.client.wait_for_some("five stripes", 5, |event| event.is("stripe_up"));
    let mut places: Vec<u64> = ups[..4].iter().map(|event| event.number("place")).collect();
    places.sort_unstable();
    assert_eq!(places, [1, 2, 3, 4]);
    assert_eq!(ups[4].number("place"), lost.number("place"));
    assert_eq!(ups[4].number("stripe"), 4, "an id is never used again");
}

#[test]
fn a_stop_says_until_when_connections_may_finish() {
    let origin = Origin::start();
    let pair = Pair::to(origin.addr());
    let _open = open(&pair.client, &origin);
    pair.client.terminate();
    let stopping = pair.client.wait_for("stopping");
    assert!(stopping.text("message").contains("1 connection may finish until "), "{stopping}");
    assert_eq!(stopping.text("seconds"), "30.000");
}

#[test]
fn a_connection_that_is_cut_at_the_end_of_a_stop_says_so_on_both_sides() {
    let origin = Origin::start();
    let server = Proxy::server(origin.addr().ip(), origin.addr(), &[]);
    let options = ["--drain-timeout", "0s"];
    let client = Proxy::client(origin.addr().ip(), server.addr(), &options);
    let _open = open(&client, &origin);
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
fn a_revoked_key_is_the_cause_of_the_end_of_its_session() {
    let (folder, origin) = (TempDir::new(), Origin::start());
    let keys = ["near", "far"].map(|name| folder.text(name));
    let lists = keys.clone().map(|key| {
        run(&["keygen", "--pair", &key], &[]).success();
        let list = format!("{key}.list");
        std::fs::write(&list, run(&["pubkey", &key], &[]).success()).unwrap();
        list
    });
    let there = ["-k", &keys[1], "--peers", &lists[0]];
    let server = Proxy::server(origin.addr().ip(), origin.addr(), &there);
    let here = ["-k", &keys[0], "--peers", &lists[1]];
    let client = Proxy::client(origin.addr().ip(), server.addr(), &here);
    let _open = open(&client, &origin);
    std::fs::write(&lists[0], "").unwrap();
    server.hang_up();
    let reason = "the other side's key is no longer accepted";
    assert_eq!(server.wait_for("session_ended").text("reason"), reason);
    let end = server.wait_for("connection_ended");
    assert_eq!(end.text("reason"), format!("reset: {reason}"));
}

#[test]
fn callers_that_were_counted_are_told_of_at_the_stop() {
    let origin = Origin::start();
    let mut server = Proxy::start_terse(&["-s", "127.0.0.1:0", &origin.addr().to_string()]);
    let mut callers = [(); 3].map(|()| Stranger::call(server.addr()));
    for caller in &mut callers {
        caller.say(b"GET / HTTP/1.1\r\n\r\n");
        caller.dismissed();
    }
    server.terminate();
    assert_eq!(server.exit_code(), Some(0));
    let events = server.events();
    let told = events.iter().filter(|event| event.is("stripe_refused"));
    let unsaid: Vec<u64> = told.map(|event| event.number("unsaid")).collect();
    assert_eq!(unsaid, [0, 2], "{events:?}");
    assert!(events.last().is_some_and(|event| event.is("stopped")), "nothing comes after it");
}
