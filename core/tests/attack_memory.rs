//! The memory that an attacker can make a session keep, counted at the allocator, is within its
//! limits.

use cap::Cap;
use std::alloc::System;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use striper_core::limits::{INITIAL_EARLY, INITIAL_FLOWS};
use striper_core::testing::{SERVER, Scripted, bytes, data, open, reset};
use striper_core::wire::frame::Frame;
use striper_core::{Config, EndReason, FlowId, Input, Role, StripeId, Violation};

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The count is for the whole process: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn allocated() -> u64 {
    ALLOCATOR.allocated() as u64
}

/// A victim that keeps no output.
fn victim(role: Role, config: Config) -> Scripted {
    let mut victim = Scripted::new(role, config).with(1);
    (victim.habits.checks, victim.remembers) = (false, false);
    victim
}

/// A small limit on memory, and the least ids at a time.
fn small() -> Config {
    Config { memory_limit: 8 * MIB, max_flows: INITIAL_FLOWS, ..Config::default() }
}

/// All credit that a fresh flow may have, in bytes.
const WINDOW: u64 = INITIAL_EARLY + (16 << 10);

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
        if victim.end.ended().is_some() {
            break;
        }
    }
    // More pieces than an honest peer makes: 65,536 and one for 4 KiB of memory.
    assert_eq!(victim.end.ended(), Some(EndReason::Violation(Violation::TooManyGaps)));
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
    assert_eq!(victim.end.ended(), None);
    let expected = (0..all).map(|offset| offset as u8);
    assert!(
        victim.end.log.flows()[&FlowId(1)].data.iter().copied().eq(expected),
        "each byte once and in order"
    );
    victim.end.log.forget();
    victim.hear(0, reset(1, all));
    victim.wait(Duration::from_millis(10));
    victim.acknowledge(0);
    let grown = allocated().saturating_sub(before);
    assert!(grown < 64 * KIB, "{} KiB are left", grown / KIB);
}

/// Opens and resets the flows of these numbers as fast as they are granted; how long that took on
/// the victim's clock.
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
        assert_eq!(victim.end.ended(), None, "after {next} flows");
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
    assert_eq!(victim.end.session.stats().flows, 0);
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
    assert_eq!(victim.end.ended(), None);
    let grown = allocated().saturating_sub(before);
    assert!(
        victim.end.sent(StripeId(79)) > 100_000,
        "all of it was sent again: {} bytes",
        victim.end.sent(StripeId(79))
    );
    println!("{} KiB after 80 stripes", grown / KIB);
    assert!(grown < 32 * MIB, "{} MiB", grown / MIB);
}
