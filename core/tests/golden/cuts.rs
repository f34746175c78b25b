//! Every cut and every truncation of golden byte streams, and every value of each byte of their
//! frame heads.
//!
//! The streams: both sides of PROTOCOL.md's worked example, and one that holds every type of frame.

use crate::example::example;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use striper_core::testing::{Endpoint, Habits, Keep};
use striper_core::wire::frame::Frame;
use striper_core::{
    Config, EndReason, FlowId, Handshake, HandshakeError, Hello, HelloKind, Input, Instant, Output,
    Role, Session, SessionId, StripeId,
};

const NOW: Instant = Instant::from_micros(1_000);
const STRIPE: StripeId = StripeId(0);

#[derive(Clone)]
struct Golden {
    name: &'static str,
    listener: Session,
    /// Frames, each as its head and its payload.
    frames: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Golden {
    fn bytes(&self) -> Vec<u8> {
        self.frames.iter().flat_map(|(head, payload)| [head.as_slice(), payload].concat()).collect()
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Effect {
    /// The frames for the peer.
    said: Vec<Output>,
    /// The outputs for the local side; neighbouring pieces of one flow's data are joined.
    told: Vec<Output>,
    fingerprint: u64,
}

fn hello(kind: HelloKind) -> Hello {
    Hello { kind, session: SessionId([3; 16]), stripe: STRIPE, gone: Vec::new() }
}

fn born(role: Role) -> Endpoint {
    let session = Session::new(role, SessionId([3; 16]), Config::default(), NOW);
    Endpoint::new(session, Keep::Nothing)
}

fn server() -> Endpoint {
    let mut server = born(Role::Server { instance: 5 });
    let up = Input::StripeUp { stripe: STRIPE, hello: hello(HelloKind::Create) };
    server.give(NOW, up, &mut Vec::new());
    server
}

/// Gives some inputs, and writes at once all that is said.
fn prepare(end: &mut Endpoint, inputs: impl IntoIterator<Item = Input>) {
    let habits = Habits { consumes: false, ..Habits::default() };
    inputs.into_iter().for_each(|input| drop(end.run(NOW, input, habits)));
}

/// The frames that one side says in PROTOCOL.md's worked example, after its HELLO.
fn said_by(client: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let said = example().into_iter().filter(|line| line.client == client);
    said.skip(1).map(|line| split_frame(line.bytes)).collect()
}

fn split_frame(mut bytes: Vec<u8>) -> (Vec<u8>, Vec<u8>) {
    let head = match Frame::decode(&bytes).expect("a frame") {
        // A length of one byte stands for itself whatever the payload is.
        frame @ (Frame::Open { .. } | Frame::Data { .. }) => frame.encode(0).len(),
        _ => bytes.len(),
    };
    let payload = bytes.split_off(head);
    (bytes, payload)
}

fn frame(frame: Frame, payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (frame.encode(payload.len()).to_vec(), payload.to_vec())
}

/// Every type of frame, said by a client. The listener has a flow (0) and has sent on its stripe.
fn every_type() -> Vec<(Vec<u8>, Vec<u8>)> {
    let (mine, yours) = (FlowId(1), FlowId(0));
    let opaque = Bytes::from_static(b"\x01\x02\x01\xbb");
    let open = |flow| Frame::Open { flow, early: 0, credit: 300, opaque: opaque.clone() };
    vec![
        frame(Frame::Ping { nonce: 300 }, b""),
        frame(Frame::Grant { flows: 100, early: 300_000 }, b""),
        frame(open(mine), b"first"),
        frame(Frame::Data { flow: mine, offset: 9, fin: true }, b"last"),
        frame(Frame::Data { flow: mine, offset: 5, fin: false }, b"more"),
        frame(Frame::Accept { flow: yours }, b""),
        frame(Frame::Credit { flow: yours, limit: 40_000 }, b""),
        frame(Frame::Blocked { flow: mine, limit: 16_384 }, b""),
        // An unknown type that may be skipped.
        (vec![4, 0x40, 1, 2, 3], Vec::new()),
        frame(Frame::Ack { counts: vec![(STRIPE, 3), (STRIPE, 5)] }, b""),
        frame(Frame::Data { flow: FlowId(3), offset: 2, fin: false }, b"overtakes its OPEN"),
        frame(open(FlowId(3)), b""),
        frame(Frame::Reset { flow: FlowId(3), reason: 0, final_offset: 40 }, b""),
        frame(Frame::Reset { flow: FlowId(5), reason: 3, final_offset: 0 }, b""),
        frame(Frame::Refuse { flow: FlowId(2), reason: 1 }, b""),
        frame(Frame::StripeGone { stripe: StripeId(7), received: 0 }, b""),
        frame(Frame::Pong { nonce: 1 }, b""),
        frame(Frame::Drain, b""),
        frame(Frame::Close { code: 1 }, b""),
    ]
}

fn golden() -> Vec<Golden> {
    let mut everything = server();
    for request in 0..2 {
        let open = Input::FlowOpen { request, opaque: Bytes::new() };
        everything.give(NOW, open, &mut Vec::new());
    }
    // The client of the example has its connection before the stripe comes up.
    let mut client = born(Role::Client);
    let flow = FlowId(1);
    let opens = [
        Input::FlowOpen { request: 0, opaque: Bytes::from_static(b"\x01\x0d\x01\xbbexample.org") },
        Input::FlowData { flow, data: Bytes::from_static(b"hi") },
        Input::FlowFinish { flow },
        Input::StripeUp { stripe: STRIPE, hello: hello(HelloKind::Accept { instance: 5 }) },
    ];
    prepare(&mut client, opens);
    // A server must have sent the bytes that the example's client acknowledges.
    let heard =
        said_by(true).into_iter().take(4).map(|(head, payload)| bytes_in([head, payload].concat()));
    let mut answering = server();
    prepare(&mut answering, heard);
    let answers = [
        Input::FlowAccept { flow },
        Input::FlowConsumed { flow, total: 2 },
        Input::FlowData { flow, data: Bytes::from_static(b"yo") },
        Input::FlowFinish { flow },
    ];
    prepare(&mut answering, answers);
    answering.give(Instant::from_micros(6_000), Input::Tick, &mut Vec::new());
    let (mut client_first, mut server_first) = (said_by(true), said_by(false));
    let client_then = client_first.split_off(4);
    // Beyond the first acknowledgement it answers what the client has said in answer to it.
    let mut server_then = server_first.split_off(6);
    server_then.truncate(1);
    let mut answered = client.clone();
    for (head, payload) in &server_first {
        answered.give(NOW, bytes_in([&head[..], payload].concat()), &mut Vec::new());
    }
    let all = [
        ("the client's beginning", server(), client_first),
        ("the client's end", answering, client_then),
        ("the server's beginning", client, server_first),
        ("the server's acknowledgement", answered, server_then),
        ("every type", everything, every_type()),
    ];
    let golden =
        |(name, end, frames): (_, Endpoint, _)| Golden { name, listener: end.session, frames };
    all.map(golden).into()
}

fn bytes_in(data: Vec<u8>) -> Input {
    Input::StripeBytes { stripe: STRIPE, data: data.into() }
}

fn hear<'a>(
    listener: &Session,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> (Session, Vec<Output>) {
    let (mut session, mut outputs) = (listener.clone(), Vec::new());
    for piece in pieces {
        session.handle(Instant::from_micros(6_000), bytes_in(piece.to_vec()), &mut outputs);
        session.check_invariants();
    }
    (session, outputs)
}

fn effect((session, outputs): (Session, Vec<Output>)) -> Effect {
    let (said, all): (Vec<_>, Vec<_>) =
        outputs.into_iter().partition(|output| matches!(output, Output::Transmit { .. }));
    let mut told: Vec<Output> = Vec::new();
    for output in all {
        match (told.last_mut(), output) {
            (
                Some(Output::FlowData { flow: before, data }),
                Output::FlowData { flow, data: more },
            ) if *before == flow => {
                *data = [&data[..], &more[..]].concat().into();
            }
            (_, output) => told.push(output),
        }
    }
    let mut hasher = DefaultHasher::new();
    session.fingerprint(&mut hasher);
    Effect { said, told, fingerprint: hasher.finish() }
}

fn cut<'a>(bytes: &'a [u8], at: &[usize]) -> Vec<&'a [u8]> {
    let ends = at.iter().copied().chain([bytes.len()]);
    ends.scan(0, |from, to| Some(&bytes[std::mem::replace(from, to)..to])).collect()
}

#[test]
fn the_streams_are_understood_to_their_ends_and_hold_every_type_of_frame() {
    for golden in golden() {
        let (_, outputs) = hear(&golden.listener, [golden.bytes().as_slice()]);
        assert!(!ended_badly(&outputs), "{}: {outputs:?}", golden.name);
    }
    let mut kinds: Vec<u8> = every_type().iter().map(|(head, _)| head[1]).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let known = [1, 3, 5, 7, 9, 0x0b, 0x0d, 0x0f, 0x11, 0x13, 0x15, 0x17, 0x19, 0x1a, 0x40];
    assert_eq!(kinds, known);
}

fn ended_badly(outputs: &[Output]) -> bool {
    outputs.iter().any(|output| matches!(output, Output::Ended { reason: EndReason::Violation(_) }))
}

/// A complete frame takes effect, payload byte by byte. So a cut in a frame does the same as the
/// cut before it, or for an OPEN or data as the cut behind it.
#[test]
fn every_split_into_two_or_three_has_the_effect_of_one_between_frames() {
    let mut cuts = 0;
    for golden in golden() {
        // The last frame ends the session and with it all that could differ.
        for frames in [golden.frames.len(), golden.frames.len() - 1] {
            let golden = Golden { frames: golden.frames[..frames].to_vec(), ..golden.clone() };
            let bytes = golden.bytes();
            let mut borders = vec![0];
            for (head, payload) in &golden.frames {
                borders.push(borders.last().unwrap() + head.len() + payload.len());
            }
            let around = |at: usize| {
                let before = *borders.iter().rev().find(|border| **border <= at).unwrap();
                [before, *borders.iter().find(|border| **border >= at).unwrap()]
            };
            let mut whole = BTreeMap::new();
            for first in 0..=bytes.len() {
                for second in first..=bytes.len() {
                    let heard = effect(hear(&golden.listener, cut(&bytes, &[first, second])));
                    let mut expected = around(first).into_iter().flat_map(|first| {
                        around(second).into_iter().map(move |second| [first, second])
                    });
                    let fits = expected.any(|at| {
                        let reference = whole
                            .entry(at)
                            .or_insert_with(|| effect(hear(&golden.listener, cut(&bytes, &at))));
                        *reference == heard
                    });
                    assert!(fits, "{}: cut at {first} and {second}: {heard:?}", golden.name);
                    cuts += 1;
                }
            }
        }
    }
    println!("{cuts} splits");
}

#[test]
fn every_truncation_is_incomplete_and_no_error() {
    for golden in golden() {
        let bytes = golden.bytes();
        for to in 0..bytes.len() {
            let (session, outputs) = hear(&golden.listener, [&bytes[..to]]);
            assert!(!ended_badly(&outputs), "{}: the first {to} bytes are an error", golden.name);
            let (_, outputs) = hear(&session, [&bytes[to..]]);
            assert!(!ended_badly(&outputs), "{}: the bytes from {to} on are an error", golden.name);
        }
    }
}

#[test]
fn every_value_of_every_head_byte_is_a_violation_or_a_frame() {
    let (mut violations, mut frames) = (0, 0);
    for golden in golden() {
        for at in 0..golden.frames.len() {
            for place in 0..golden.frames[at].0.len() {
                for value in 0..=255 {
                    let mut changed = golden.frames.clone();
                    changed[at].0[place] = value;
                    let all: Vec<Vec<u8>> = changed
                        .into_iter()
                        .map(|(head, payload)| [head, payload].concat())
                        .collect();
                    // `hear` checks the invariants after each frame.
                    let (_, outputs) = hear(&golden.listener, all.iter().map(Vec::as_slice));
                    if ended_badly(&outputs) {
                        violations += 1;
                    } else {
                        frames += 1;
                    }
                    let whole = Bytes::from(all.concat());
                    hear(&golden.listener, [&whole[..]]);
                }
            }
        }
    }
    println!("{violations} violations, {frames} other streams");
    assert!(violations > 0 && frames > 0);
}

/// HELLOs of each kind, with gone stripes, and with an option that is skipped.
fn hellos() -> Vec<Vec<u8>> {
    let gone = vec![(StripeId(1), 300), (StripeId(2), 0)];
    let kinds = [
        HelloKind::Create,
        HelloKind::Join,
        HelloKind::Accept { instance: 0x1112_1314_1516_1718 },
        HelloKind::Refuse(striper_core::Refusal::Draining),
    ];
    let mut all: Vec<Vec<u8>> = kinds
        .iter()
        .flat_map(|kind| [hello(*kind), Hello { gone: gone.clone(), ..hello(*kind) }])
        .map(|hello| hello.encode().to_vec())
        .collect();
    let mut optional = all[0].clone();
    optional.extend([4, 2, 0xaa, 0xbb]);
    optional[8] += 4;
    all.push(optional);
    all
}

#[test]
fn every_split_of_a_hello_is_that_hello() {
    for bytes in hellos() {
        let whole = Handshake::new().feed(bytes.clone().into()).unwrap().unwrap();
        for first in 0..=bytes.len() {
            for second in first..=bytes.len() {
                let mut handshake = Handshake::new();
                let mut heard = None;
                for piece in cut(&bytes, &[first, second]) {
                    match handshake.feed(Bytes::copy_from_slice(piece)).unwrap() {
                        Some(complete) if heard.is_none() => heard = Some(complete),
                        Some(_) => assert!(piece.is_empty(), "two HELLOs of one"),
                        None => assert!(heard.is_none()),
                    }
                }
                assert_eq!(heard.as_ref(), Some(&whole), "cut at {first} and {second}");
            }
            if first < bytes.len() {
                let truncated = Bytes::copy_from_slice(&bytes[..first]);
                assert_eq!(Handshake::new().feed(truncated), Ok(None));
            }
        }
    }
}

#[test]
fn every_value_of_every_hello_byte_is_refused_incomplete_or_another_hello() {
    for bytes in hellos() {
        for place in 0..bytes.len() {
            for value in 0..=255 {
                let mut changed = bytes.clone();
                changed[place] = value;
                let result = Handshake::new().feed(changed.clone().into());
                match &result {
                    Ok(Some((hello, _))) => {
                        // A HELLO that we understand can be said again.
                        let again = Handshake::new().feed(hello.encode()).unwrap().unwrap();
                        assert_eq!(&again.0, hello);
                        let mut session = server().session;
                        let other = StripeId(hello.stripe.0 | 1 << 40);
                        let up = Input::StripeUp { stripe: other, hello: hello.clone() };
                        session.handle(NOW, up, &mut Vec::new());
                        session.check_invariants();
                    }
                    Err(HandshakeError::NotStriper { .. }) => assert!(place < 7),
                    Err(HandshakeError::Version { theirs }) => {
                        assert!(place == 7 && *theirs == value)
                    }
                    Ok(None) | Err(_) => assert!(place > 7),
                }
            }
        }
    }
}
