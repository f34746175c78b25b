//! The memory of a session, counted at the allocator, stays bounded whatever its peer does.

use bytes::Bytes;
use cap::Cap;
use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use striper_core::limits::{FLOW_FLOOR, INITIAL_EARLY, INITIAL_FLOWS};
use striper_core::testing::{SERVER, Scripted, bytes, data, open, reset};
use striper_core::wire::frame::Frame;
use striper_core::wire::varint;
use striper_core::{Config, EndReason, FlowId, Input, Role, StripeId, Violation};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The count is for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// A usual size of a read from a socket.
const BUFFER: usize = 64 << 10;
const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn allocated() -> u64 {
    ALLOCATOR.allocated() as u64
}

fn growth<T>(change: impl FnOnce() -> T) -> (T, u64) {
    let before = allocated();
    let result = change();
    (result, allocated().saturating_sub(before))
}

/// A victim that keeps no output.
fn victim(role: Role, config: Config) -> Scripted {
    let mut victim = Scripted::new(role, config).with(1);
    (victim.habits.checks, victim.remembers) = (false, false);
    victim
}

/// A victim whose local side takes nothing, and that any control may be said to.
fn full(role: Role, config: Config) -> Scripted {
    let mut full = victim(role, Config { control_burst: 1 << 40, ..config });
    (full.habits.writes, full.habits.consumes) = (false, false);
    full
}

/// Fills a receive buffer with a frame, and after it one that is skipped.
fn fed(victim: &mut Scripted, head: Frame, payload: &[u8]) {
    let mut buffer = Vec::with_capacity(BUFFER);
    buffer.extend_from_slice(&bytes(&head, payload));
    // The length takes three bytes. Nobody knows type 0x40.
    let rest = BUFFER - buffer.len() - 3;
    varint::put(&mut buffer, rest as u64);
    buffer.push(0x40);
    buffer.resize(BUFFER, 0);
    victim.hear_bytes(0, buffer);
    assert_eq!(victim.ended(), None);
}

/// A small limit on memory, and the least ids at a time.
fn small() -> Config {
    Config { memory_limit: 8 * MIB, max_flows: INITIAL_FLOWS, ..Config::default() }
}

/// All credit that a fresh flow may have, in bytes.
const WINDOW: u64 = INITIAL_EARLY + (16 << 10);

/// Flows of the tests that have many.
const FLOWS: u64 = 1000;

/// Besides its data, a flow costs its own state.
fn within(grown: u64, allowed: u64) {
    let (most, kib) = (allowed + FLOWS * 4 * KIB, grown / KIB);
    assert!(grown < most, "{kib} KiB, {} KiB allowed", most / KIB);
}

#[test]
fn small_pieces_out_of_order_do_not_pin_the_buffers_that_they_came_in() {
    let _alone = alone();
    let (session, grown) = growth(|| {
        let mut session = full(SERVER, Config::default());
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
        let mut session = full(SERVER, Config::default());
        (0..1000).for_each(|flow| fed(&mut session, data(2 * flow + 1, 0), b"x"));
        session
    });
    assert!(grown < 2 * MIB, "{} KiB", grown / KIB);
}

#[test]
fn many_flows_with_a_gap_at_their_start_stay_within_limit_and_floors() {
    let _alone = alone();
    let config = Config { memory_limit: 8 * MIB, ..Config::default() };
    let (session, grown) = growth(|| {
        let mut session = full(SERVER, config);
        let piece = [7; 8000];
        for flow in (0..FLOWS).map(|index| 2 * index + 1) {
            // The client takes its whole part of the shared pool.
            let early = if flow < 8 { INITIAL_EARLY } else { 0 };
            fed(&mut session, open(flow, early), b"");
            let mut offset = 1;
            while offset < FLOW_FLOOR + early {
                let len = (FLOW_FLOOR + early - offset).min(piece.len() as u64);
                session.hear_with(0, data(flow, offset), &piece[..len as usize]);
                offset += len;
            }
        }
        session
    });
    let held = session.stats().reordering;
    assert_eq!(held, FLOWS * (FLOW_FLOOR - 1) + 4 * INITIAL_EARLY);
    let allowed = config.memory_limit / 2 + FLOWS * FLOW_FLOOR;
    assert!(held <= allowed);
    within(grown, allowed);
}

#[test]
fn many_flows_to_a_peer_that_takes_nothing_stay_within_limit_and_floors() {
    let _alone = alone();
    let config = Config { memory_limit: 8 * MIB, ..Config::default() };
    let (session, grown) = growth(|| {
        let mut session = full(Role::Client, config);
        session.hear(0, Frame::Grant { flows: FLOWS, early: FLOWS * INITIAL_EARLY });
        for index in 0..FLOWS {
            session.give(Input::FlowOpen { request: index, opaque: Bytes::new() });
            let flow = FlowId(2 * index + 1);
            while let room @ 1.. = session.end.session.send_room(flow) {
                let data = Bytes::from(vec![7; room.min(BUFFER as u64) as usize]);
                session.give(Input::FlowData { flow, data });
            }
        }
        session
    });
    let held = session.stats().held;
    let allowed = config.memory_limit / 2 + FLOWS * FLOW_FLOOR;
    assert_eq!(held, allowed, "every flow has its floor, and all together the pool");
    within(grown, allowed);
}

