//! Rates of bytes.

use std::iter::Sum;
use std::ops::{Div, Mul};

/// Bits per second: people and seeds give those, and whole bytes would be another rate.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rate(u64);

impl Rate {
    pub const ZERO: Rate = Rate::bits(0);

    /// At most 2^61.
    pub const fn bytes(per_second: u64) -> Rate {
        Rate::bits(per_second * 8)
    }

    pub const fn bits(per_second: u64) -> Rate {
        Rate(per_second)
    }

    /// Megabits (10^6) per second.
    pub const fn mbit(per_second: u64) -> Rate {
        Rate::bits(per_second * 1_000_000)
    }

    pub const fn as_bytes(self) -> u64 {
        self.0 / 8
    }

    pub const fn as_bits(self) -> u64 {
        self.0
    }

    /// Rounded down. The rate is not zero, and the bytes are at most 2.3 TB.
    pub const fn micros_for(self, bytes: u64) -> u64 {
        bytes.saturating_mul(8_000_000) / self.0
    }
}

impl Sum for Rate {
    fn sum<I: Iterator<Item = Rate>>(rates: I) -> Rate {
        Rate::bits(rates.map(Rate::as_bits).sum())
    }
}

impl Mul<u64> for Rate {
    type Output = Rate;

    fn mul(self, times: u64) -> Rate {
        Rate::bits(self.0 * times)
    }
}

impl Div<u64> for Rate {
    type Output = Rate;

    fn div(self, parts: u64) -> Rate {
        Rate::bits(self.0 / parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_in_bytes_and_in_bits_are_the_same_rates() {
        assert_eq!(Rate::bytes(125_000), Rate::mbit(1));
        assert_eq!(Rate::bits(9_607).as_bytes(), 1_200);
        assert_eq!(Rate::bits(9_607).as_bits(), 9_607);
        assert_eq!([Rate::mbit(1), Rate::bits(5)].into_iter().sum::<Rate>(), Rate::bits(1_000_005));
        assert_eq!(Rate::mbit(1) / 3 * 3, Rate::bits(999_999));
    }

    #[test]
    fn bytes_take_their_time() {
        assert_eq!(Rate::mbit(8).micros_for(1_000), 1_000);
        assert_eq!(Rate::bits(3).micros_for(1), 2_666_666);
    }
}
