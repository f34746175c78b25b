//! HyStart ends slow start before packets are lost, in Linux's two ways (`tcp_cubic.c`): the delay
//! rises, or a round's train of acknowledgements gets as long as half a round trip.
//!
//! A receiver acknowledges its first 16 packets one by one, and then every second one. The model
//! has an acknowledgement for each packet, so every other one is not looked at.
//!
//! Invariant: each round begins with no samples.

/// Below so many packets nothing ends slow start.
const LOW_WINDOW: u64 = 16;
/// Samples of a round before its delay counts.
const SAMPLES: u32 = 8;
/// The bounds of the rise of the delay that ends slow start, in microseconds.
const RISE: [u64; 2] = [4_000, 16_000];
/// Acknowledgements that are further apart (microseconds) are no train.
const TRAIN_GAP: u64 = 2_000;
/// The most that batches of packets add to a round trip in microseconds, as Linux has it.
const BATCHES: u64 = 1_000;
/// Packets that a receiver acknowledges one by one (Linux's `TCP_MAX_QUICKACKS`).
const QUICK: u32 = 16;

#[derive(Clone, Debug, Default)]
pub(super) struct HyStart {
    acknowledgements: u32,
    ends: u64,
    began: u64,
    last: u64,
    samples: u32,
    min: u64,
}

impl HyStart {
    pub fn restart(&mut self, now: u64, next_tx: u64) {
        let acknowledgements = self.acknowledgements;
        let fresh = HyStart { acknowledgements, ends: next_tx, ..HyStart::default() };
        *self = HyStart { began: now, last: now, min: u64::MAX, ..fresh };
    }

    /// Transmission `tx` is acknowledged after `rtt`. Whether slow start is over.
    pub fn ends_slow_start(
        &mut self,
        (now, rtt): (u64, u64),
        (tx, next_tx): (u64, u64),
        cwnd: u64,
        min_rtt: u64,
    ) -> bool {
        self.acknowledgements += 1;
        if self.acknowledgements > QUICK && self.acknowledgements.is_multiple_of(2) {
            return false;
        }
        if tx >= self.ends {
            self.restart(now, next_tx);
        }
        let mut over = false;
        if now - self.last <= TRAIN_GAP {
            self.last = now;
            over = now - self.began > (min_rtt + BATCHES) / 2;
        }
        self.min = self.min.min(rtt);
        if self.samples < SAMPLES {
            self.samples += 1;
        } else {
            over |= self.min > min_rtt + (min_rtt / 8).clamp(RISE[0], RISE[1]);
        }
        over && cwnd >= LOW_WINDOW
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Acknowledgements of one round, `gap` apart. After how many slow start is over.
    fn over(rtt: u64, gap: u64, cwnd: u64) -> Option<u64> {
        let mut hystart = HyStart::default();
        hystart.restart(0, 0);
        (0..100).find(|nth| hystart.ends_slow_start((nth * gap, rtt), (*nth, 200), cwnd, 40_000))
    }

    #[test]
    fn slow_start_is_over_when_a_whole_round_is_late() {
        // An eighth of 40 ms is 5 ms; eight samples come first.
        assert_eq!((over(45_000, 3_000, 20), over(45_001, 3_000, 20)), (None, Some(8)));
        let mut hystart = HyStart::default();
        hystart.restart(0, 0);
        hystart.ends_slow_start((0, 40_000), (0, 200), 20, 40_000);
        let mut late = |nth| hystart.ends_slow_start((nth * 3_000, 60_000), (nth, 200), 20, 40_000);
        assert!(!(1..100).any(&mut late), "one sample was not late");
    }

    #[test]
    fn slow_start_is_over_when_a_train_lasts_for_half_a_round_trip() {
        // 16 ms in single steps of 1 ms, then every other acknowledgement: past 20.5 ms at 22 ms.
        assert_eq!(over(40_000, 1_000, 20), Some(22));
        assert_eq!(over(40_000, 1_100, 20), None, "every other one is 2.2 ms after the last");
        assert_eq!(over(40_000, 1_000, 15), None, "a small window");
    }
}
