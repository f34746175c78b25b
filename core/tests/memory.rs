//! Memory stays within what the configuration allows, counted at the allocator.

use bytes::Bytes;
use cap::Cap;
use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};
use striper_core::limits::{FLOW_FLOOR, INITIAL_EARLY};
use striper_core::wire::frame::Frame;
use striper_core::wire::varint;
use striper_core::{
    Config, FlowId, Hello, HelloKind, Input, Instant, Output, Role, Session, SessionId, StripeId,
};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The count is for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

const STRIPE: StripeId = StripeId(0);
/// A usual size of a read from a socket.
const BUFFER: usize = 64 << 10;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn session(role: Role, config: Config) -> Session {
    // The buffers are filled up with control, which is not measured here.
    let config = Config { control_burst: 1 << 40, ..config };
    let mut session = Session::new(role, SessionId([1; 16]), config, Instant::ZERO);
    let kind = match role {
        Role::Client => HelloKind::Accept { instance: 0 },
        Role::Server { .. } => HelloKind::Create,
    };
    let hello = Hello { kind, session: SessionId([1; 16]), stripe: STRIPE, gone: Vec::new() };
    give(&mut session, Input::StripeUp { stripe: STRIPE, hello });
    session
}

fn server(config: Config) -> Session {
    session(Role::Server { instance: 0 }, config)
}

/// Everything that it says is written at once; what it delivers is dropped.
fn give(session: &mut Session, input: Input) {
    let mut out = Vec::new();
    session.handle(Instant::ZERO, input, &mut out);
    let ended = out.iter().find(|output| matches!(output, Output::Ended { .. }));
    assert_eq!(ended, None);
}

/// A whole receive buffer: a frame, and after it one that is skipped.
fn fed(session: &mut Session, head: Frame, payload: &[u8]) {
    let mut buffer = Vec::with_capacity(BUFFER);
    buffer.extend_from_slice(&head.encode(payload.len()));
    buffer.extend_from_slice(payload);
    // The length takes three bytes. Nobody knows type 0x40.
    let rest = BUFFER - buffer.len() - 3;
    varint::put(&mut buffer, rest as u64);
    buffer.push(0x40);
    buffer.resize(BUFFER, 0);
    give(session, Input::StripeBytes { stripe: STRIPE, data: Bytes::from(buffer) });
}

fn open(flow: u64, early: u64) -> Frame {
    Frame::Open { flow: FlowId(flow), early, credit: 0, opaque: Bytes::new() }
}

fn data(flow: u64, offset: u64) -> Frame {
    Frame::Data { flow: FlowId(flow), offset, fin: false }
}

/// How much more is allocated after `change` than before.
fn growth<T>(change: impl FnOnce() -> T) -> (T, u64) {
    let before = ALLOCATOR.allocated();
    let result = change();
    (result, ALLOCATOR.allocated().saturating_sub(before) as u64)
}

#[test]
fn small_pieces_out_of_order_do_not_pin_the_buffers_that_they_came_in() {
    let _alone = alone();
    let (session, grown) = growth(|| {
        let mut session = server(Config::default());
        fed(&mut session, open(1, INITIAL_EARLY), b"");
        (0..1000).for_each(|piece| fed(&mut session, data(1, 1 + piece * 200), &[7; 100]));
        session
    });
    assert_eq!(session.stats().reordering, 100_000);
    // Pinned, they would be 64 MiB.
    assert!(grown < MIB, "{} KiB", grown / KIB);
}

#[test]
fn data_before_its_open_does_not_pin_the_buffers_that_it_came_in() {
    let _alone = alone();
    let (_session, grown) = growth(|| {
        let mut session = server(Config::default());
        (0..1000).for_each(|flow| fed(&mut session, data(2 * flow + 1, 0), b"x"));
        session
    });
    assert!(grown < 2 * MIB, "{} KiB", grown / KIB);
}

#[test]
fn many_flows_with_a_gap_at_their_start_stay_within_limit_and_floors() {
    let _alone = alone();
    let config = Config { memory_limit: 8 * MIB, ..Config::default() };
    const FLOWS: u64 = 1000;
    let (session, grown) = growth(|| {
        let mut session = server(config);
        let piece = [7; 8000];
        for flow in (0..FLOWS).map(|index| 2 * index + 1) {
            // The client takes its whole part of the shared pool.
            let early = if flow < 8 { INITIAL_EARLY } else { 0 };
            fed(&mut session, open(flow, early), b"");
            let mut offset = 1;
            while offset < FLOW_FLOOR + early {
                let len = (FLOW_FLOOR + early - offset).min(piece.len() as u64);
                let frame = data(flow, offset);
                let bytes = [&frame.encode(len as usize)[..], &piece[..len as usize]].concat();
                give(&mut session, Input::StripeBytes { stripe: STRIPE, data: Bytes::from(bytes) });
                offset += len;
            }
        }
        session
    });
    let held = session.stats().reordering;
    assert_eq!(held, FLOWS * (FLOW_FLOOR - 1) + 4 * INITIAL_EARLY);
    let allowed = config.memory_limit / 2 + FLOWS * FLOW_FLOOR;
    assert!(held <= allowed);
    // Besides the data, a flow costs its own state.
    assert!(
        grown < allowed + FLOWS * 4 * KIB,
        "{} KiB, {} KiB allowed",
        grown / KIB,
        allowed / KIB
    );
}

#[test]
fn many_flows_to_a_peer_that_takes_nothing_stay_within_limit_and_floors() {
    let _alone = alone();
    let config = Config { memory_limit: 8 * MIB, ..Config::default() };
    const FLOWS: u64 = 1000;
    let (session, grown) = growth(|| {
        let mut session = session(Role::Client, config);
        let grant = Frame::Grant { flows: FLOWS, early: FLOWS * INITIAL_EARLY }.encode(0);
        give(&mut session, Input::StripeBytes { stripe: STRIPE, data: grant });
        for index in 0..FLOWS {
            give(&mut session, Input::FlowOpen { request: index, opaque: Bytes::new() });
            let flow = FlowId(2 * index + 1);
            while let room @ 1.. = session.send_room(flow) {
                let data = Bytes::from(vec![7; room.min(BUFFER as u64) as usize]);
                give(&mut session, Input::FlowData { flow, data });
            }
        }
        session
    });
    let held = session.stats().held;
    let allowed = config.memory_limit / 2 + FLOWS * FLOW_FLOOR;
    assert_eq!(held, allowed, "every flow has its floor, and all together the pool");
    assert!(
        grown < allowed + FLOWS * 4 * KIB,
        "{} KiB, {} KiB allowed",
        grown / KIB,
        allowed / KIB
    );
}
