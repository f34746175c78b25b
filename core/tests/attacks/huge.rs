//! Numbers at and beyond their limits in every field of every frame.

use bytes::Bytes;
use striper_core::limits::{INITIAL_EARLY, INITIAL_FLOWS};
use striper_core::testing::{Scripted, bytes, data, open, reset};
use striper_core::wire::frame::Frame;
use striper_core::wire::varint;
use striper_core::{EndReason, FlowId, Input, Reason, StripeId, Violation};

const MAX: u64 = varint::MAX;

/// Each frame by its type: how many numbers it has, and those that may stand at its end.
const FRAMES: [(u64, usize); 14] = [
    (0x01, 4),
    (0x03, 1),
    (0x05, 2),
    (0x07, 3),
    (0x09, 3),
    (0x0b, 2),
    (0x0d, 2),
    (0x0f, 2),
    (0x11, 2),
    (0x13, 1),
    (0x15, 1),
    (0x17, 0),
    (0x19, 1),
    (0x1a, 2),
];

/// The numbers that are tried in a field, limits and their neighbours among them.
const NUMBERS: [u64; 15] = [
    0,
    1,
    2,
    127,
    128,
    512,
    513,
    16_384,
    16_385,
    INITIAL_EARLY,
    INITIAL_EARLY + 1,
    2 * 16_384 + 1,
    1 << 32,
    MAX - 1,
    MAX,
];

fn frame(kind: u64, fields: &[u64], tail: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    varint::put(&mut body, kind);
    fields.iter().for_each(|field| varint::put(&mut body, *field));
    body.extend_from_slice(tail);
    let mut frame = Vec::new();
    varint::put(&mut frame, body.len() as u64);
    [frame, body].concat()
}

/// Sessions in different states, on both sides.
fn victims() -> Vec<Scripted> {
    let mut victims = Vec::new();
    for fresh in [Scripted::server(2), Scripted::client(2)] {
        let (theirs, ours) =
            if fresh.end.session.role() == striper_core::Role::Client { (0, 1) } else { (1, 0) };
        let mut busy = fresh.clone();
        busy.give(Input::FlowOpen { request: 0, opaque: "target".into() });
        busy.give(Input::FlowData { flow: FlowId(ours), data: Bytes::from_static(&[5; 100]) });
        busy.hear_with(0, open(theirs, 1000), b"hello");
        busy.hear_with(0, data(theirs, 10), b"behind a gap");
        busy.hear_with(1, data(theirs + 2, 0), b"overtakes its OPEN");
        busy.hear(1, reset(theirs + 4, 9));
        let mut bereaved = busy.clone();
        bereaved.down(1);
        let mut draining = busy.clone();
        draining.give(Input::Shutdown);
        victims.extend([fresh, busy, bereaved, draining]);
    }
    victims
}

/// After any bytes, a session has ended with a reason, or goes on and answers.
fn is_sound(mut victim: Scripted, what: &dyn std::fmt::Debug) -> Option<EndReason> {
    match victim.ended() {
        Some(EndReason::Violation(_) | EndReason::PeerClosed | EndReason::PeerComplained) => {}
        Some(EndReason::Shutdown) => {}
        Some(other) => panic!("{other:?} for {what:x?}"),
        None if victim.stats().stripes.is_empty() => victim.up(7),
        None => {
            let live = victim.stats().stripes[0].stripe.0;
            let before = victim.bytes_said;
            victim.hear(live, Frame::Ping { nonce: 77 });
            assert!(victim.bytes_said > before, "no answer after {what:x?}");
        }
    }
    victim.ended()
}

/// Every choice of numbers for so many fields.
fn choices(fields: usize) -> Vec<Vec<u64>> {
    let numbers =
        if fields > 3 { vec![0, 1, 512, 513, INITIAL_EARLY + 1, MAX] } else { NUMBERS.to_vec() };
    (0..fields).fold(vec![vec![]], |all, _| {
        all.iter()
            .flat_map(|one| numbers.iter().map(|number| [&one[..], &[*number]].concat()))
            .collect()
    })
}

#[test]
fn every_number_in_every_field_is_taken_or_ends_the_session() {
    let (mut taken, mut ended) = (0, 0);
    for victim in victims() {
        for (kind, fields) in FRAMES {
            for fields in choices(fields) {
                for tail in [0, 1, 512] {
                    let has_payload = kind == 0x01 || kind == 0x07;
                    if tail > 0 && !has_payload {
                        continue;
                    }
                    let said = frame(kind, &fields, &[3; 512][..tail]);
                    let mut victim = victim.clone();
                    victim.hear_bytes(0, said.clone());
                    match is_sound(victim, &said) {
                        None => taken += 1,
                        Some(_) => ended += 1,
                    }
                }
            }
        }
    }
    println!("{taken} frames taken, {ended} that ended the session");
    assert!(taken > 1000 && ended > 1000);
}

