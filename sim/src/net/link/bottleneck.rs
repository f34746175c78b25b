//! A bottleneck with a drop-tail queue, random loss, delay, jitter, and a rate that may change.
//!
//! Invariant: packets arrive in the order in which they were sent, whatever changes in between.

use super::{LinkSpec, MSS};
use crate::base::{Kind, Kinds, micros};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

#[derive(Clone, Debug, Default)]
pub(super) struct Bottleneck {
    /// In nanoseconds: at 1 Gbit/s whole microseconds would cost 3 % of the rate.
    free_at: u64,
    /// Packets that leave before this time arrive after it.
    clogged_until: u64,
    last_arrival: u64,
}

impl Bottleneck {
    pub fn clog(&mut self, until: u64) {
        self.clogged_until = self.clogged_until.max(until);
    }

    pub fn passes_at(&self, now: u64, spec: &LinkSpec) -> u64 {
        now.max(self.free_at.div_ceil(1_000)) + spec.delay_micros()
    }

    /// When a packet of so many bytes arrives; `None` if it is dropped or lost.
    pub fn pass(
        &mut self,
        now: u64,
        len: u64,
        spec: &LinkSpec,
        rng: &mut ChaCha8Rng,
        felt: &mut Kinds,
    ) -> Option<u64> {
        let queued = carried(now * 1_000, self.free_at, spec) / 8_000_000_000;
        if queued + u128::from(len) > u128::from(spec.queue.max(MSS)) {
            felt.add(Kind::Overflow);
            return None;
        }
        self.free_at = left_by(self.free_at.max(now * 1_000), len, spec);
        if spec.loss > 0 && rng.random_range(0..1_000_000) < spec.loss {
            felt.add(Kind::Loss);
            return None;
        }
        let mut arrival = self.free_at.div_ceil(1_000) + spec.delay_micros();
        if !spec.jitter.is_zero() {
            arrival += rng.random_range(0..=micros(spec.jitter));
            felt.add(Kind::Jitter);
        }
        if arrival < self.clogged_until {
            arrival = self.clogged_until;
            felt.add(Kind::Stall);
        }
        // A route that gets shorter, or less jittery, does not let packets overtake each other.
        self.last_arrival = self.last_arrival.max(arrival);
        Some(self.last_arrival)
    }
}

/// The bits that leave from one time to another (nanoseconds), in billionths. They are a u128,
/// because a queue may hold minutes and a rate go to 100 Gbit/s.
fn carried(from: u64, to: u64, spec: &LinkSpec) -> u128 {
    let (mut at, mut rate, mut sum) = (from, spec.rate, 0);
    for (time, next) in &spec.rates {
        let time = (time * 1_000).clamp(at, to.max(at));
        sum += u128::from(time - at) * u128::from(rate.as_bits());
        (at, rate) = (time, *next);
    }
    sum + u128::from(to.saturating_sub(at)) * u128::from(rate.as_bits())
}

