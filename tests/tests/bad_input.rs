//! Whoever calls the stripe port and is no striper, or a bad one: it is turned away with a logged
//! reason, and nobody else notices.

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::thread;
use striper_tests::stranger::{Stranger, create, frame, hello, join, session, varint};
use striper_tests::{Event, Origin, Pair, Pattern, expect_fin, finish};

/// A pair with a transfer under way, and its stripe port.
struct Scene {
    origin: Origin,
    pair: Pair,
    client: TcpStream,
    server: TcpStream,
    moved: u64,
}

const UP: Pattern = Pattern(1);
const DOWN: Pattern = Pattern(2);
const STEP: u64 = 1 << 20;

impl Scene {
    fn new() -> Scene {
        let origin = Origin::start();
        let pair = Pair::to(origin.addr());
        let (client, server) = (pair.client.connect(), origin.accept());
        let mut scene = Scene { origin, pair, client, server, moved: 0 };
        scene.go_on();
        scene
    }

    fn call(&self) -> Stranger {
        Stranger::call(self.pair.server.addr())
    }

    fn join(&self, session: u32) -> Stranger {
        Stranger::join(self.pair.server.addr(), session)
    }

    /// The transfer goes on for a while, both ways.
    fn go_on(&mut self) {
        let (range, scene) = (self.moved..self.moved + STEP, &*self);
        thread::scope(|scope| {
            scope.spawn(|| UP.send(&mut &scene.client, range.clone()));
            scope.spawn(|| DOWN.send(&mut &scene.server, range.clone()));
            scope.spawn(|| UP.expect(&mut &scene.server, range.clone()));
            DOWN.expect(&mut &scene.client, range.clone());
        });
        self.moved += STEP;
    }

    /// Turned away before it was a stripe: this is what the log says about it.
    fn refusal(&self, stranger: &Stranger) -> Event {
        let name = stranger.name();
        self.pair.server.wait_for_any("a refusal", |event| {
            event.is("stripe_refused") && event.text("from") == name
        })
    }

    /// This is what the log says about the end of a session.
    fn end(&self, number: u32) -> Event {
        let name = session(number);
        let is_end = |event: &Event| event.is("session_ended") && event.text("session") == name;
        self.pair.server.wait_for_any("the session's end", is_end)
    }

    /// Nothing has happened to the pair's own session, and new connections work.
    fn close(mut self) {
        self.go_on();
        finish(&self.client);
        expect_fin(&mut self.server);
        finish(&self.server);
        expect_fin(&mut self.client);
        let mut client = self.pair.client.connect();
        UP.send(&mut client, 0..1000);
        // Strangers may have opened some before.
        while self.origin.accept().read(&mut [0; 1000]).ok() != Some(1000) {}
        let events = self.pair.client.events();
        assert!(
            events.iter().all(|event| !event.is("stripe_lost") && !event.is("session_ended")),
            "{events:?}"
        );
    }
}

#[test]
fn who_does_not_say_hello_is_turned_away_with_a_reason() {
    let mut scene = Scene::new();
    let long = varint((16 << 10) + 1);
    let hello_then = |tail: &[u8]| hello(1, &[&create(7, 0), tail].concat());
    let cases: [(&[u8], &str, &str); 9] = [
        (
            b"\x00\xff\x17garbage",
            "is no striper: it said \"\\x00\\xff\\x17garbage\"",
            "port of striper-cli -c",
        ),
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "it said \"GET / HTTP/1.1\\r\\n", "HTTP client"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "it said \"SSH-2.0-OpenSSH_9.9\\r\\n\"", "an ssh client"),
        (b"\x16\x03\x01\x02\x00\x01", "the other end uses a key", "browser with https"),
        (&[b"striper\x01", &long[..]].concat(), "HELLO over the size limit", ""),
        (b"striper\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "malformed HELLO", ""),
        (&hello(1, &[9; 18]), "malformed HELLO", ""),
        (&hello_then(b"\x40\x05abc"), "malformed HELLO", ""),
        (&hello_then(b"\x41\x03abc"), "an option that this version does not know", ""),
    ];
    for (bytes, error, advice) in cases {
        let mut stranger = scene.call();
        stranger.say(bytes);
        // A client that has a key is one of ours, and is told that there is none here.
        let is_ours = error.contains("uses a key");
        assert_eq!(stranger.dismissed().is_empty(), !is_ours, "who is no striper gets no answer");
        scene.go_on();
        let refusal = scene.refusal(&stranger);
        assert!(refusal.text("error").contains(error), "{refusal}");
        assert!(refusal.text("message").contains(advice), "{refusal}");
    }
    scene.close();
}

