//! How fast bytes go.

use crate::time::micros;
use core::time::Duration;

/// A number of bytes per second.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Rate(u64);

impl Rate {
    /// So many bytes per second.
    pub const fn bytes(per_second: u64) -> Self {
        Rate(per_second)
    }

    /// Bytes per second.
    pub const fn as_bytes(self) -> u64 {
        self.0
    }

    /// The rate of so many bytes in so many microseconds, rounded down. No time counts as a
    /// microsecond.
    pub const fn of(bytes: u64, micros: u64) -> Self {
        Rate(bytes.saturating_mul(1_000_000) / if micros == 0 { 1 } else { micros })
    }

    /// How many microseconds so many bytes take, rounded down. A rate of zero counts as one byte
    /// per second.
    pub const fn micros_for(self, bytes: u64) -> u64 {
        bytes.saturating_mul(1_000_000) / self.at_least_one().0
    }

    /// How long so many bytes take, see [`Rate::micros_for`].
    pub const fn time_for(self, bytes: u64) -> Duration {
        Duration::from_micros(self.micros_for(bytes))
    }

    /// How many bytes go in so many microseconds, rounded down.
    #[inline]
    pub fn bytes_in_micros(self, micros: u64) -> u64 {
        // Almost always the product fits, and a division of 128 bits is slow.
        match self.0.checked_mul(micros) {
            Some(product) => product / 1_000_000,
            None => self.many_bytes_in_micros(micros),
        }
    }

    #[cold]
    fn many_bytes_in_micros(self, micros: u64) -> u64 {
        let bytes = u128::from(self.0) * u128::from(micros) / 1_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// How many bytes go in that time, rounded down.
    #[inline]
    pub fn bytes_in(self, time: Duration) -> u64 {
        self.bytes_in_micros(micros(time))
    }

    /// This rate, but not zero.
    pub const fn at_least_one(self) -> Self {
        if self.0 == 0 { Rate(1) } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_time_and_rate_follow_from_each_other() {
        let rate = Rate::bytes(1_250_000);
        assert_eq!(Rate::of(125_000, 100_000), rate);
        assert_eq!((rate.micros_for(125_000), rate.bytes_in_micros(100_000)), (100_000, 125_000));
        assert_eq!(rate.time_for(125_000), Duration::from_millis(100));
        assert_eq!(rate.bytes_in(Duration::from_millis(100)), 125_000);
    }

    #[test]
    fn neither_zero_nor_the_largest_numbers_are_a_trap() {
        assert_eq!(Rate::of(5, 0), Rate::bytes(5_000_000));
        assert_eq!(Rate::default().micros_for(3), 3_000_000);
        assert_eq!(Rate::of(u64::MAX, 1), Rate::bytes(u64::MAX));
        assert_eq!(Rate::bytes(u64::MAX).bytes_in(Duration::MAX), u64::MAX);
        assert_eq!(Rate::default().at_least_one(), Rate::bytes(1));
    }
}
