//! Dips: for a while a link is much slower than usual, as a radio link in a shadow.
//!
//! Invariant: rates alternate between low and usual, and the last one is usual.

use crate::base::Rate;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The time until which dips are drawn, in microseconds; then the link is steady.
const UNTIL: i64 = 120_000_000;

/// The times in microseconds from which a link has another rate. Each dip is to a twentieth for
/// 0.5 to 3 s, and the next one begins 3 to 9 s after it began.
pub fn dips(rng: &mut ChaCha8Rng, usual: Rate) -> Vec<(u64, Rate)> {
    let mut rates = Vec::new();
    // Dips begin before the time zero, so that one may be under way then.
    let mut at = -rng.random_range(0..9_000_000i64);
    while at < UNTIL {
        let end = at + rng.random_range(500_000..=3_000_000);
        if end > 0 {
            rates.extend([(at.max(0) as u64, usual / 20), (end as u64, usual)]);
        }
        at += rng.random_range(3_000_000..=9_000_000);
    }
    rates
}
