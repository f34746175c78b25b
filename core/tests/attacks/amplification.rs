//! How many bytes an attacker gets for one of its own, for each thing that it can say. One input is
//! one frame, since a read that brings many is answered by less.

use Answer::{Accept, Ignore, Refuse, Reset};
use bytes::Bytes;
use std::time::Duration;
use striper_core::testing::{SERVER, SESSION, Scripted, bytes, data, open, reset};
use striper_core::wire::frame::Frame;
use striper_core::{Config, FlowId, Hello, HelloKind, Input, Output, Reason, StripeId};

const TIMES: u64 = 2_000;

/// Longer than an acknowledgement waits, and than a repetition of it on another stripe does.
const PATIENT: Duration = Duration::from_millis(25);

/// A server with two stripes of which nothing is awaited, and all the control that it takes to try.
fn victim() -> Scripted {
    let config = Config { control_burst: 1 << 40, ..Config::default() };
    let mut victim = Scripted::new(SERVER, config).with(2);
    (0..2).for_each(|stripe| victim.acknowledge(stripe));
    victim.wait(Duration::from_millis(100));
    (0..2).for_each(|stripe| victim.acknowledge(stripe));
    victim.habits.checks = false;
    victim
}

/// The local side's answer when a flow is offered.
#[derive(Clone, Copy)]
enum Answer {
    Ignore,
    Accept,
    Refuse,
    Reset,
}

/// Says it `TIMES` times on two stripes, with waits. Returns bytes said for each thousand heard.
fn measure(
    prepare: impl Fn(&mut Scripted),
    say: impl Fn(u64) -> Bytes,
    answer: Answer,
    wait: Duration,
) -> u64 {
    let mut victim = victim();
    prepare(&mut victim);
    victim.told.clear();
    (victim.bytes_said, victim.bytes_heard) = (0, 0);
    for number in 0..TIMES {
        victim.hear_bytes(number % 2, say(number));
        for told in std::mem::take(&mut victim.told) {
            if let Output::FlowWritable { flow } = told {
                let room = victim.end.session.send_room(flow) as usize;
                victim.give(Input::FlowData { flow, data: vec![7; room].into() });
            }
            if let Output::FlowIncoming { flow, .. } = told {
                let reason = Reason::Aborted;
                match answer {
                    Ignore => {}
                    Accept => victim.give(Input::FlowAccept { flow }),
                    Refuse => victim.give(Input::FlowRefuse { flow, reason }),
                    Reset => victim.give(Input::FlowReset { flow, reason }),
                }
            }
        }
        victim.wait(wait);
        if number % 16 == 0 {
            // An attacker keeps its stripes alive; what it says for that is not counted.
            let heard = victim.bytes_heard;
            (0..2).for_each(|stripe| victim.acknowledge(stripe));
            victim.bytes_heard = heard;
        }
        assert_eq!(victim.ended(), None, "after {number}");
    }
    (victim.bytes_said * 1000).div_ceil(victim.bytes_heard)
}

fn idle(_: &mut Scripted) {}

/// A flow of each side; the server's has data that waits for credit.
fn flows(victim: &mut Scripted) {
    victim.hear_with(0, open(1, 1 << 17), b"hello");
    victim.give(Input::FlowOpen { request: 0, opaque: Bytes::new() });
    victim.give(Input::FlowData { flow: FlowId(0), data: vec![7; 16 << 10].into() });
    victim.hear(0, Frame::Credit { flow: FlowId(0), limit: 1 << 19 });
    while let room @ 1.. = victim.end.session.send_room(FlowId(0)) {
        victim.give(Input::FlowData { flow: FlowId(0), data: vec![7; room as usize].into() });
        (0..2).for_each(|stripe| victim.acknowledge(stripe));
    }
    victim.wait(Duration::from_millis(100));
    (0..2).for_each(|stripe| victim.acknowledge(stripe));
}