#[test]
fn every_length_is_taken_awaited_or_ends_the_session() {
    let numbers = [1, 9, 0, 5];
    for victim in victims() {
        for (kind, fields) in FRAMES {
            for length in [0, 1, 2, 5, 127, 128, 1024, 1025, 131_072, 131_073, 1 << 32, MAX] {
                let mut said = Vec::new();
                varint::put(&mut said, length);
                varint::put(&mut said, kind);
                numbers[..fields].iter().for_each(|number| varint::put(&mut said, *number));
                said.extend_from_slice(&[1; 64]);
                let mut victim = victim.clone();
                victim.hear_bytes(0, said.clone());
                let too_long = length > 131_072 || (length > 1024 && kind != 0x01 && kind != 0x07);
                let violation = EndReason::Violation(Violation::FrameTooLong);
                if too_long {
                    assert_eq!(victim.ended(), Some(violation), "{said:x?}");
                } else if let Some(end) = victim.ended() {
                    assert!(end != violation, "{said:x?}");
                }
                victim.end.session.check_invariants();
            }
        }
    }
}

#[test]
fn numbers_that_are_too_large_or_too_long_are_no_numbers() {
    let beyond = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x40];
    let endless = [0xff; 12];
    let long_zero = [0x80, 0x00];
    for (kind, fields) in FRAMES {
        for place in 0..fields {
            for bad in [&beyond[..], &endless, &long_zero] {
                let mut body = vec![kind as u8];
                // An id of the victim's peer, and nothing else that could be wrong.
                (0..place).for_each(|field| body.push(u8::from(field == 0)));
                body.extend_from_slice(bad);
                // As long as it needs to be, so that nothing but the number is wrong.
                body.extend(vec![0; fields - place - 1]);
                let said = [&[body.len() as u8][..], &body].concat();
                let mut victim = Scripted::server(2);
                victim.hear_bytes(0, said.clone());
                let expected = Some(EndReason::Violation(Violation::BadVarint));
                assert_eq!(victim.ended(), expected, "{said:x?}");
            }
        }
    }
}

/// A server that has opened flow 0 and heard an OPEN of flow 1 with three bytes answers this.
fn answer(said: &[u8]) -> Option<EndReason> {
    let mut victim = Scripted::server(1);
    victim.give(Input::FlowOpen { request: 0, opaque: Bytes::new() });
    victim.hear_with(0, open(1, 1000), b"abc");
    assert_eq!(victim.ended(), None);
    victim.hear_bytes(0, said.to_vec());
    victim.ended()
}

#[test]
fn each_number_that_is_too_large_has_a_violation_of_its_own() {
    use Violation::*;
    let granted = 16_384;
    let opens = |flow: u64, early: u64| bytes(&open(flow, early), b"").to_vec();
    let datum = |flow: u64, offset: u64| bytes(&data(flow, offset), b"x").to_vec();
    let resets = |flow: u64, offset: u64| bytes(&reset(flow, offset), b"").to_vec();
    let cases: [(&str, Vec<u8>, Option<Violation>); 28] = [
        ("the highest id", opens(2 * granted - 1, 0), None),
        ("an id beyond it", opens(2 * granted + 1, 0), Some(FlowNotGranted)),
        ("the largest id of the peer", opens(MAX, 0), Some(FlowNotGranted)),
        ("the largest id of ours", opens(MAX - 1, 0), Some(UnknownFlow)),
        ("DATA for an id beyond", datum(2 * granted + 1, 0), Some(FlowNotGranted)),
        ("RESET for an id beyond", resets(2 * granted + 1, 0), Some(FlowNotGranted)),
        ("all early credit of one flow", opens(3, INITIAL_EARLY), None),
        ("more", opens(3, INITIAL_EARLY + 1), Some(EarlyCreditExceeded)),
        ("the most that can be said", opens(3, MAX), Some(EarlyCreditExceeded)),
        ("data up to the credit", datum(1, 16_384 + 999), None),
        ("data beyond it", datum(1, 16_384 + 1000), Some(CreditExceeded)),
        ("the last offset", datum(1, MAX - 1), Some(CreditExceeded)),
        ("an offset beyond", datum(1, MAX), Some(OffsetTooLarge)),
        ("a FIN at the largest offset", frame(0x07, &[1, MAX, 1], b""), Some(CreditExceeded)),
        ("a RESET before what has come", resets(1, 2), Some(FinalOffsetChanged)),
        ("a RESET at the largest offset", resets(1, MAX), None),
        ("unknown flags", frame(0x07, &[1, 0, 2], b"x"), Some(MalformedFrame)),
        ("all flags", frame(0x07, &[1, 0, MAX], b"x"), Some(MalformedFrame)),
        ("the most credit", frame(0x0b, &[0, MAX], b""), None),
        ("the most of a grant", frame(0x0d, &[MAX, MAX], b""), None),
        ("an ACK of more than was sent", frame(0x0f, &[0, 1 << 20], b""), Some(BadAcknowledgement)),
        ("an ACK of the largest stripe", frame(0x0f, &[MAX, 0], b""), Some(BadAcknowledgement)),
        ("an unknown stripe gone", frame(0x11, &[MAX, 0], b""), None),
        ("with bytes of it", frame(0x11, &[MAX, 1], b""), Some(BadAcknowledgement)),
        ("the longest opaque field", frame(0x01, &[3, 0, 0, 512], &[0; 512]), None),
        ("a longer one", frame(0x01, &[3, 0, 0, 513], &[0; 513]), Some(OpaqueTooLong)),
        ("the largest unknown frame that may be skipped", frame(MAX - 1, &[], &[0; 900]), None),
        ("the largest that may not", frame(MAX, &[], b""), Some(UnknownCriticalFrame)),
    ];
    for (what, said, violation) in cases {
        assert_eq!(answer(&said), violation.map(EndReason::Violation), "{what}");
    }
}

