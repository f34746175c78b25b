//! When to send data a second time: the copy would arrive well before the original, and there is
//! nothing else to send.
//!
//! That is so at the end of a transfer, or when credit has run out because the receiver waits for a
//! piece on a slow stripe.

use super::{Candidate, earliest};
use crate::id::StripeId;
use crate::rate::Rate;

/// A copy must win by this much, in microseconds, so that noise in the estimates doesn't cost
/// bytes.
const MARGIN: u64 = 10_000;

/// Extra bytes that are always allowed; beyond that, one in [`SHARE`] of what was sent.
const ALWAYS: u64 = 256 << 10;

const SHARE: u64 = 20;

/// How many bytes may have been sent twice in all, after `sent` were sent once.
pub(crate) fn budget(sent: u64) -> u64 {
    ALWAYS + sent / SHARE
}

/// The stripe for a copy of `len` bytes, and how long the copy takes in microseconds.
pub(crate) fn carrier(candidates: &[Candidate], len: u64) -> Option<(StripeId, u64)> {
    let assumed = earliest::assumed_rate(candidates);
    let writable = candidates.iter().filter(|candidate| candidate.writable);
    writable
        .map(|candidate| (candidate.stripe, earliest::arrival(candidate, len, assumed)))
        .min_by_key(|(id, at)| (*at, *id))
}

/// How many bytes in flight a stripe of this rate works off before a copy that takes `copy`
/// microseconds would have won. Data behind them is worth a copy. A stripe that is `late` has shown
/// it; of another it is only expected, and it must be clear.
pub(crate) fn worth_behind(rate: Rate, copy: u64, late: bool) -> u64 {
    let lead = if late { copy / 4 + MARGIN } else { copy.saturating_add(2 * MARGIN) };
    let micros = copy.saturating_add(lead);
    rate.bytes_in_micros(micros)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(stripe: u64, rate: u64, in_flight: u64) -> Candidate {
        Candidate {
            stripe: StripeId(stripe),
            writable: true,
            min_rtt: Some(40_000),
            rate: Some(Rate::bytes(rate)),
            in_flight,
            unwritten: 0,
            chunk: 64 << 10,
        }
    }

    #[test]
    fn the_copy_goes_where_it_arrives_first() {
        let full = Candidate { writable: false, ..candidate(0, 10_000_000, 0) };
        let candidates = [full, candidate(1, 1_000_000, 200_000), candidate(2, 1_000_000, 0)];
        assert_eq!(carrier(&candidates, 10_000), Some((StripeId(2), 50_000)));
        assert_eq!(carrier(&[full], 10_000), None);
    }

    #[test]
    fn only_data_that_would_take_clearly_longer_is_worth_a_copy() {
        // 125 kB/s for 40 ms, a quarter more, and the margin.
        assert_eq!(worth_behind(Rate::bytes(125_000), 40_000, true), 7_500);
        // Not late: for twice 40 ms and twice the margin.
        assert_eq!(worth_behind(Rate::bytes(125_000), 40_000, false), 12_500);
        for late in [true, false] {
            assert_eq!(worth_behind(Rate::bytes(u64::MAX), u64::MAX, late), u64::MAX);
        }
    }

    #[test]
    fn the_budget_is_a_share_of_the_bytes_sent() {
        assert_eq!(budget(0), 256 << 10);
        assert_eq!(budget(20 << 20), (256 << 10) + (1 << 20));
    }
}
