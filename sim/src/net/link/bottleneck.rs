//! A bottleneck with a drop-tail queue or a policer, random loss, delay, jitter, and a rate that
//! may change.
//!
//! Invariant: packets arrive in the order in which they were sent, whatever changes in between.

use super::LinkSpec;
use crate::base::{Kind, Kinds, micros};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;
use std::rc::Rc;

#[derive(Clone, Debug, Default)]
pub(super) struct Bottleneck {
    pub shared: Option<Shared>,
    gate: Gate,
    /// Packets that leave before this time arrive after it.
    clogged_until: u64,
    last_arrival: u64,
    /// Whether packets are being lost in a row.
    losing: bool,
}

/// A bottleneck through which packets of several links pass before they come to their own.
#[derive(Clone, Debug)]
pub struct Shared {
    spec: Rc<LinkSpec>,
    gate: Rc<RefCell<Gate>>,
}

/// The door that lets packets through one after another, or drops them.
#[derive(Clone, Debug, Default)]
struct Gate {
    /// In nanoseconds: at 1 Gbit/s whole microseconds would cost 3 % of the rate.
    free_at: u64,
    policer: Policer,
}

/// A token bucket. It is full at first.
#[derive(Clone, Debug, Default)]
struct Policer {
    /// The part of a full bucket that is missing, in billionths of a bit.
    missing: u128,
    at: u64,
}

impl Bottleneck {
    pub fn clog(&mut self, until: u64) {
        self.clogged_until = self.clogged_until.max(until);
    }

