//! Flows that contradict themselves, that were never opened, and credit that goes back.

use bytes::Bytes;
use striper_core::limits::INITIAL_EARLY;
use striper_core::testing::{Scripted, bytes, data, open, reset};
use striper_core::wire::frame::Frame;
use striper_core::{EndReason, FlowId, Input, Output, Violation};

/// Numbers that look drawn, and are the same each time.
fn numbers(mut state: u64) -> impl FnMut(u64) -> u64 {
    move |below| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    }
}

/// Nobody is blamed for overlapping ranges, for a sender may cut and send as it likes.
#[test]
fn the_first_of_overlapping_ranges_with_different_bytes_wins() {
    const SPAN: u64 = 20_000;
    for seed in 0..40 {
        let mut number = numbers(seed);
        let mut victim = Scripted::server(2);
        victim.hear(0, open(1, INITIAL_EARLY));
        let mut first: Vec<Option<u8>> = vec![None; SPAN as usize];
        for round in 0..400 {
            // Short ones often, so that edges of all kinds meet.
            let longest = if round % 3 == 0 { 6_000 } else { 60 };
            let (start, len) = (number(SPAN - 6_000), 1 + number(longest));
            let payload: Vec<u8> = (0..len).map(|_| number(256) as u8).collect();
            victim.hear_with(number(2), data(1, start), &payload);
            for (slot, byte) in first[start as usize..].iter_mut().zip(payload) {
                slot.get_or_insert(byte);
            }
        }
        // The gaps that are left, and a FIN with other bytes below it.
        victim.hear_with(0, data(1, 0), &vec![0xee; SPAN as usize]);
        first.iter_mut().for_each(|slot| *slot = slot.or(Some(0xee)));
        let fin = Frame::Data { flow: FlowId(1), offset: SPAN - 9, fin: true };
        victim.hear_with(1, fin.clone(), &[0xdd; 9]);
        assert_eq!(victim.ended(), None);
        let expected: Vec<u8> = first.into_iter().flatten().collect();
        assert!(victim.end.log.flows()[&FlowId(1)].data == expected, "seed {seed}");
        let is_fin = |told: &&Output| matches!(told, Output::FlowFinished { .. });
        assert_eq!(victim.told.iter().filter(is_fin).count(), 1);
    }
}

#[test]
fn delivered_bytes_are_not_replaced_by_others() {
    let mut victim = Scripted::server(1);
    victim.hear_with(0, open(1, 0), b"first");
    victim.hear_with(0, data(1, 0), b"other");
    victim.hear_with(0, data(1, 2), b"herring");
    assert_eq!(victim.end.log.flows()[&FlowId(1)].data, b"firstring");
}

#[test]
fn two_ends_and_bytes_beyond_an_end_are_violations_in_any_order() {
    let end = |offset| Frame::Data { flow: FlowId(1), offset, fin: true };
    let cases: [(Frame, &[u8], Frame, &[u8]); 6] = [
        (end(10), b"", end(11), b""),
        (end(10), b"", end(9), b""),
        (end(10), b"", data(1, 10), b"x"),
        (data(1, 10), b"x", end(10), b""),
        (end(10), b"", reset(1, 9), b""),
        (reset(1, 10), b"", end(11), b""),
    ];
    for (first, payload, second, more) in cases {
        let mut victim = Scripted::server(1);
        victim.hear(0, open(1, 0));
        victim.hear_with(0, first.clone(), payload);
        assert_eq!(victim.ended(), None);
        victim.hear_with(0, second.clone(), more);
        let expected = EndReason::Violation(Violation::FinalOffsetChanged);
        assert_eq!(victim.ended(), Some(expected), "{first:?}, {second:?}");
    }
}

/// A server with data for its flow 0, and credit for none of it.
fn waiting() -> Scripted {
    let mut victim = Scripted::server(1);
    victim.give(Input::FlowOpen { request: 0, opaque: Bytes::new() });
    victim.hear(0, Frame::Accept { flow: FlowId(0) });
    fill(&mut victim);
    victim
}

fn fill(victim: &mut Scripted) {
    while let room @ 1.. = victim.end.session.send_room(FlowId(0)) {
        victim.give(Input::FlowData { flow: FlowId(0), data: vec![7; room as usize].into() });
    }
}

