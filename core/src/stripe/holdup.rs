//! How long lost packets hold acknowledgements up on a stripe.
//!
//! TCP delivers in order, so bytes behind a lost packet wait until it has been sent again. Then
//! they are acknowledged all at once. On a lossy route that is ordinary, and no sign of a slow or
//! dead stripe: what is sent again because of it is wasted.

use crate::rate::Rate;
use crate::time::Instant;
use core::time::Duration;

/// The longest is taken over one to two of these. A loss of 0.1 % at 10 Mbit/s is about one a
/// second.
const WINDOW: Duration = Duration::from_secs(3);

/// A longer delay is an outage, which says nothing about the next one. Twice the smallest
/// retransmission timeout of Linux, in microseconds.
const MOST: u64 = 400_000;

#[derive(Clone, Debug, Default)]
pub(crate) struct HoldUp {
    /// In the current and the previous window, in microseconds.
    longest: [u64; 2],
    window_began: Instant,
}

impl HoldUp {
    /// An acknowledgement was `overdue` microseconds late and brought so many bytes. If these are
    /// about what the stripe carries in that time at its highest recent rate, they had arrived and
    /// were held up. After a dip the estimate of the rate is low, and any bytes would do.
    pub(crate) fn note(&mut self, overdue: u64, brought: u64, highest: Rate, now: Instant) {
        if now.since(self.window_began) > WINDOW {
            self.longest = [0, self.longest[0]];
            self.window_began = now;
        }
        if highest > Rate::default() && brought >= highest.bytes_in_micros(overdue) / 2 {
            self.longest[0] = self.longest[0].max(overdue.min(MOST));
        }
    }

    /// The longest of late, in microseconds.
    pub(crate) fn longest(&self) -> u64 {
        self.longest[0].max(self.longest[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate::bytes(1_000_000);

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_delay_counts_if_what_comes_after_it_makes_up_for_it() {
        for (overdue, brought, rate, longest) in [
            (80_000, 40_000, RATE, 80_000),
            (80_000, 39_999, RATE, 0),
            (80_000, 80_000, Rate::default(), 0),
            (MOST + 1, 1 << 20, RATE, MOST),
        ] {
            let mut held = HoldUp::default();
            held.note(overdue, brought, rate, at(1));
            assert_eq!(held.longest(), longest, "{overdue} us, {brought} bytes");
        }
    }

    #[test]
    fn the_longest_delay_is_forgotten_after_two_windows() {
        let mut held = HoldUp::default();
        for (second, overdue, longest) in
            [(4, 80_000, 80_000), (8, 30_000, 80_000), (12, 0, 30_000), (16, 0, 0)]
        {
            held.note(overdue, 1 << 20, RATE, at(second));
            assert_eq!(held.longest(), longest, "at {second} s");
        }
    }
}
