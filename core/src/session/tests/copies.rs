//! Data that is stuck on a slow stripe is copied to a fast one when nothing else is to be sent.

use super::*;
use crate::SchedulerKind;
use crate::scheduler::reinject;
use crate::stripe::window::Ack;
use crate::timers::Timer;
use crate::wire::deframer::Item;

/// 60,000 bytes of a flow lie on stripe 0, which is known to be slow; the others come up and are
/// fast. Returns the bytes that are copied to them, and how many copies carry the FIN.
fn copied(kind: SchedulerKind, others: u64, spent: bool, finish: bool) -> (u64, usize, Scripted) {
    let config = Config { stripes: 0, scheduler: kind, ..Config::default() };
    let mut alone = alone(Role::Client, 0, config);
    alone.answers = false;
    alone.up(0);
    alone.wait(ms(40));
    alone.acknowledge(0);
    let flow = alone.open(&[7; 60_000]);
    if finish {
        alone.give(Input::FlowFinish { flow });
    }
    measure(&mut alone, 0, 200_000);
    alone.end.session.copies.set_copied(reinject::budget(60_000));
    alone.said.clear();
    (1..=others).for_each(|stripe| alone.up(stripe));
    alone.wait(ms(40));
    for stripe in 1..=others {
        alone.acknowledge(stripe);
        measure(&mut alone, stripe, 10_000_000);
    }
    if !spent {
        alone.end.session.copies.set_copied(0);
    }
    alone.give(Input::Tick);
    let (mut copied, mut fins) = (0, 0);
    for (stripe, piece) in &alone.said {
        if let Item::Data { data, offset, fin, .. } = piece {
            assert!(stripe.0 > 0 && *offset > 16_000, "what is about to arrive needs no copy");
            copied += data.len() as u64;
            fins += usize::from(*fin);
        }
    }
    (copied, fins, alone)
}

#[test]
fn data_far_behind_is_copied_to_faster_stripes_and_counted() {
    for others in 1..3 {
        let (copied, fins, alone) = copied(SchedulerKind::Earliest, others, false, false);
        assert!((30_000..45_000).contains(&copied), "{copied} bytes on {others} others");
        assert_eq!(alone.end.session.copies.copied(), copied);
        assert_eq!((alone.stats().payload_resent, alone.stats().payload_copied), (copied, copied));
        assert_eq!(fins, 0);
    }
}

#[test]
fn the_copies_of_all_that_is_left_end_the_direction_once() {
    assert_eq!(copied(SchedulerKind::Earliest, 1, false, true).1, 1);
}

#[test]
fn nothing_is_copied_where_that_does_not_pay() {
    assert_eq!(copied(SchedulerKind::Earliest, 0, false, false).0, 0, "nowhere to go");
    assert_eq!(copied(SchedulerKind::Earliest, 1, true, false).0, 0, "the budget is spent");
    assert_eq!(copied(SchedulerKind::RoundRobin, 1, false, false).0, 0, "not what was asked for");
}

/// Like stripes, a piece of a flow unacknowledged on one of them, and when to wake for a copy.
fn unanswered(kind: SchedulerKind, stripes: u64) -> (Scripted, Option<Instant>) {
    let config = Config { stripes: 0, scheduler: kind, ..Config::default() };
    let mut alone = alone(Role::Client, stripes, config);
    (0..stripes).for_each(|stripe| measure(&mut alone, stripe, 1_000_000));
    alone.answers = false;
    let flow = alone.open(b"");
    (0..stripes).for_each(|stripe| alone.acknowledge(stripe));
    alone.give(Input::FlowData { flow, data: Bytes::from_static(&[7; 2_000]) });
    let wake = alone.end.session.timers.at(Timer::Overtake);
    (alone, wake)
}