/// The frame, how it is answered locally, and the most bytes that it may bring for a thousand.
type Attack = (&'static str, fn(&mut Scripted), fn(u64) -> Bytes, Answer, u64);

const ATTACKS: [Attack; 20] = [
    ("PING", idle, |n| alone(Frame::Ping { nonce: n }), Ignore, 1_100),
    ("PONG", idle, |n| alone(Frame::Pong { nonce: n }), Ignore, 10),
    ("ACK", idle, |_| alone(Frame::Ack { counts: vec![(StripeId(0), 0)] }), Ignore, 10),
    ("GRANT", idle, |n| alone(Frame::Grant { flows: n, early: 0 }), Ignore, 3_000),
    ("OPEN, unanswered", idle, fresh_open, Ignore, 2_000),
    ("OPEN, accepted", idle, fresh_open, Accept, 2_500),
    ("OPEN, refused", idle, fresh_open, Refuse, 2_500),
    ("OPEN, reset", idle, fresh_open, Reset, 2_500),
    ("OPEN again", flows, |_| alone(open(1, 0)), Ignore, 2_500),
    ("RESET before OPEN", idle, |n| alone(reset(2 * n + 1, 0)), Ignore, 2_500),
    ("RESET again", idle, |_| alone(reset(1, 0)), Ignore, 3_000),
    ("DATA, one byte", flows, |n| bytes(&data(1, 5 + n), b"x"), Ignore, 2_500),
    ("DATA again", flows, |_| bytes(&data(1, 0), b"h"), Ignore, 2_500),
    ("FIN again", flows, |_| fin(), Ignore, 3_000),
    ("CREDIT, a byte more", flows, more_credit, Ignore, 4_000),
    ("BLOCKED", flows, |n| alone(Frame::Blocked { flow: FlowId(1), limit: n }), Ignore, 1_000),
    ("ACCEPT again", flows, |_| alone(Frame::Accept { flow: FlowId(0) }), Ignore, 5_000),
    ("STRIPE_GONE, unknown ones", idle, unknown_gone, Ignore, 4_000),
    ("DRAIN", flows, |_| alone(Frame::Drain), Ignore, 7_500),
    ("a frame that nobody knows", idle, |_| Bytes::from_static(&[1, 0x40]), Ignore, 10),
];

fn alone(frame: Frame) -> Bytes {
    bytes(&frame, b"")
}

fn fresh_open(number: u64) -> Bytes {
    alone(open(2 * number + 1, 0))
}

fn more_credit(number: u64) -> Bytes {
    alone(Frame::Credit { flow: FlowId(0), limit: (1 << 19) + 1 + number })
}

fn unknown_gone(number: u64) -> Bytes {
    alone(Frame::StripeGone { stripe: StripeId(9 + number), received: 0 })
}

fn fin() -> Bytes {
    alone(Frame::Data { flow: FlowId(1), offset: 100, fin: true })
}

#[test]
fn each_byte_is_answered_by_a_few_bytes() {
    println!("bytes out for a byte in      at once   25 ms apart");
    let mut failures = Vec::new();
    for (name, prepare, say, answer, most) in ATTACKS {
        let figures = [Duration::ZERO, PATIENT].map(|wait| measure(prepare, say, answer, wait));
        let [at_once, apart] = figures.map(|figure| figure as f64 / 1000.0);
        println!("{name:26}   {at_once:8.2}   {apart:11.2}");
        if figures.into_iter().any(|figure| figure > most) {
            failures.push((name, figures, most));
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// Each HELLO takes a connection of its own, and what it brings goes nowhere else.
#[test]
fn a_hello_is_answered_by_a_hello_and_the_unsettled_stripes() {
    for (unsettled, most) in [(0, 3_000), (512, 100_000)] {
        let mut victim = victim();
        (2..2 + unsettled).for_each(|stripe| {
            victim.up(stripe);
            victim.down(stripe);
        });
        let stripe = StripeId(1000);
        let theirs = Hello { kind: HelloKind::Create, session: SESSION, stripe, gone: Vec::new() };
        let (heard, before) = (theirs.encode().len() as u64, victim.bytes_said);
        let ours = victim.end.session.hello(stripe).encode().len() as u64;
        victim.up(1000);
        let said = ours + victim.bytes_said - before;
        println!("HELLO, {unsettled} stripes not settled: {heard} bytes in, {said} out");
        assert!(said * 1000 / heard <= most, "{said} bytes for {heard}");
    }
}