#[test]
fn unknown_frames_are_skipped_when_even_and_end_the_session_when_odd() {
    for kind in (0x1b..=0x60).chain([0x1000, 0x1001, MAX - 1, MAX]) {
        let said = frame(kind, &[MAX, 3], b"whatever");
        let expected =
            (kind % 2 == 1).then_some(EndReason::Violation(Violation::UnknownCriticalFrame));
        assert_eq!(answer(&said), expected, "{kind:x}");
    }
    for kind in (0x00..=0x18).step_by(2) {
        assert_eq!(answer(&frame(kind, &[], b"whatever")), None, "{kind:x}");
    }
    // The longest frame that is skipped, in two parts; then all goes on.
    let mut victim = Scripted::server(1);
    let mut long = vec![0x80, 0x80, 0x08, 0x40];
    long.resize(3 + 131_072, 0xff);
    victim.hear_bytes(0, long[..70_000].to_vec());
    victim.hear_bytes(0, long[70_000..].to_vec());
    let before = victim.bytes_said;
    victim.hear(0, Frame::Ping { nonce: 1 });
    assert!(victim.ended().is_none() && victim.bytes_said > before);
}

#[test]
fn more_than_max_flows_are_never_open_at_once() {
    let mut victim = Scripted::server(1);
    victim.habits.checks = false;
    for index in 0..16_384 {
        victim.hear(0, open(2 * index + 1, 0));
    }
    assert_eq!((victim.ended(), victim.stats().flows), (None, 16_384));
    victim.hear(0, open(2 * 16_384 + 1, 0));
    assert_eq!(victim.ended(), Some(EndReason::Violation(Violation::FlowNotGranted)));
}

#[test]
fn no_more_early_flows_than_granted_exist_before_the_first_grant() {
    let mut victim = Scripted::new(striper_core::testing::SERVER, Default::default());
    assert_eq!(victim.end.session.may_join(StripeId(0)), Ok(()));
    // The grant goes out with the first stripe, so it counts from there.
    victim.up(0);
    assert!(victim.granted > INITIAL_FLOWS);
    for index in 0..victim.granted {
        victim.habits.checks = index % 1000 == 0;
        victim.hear_with(0, data(2 * index + 1, 0), b"x");
    }
    assert_eq!(victim.ended(), None);
    assert_eq!(victim.stats().flows as u64, victim.granted);
    victim.hear_with(0, data(2 * victim.granted + 1, 0), b"x");
    assert_eq!(victim.ended(), Some(EndReason::Violation(Violation::FlowNotGranted)));
}

#[test]
fn a_reason_of_any_number_is_kept_as_it_is() {
    for reason in [7, 8, 1 << 40, MAX] {
        let mut victim = Scripted::server(1);
        victim.hear(0, open(1, 0));
        victim.told.clear();
        victim.hear_bytes(0, frame(0x09, &[1, reason, 0], b""));
        let reset =
            striper_core::Output::FlowReset { flow: FlowId(1), reason: Reason::from_code(reason) };
        assert!(victim.told.contains(&reset), "{:?}", victim.told);
    }
}
