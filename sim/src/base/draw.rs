//! Draws of scenarios from a stream that their seed names.
//!
//! Invariant: a seed repeats its scenario as long as each function here takes the same numbers
//! from the stream.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

pub fn pick<'a, T>(rng: &mut ChaCha8Rng, from: &'a [T]) -> &'a T {
    &from[rng.random_range(0..from.len())]
}

/// Between 1 and more, both ends included; each order of magnitude is as likely as the next.
pub fn log_range(rng: &mut ChaCha8Rng, low: u64, high: u64) -> u64 {
    let bits = rng.random_range(low.ilog2()..=high.ilog2());
    rng.random_range(1u64 << bits..2u64 << bits).clamp(low, high)
}

/// As [`log_range`], in microseconds.
pub fn log_duration(rng: &mut ChaCha8Rng, low: u64, high: u64) -> Duration {
    Duration::from_micros(log_range(rng, low, high))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::seed;

    #[test]
    fn numbers_keep_to_their_bounds_and_come_from_every_order_of_magnitude() {
        let mut rng = seed::stream(1, "draw", 0);
        let drawn: Vec<u64> = (0..10_000).map(|_| log_range(&mut rng, 3, 1_000)).collect();
        assert_eq!((drawn.iter().min(), drawn.iter().max()), (Some(&3), Some(&1_000)));
        for bits in 2..9 {
            let count = drawn.iter().filter(|number| number.ilog2() == bits).count();
            assert!((900..1_400).contains(&count), "{count} of {} bits", bits + 1);
        }
    }
}
