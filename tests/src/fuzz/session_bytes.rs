//! A hostile peer: HELLOs, frames and raw bytes on several stripes. [`Attacked`] checks after each
//! input that the session holds its invariants and its limits, and that its output makes sense.

mod attacked;

use super::source::Source;
use super::spoken::{any_frame, any_stripe, small_limits};
use attacked::Attacked;
use bytes::Bytes;
use std::time::Duration;
use striper_core::limits::MAX_OPAQUE;
use striper_core::wire::frame::Frame;
use striper_core::{Config, FlowId, Handshake, Hello, HelloKind, Input, Reason, Role, SessionId};

const SESSION: SessionId = SessionId([7; 16]);

/// The instance that a server names first, and a client should hear.
const INSTANCE: u64 = 9;

/// Nobody's patience in this target lasts longer.
const LONGEST: Duration = Duration::from_secs(100);

/// The input is a configuration and then one operation after the other.
pub fn session_bytes<A: Fn() -> usize>(data: &[u8], allocated: A) {
    let mut source = Source::new(data);
    let shape = source.byte();
    let role = if shape & 1 == 0 { Role::Client } else { Role::Server { instance: INSTANCE } };
    let limits = small_limits(shape >> 1, Duration::from_millis(20));
    let config = Config { resume_limit: LONGEST, ..limits };
    let mut attacked = Attacked::new(role, SESSION, config, allocated);
    for _ in 0..=source.choice(3) {
        welcome(&mut attacked, &mut source);
    }
    while !source.is_empty() && !attacked.is_over() {
        step(&mut attacked, &mut source);
    }
    attacked.finish();
}

fn step<A: Fn() -> usize>(attacked: &mut Attacked<A>, source: &mut Source) {
    match source.choice(24) {
        0 => raw(attacked, source),
        1..=4 => said(attacked, source),
        5 => data_in_order(attacked, source),
        6 => welcome(attacked, source),
        7 => strange_hello(attacked, source),
        8..=9 => acknowledge(attacked, source),
        10 => answer_ping(attacked, source),
        11..=12 => written(attacked, source),
        13 => {
            if let Some(stripe) = attacked.stripe(source) {
                attacked.give(Input::StripeDown { stripe });
            }
        }
        14 => {
            let opaque = Bytes::from(vec![0; source.length().min(MAX_OPAQUE)]);
            attacked.give(Input::FlowOpen { request: u64::from(source.byte()), opaque });
        }
        15..=20 => local(attacked, source),
        21 => attacked.wait(Duration::from_micros(1 << (source.byte() % 24))),
        22 => attacked.sleep(),
        _ => rare(attacked, source),
    }
}

fn raw<A: Fn() -> usize>(attacked: &mut Attacked<A>, source: &mut Source) {
    if let Some(stripe) = attacked.stripe(source) {
        let count = source.length();
        attacked.hear(stripe, source.bytes(count));
    }
}

/// A frame with any fields, whole or in two parts.
fn said<A: Fn() -> usize>(attacked: &mut Attacked<A>, source: &mut Source) {
    let Some(stripe) = attacked.stripe(source) else { return };
    let flow = flow(attacked, source);
    let (frame, payload) = any_frame(flow, source);
    let mut bytes = frame.encode(payload).to_vec();
    bytes.resize(bytes.len() + payload, 0);
    let (first, second) = bytes.split_at(source.length().min(bytes.len()));
    attacked.hear(stripe, first);
    attacked.hear(stripe, second);
}

fn flow<A: Fn() -> usize>(attacked: &Attacked<A>, source: &mut Source) -> FlowId {
    match source.byte() {
        existing @ 128.. => {
            let flows = attacked.flows();
            let index = usize::from(existing) % flows.len().max(1);
            flows.get(index).copied().unwrap_or(FlowId(0))
        }
        127 => FlowId(source.number()),
        small => FlowId(u64::from(small)),
    }
}

fn data_in_order<A: Fn() -> usize>(attacked: &mut Attacked<A>, source: &mut Source) {
    let (Some(stripe), Some((flow, offset))) = (attacked.stripe(source), attacked.expected(source))
    else {
        return;
    };
    let (payload, last) = (source.length(), source.byte());
    let mut bytes = Frame::Data { flow, offset, fin: last & 1 == 1 }.encode(payload).to_vec();
    bytes.resize(bytes.len() + payload, 0);
    attacked.hear(stripe, &bytes);
}

