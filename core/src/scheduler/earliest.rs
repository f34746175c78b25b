//! Earliest arrival: the stripe on which the piece should arrive soonest, and wait for that one if
//! it pays.
//!
//! Let a stripe have rate r, shortest acknowledgement time m, and F bytes in flight, U of them not
//! yet on the wire. Then x more bytes arrive after `max(m + (U + x) / r, (F + x) / r)`. The
//! acknowledgement's way back is common to all stripes, so the order is that of arrival.

use super::{Candidate, Choose};
use crate::id::StripeId;
use crate::rate::Rate;

/// Assumed of a stripe while nothing is known of any.
const ASSUMED_RATE: Rate = Rate::bytes(1_250_000);

/// Assumed of a stripe whose round trip is not known, in microseconds.
const ASSUMED_RTT: u64 = 50_000;

/// The stripe on which data should arrive soonest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Earliest;

impl Choose for Earliest {
    fn pick(&mut self, candidates: &[Candidate], len: u64, backlog: u64) -> Option<StripeId> {
        pick(candidates, len, backlog)
    }
}

/// A stripe of unknown rate is taken to be as good as the best, so that it is tried.
pub(super) fn assumed_rate(candidates: &[Candidate]) -> Rate {
    candidates.iter().filter_map(|candidate| candidate.rate).max().unwrap_or(ASSUMED_RATE)
}

/// When a piece of `len` bytes, or as much as the stripe gets at once, would be acknowledged, in
/// microseconds from now.
pub(super) fn arrival(candidate: &Candidate, len: u64, assumed_rate: Rate) -> u64 {
    let rate = candidate.rate.unwrap_or(assumed_rate);
    let time = |bytes: u64| rate.micros_for(bytes);
    let len = len.min(candidate.chunk);
    let on_wire =
        candidate.min_rtt.unwrap_or(ASSUMED_RTT).saturating_add(time(candidate.unwritten + len));
    on_wire.max(time(candidate.in_flight + len))
}