fn left_by(from: u64, len: u64, spec: &LinkSpec) -> u64 {
    let (mut at, mut rate, mut left) = (from, spec.rate, u128::from(len * 8_000_000_000));
    for (time, next) in &spec.rates {
        let time = (time * 1_000).max(at);
        let most = u128::from(time - at) * u128::from(rate.as_bits());
        if most >= left {
            break;
        }
        (at, rate, left) = (time, *next, left - most);
    }
    at + left.div_ceil(u128::from(rate.as_bits())) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Rate, seed};
    use std::time::Duration;

    fn pass(
        bottleneck: &mut Bottleneck,
        spec: &LinkSpec,
        packets: &[(u64, u64)],
    ) -> Vec<Option<u64>> {
        let (rng, felt) = (&mut seed::stream(1, "link", 0), &mut Kinds::default());
        packets.iter().map(|(now, len)| bottleneck.pass(*now, *len, spec, rng, felt)).collect()
    }

    fn link(mbit: u64, delay: u64) -> LinkSpec {
        LinkSpec::new(Rate::mbit(mbit), Duration::from_millis(delay))
    }

    #[test]
    fn packets_leave_one_after_another_at_the_rate_of_their_time() {
        // 1 B/µs, a tenth of that from 1 ms on, 2 B/µs from 6 ms on.
        let rates = vec![(1_000, Rate::bits(800_000)), (6_000, Rate::mbit(16))];
        let changing = LinkSpec { rates, ..link(8, 0) };
        for (spec, packets, arrivals) in [
            // The last packet finds the bottleneck idle.
            (&link(8, 20), vec![(0, 1_000), (0, 500), (5_000, 1_000)], [21_000, 21_500, 26_000]),
            // 100 B until 1 ms, 500 B until 6 ms, 400 B at 2 B/µs.
            (&changing, vec![(0, 900), (0, 1_000), (6_100, 1_000)], [900, 6_200, 6_700]),
            (&changing, vec![(0, 900), (0, 1_000), (9_000, 1_000)], [900, 6_200, 9_500]),
        ] {
            let passed = pass(&mut Bottleneck::default(), spec, &packets);
            assert_eq!(passed, arrivals.map(Some), "{packets:?}");
        }
        let mut bottleneck = Bottleneck::default();
        pass(&mut bottleneck, &link(8, 20), &[(0, 1_500)]);
        assert_eq!(bottleneck.passes_at(0, &link(8, 20)), 21_500);
    }

    #[test]
    fn fractions_of_a_microsecond_add_up() {
        let mut bottleneck = Bottleneck::default();
        let arrivals = pass(&mut bottleneck, &link(1_000, 0), &[(0, 1_250); 100]);
        assert_eq!(arrivals.last(), Some(&Some(1_000)));
        // 11.584 µs more, and 23.168.
        let arrivals = pass(&mut bottleneck, &link(1_000, 0), &[(0, 1_448); 2]);
        assert_eq!(arrivals, [Some(1_012), Some(1_024)]);
    }

    #[test]
    fn packets_beyond_the_queue_are_dropped() {
        let spec = LinkSpec { queue: 3_000, ..link(8, 0) };
        // One packet has left when the last comes.
        let packets = [(0, 1_000), (0, 1_000), (0, 1_000), (0, 1_000), (1_000, 1_000)];
        let arrivals = pass(&mut Bottleneck::default(), &spec, &packets);
        assert_eq!(arrivals, [Some(1_000), Some(2_000), Some(3_000), None, Some(4_000)]);
    }

    #[test]
    fn a_queue_that_drains_slowly_holds_no_more_bytes() {
        let rates = vec![(1_000, Rate::bits(800_000)), (20_000, Rate::mbit(8))];
        let spec = LinkSpec { queue: 3_000, rates, ..link(8, 0) };
        let mut bottleneck = Bottleneck::default();
        let arrivals = pass(&mut bottleneck, &spec, &[(1_000, 1_000); 9]);
        assert_eq!(arrivals.iter().flatten().count(), 3);
        // 1,900 B have left until 20 ms, 100 B more until 20.1 ms.
        let arrivals = pass(&mut bottleneck, &spec, &[(20_000, 2_000), (20_100, 2_000)]);
        assert_eq!(arrivals, [None, Some(23_100)]);
    }

    #[test]
    fn a_shorter_route_lets_nothing_overtake() {
        let mut bottleneck = Bottleneck::default();
        let first = pass(&mut bottleneck, &link(8, 20), &[(0, 1_000)]);
        assert_eq!(pass(&mut bottleneck, &link(8, 1), &[(1_000, 1_000)]), first);
    }

    #[test]
    fn packets_that_leave_during_a_clog_arrive_at_its_end() {
        let mut bottleneck = Bottleneck::default();
        bottleneck.clog(50_000);
        bottleneck.clog(30_000);
        let arrivals = pass(&mut bottleneck, &link(8, 20), &[(0, 1_000), (40_000, 1_000)]);
        assert_eq!(arrivals, [Some(50_000), Some(61_000)]);
    }
}