#[test]
fn a_hello_that_asks_for_what_there_is_not_is_answered_with_the_reason() {
    let mut scene = Scene::new();
    let _other = scene.join(7);
    let cases = [
        (hello(2, &create(8, 0)), 5, "speaks protocol version 2"),
        (hello(1, &join(8, 0)), 1, "does not know this session"),
        (hello(1, &create(7, 0)), 2, "stripe number has been used before"),
    ];
    for (bytes, code, error) in cases {
        let mut stranger = scene.call();
        stranger.say(&bytes);
        let answer = stranger.answer();
        assert_eq!((answer[0], answer.last()), (3, Some(&code)), "refuse, and why");
        expect_fin(stranger.stream());
        finish(stranger.stream());
        scene.go_on();
        let refusal = scene.refusal(&stranger);
        assert!(refusal.text("error").contains(error), "{refusal}");
    }
    scene.close();
}

/// The limit is five seconds.
#[test]
fn who_does_not_finish_its_hello_is_turned_away_in_time() {
    let mut scene = Scene::new();
    let whole = hello(1, &create(7, 0));
    let mut stalled: Vec<Stranger> = [0, 3, 8, whole.len() - 1]
        .map(|cut| {
            let mut stranger = scene.call();
            stranger.say(&whole[..cut]);
            stranger
        })
        .into();
    scene.go_on();
    for stranger in &mut stalled {
        assert!(stranger.dismissed().is_empty());
        assert_eq!(scene.refusal(stranger).text("error"), "no complete HELLO in time");
    }
    scene.close();
}

#[test]
fn who_hangs_up_before_its_hello_is_complete_is_logged_and_forgotten() {
    let mut scene = Scene::new();
    for cut in [0, 3, 20] {
        let mut stranger = scene.call();
        stranger.say(&hello(1, &create(7, 0))[..cut]);
        stranger.stream().shutdown(Shutdown::Write).unwrap();
        stranger.dismissed();
        scene.go_on();
        assert_eq!(scene.refusal(&stranger).text("error"), "closed before its HELLO was complete");
    }
    let stranger = scene.call();
    let name = stranger.name();
    stranger.vanish();
    let refused = |event: &Event| event.is("stripe_refused") && event.text("from") == name;
    assert!(
        scene.pair.server.wait_for_any("a refusal", refused).text("error").contains("broke before")
    );
    scene.close();
}