/// A stripe comes up with a HELLO that makes sense, as far as the list of gone stripes does.
fn welcome<A: Fn() -> usize>(attacked: &mut Attacked<A>, source: &mut Source) {
    let shape = source.byte();
    let kind = match (attacked.is_client(), shape & 1) {
        (true, _) => {
            HelloKind::Accept { instance: if shape & 0x3f == 0x3f { 0 } else { INSTANCE } }
        }
        (false, 0) => HelloKind::Create,
        (false, _) => HelloKind::Join,
    };
    let gone = usize::from(if shape & 0x40 == 0 { 0 } else { source.byte() % 4 });
    let gone = (0..gone).map(|_| (any_stripe(source), source.number())).collect();
    // The server takes the number that the client says, the client has chosen it.
    let stripe = if shape & 0x80 == 0 || attacked.is_client() {
        attacked.next_stripe()
    } else {
        any_stripe(source)
    };
    attacked.greet(Hello { kind, session: SESSION, stripe, gone });
}

/// Bytes of a HELLO, or of nothing like it. HELLOs that drivers refuse don't reach the session.
fn strange_hello<A: Fn() -> usize>(attacked: &mut Attacked<A>, source: &mut Source) {
    let mut bytes = attacked.hello().encode().to_vec();
    let count = source.length();
    let keep = source.length().min(bytes.len());
    bytes.truncate(keep);
    bytes.extend_from_slice(source.bytes(count));
    let Ok(Some((hello, rest))) = Handshake::new().feed(Bytes::from(bytes)) else { return };
    let stripe = hello.stripe;
    if attacked.greet(hello) {
        attacked.hear(stripe, &rest);
    }
}

/// An acknowledgement of what was sent on a stripe, all or a part of it, on the same or another
/// one.
fn acknowledge<A: Fn() -> usize>(attacked: &mut Attacked<A>, source: &mut Source) {
    let (Some(on), Some(stripe)) = (attacked.stripe(source), attacked.stripe(source)) else {
        return;
    };
    let count = part(source, attacked.transmitted(stripe));
    attacked.hear(on, &Frame::Ack { counts: vec![(stripe, count)] }.encode(0));
}

fn part(source: &mut Source, whole: u64) -> u64 {
    match source.byte() {
        all @ 0..128 => whole.saturating_sub(u64::from(all / 2)),
        share => (whole / 128).saturating_mul(u64::from(share - 128)),
    }
}

fn answer_ping<A: Fn() -> usize>(attacked: &mut Attacked<A>, source: &mut Source) {
    if let Some(stripe) = attacked.stripe(source)
        && let Some(nonce) = attacked.pinged(stripe)
    {
        attacked.hear(stripe, &Frame::Pong { nonce }.encode(0));
    }
}

fn written<A: Fn() -> usize>(attacked: &mut Attacked<A>, source: &mut Source) {
    if let Some(stripe) = attacked.stripe(source) {
        let total = part(source, attacked.transmitted(stripe));
        attacked.write(stripe, total);
    }
}

fn local<A: Fn() -> usize>(attacked: &mut Attacked<A>, source: &mut Source) {
    let Some(flow) = attacked.local_flow(source) else { return };
    match source.choice(8) {
        0..=1 => attacked.produce(flow, source.length()),
        2..=3 => attacked.consume(flow, source.byte()),
        4 => attacked.give(Input::FlowFinish { flow }),
        5 => attacked.give(Input::FlowReset { flow, reason: Reason::Aborted }),
        6 => attacked.give(Input::FlowAccept { flow }),
        _ => attacked.give(Input::FlowRefuse { flow, reason: Reason::NotAllowed }),
    }
}

/// Events that happen once in a session's life, if at all.
fn rare<A: Fn() -> usize>(attacked: &mut Attacked<A>, source: &mut Source) {
    match source.byte() {
        0 => attacked.give(Input::Shutdown),
        1 => attacked.give(Input::Abort),
        // The server doesn't know the session: drivers end it then.
        2 if attacked.is_client() => attacked.give(Input::Abort),
        limit @ 3..64 => {
            let half = (limit as u64) << 14;
            attacked.give(Input::MemoryLimit { receive: half, send: half });
        }
        _ => {}
    }
}
