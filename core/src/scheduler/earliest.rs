//! Earliest arrival: the stripe on which the piece should arrive soonest, and wait for that one if it pays.
//!
//! With rate r, shortest acknowledgement time m, F bytes in flight and U of them not yet on the wire, x more bytes arrive after
//! `max(m + (U + x) / r, (F + x) / r)`; the acknowledgement's way back is common to all stripes, so the order is that of arrival.

use super::Candidate;
use crate::id::StripeId;

/// Assumed of a stripe while nothing is known of any, in bytes per second.
const UNKNOWN_RATE: u64 = 1_250_000;

/// Assumed of a stripe whose round trip is not known, in microseconds.
const UNKNOWN_RTT: u64 = 50_000;

/// What a stripe of unknown rate is taken for: as good as the best, so that it is tried.
pub(super) fn assumed_rate(candidates: &[Candidate]) -> u64 {
    candidates.iter().filter_map(|candidate| candidate.rate).max().unwrap_or(UNKNOWN_RATE)
}

/// When `len` more bytes would be acknowledged, in microseconds from now.
pub(super) fn arrival(candidate: &Candidate, len: u64, assumed_rate: u64) -> u64 {
    let rate = candidate.rate.unwrap_or(assumed_rate).max(1);
    let time = |bytes: u64| bytes.saturating_mul(1_000_000) / rate;
    let on_wire = candidate.min_rtt.unwrap_or(UNKNOWN_RTT).saturating_add(time(candidate.unwritten + len));
    on_wire.max(time(candidate.in_flight + len))
}

/// The best stripe if it is writable; else the best writable one, if what waits is more than what the better ones would deliver until it does.
pub(super) fn pick(candidates: &[Candidate], len: u64, backlog: u64) -> Option<StripeId> {
    let assumed = assumed_rate(candidates);
    let key = |candidate: &&Candidate| (arrival(candidate, len, assumed), candidate.stripe);
    let choice = candidates.iter().filter(|candidate| candidate.writable).min_by_key(key)?;
    let at = arrival(choice, len, assumed);
    let meanwhile: u64 = candidates
        .iter()
        .filter(|candidate| !candidate.writable)
        .map(|better| {
            let head_start = at.saturating_sub(arrival(better, len, assumed));
            (u128::from(better.rate.unwrap_or(assumed)) * u128::from(head_start) / 1_000_000) as u64
        })
        .fold(0, u64::saturating_add);
    (meanwhile == 0 || backlog > meanwhile).then_some(choice.stripe)
}
