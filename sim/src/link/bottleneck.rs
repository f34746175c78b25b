//! What the network does to a packet: a bottleneck of fixed rate with a drop-tail queue, random loss, delay and jitter.
//!
//! Invariant: packets arrive in the order in which they were sent, whatever changes in between.

use super::{LinkSpec, MSS};
use crate::faults::{Kind, Kinds};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The way of a direction's packets.
#[derive(Clone, Debug, Default)]
pub(super) struct Bottleneck {
    /// When it will have sent what it holds, in nanoseconds: at 1 Gbit/s a packet takes 11.6 µs, and whole microseconds
    /// would cost 3 % of the rate.
    free_at: u64,
    /// Packets that leave before this time arrive after it.
    clogged_until: u64,
    last_arrival: u64,
}

impl Bottleneck {
    /// What leaves before `until` arrives after it.
    pub fn clog(&mut self, until: u64) {
        self.clogged_until = self.clogged_until.max(until);
    }

    /// When a packet without payload that is sent now would arrive.
    pub fn passes_at(&self, now: u64, spec: &LinkSpec) -> u64 {
        now.max(self.free_at.div_ceil(1_000)) + spec.delay
    }

    /// When a packet of so many bytes arrives; `None` if it is dropped or lost. `felt` learns what happens to it.
    pub fn pass(
        &mut self,
        now: u64,
        len: u64,
        spec: &LinkSpec,
        rng: &mut ChaCha8Rng,
        felt: &mut Kinds,
    ) -> Option<u64> {
        // In u128, because a queue may hold minutes and a rate go to 100 Gbit/s.
        let wait = u128::from(self.free_at.saturating_sub(now * 1_000));
        let queued = wait * u128::from(spec.rate) / 8_000_000_000;
        if queued + u128::from(len) > u128::from(spec.queue.max(MSS)) {
            felt.add(Kind::Overflow);
            return None;
        }
        self.free_at = self.free_at.max(now * 1_000) + (len * 8_000_000_000).div_ceil(spec.rate);
        if spec.loss > 0 && rng.random_range(0..1_000_000) < spec.loss {
            felt.add(Kind::Loss);
            return None;
        }
        let mut arrival = self.free_at.div_ceil(1_000) + spec.delay;
        if spec.jitter > 0 {
            arrival += rng.random_range(0..=spec.jitter);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seed;

    fn pass(bottleneck: &mut Bottleneck, now: u64, len: u64, spec: &LinkSpec) -> Option<u64> {
        bottleneck.pass(now, len, spec, &mut seed::stream(1, "link", 0), &mut Kinds::default())
    }

    #[test]
    fn packets_leave_one_after_another_at_the_rate() {
        let spec = LinkSpec::new(8_000_000, 20_000);
        let mut bottleneck = Bottleneck::default();
        assert_eq!(pass(&mut bottleneck, 0, 1_000, &spec), Some(21_000));
        assert_eq!(pass(&mut bottleneck, 0, 500, &spec), Some(21_500));
        assert_eq!(bottleneck.passes_at(0, &spec), 21_500);
        assert_eq!(pass(&mut bottleneck, 5_000, 1_000, &spec), Some(26_000), "idle in between");
    }

    #[test]
    fn fractions_of_a_microsecond_add_up() {
        let spec = LinkSpec::new(1_000_000_000, 0);
        let mut bottleneck = Bottleneck::default();
        let arrivals = (0..100).map(|_| pass(&mut bottleneck, 0, 1_250, &spec).unwrap());
        assert_eq!(arrivals.last(), Some(1_000));
        assert_eq!(pass(&mut bottleneck, 0, 1_448, &spec), Some(1_012), "11.584 µs more");
        assert_eq!(pass(&mut bottleneck, 0, 1_448, &spec), Some(1_024), "and 23.168");
    }

    #[test]
    fn what_the_queue_does_not_take_is_dropped() {
        let mut spec = LinkSpec::new(8_000_000, 0);
        spec.queue = 3_000;
        let mut bottleneck = Bottleneck::default();
        let came = (0..5).filter(|_| pass(&mut bottleneck, 0, 1_000, &spec).is_some()).count();
        assert_eq!(came, 3);
        assert!(pass(&mut bottleneck, 1_000, 1_000, &spec).is_some(), "one has left");
    }

    #[test]
    fn a_shorter_route_lets_nothing_overtake() {
        let mut spec = LinkSpec::new(8_000_000, 20_000);
        let mut bottleneck = Bottleneck::default();
        let first = pass(&mut bottleneck, 0, 1_000, &spec);
        spec.delay = 1_000;
        assert_eq!(pass(&mut bottleneck, 1_000, 1_000, &spec), first);
    }

    #[test]
    fn what_leaves_during_a_clog_arrives_at_its_end() {
        let spec = LinkSpec::new(8_000_000, 20_000);
        let mut bottleneck = Bottleneck::default();
        bottleneck.clog(50_000);
        bottleneck.clog(30_000);
        assert_eq!(pass(&mut bottleneck, 0, 1_000, &spec), Some(50_000));
        assert_eq!(pass(&mut bottleneck, 40_000, 1_000, &spec), Some(61_000));
    }
}
