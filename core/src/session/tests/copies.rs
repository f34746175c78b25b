//! What is stuck on a slow stripe is sent once more on a fast one, if there is nothing else to send.

use super::alone::Alone;
use super::*;
use crate::SchedulerKind;
use crate::scheduler::reinject;
use crate::wire::deframer::Piece;

fn rate(alone: &mut Alone, stripe: u64, bytes: u64) {
    let rate = &mut alone.session.stripes.live.get_mut(&StripeId(stripe)).unwrap().rate;
    let mark = rate.mark(Some(0), alone.now);
    rate.acknowledged(bytes, Some(mark), true, alone.now + Duration::from_secs(1));
}

/// 60,000 bytes of a flow lie on stripe 0, which is known to be slow, and the others come up and are fast. What goes on them as copies,
/// and how often the end of the direction is among that.
fn copied(kind: SchedulerKind, others: u64, spent: bool, finish: bool) -> (u64, usize, Alone) {
    let config = Config { stripes: 0, scheduler: kind, ..Config::default() };
    let mut alone = Alone::new(Role::Client, 1, config);
    alone.answers = false;
    let flow = alone.open(&[7; 60_000]);
    if finish {
        alone.give(Input::FlowFinish { flow });
    }
    rate(&mut alone, 0, 200_000);
    alone.session.totals.payload_reinjected = reinject::budget(60_000);
    alone.said.clear();
    for stripe in 1..=others {
        alone.up(StripeId(stripe));
        rate(&mut alone, stripe, 10_000_000);
    }
    if !spent {
        alone.session.totals.payload_reinjected = 0;
    }
    alone.give(Input::Tick);
    let (mut copied, mut fins) = (0, 0);
    for (stripe, piece) in &alone.said {
        if let Piece::Data { data, offset, fin, .. } = piece {
            assert!(stripe.0 > 0 && *offset > 8_000, "what is about to arrive needs no copy");
            copied += data.len() as u64;
            fins += usize::from(*fin);
        }
    }
    (copied, fins, alone)
}

#[test]
fn what_is_far_behind_is_copied_to_whoever_is_faster_and_counted() {
    for others in 1..3 {
        let (copied, fins, alone) = copied(SchedulerKind::Earliest, others, false, false);
        assert!((40_000..52_000).contains(&copied), "{copied} bytes on {others} others");
        assert_eq!(alone.session.totals.payload_reinjected, copied);
        assert_eq!(alone.session.stats().payload_resent, copied);
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