#[test]
fn a_stripe_that_breaks_the_protocol_ends_its_own_session_with_a_reason() {
    use frame::*;
    let mut scene = Scene::new();
    let open = frame(OPEN, &[1, 0, 1000, 0], b"");
    let gone: Vec<u8> =
        (0..600).flat_map(|stripe| frame(STRIPE_GONE, &[1000 + stripe, 0], b"")).collect();
    let cases: [(&[u8], &str); 20] = [
        (&[0xff; 64], "a malformed integer"),
        (&[0x02, 0x93, 0x00], "a malformed integer"),
        (&varint((128 << 10) + 1), "a frame over the size limit"),
        (&[varint(1025), varint(PING)].concat(), "a frame over the size limit"),
        (&[0x00], "a malformed frame"),
        (&frame(PING, &[1, 2], b""), "a malformed frame"),
        (&frame(PING, &[], b""), "a malformed frame"),
        (&frame(DATA, &[1, 0, 0], b""), "a malformed frame"),
        (&frame(DATA, &[1, 0, 2], b"x"), "a malformed frame"),
        (&frame(0x7f, &[], b"new"), "a frame type that this version doesn't know"),
        (&frame(OPEN, &[1, 0, 0, 513], &[0; 513]), "a target description over 512 bytes"),
        (&frame(OPEN, &[1_000_001, 0, 0, 0], b""), "a connection id beyond those granted"),
        (&frame(DATA, &[2, 0, 0], b"x"), "a frame for a connection that does not exist"),
        (&frame(ACCEPT, &[1], b""), "a frame for a connection that does not exist"),
        (&[&open[..], &frame(DATA, &[1, 16 << 10, 0], b"x")].concat(), "more data than its credit"),
        (&frame(OPEN, &[1, 245_761, 0, 0], b""), "more early credit than granted"),
        (
            &[&open[..], &frame(DATA, &[1, 5, 1], b""), &frame(DATA, &[1, 6, 1], b"")].concat(),
            "two different ends",
        ),
        (&frame(ACK, &[0, 1_000_000], b""), "an acknowledgement of bytes that were never sent"),
        (&frame(ACK, &[9, 1], b""), "an acknowledgement of bytes that were never sent"),
        (&gone, "too many lost stripes"),
    ];
    for (number, (bytes, reason)) in (100..).zip(cases) {
        let mut stranger = scene.join(number);
        stranger.say(bytes);
        scene.go_on();
        stranger.dismissed();
        let end = scene.end(number);
        assert!(end.text("reason").contains(reason), "{bytes:x?}: {end}");
        assert_eq!(end.text("level"), "warn");
    }
    scene.close();
}

/// So that later versions can say more.
#[test]
fn a_frame_that_may_be_skipped_is_skipped() {
    let mut scene = Scene::new();
    let mut stranger = scene.join(7);
    stranger.say(&frame(0x7e, &[], &[0; 100_000]));
    stranger.say(&frame(frame::BLOCKED, &[1, 0], b""));
    stranger.say(&frame(frame::PING, &[77], b""));
    let pong = frame(0x15, &[77], b"");
    let mut got = Vec::new();
    while !got.windows(pong.len()).any(|window| window == pong) {
        let mut byte = [0];
        stranger.stream().read_exact(&mut byte).expect("an answer to the PING");
        got.push(byte[0]);
    }
    scene.go_on();
    scene.close();
}

#[test]
fn a_stripe_that_ends_within_a_frame_is_lost_and_no_more() {
    let mut scene = Scene::new();
    for (number, cut) in [(7, 1), (8, 3), (9, 100)] {
        let mut stranger = scene.join(number);
        stranger.say(&frame(frame::DATA, &[1, 0, 0], &[0; 1000])[..cut]);
        finish(stranger.stream());
        stranger.dismissed();
        scene.go_on();
        let name = session(number);
        let is_loss = |event: &Event| event.is("stripe_lost") && event.text("session") == name;
        let loss = scene.pair.server.wait_for_any("the stripe's end", is_loss);
        assert_eq!(loss.text("reason"), "closed by the other side");
    }
    scene.close();
}

/// Otherwise strangers could have as many sessions as they like, for those that nobody can find are
/// not counted.
#[test]
fn a_session_begun_anew_while_another_of_its_name_says_goodbye_stays_known() {
    let mut scene = Scene::new();
    let mut first = scene.join(7);
    first.say(&[0xff; 64]);
    scene.end(7);
    let _second = scene.join(7);
    finish(first.stream());
    first.dismissed();
    scene.go_on();
    let mut third = scene.call();
    third.say(&hello(1, &join(7, 1)));
    assert_eq!(third.answer()[0], 2, "welcome");
    scene.close();
}

/// A peer that has vanished without a word: it is asked, and given up when it does not answer for
/// four seconds.
#[test]
fn a_stripe_whose_peer_has_vanished_is_given_up() {
    let mut scene = Scene::new();
    let mut stranger = scene.join(7);
    stranger.say(&frame(frame::PING, &[1], b""));
    scene.go_on();
    stranger.dismissed();
    let is_loss = |event: &Event| event.is("stripe_lost") && event.text("session") == session(7);
    let loss = scene.pair.server.wait_for_any("the stripe's end", is_loss);
    assert_eq!(loss.text("reason"), "nothing acknowledged any more");
    scene.close();
}