fn pieces(alone: &mut Scripted) -> Vec<(u64, u64)> {
    let piece = |(stripe, piece): (StripeId, Item)| match piece {
        Item::Data { offset, .. } => Some((stripe.0, offset)),
        Item::Frame(_) => None,
    };
    core::mem::take(&mut alone.said).into_iter().filter_map(piece).collect()
}

#[test]
fn late_data_is_copied_once_even_if_nothing_else_happens() {
    let (mut alone, wake) = unanswered(SchedulerKind::Earliest, 2);
    let [(carrier, 0)] = pieces(&mut alone)[..] else { panic!("one piece") };
    let late = live(&alone, carrier).late_at().expect("it waits for an acknowledgement");
    assert!(wake.expect("a time to wake") <= late);
    let millis = (late.since(alone.now).as_micros() as u64).div_ceil(1000);
    alone.wait(ms(millis - 1));
    assert_eq!(pieces(&mut alone), [], "not before it is late");
    alone.wait(ms(1));
    assert_eq!(pieces(&mut alone), [(1 - carrier, 0)]);
    alone.wait(ms(5));
    assert_eq!((pieces(&mut alone), alone.end.session.copies.copied()), (vec![], 2_000));
    assert!(!alone.stats().stripes[carrier as usize].doubted, "and not because of doubt");
}

/// Two stripes are 40 ms away, with data waiting for room on them. So many acknowledgements of the
/// first were overdue and brought little, and the second takes more. Returns the pieces of the
/// first one that go there. `expected`, if it was known to take long.
fn beside_other_data(overdue: u64, expected: bool) -> Vec<(u64, u64)> {
    let mut alone = client(0);
    alone.answers = false;
    (0..2).for_each(|stripe| alone.up(stripe));
    alone.wait(ms(40));
    for stripe in 0..2 {
        alone.acknowledge(stripe);
        measure(&mut alone, stripe, 1_000_000);
    }
    alone.habits.writes = false;
    alone.open(&[7; 200_000]);
    let before = pieces(&mut alone);
    alone.wait(ms(1));
    let (now, stripe) = (alone.now, live_mut(&mut alone, 0));
    let sent = stripe.sent();
    // 2,000 bytes in 100 ms each.
    for count in 1..=overdue {
        stripe.rate_mut().acknowledged(1_000_000 + 2_000 * count, 100_000, None, now);
    }
    if expected {
        let late = now + Duration::from_secs(9);
        stripe.ledger_mut().iter_mut().for_each(|entry| entry.expected = late);
    }
    let total = live(&alone, 1).sent();
    alone.give(Input::StripeWritten { stripe: StripeId(1), total });
    let after = pieces(&mut alone);
    let is_second = after.iter().all(|(stripe, _)| *stripe == 1);
    assert!(before.len() >= 2 && sent > 2_000 && is_second, "{before:?} {after:?}");
    let lain = |offset: u64| before.contains(&(0, offset));
    after.into_iter().filter(|(_, offset)| lain(*offset)).collect()
}

/// As many pieces of one byte lie on a slow stripe, an entry each, beside a fast one that could
/// take copies; all but the first are copied or wait for it. Each input acknowledges one. Returns
/// how many entries all searches look at.
fn looks(pieces: u64) -> u64 {
    let mut alone = client(0);
    (alone.answers, alone.habits.checks) = (false, false);
    alone.up(0);
    alone.wait(ms(40));
    alone.acknowledge(0);
    let flow = alone.open(b"");
    for _ in 0..pieces {
        alone.give(Input::FlowData { flow, data: Bytes::from_static(b"x") });
    }
    alone.up(1);
    alone.wait(ms(40));
    alone.acknowledge(1);
    measure(&mut alone, 0, 1_000_000);
    measure(&mut alone, 1, 10_000_000);
    let (now, stripe) = (alone.now, live_mut(&mut alone, 0));
    for count in 1..=2 {
        stripe.rate_mut().acknowledged(1_000_000 + 2_000 * count, 100_000, None, now);
    }
    assert!(stripe.rate().slowed() && stripe.ledger().len() as u64 >= pieces);
    let ends: Vec<u64> = stripe.ledger().iter().map(|entry| entry.end).collect();
    for end in ends {
        alone.wait(ms(1));
        alone.hear(1, Frame::Ack { counts: vec![(StripeId(0), end)] });
    }
    assert!(alone.stats().held == 0 && alone.stats().payload_resent >= pieces / 2);
    alone.end.session.stripes.iter().map(|stripe| stripe.ledger().looks).sum()
}

