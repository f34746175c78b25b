//! How long to wait for an acknowledgement: round trips as RFC 6298 estimates them, with Linux's
//! bounds.
//!
//! First a tail loss probe is due (RFC 8985, section 7): the last packet once more. If it is not
//! answered either, everything counts as lost, and each further wait is twice as long.
//!
//! Invariant: an acknowledgement forgets all waits that were in vain, but no round trip.

/// The shortest retransmission timeout's share above the round trip, in microseconds (Linux).
const MIN_TIMEOUT: u64 = 200_000;
/// The timeout before a round trip has been measured, in microseconds (RFC 6298).
const FIRST_TIMEOUT: u64 = 1_000_000;
/// The longest timeout after repeated doubling, in microseconds (Linux).
const MAX_TIMEOUT: u64 = 120_000_000;
/// The time beyond two round trips before a probe, in microseconds.
const PROBE_SLACK: u64 = 10_000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Expired {
    /// The last packet may be lost: it is sent once more.
    Probe,
    /// Every packet under way is lost.
    All,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Timeout {
    /// Smoothed round trip and its variation in microseconds; zero before the first sample.
    srtt: u64,
    rttvar: u64,
    probed: bool,
    backoff: u32,
}

impl Timeout {
    pub fn sample(&mut self, rtt: u64) {
        if self.srtt == 0 {
            self.srtt = rtt;
            self.rttvar = rtt / 2;
        } else {
            self.rttvar = (3 * self.rttvar + self.srtt.abs_diff(rtt)) / 4;
            self.srtt = (7 * self.srtt + rtt) / 8;
        }
    }

    pub fn answered(&mut self) {
        self.probed = false;
        self.backoff = 0;
    }

    pub fn wait(&self) -> u64 {
        let timeout = self.timeout();
        if self.probes() { timeout.min(2 * self.srtt + PROBE_SLACK) } else { timeout }
    }

    /// The retransmission timeout.
    pub fn timeout(&self) -> u64 {
        let base = if self.srtt == 0 {
            FIRST_TIMEOUT
        } else {
            self.srtt + (4 * self.rttvar).max(MIN_TIMEOUT)
        };
        (base << self.backoff.min(16)).min(MAX_TIMEOUT)
    }

    pub fn expire(&mut self) -> Expired {
        if self.probes() {
            self.probed = true;
            Expired::Probe
        } else {
            self.backoff += 1;
            Expired::All
        }
    }

    /// Before a round trip is known a probe would only repeat a packet that is still on its way.
    fn probes(&self) -> bool {
        !self.probed && self.srtt > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_follow_from_round_trips_and_from_waits_in_vain() {
        let steady = [100_000; 100];
        for (round_trips, in_vain, wait) in [
            // Before a round trip is known a second passes.
            (&[][..], 0, 1_000_000),
            (&[], 1, 2_000_000),
            // No wait is longer than two minutes.
            (&[], 60, 120_000_000),
            // A probe comes after two round trips, and then the timeout doubles.
            (&[100_000], 0, 210_000),
            (&[100_000], 1, 300_000),
            (&[100_000], 2, 600_000),
            // Steady round trips leave the least timeout above them.
            (&steady, 1, 300_000),
            // RFC 6298: rttvar = 3/4 * 400 + 1/4 * 800 = 500 ms, srtt = 7/8 * 800 + 1/8 * 1600 =
            // 900 ms.
            (&[800_000, 1_600_000], 1, 2_900_000),
        ] {
            let mut timeout = Timeout::default();
            round_trips.iter().for_each(|rtt| timeout.sample(*rtt));
            for nth in 0..in_vain {
                let probes = nth == 0 && !round_trips.is_empty();
                let expected = if probes { Expired::Probe } else { Expired::All };
                assert_eq!(timeout.expire(), expected, "{round_trips:?}, wait {nth}");
            }
            assert_eq!(timeout.wait(), wait, "{round_trips:?} after {in_vain} waits");
        }
    }

    #[test]
    fn an_answer_forgets_waits_in_vain() {
        let mut timeout = Timeout::default();
        timeout.sample(100_000);
        timeout.expire();
        timeout.expire();
        timeout.answered();
        assert_eq!(timeout.wait(), 210_000);
    }
}
