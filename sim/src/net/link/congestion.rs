//! The number of bytes that may be in flight. Slow start has HyStart's delay test (RFC 9406,
//! section 4.2). Then come Reno's packet per round trip, and one halving per window with losses.
//!
//! Transmissions are numbered in their order. A packet that is sent again has a new number.
//!
//! Invariant: losses of packets that were all under way at a halving cause no second one. The
//! window grows only while nothing else holds the sender back.

use super::MSS;

/// Samples in a round before HyStart judges it (RFC 9406).
const HYSTART_SAMPLES: u32 = 8;
/// The bounds of the rise of the delay that ends slow start, in microseconds (RFC 9406).
const HYSTART_RISE: [u64; 2] = [4_000, 16_000];

#[derive(Clone, Debug)]
pub(super) struct Congestion {
    pub window: u64,
    /// Below it the window grows by the bytes that are acknowledged (slow start).
    threshold: u64,
    /// Losses of transmissions before this one belong to a halving that has been made.
    recovery_until: u64,
    /// The window was full before this one, so acknowledgements of earlier ones let it grow.
    pub full_until: u64,
    round: Round,
    min_rtt: u64,
}

/// A round of HyStart: about a round trip.
#[derive(Clone, Debug)]
struct Round {
    ends: u64,
    samples: u32,
    min: u64,
}

impl Congestion {
    pub fn new(window: u64) -> Self {
        Congestion {
            window,
            threshold: u64::MAX,
            recovery_until: 0,
            full_until: 0,
            round: Round { ends: 0, samples: 0, min: u64::MAX },
            min_rtt: u64::MAX,
        }
    }

    /// It bounds the shortest round trip, but it is no sample of a round.
    pub fn handshake_took(&mut self, rtt: u64) {
        self.min_rtt = self.min_rtt.min(rtt);
    }

    pub fn sample(&mut self, rtt: u64, tx: u64, next: u64) {
        self.min_rtt = self.min_rtt.min(rtt);
        if tx >= self.round.ends {
            self.round = Round { ends: next, samples: 0, min: u64::MAX };
        }
        self.round.samples += 1;
        self.round.min = self.round.min.min(rtt);
        let [least, most] = HYSTART_RISE;
        let rise = (self.min_rtt / 8).clamp(least, most);
        if self.window < self.threshold
            && self.round.samples >= HYSTART_SAMPLES
            && self.round.min >= self.min_rtt + rise
        {
            self.threshold = self.window;
        }
    }

    /// Transmission `tx` brought so many bytes there, and nothing before it is missing.
    pub fn acknowledged(&mut self, tx: u64, bytes: u64) {
        if tx >= self.full_until || tx < self.recovery_until {
            return;
        }
        if self.window < self.threshold {
            self.window += bytes;
        } else {
            self.window += (MSS * bytes / self.window).max(1);
        }
    }

    /// Transmissions up to `last` are lost, and `next` has not been made yet.
    pub fn lost(&mut self, last: u64, next: u64) {
        if last >= self.recovery_until {
            self.halve(next);
        }
    }

    /// Nothing was acknowledged for so long that everything under way counts as lost.
    pub fn timed_out(&mut self, next: u64) {
        self.halve(next);
        self.window = MSS;
    }

    fn halve(&mut self, next: u64) {
        self.threshold = (self.window / 2).max(2 * MSS);
        self.window = self.threshold;
        self.recovery_until = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> Congestion {
        let mut congestion = Congestion::new(10 * MSS);
        congestion.full_until = 100;
        congestion
    }

    #[test]
    fn slow_start_grows_by_the_bytes_acknowledged() {
        let mut congestion = full();
        (0..10).for_each(|tx| congestion.acknowledged(tx, MSS));
        assert_eq!(congestion.window, 20 * MSS);
    }

    #[test]
    fn a_window_that_was_never_full_does_not_grow() {
        let mut congestion = Congestion::new(10 * MSS);
        congestion.acknowledged(0, MSS);
        assert_eq!(congestion.window, 10 * MSS);
        congestion.full_until = 5;
        congestion.acknowledged(5, MSS);
        assert_eq!(congestion.window, 10 * MSS, "what was sent after it was full");
        congestion.acknowledged(4, MSS);
        assert_eq!(congestion.window, 11 * MSS);
    }

    #[test]
    fn losses_of_one_window_halve_it_once() {
        let mut congestion = full();
        congestion.lost(3, 10);
        assert_eq!(congestion.window, 5 * MSS);
        congestion.lost(9, 12);
        assert_eq!(congestion.window, 5 * MSS, "9 was under way at the halving");
        congestion.lost(10, 15);
        assert_eq!(congestion.window, 5 * MSS / 2);
    }

    #[test]
    fn packets_sent_before_a_halving_do_not_grow_the_window() {
        let mut congestion = full();
        congestion.lost(3, 10);
        congestion.acknowledged(9, MSS);
        assert_eq!(congestion.window, 5 * MSS);
        congestion.acknowledged(10, MSS);
        assert_eq!(
            congestion.window,
            5 * MSS + MSS / 5,
            "a packet per round trip after slow start"
        );
    }

    #[test]
    fn a_halving_leaves_two_packets_and_a_timeout_one() {
        let mut congestion = Congestion::new(3 * MSS);
        congestion.lost(0, 1);
        assert_eq!(congestion.window, 2 * MSS);
        congestion.timed_out(2);
        assert_eq!((congestion.window, congestion.threshold), (MSS, 2 * MSS));
    }

    #[test]
    fn eight_late_samples_in_a_round_end_slow_start() {
        let mut congestion = full();
        congestion.handshake_took(40_000);
        // An eighth of 40 ms; the first sample begins the round.
        (0..7).for_each(|tx| congestion.sample(45_000, tx, 50));
        assert_eq!(congestion.threshold, u64::MAX);
        congestion.sample(45_000, 7, 50);
        assert_eq!(congestion.threshold, 10 * MSS);
    }

    #[test]
    fn one_fast_sample_keeps_a_round_in_slow_start() {
        let mut congestion = full();
        congestion.handshake_took(40_000);
        congestion.sample(44_999, 0, 50);
        (1..50).for_each(|tx| congestion.sample(60_000, tx, 50));
        assert_eq!(congestion.threshold, u64::MAX);
        (50..58).for_each(|tx| congestion.sample(60_000, tx, 80));
        assert_eq!(congestion.threshold, 10 * MSS, "the next round has none");
    }
}