    pub fn passes_at(&self, now: u64, spec: &LinkSpec) -> u64 {
        now.max(self.gate.free_at.div_ceil(1_000)) + spec.delay_micros()
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
        if spec.loss > 0 && self.loses(spec, rng) {
            felt.add(Kind::Loss);
            return None;
        }
        let now = now * 1_000;
        let through = match &self.shared {
            None => Some(now),
            Some(shared) => shared.gate.borrow_mut().pass(now, len, &shared.spec),
        };
        let Some(left) = through.and_then(|at| self.gate.pass(at, len, spec)) else {
            felt.add(Kind::Overflow);
            return None;
        };
        let mut arrival = left.div_ceil(1_000) + spec.delay_micros();
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

    /// The loss of a packet: by itself, or in a run that ends with a probability of one over the
    /// mean length.
    fn loses(&mut self, spec: &LinkSpec, rng: &mut ChaCha8Rng) -> bool {
        let draw = rng.random_range(0..1_000_000);
        let (loss, run) = (u64::from(spec.loss), u64::from(spec.loss_run));
        self.losing = if run < 2 {
            draw < loss
        } else if self.losing {
            draw >= 1_000_000 / run
        } else {
            draw < loss * 1_000_000 / (run * (1_000_000 - loss))
        };
        self.losing
    }
}

impl Shared {
    /// Of a link only its rate and its queue or policer count here.
    pub fn new(spec: LinkSpec) -> Self {
        Shared { spec: Rc::new(spec), gate: Rc::default() }
    }
}

impl Gate {
    /// When a packet that comes at a time is through, in nanoseconds.
    fn pass(&mut self, now: u64, len: u64, spec: &LinkSpec) -> Option<u64> {
        if let Some(burst) = spec.policer {
            self.free_at = now;
            return self.policer.admits(now, len, burst, spec).then_some(now);
        }
        let queued = carried(now, self.free_at, spec) / 8_000_000_000;
        if queued > holds(now, spec) {
            return None;
        }
        self.free_at = left_by(self.free_at.max(now), len, spec);
        Some(self.free_at)
    }
}

impl Policer {
    fn admits(&mut self, now: u64, len: u64, burst: u64, spec: &LinkSpec) -> bool {
        self.missing = self.missing.saturating_sub(carried(self.at, now, spec));
        self.at = now;
        let wanted = self.missing + u128::from(len) * 8_000_000_000;
        let admits = wanted <= u128::from(burst) * 8_000_000_000;
        if admits {
            self.missing = wanted;
        }
        admits
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

/// The bytes that a queue holds at a time (nanoseconds).
fn holds(now: u64, spec: &LinkSpec) -> u128 {
    let Some(least) = spec.least_queue else { return spec.queue.into() };
    let mut rates = spec.rates.iter().rev();
    let rate = rates.find(|(from, _)| from * 1_000 <= now).map_or(spec.rate, |(_, rate)| *rate);
    let share = u128::from(spec.queue) * u128::from(rate.as_bits());
    (share / u128::from(spec.rate.as_bits())).max(least.into())
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
        let packets = [(0, 1_000), (0, 1_000), (0, 1_000), (0, 1_000), (0, 1_000), (1_000, 1_000)];
        let arrivals = pass(&mut Bottleneck::default(), &spec, &packets);
        let [first, second] = [Some(1_000), Some(2_000)];
        assert_eq!(arrivals, [first, second, Some(3_000), Some(4_000), None, Some(5_000)]);
        let none = LinkSpec { queue: 0, ..spec };
        let arrivals = pass(&mut Bottleneck::default(), &none, &packets);
        assert_eq!(arrivals, [first, None, None, None, None, second]);
    }

    #[test]
    fn a_queue_that_drains_slowly_holds_no_more_bytes() {
        let rates = vec![(1_000, Rate::bits(800_000)), (20_000, Rate::mbit(8))];
        let spec = LinkSpec { queue: 3_000, rates, ..link(8, 0) };
        let mut bottleneck = Bottleneck::default();
        let arrivals = pass(&mut bottleneck, &spec, &[(1_000, 1_000); 9]);
        assert_eq!(arrivals.iter().flatten().count(), 4);
        // 100 B have left until 2 ms, 900 B more until 11 ms.
        let arrivals = pass(&mut bottleneck, &spec, &[(10_990, 1_000), (11_000, 1_000)]);
        assert_eq!(arrivals.iter().map(Option::is_some).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn a_queue_that_is_a_time_holds_fewer_bytes_at_a_lower_rate() {
        let rates = vec![(1_000, Rate::bits(800_000)), (20_000, Rate::mbit(8))];
        for (least, packets) in [(0, 1), (999, 1), (1_000, 2)] {
            let (rates, least_queue) = (rates.clone(), Some(least));
            let spec = LinkSpec { queue: 3_000, least_queue, rates, ..link(8, 0) };
            let arrivals = pass(&mut Bottleneck::default(), &spec, &[(1_000, 1_000); 9]);
            assert_eq!(arrivals.iter().flatten().count(), packets, "{least}");
        }
    }

    #[test]
    fn links_with_a_shared_bottleneck_wait_for_each_other() {
        let shared = Shared::new(LinkSpec { queue: 1_500, ..link(8, 0) });
        let mut links = [Bottleneck::default(), Bottleneck::default()];
        links.iter_mut().for_each(|link| link.shared = Some(shared.clone()));
        // Their own are twice as fast.
        let own = link(16, 0);
        let arrivals = [0, 1, 0].map(|nth| pass(&mut links[nth], &own, &[(0, 1_000)])[0]);
        assert_eq!(arrivals, [Some(1_500), Some(2_500), None]);
    }

    #[test]
    fn a_policer_passes_a_burst_and_then_its_rate() {
        // 1 B/µs, and 3,000 B at first.
        let spec = LinkSpec { policer: Some(3_000), ..link(8, 20) };
        let mut bottleneck = Bottleneck::default();
        let mut passed = |packets: &[(u64, u64)]| -> Vec<bool> {
            let arrivals = pass(&mut bottleneck, &spec, packets);
            // A packet that passes does not wait.
            let times = packets.iter().map(|(now, _)| now + 20_000);
            assert!(arrivals.iter().zip(times).all(|(at, time)| at.is_none_or(|at| at == time)));
            arrivals.iter().map(Option::is_some).collect()
        };
        assert_eq!(passed(&[(0, 1_000); 5]), [true, true, true, false, false]);
        assert_eq!(passed(&[(999, 1_000), (1_000, 1_000), (1_001, 1_000)]), [false, true, false]);
        // It is full again after 3 ms, and no fuller later.
        assert_eq!(passed(&[(90_000, 1_500); 3]), [true, true, false]);
    }

    #[test]
    fn losses_come_one_by_one_or_in_runs_and_as_often() {
        for loss_run in [1, 10] {
            let spec = LinkSpec { loss: 20_000, loss_run, ..link(1_000, 1) };
            let packets: Vec<(u64, u64)> = (0..200_000).map(|nth| (nth * 100, 1_000)).collect();
            let arrivals = pass(&mut Bottleneck::default(), &spec, &packets);
            let lost: Vec<bool> = arrivals.iter().map(Option::is_none).collect();
            let count = lost.iter().filter(|lost| **lost).count();
            let runs = lost.windows(2).filter(|two| two[1] && !two[0]).count();
            assert!((3_200..4_800).contains(&count), "{count} of 200,000");
            let mean = count * 10 / runs;
            assert!(if loss_run == 1 { mean <= 11 } else { (80..120).contains(&mean) }, "{mean}");
        }
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
