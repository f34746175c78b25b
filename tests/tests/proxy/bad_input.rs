//! Callers of the stripe port that are no striper, or break the protocol. Each is refused with a
//! reason in the log, and the transfer of a pair goes on.

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use striper_tests::stranger::{Stranger, create, frame, hello, join, session, varint};
use striper_tests::{Event, Origin, Pair, exchange, expect_fin, finish};

struct Scene {
    origin: Origin,
    pair: Pair,
    local: TcpStream,
    target: TcpStream,
    moved: u64,
}

impl Scene {
    fn new() -> Scene {
        let origin = Origin::start();
        let pair = Pair::to(origin.addr());
        let (local, target) = (pair.client.connect(), origin.accept());
        let mut scene = Scene { origin, pair, local, target, moved: 0 };
        scene.go_on();
        scene
    }

    fn call(&self) -> Stranger {
        Stranger::call(self.pair.server.addr())
    }

    fn say(&self, bytes: &[u8]) -> Stranger {
        let mut stranger = self.call();
        stranger.say(bytes);
        stranger
    }

    fn join(&self, session: u32) -> Stranger {
        Stranger::join(self.pair.server.addr(), session)
    }

    fn go_on(&mut self) {
        exchange(&self.local, &self.target, self.moved..self.moved + (1 << 20));
        self.moved += 1 << 20;
    }

    fn refusal(&self, stranger: &Stranger) -> Event {
        let is_refusal =
            |event: &Event| event.is("stripe_refused") && event.text("from") == stranger.name();
        self.pair.server.wait_for_any("a refusal", is_refusal)
    }

    fn event(&self, name: &str, number: u32) -> Event {
        let session = session(number);
        let is_event = |event: &Event| event.is(name) && event.text("session") == session;
        self.pair.server.wait_for_any(name, is_event)
    }

    /// The pair's own session is whole, and new connections work.
    fn close(mut self) {
        self.go_on();
        finish(&self.local);
        expect_fin(&mut self.target);
        finish(&self.target);
        expect_fin(&mut self.local);
        // Strangers may have opened connections before.
        self.pair.client.assert_works(&self.origin);
        for event in ["stripe_lost", "session_ended"] {
            assert_eq!(self.pair.client.count(event), 0, "{event}");
        }
    }
}

#[test]
fn a_caller_without_a_hello_is_refused_with_a_reason() {
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
        let mut stranger = scene.say(bytes);
        // A client with a key gets an answer: this server has no key.
        let is_ours = error.contains("uses a key");
        assert_eq!(stranger.dismissed().is_empty(), !is_ours, "a stranger gets no answer");
        scene.go_on();
        let refusal = scene.refusal(&stranger);
        assert!(refusal.text("reason").contains(error), "{refusal}");
        assert!(refusal.text("message").contains(advice), "{refusal}");
    }
    scene.close();
}

#[test]
fn a_hello_that_can_not_be_accepted_has_the_reason_as_its_answer() {
    let mut scene = Scene::new();
    let _other = scene.join(7);
    let cases = [
        (hello(2, &create(8, 0)), 5, "speaks protocol version 2"),
        (hello(1, &join(8, 0)), 1, "does not know this session"),
        (hello(1, &create(7, 0)), 2, "stripe number has been used before"),
    ];
    for (bytes, code, error) in cases {
        let mut stranger = scene.say(&bytes);
        let answer = stranger.answer();
        assert_eq!((answer[0], answer.last()), (3, Some(&code)), "a refusal and its reason");
        expect_fin(stranger.stream());
        finish(stranger.stream());
        scene.go_on();
        let refusal = scene.refusal(&stranger);
        assert!(refusal.text("reason").contains(error), "{refusal}");
    }
    scene.close();
}

/// The limit is five seconds.
#[test]
fn a_caller_that_does_not_finish_its_hello_is_refused_in_time() {
    let mut scene = Scene::new();
    let whole = hello(1, &create(7, 0));
    let mut stalled = [0, 3, 8, whole.len() - 1].map(|cut| scene.say(&whole[..cut]));
    scene.go_on();
    for stranger in &mut stalled {
        assert!(stranger.dismissed().is_empty());
        assert_eq!(scene.refusal(stranger).text("reason"), "no complete HELLO in time");
    }
    scene.close();
}

#[test]
fn a_caller_that_hangs_up_before_its_hello_is_complete_is_forgotten() {
    let mut scene = Scene::new();
    for cut in [0, 3, 20] {
        let mut stranger = scene.say(&hello(1, &create(7, 0))[..cut]);
        stranger.stream().shutdown(Shutdown::Write).unwrap();
        stranger.dismissed();
        scene.go_on();
        assert_eq!(scene.refusal(&stranger).text("reason"), "closed before its HELLO was complete");
    }
    let stranger = scene.call();
    let name = stranger.name();
    stranger.vanish();
    let is_refusal = |event: &Event| event.is("stripe_refused") && event.text("from") == name;
    let refusal = scene.pair.server.wait_for_any("a refusal", is_refusal);
    assert!(refusal.text("reason").contains("broke before"), "{refusal}");
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
        let end = scene.event("session_ended", number);
        assert!(end.text("reason").contains(reason), "{bytes:x?}: {end}");
        assert_eq!(end.text("level"), "warn");
    }
    scene.close();
}

/// Later versions may send such frames.
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
fn a_stripe_that_ends_within_a_frame_is_only_lost() {
    let mut scene = Scene::new();
    for (number, cut) in [(7, 1), (8, 3), (9, 100)] {
        let mut stranger = scene.join(number);
        stranger.say(&frame(frame::DATA, &[1, 0, 0], &[0; 1000])[..cut]);
        finish(stranger.stream());
        stranger.dismissed();
        scene.go_on();
        let loss = scene.event("stripe_lost", number);
        assert_eq!(loss.text("reason"), "closed by the other side");
    }
    scene.close();
}

/// Otherwise strangers could have any number of sessions, because forgotten ones are not counted.
#[test]
fn a_new_session_with_the_id_of_an_ending_one_stays_known() {
    let mut scene = Scene::new();
    let mut first = scene.join(7);
    first.say(&[0xff; 64]);
    scene.event("session_ended", 7);
    let _second = scene.join(7);
    finish(first.stream());
    first.dismissed();
    scene.go_on();
    let mut third = scene.say(&hello(1, &join(7, 1)));
    assert_eq!(third.answer()[0], 2, "welcome");
    scene.close();
}

/// The server pings a silent peer, and gives it up after four seconds without an answer.
#[test]
fn a_stripe_whose_peer_has_vanished_is_given_up() {
    let mut scene = Scene::new();
    let mut stranger = scene.join(7);
    stranger.say(&frame(frame::PING, &[1], b""));
    scene.go_on();
    stranger.dismissed();
    let loss = scene.event("stripe_lost", 7);
    assert_eq!(loss.text("reason"), "nothing acknowledged any more");
    scene.close();
}