#[test]
fn an_acknowledgement_of_one_entry_costs_a_search_of_a_few() {
    let [few, many] = [500, 8_000].map(|pieces| looks(pieces) / pieces);
    assert!(few > 0 && many <= 2 * few + 1, "{few} entries for each of 500, else {many}");
}

#[test]
fn data_late_on_a_stripe_that_became_slow_goes_before_other_data() {
    assert_ne!(beside_other_data(2, false), []);
    assert_eq!(beside_other_data(1, false), [], "one may be a loss");
    assert_eq!(beside_other_data(2, true), [], "it was known to take long");
}

#[test]
fn a_stripe_without_a_round_trip_waits_for_it_unless_all_are_as_new() {
    for known in [false, true] {
        let mut alone = client(0);
        alone.answers = false;
        (0..2).for_each(|stripe| alone.up(stripe));
        alone.habits.writes = false;
        if known {
            alone.acknowledge(1);
        }
        alone.open(&[7; 200_000]);
        // The OPEN takes the room on one, what is to follow it goes on the other.
        let sent = |alone: &Scripted, id: u64| live(alone, id).sent();
        let waits = sent(&alone, 0) < 1_000 && sent(&alone, 1) < 1_000;
        assert_eq!(waits, known);
        alone.acknowledge(0);
        alone.give(Input::Tick);
        assert!(!known || sent(&alone, 0) > 1_000);
    }
}

#[test]
fn nobody_wakes_for_copies_where_there_are_none() {
    assert_eq!(unanswered(SchedulerKind::Earliest, 1).1, None, "nowhere to go");
    assert_eq!(unanswered(SchedulerKind::RoundRobin, 2).1, None, "not what was asked for");
}

#[test]
fn a_sparse_flow_goes_one_piece_beyond_a_full_window() {
    let mut alone = client(1);
    alone.answers = false;
    let (sparse, busy) = (alone.open(b""), alone.open(b""));
    measure(&mut alone, 0, 1_000_000);
    let now = alone.now;
    let stripe = live_mut(&mut alone, 0);
    let rate = Some(crate::Rate::bytes(1_000_000));
    let ack = Ack { delivered: 0, before: 0, sent: 1, rate, took: 0, shortest: 0, chunk: 0 };
    stripe.window_mut().acknowledged(&ack, now);
    let (window, piece) = (stripe.window_mut().bytes(Some(0)), stripe.chunk() as u64);
    let credit = Frame::Credit { flow: busy, limit: 1 << 20 };
    alone.hear(0, credit);
    alone.give(Input::FlowData { flow: busy, data: Bytes::from_static(&[7; 200_000]) });
    let in_flight = |alone: &Scripted| live(alone, 0).in_flight();
    let full = in_flight(&alone);
    assert!(full.abs_diff(window) <= piece / 2 + 12, "{full} of {window}");
    alone.said.clear();
    let said: Vec<_> = (0..20)
        .map(|_| {
            alone.give(Input::FlowData { flow: sparse, data: Bytes::from_static(&[7; 500]) });
            pieces(&mut alone).len()
        })
        .collect();
    let gone: usize = said.iter().sum();
    assert!((4..12).contains(&gone), "{said:?}");
    assert_eq!(said[..gone], [1; 12][..gone], "one after the other, until there is no more room");
    assert!(in_flight(&alone) <= window + 2 * piece);
}
