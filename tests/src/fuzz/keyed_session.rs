//! A hostile peer that has the key: whole sessions inside valid TLS, against the server as it is in
//! production.
//!
//! The input is a script of calls, HELLOs, frames, raw bytes, records and their arrival. It also
//! changes ciphertext, ends pipes, and moves time and the programs behind the server. rustls draws
//! random numbers from the system, so an input repeats the choices and not the ciphertext.

mod caller;
mod time;
mod world;

use super::source::Source;
use super::spoken::{any_frame, any_stripe};
use bytes::Bytes;
use caller::Caller;
use std::time::Duration;
use striper_core::wire::frame::Frame;
use striper_core::{FlowId, Hello, HelloKind, SessionId};
use world::World;

/// Callers in one run: each costs a handshake.
const MAX_CALLERS: usize = 8;

const MAX_STEPS: usize = 256;

pub fn keyed_session<A: Fn() -> usize>(input: &[u8], allocated: A) {
    let mut source = Source::new(input);
    let mut world = World::new(allocated);
    let greeted = source.byte() % 4;
    world.call(source.length());
    for _ in 0..greeted {
        hello(&mut world, &mut source);
        world.check();
    }
    for _ in 0..MAX_STEPS {
        if source.is_empty() {
            break;
        }
        step(&mut world, &mut source);
        world.check();
    }
    world.finish();
}

fn step<A: Fn() -> usize>(world: &mut World<A>, source: &mut Source) {
    match source.choice(24) {
        0 => call(world, source),
        1..=2 => hello(world, source),
        3..=6 => frame(world, source),
        7..=8 => open(world, source),
        9..=12 => data(world, source),
        13 => {
            let (caller, count) = (source.byte(), source.length());
            world.say_raw(caller, source.bytes(count));
        }
        14 => {
            let (caller, record) = (source.byte(), source.length().max(1));
            world.caller(caller).record = record;
        }
        15 => {
            let (caller, piece) = (source.byte(), source.length());
            let caller = world.caller(caller);
            (caller.piece, caller.holds) = (piece, piece % 4 == 3);
        }
        16 => world.deliver(source.byte(), source.length()),
        17 => {
            let (caller, act) = (source.byte(), source.bytes(4));
            world.forge(caller, act);
        }
        18 => end(world, source),
        19..=20 => program(world, source),
        21 => world.wait(Duration::from_micros(1 << (source.byte() % 27))),
        22 => {
            let (on, nonce) = (source.byte(), source.number());
            world.say(on, &Frame::Ping { nonce }.encode(0));
        }
        _ => acknowledge(world, source),
    }
}

fn call<A: Fn() -> usize>(world: &mut World<A>, source: &mut Source) {
    if world.callers() < MAX_CALLERS {
        world.call(source.length());
        hello(world, source);
    }
}

/// A HELLO for one of two sessions, mostly with the next number.
fn hello<A: Fn() -> usize>(world: &mut World<A>, source: &mut Source) {
    let shape = source.byte();
    let kind = if shape & 1 == 0 { HelloKind::Create } else { HelloKind::Join };
    let gone = usize::from(if shape & 0x40 == 0 { 0 } else { source.byte() % 4 });
    let gone = (0..gone).map(|_| (any_stripe(source), source.number())).collect();
    let stripe = if shape & 0x80 == 0 { world.next_stripe() } else { any_stripe(source) };
    let session = SessionId([1 + (shape >> 1 & 1); 16]);
    world.greet(&Hello { kind, session, stripe, gone });
}

/// A frame with any fields, its payload what belongs at its offset.
fn frame<A: Fn() -> usize>(world: &mut World<A>, source: &mut Source) {
    let (on, flow) = (source.byte(), flow(world, source));
    let (frame, payload) = any_frame(flow, source);
    let offset = if let Frame::Data { offset, .. } = frame { offset } else { 0 };
    world.say_frame(on, &frame, offset, payload);
}

fn flow<A: Fn() -> usize>(world: &World<A>, source: &mut Source) -> FlowId {
    match source.byte() {
        known @ 128.. => world.opened(known),
        127 => FlowId(source.number()),
        small => FlowId(u64::from(small)),
    }
}

fn open<A: Fn() -> usize>(world: &mut World<A>, source: &mut Source) {
    let (on, flow, payload) = (source.byte(), world.next_flow(), source.length());
    let open = Frame::Open { flow, early: 0, credit: 1 << 20, opaque: Bytes::new() };
    world.say_frame(on, &open, 0, payload);
}

fn data<A: Fn() -> usize>(world: &mut World<A>, source: &mut Source) {
    let (on, flow) = (source.byte(), world.opened(source.byte()));
    let (payload, last) = (source.length(), source.byte());
    let offset = world.offset(flow);
    world.say_frame(on, &Frame::Data { flow, offset, fin: last & 7 == 7 }, offset, payload);
}

fn acknowledge<A: Fn() -> usize>(world: &mut World<A>, source: &mut Source) {
    let (on, of) = (source.byte(), source.byte());
    let (stripe, heard) = world.caller(of).heard_of();
    world.say(on, &Frame::Ack { counts: vec![(stripe, heard)] }.encode(0));
}

/// A caller ends: with close_notify, with TCP's FIN alone, after a part of what is under way, or
/// not at all nicely.
fn end<A: Fn() -> usize>(world: &mut World<A>, source: &mut Source) {
    let (caller, how) = (source.byte(), source.byte());
    let end = match how % 4 {
        0 | 1 => Caller::notify,
        2 => Caller::cut_off,
        _ => Caller::break_off,
    };
    world.with_caller(caller, end);
}

fn program<A: Fn() -> usize>(world: &mut World<A>, source: &mut Source) {
    match source.choice(8) {
        0..=2 => world.accept_flow(),
        3 => world.refuse_flow(),
        4..=5 => world.produce(source.byte(), source.length()),
        6 => world.stop_reading(source.byte()),
        _ => world.finish_program(source.byte()),
    }
}