/// The best stripe if it is writable. Otherwise the best writable one, if more data waits than the
/// better ones would deliver until it does.
fn pick(candidates: &[Candidate], len: u64, backlog: u64) -> Option<StripeId> {
    let assumed = assumed_rate(candidates);
    let key = |candidate: &&Candidate| (arrival(candidate, len, assumed), candidate.stripe);
    let choice = candidates.iter().filter(|candidate| candidate.writable).min_by_key(key)?;
    let at = arrival(choice, len, assumed);
    let meanwhile: u64 = candidates
        .iter()
        .filter(|candidate| !candidate.writable)
        .map(|better| {
            let head_start = at.saturating_sub(arrival(better, len, assumed));
            better.rate.unwrap_or(assumed).bytes_in_micros(head_start)
        })
        .fold(0, u64::saturating_add);
    (meanwhile == 0 || backlog > meanwhile).then_some(choice.stripe)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scheduler::tests::candidate;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    const LEN: u64 = 10_000;

    /// Writable, rate, round trip, in flight, unwritten.
    type Numbers = (bool, Option<u32>, Option<u32>, u16, u16);

    /// Bytes a second, and milliseconds.
    fn stripe(id: u64, rate: u64, rtt: u64) -> Candidate {
        Candidate { rate: Some(Rate::bytes(rate)), min_rtt: Some(rtt * 1000), ..candidate(id) }
    }

    fn full(stripe: Candidate, unwritten: u64) -> Candidate {
        Candidate { writable: false, in_flight: unwritten, unwritten, ..stripe }
    }

    fn chosen(candidates: &[Candidate], backlog: u64) -> Option<u64> {
        pick(candidates, LEN, backlog).map(|stripe| stripe.0)
    }

    quickcheck! {
        fn only_writable_stripes_are_chosen_and_a_long_backlog_takes_any(
            stripes: Vec<Numbers>, backlog: u64
        ) -> bool {
            let stripes: Vec<_> = stripes.into_iter().zip(0..).map(|(stripe, id)| {
                let (writable, rate, min_rtt, in_flight, unwritten) = stripe;
                let rate = rate.map(|rate| Rate::bytes(rate.into()));
                let min_rtt = min_rtt.map(u64::from);
                let unwritten = u64::from(unwritten.min(in_flight));
                let in_flight = u64::from(in_flight);
                let stripe = StripeId(id);
                let chunk = LEN;
                Candidate { stripe, writable, rate, min_rtt, in_flight, unwritten, chunk }
            }).collect();
            let writable = |id: StripeId| stripes[id.0 as usize].writable;
            let any = stripes.iter().any(|stripe| stripe.writable);
            pick(&stripes, LEN, backlog).is_none_or(writable)
                && pick(&stripes, LEN, u64::MAX).is_some() == any
        }
    }

    #[test]
    fn the_earlier_arrival_is_preferred() {
        let (near, far) = (stripe(1, 1_000_000, 20), stripe(0, 1_000_000, 80));
        assert_eq!(chosen(&[far, near], LEN), Some(1));
        let (thick, thin) = (stripe(1, 1_000_000, 50), stripe(0, 100_000, 40));
        assert_eq!(chosen(&[thin, thick], LEN), Some(1));
        let busy = Candidate { in_flight: 900_000, ..thick };
        assert_eq!(chosen(&[thin, busy], LEN), Some(0), "what is on its way counts");
    }

    #[test]
    fn a_backlog_that_the_better_stripe_can_carry_waits_for_it() {
        // The slow one would take 1.05 s, the fast one can carry some 900 kB in the time by which
        // it is better.
        let slow = [full(stripe(0, 1_000_000, 50), 50_000), stripe(1, 10_000, 50)];
        // The full one is 100 ms ahead, in which it carries 100 kB.
        let far = [full(stripe(0, 1_000_000, 50), 0), stripe(1, 1_000_000, 150)];
        for (stripes, most, more) in [(slow, 200_000, 2_000_000), (far, 100_000, 100_001)] {
            assert_eq!((chosen(&stripes, most), chosen(&stripes, more)), (None, Some(1)));
        }
    }

    #[test]
    fn stripes_that_are_worse_and_full_hold_nothing_up() {
        let stripes = [stripe(0, 1_000_000, 50), full(stripe(1, 10_000, 50), 50_000)];
        assert_eq!(chosen(&stripes, LEN), Some(0));
    }

    #[test]
    fn equal_stripes_take_turns() {
        let mut stripes = [0, 1, 2].map(|id| stripe(id, 1_000_000, 50));
        let picks: Vec<u64> = (0..6)
            .map(|_| {
                let id = chosen(&stripes, 1 << 20).unwrap();
                stripes[id as usize].in_flight += LEN;
                stripes[id as usize].unwritten += LEN;
                id
            })
            .collect();
        assert_eq!(picks, [0, 1, 2, 0, 1, 2]);
    }

    #[test]
    fn a_stripe_of_unknown_rate_is_tried() {
        let known = Candidate { in_flight: LEN, unwritten: LEN, ..stripe(0, 1_000_000, 50) };
        let unknown = Candidate { rate: None, ..stripe(1, 1, 50) };
        assert_eq!(chosen(&[known, unknown], LEN), Some(1));
    }

    #[test]
    fn no_numbers_overflow() {
        let stripe = |id, rate, rtt| Candidate {
            rate: Some(Rate::bytes(rate)),
            min_rtt: Some(rtt),
            in_flight: u64::MAX / 2,
            unwritten: u64::MAX / 2,
            ..candidate(id)
        };
        let fast = Candidate { writable: false, ..stripe(0, u64::MAX, 0) };
        assert_eq!(chosen(&[fast, stripe(1, 1, u64::MAX)], LEN), None);
        assert_eq!(chosen(&[stripe(0, 0, u64::MAX)], LEN), Some(0));
    }
}