#[test]
fn credit_that_goes_backwards_is_ignored() {
    let mut victim = waiting();
    let sent = |victim: &Scripted| victim.stats().payload_sent;
    let before = sent(&victim);
    let credit = |limit| Frame::Credit { flow: FlowId(0), limit };
    victim.hear(0, credit(1 << 20));
    let room = victim.end.session.send_room(FlowId(0));
    assert!(room > 0);
    for limit in [1 << 19, before, 1, 0] {
        victim.hear(0, credit(limit));
        let now = victim.end.session.send_room(FlowId(0));
        assert_eq!(now, room, "a limit that was given is not taken back");
    }
    victim.give(Input::FlowData { flow: FlowId(0), data: vec![7; room as usize].into() });
    victim.acknowledge(0);
    assert!(sent(&victim) > before && victim.ended().is_none());
}

#[test]
fn a_grant_that_goes_backwards_is_ignored() {
    let mut victim = Scripted::server(1);
    let grant = |flows| Frame::Grant { flows, early: 0 };
    victim.hear(0, grant(100));
    victim.hear(0, grant(0));
    for request in 0..101 {
        victim.give(Input::FlowOpen { request, opaque: Bytes::new() });
    }
    let opened = victim.told.iter().filter(|told| matches!(told, Output::FlowOpened { .. }));
    assert_eq!(opened.count(), 100);
}

#[test]
fn credit_for_all_there_can_be_is_worth_no_more_memory_than_any() {
    let mut victim = waiting();
    victim.hear(0, Frame::Credit { flow: FlowId(0), limit: (1 << 62) - 1 });
    fill(&mut victim);
    let (held, limit) = (victim.stats().held, victim.end.session.config().memory_limit / 2);
    assert!(held <= limit + (16 << 10), "{held} bytes held");
    assert_eq!(victim.ended(), None);
}

/// A frame for an unopened flow of ours is a violation. One of the peer's may precede its OPEN.
#[test]
fn frames_for_unopened_flows_are_violations_or_wait_for_an_open() {
    let about = |flow: FlowId| {
        [
            Frame::Accept { flow },
            Frame::Refuse { flow, reason: 0 },
            Frame::Data { flow, offset: 0, fin: false },
            Frame::Reset { flow, reason: 0, final_offset: 0 },
            Frame::Credit { flow, limit: 1 },
            Frame::Blocked { flow, limit: 0 },
        ]
    };
    let hearing = |victim: &Scripted, frame: &Frame| {
        let mut victim = victim.clone();
        let payload: &[u8] = if matches!(frame, Frame::Data { .. }) { b"x" } else { b"" };
        victim.hear_with(0, frame.clone(), payload);
        victim
    };
    let unknown = Some(EndReason::Violation(Violation::UnknownFlow));
    for (mine, yours, victim) in [(0, 1, Scripted::server(1)), (1, 0, Scripted::client(1))] {
        for frame in about(FlowId(mine)) {
            let victim = hearing(&victim, &frame);
            assert_eq!(victim.ended(), unknown, "{frame:?}");
        }
        for (number, frame) in about(FlowId(yours)).into_iter().enumerate() {
            let mut victim = hearing(&victim, &frame);
            let expected = unknown.filter(|_| number < 2);
            assert_eq!(victim.ended(), expected, "{frame:?}");
            if expected.is_none() {
                let told = |told: &Output| matches!(told, Output::FlowIncoming { .. });
                assert!(!victim.told.iter().any(told), "nothing is known of it yet");
                victim.hear(0, open(yours, 0));
                let incoming = victim.told.iter().any(told);
                assert_eq!(incoming, !matches!(frame, Frame::Reset { .. }), "{frame:?}");
            }
        }
    }
}

#[test]
fn frames_for_flows_that_have_ended_change_nothing() {
    let mut victim = Scripted::server(1);
    victim.hear_with(0, open(1, 0), b"hello");
    victim.hear(0, reset(1, 5));
    victim.wait(std::time::Duration::from_millis(10));
    victim.acknowledge(0);
    assert_eq!(victim.stats().flows, 0);
    victim.told.clear();
    let flow = FlowId(1);
    let late = [
        bytes(&open(1, INITIAL_EARLY), b"again"),
        bytes(&data(1, 0), b"hello"),
        bytes(&data(1, 1 << 40), b"far"),
        bytes(&reset(1, 77), b""),
        bytes(&Frame::Credit { flow, limit: 1 << 60 }, b""),
        bytes(&Frame::Blocked { flow, limit: 1 << 60 }, b""),
    ];
    for said in late.iter().cycle().take(60) {
        victim.hear_bytes(0, said.clone());
    }
    assert_eq!((victim.ended(), victim.told.len(), victim.stats().flows), (None, 0, 0));
}