#[test]
fn one_byte_chunks_that_fill_the_window_cost_a_bounded_multiple() {
    let _alone = alone();
    let mut victim = victim(SERVER, small());
    victim.hear(0, open(1, INITIAL_EARLY));
    let before = allocated();
    let mut peak = 0;
    // Every other byte from the end on, so that none has a neighbour, then the rest but the first.
    let odd = (1..WINDOW).rev().step_by(2);
    let even = (1..WINDOW).rev().skip(1).step_by(2);
    for (number, offset) in odd.chain(even).enumerate() {
        victim.hear_with(0, data(1, offset), b"x");
        if number % 1000 == 0 {
            peak = peak.max(allocated() - before);
        }
        if victim.ended().is_some() {
            break;
        }
    }
    // More pieces than an honest peer makes: 65,536 and one for 4 KiB of memory.
    assert_eq!(victim.ended(), Some(EndReason::Violation(Violation::TooManyGaps)));
    println!("{} KiB for {} pieces of one byte", peak / KIB, 65_536 + 8 * MIB / 4096);
    assert!(peak < 8 * MIB, "{} KiB", peak / KIB);
    assert!(allocated() <= before + 64 * KIB, "it is given back");
}

#[test]
fn one_byte_chunks_just_below_the_limit_are_put_in_order_and_given_back() {
    let _alone = alone();
    let mut victim = victim(SERVER, small());
    let before = allocated();
    victim.hear(0, open(1, INITIAL_EARLY));
    victim.give(Input::FlowAccept { flow: FlowId(1) });
    let all = 100_000;
    for offset in (1..all).rev().step_by(2).chain((0..all).rev().skip(1).step_by(2)) {
        victim.hear_with(0, data(1, offset), &[offset as u8]);
    }
    victim.hear_with(0, data(1, 0), &[0]);
    assert_eq!(victim.ended(), None);
    let expected = (0..all).map(|offset| offset as u8);
    let got = victim.end.log.flows()[&FlowId(1)].data.iter().copied();
    assert!(got.eq(expected), "each byte once and in order");
    victim.end.log.forget();
    victim.hear(0, reset(1, all));
    victim.wait(Duration::from_millis(10));
    victim.acknowledge(0);
    let grown = allocated().saturating_sub(before);
    assert!(grown < 64 * KIB, "{} KiB are left", grown / KIB);
}

/// Opens and resets these flows as fast as granted. Returns the time on the victim's clock.
fn churn(victim: &mut Scripted, flows: std::ops::Range<u64>) -> Duration {
    let (start, mut next) = (victim.now, flows.start);
    while next < flows.end {
        let mut said = Vec::new();
        // At most so many in one read.
        while next < flows.end.min(victim.granted) && said.len() < 32 << 10 {
            said.extend_from_slice(&bytes(&open(2 * next + 1, 0), b"x"));
            said.extend_from_slice(&bytes(&reset(2 * next + 1, 1), b""));
            next += 1;
        }
        if said.is_empty() {
            victim.wait(Duration::from_millis(1));
        } else {
            victim.hear_bytes(0, said);
        }
        victim.end.log.forget();
        victim.acknowledge(0);
        assert_eq!(victim.ended(), None, "after {next} flows");
    }
    victim.now.since(start)
}

#[test]
fn a_million_flows_opened_and_reset_leave_memory_flat_and_the_table_empty() {
    let _alone = alone();
    let mut victim = victim(SERVER, Config::default());
    churn(&mut victim, 0..50_000);
    let before = allocated();
    let took = churn(&mut victim, 50_000..1_050_000);
    let grown = allocated().saturating_sub(before);
    println!("a million flows: {} KiB more, {took:?} on its clock", grown / KIB);
    assert_eq!(victim.stats().flows, 0);
    assert!(grown < 64 * KIB, "{} KiB", grown / KIB);
    assert!(took >= Duration::from_secs(98), "10,000 a second in the long run: {took:?}");
}

#[test]
fn stripes_that_die_full_of_small_pieces_leave_little_behind() {
    let _alone = alone();
    let mut victim = victim(Role::Client, Config { control_burst: 1 << 40, ..Config::default() });
    victim.hear(0, Frame::Grant { flows: 1 << 14, early: 0 });
    for request in 0..1 << 14 {
        victim.give(Input::FlowOpen { request, opaque: "x".into() });
        let flow = FlowId(2 * request + 1);
        victim.give(Input::FlowData { flow, data: "x".into() });
    }
    let before = allocated();
    for stripe in 1..80 {
        victim.up(stripe);
        victim.down(stripe - 1);
        victim.wait(Duration::from_micros(1));
    }
    assert_eq!(victim.ended(), None);
    let grown = allocated().saturating_sub(before);
    let again = victim.end.sent(StripeId(79));
    assert!(again > 100_000, "all of it was sent again: {again} bytes");
    println!("{} KiB after 80 stripes", grown / KIB);
    assert!(grown < 32 * MIB, "{} MiB", grown / MIB);
}
