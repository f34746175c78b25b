//! A token bucket: so many at once, so many a second in the long run. Integers only, so that no
//! token is lost or won by rounding, however the time comes in pieces.

use crate::time::Instant;
use core::time::Duration;

/// A token in the unit of the level: what a rate of one a second brings in as many microseconds.
const TOKEN: u64 = 1_000_000;

/// Tokens that come at a steady rate and are kept up to a limit.
#[derive(Clone, Hash, Debug)]
pub(crate) struct Bucket {
    rate: u64,
    /// The most that are kept, in units of a [`TOKEN`].
    capacity: u64,
    /// The level at `at`, in the same unit.
    level: u64,
    at: Instant,
}

impl Bucket {
    /// A full one. Beyond 2^44 tokens it holds no more.
    pub(crate) fn full(capacity: u64, rate: u64, now: Instant) -> Self {
        let capacity = capacity.saturating_mul(TOKEN);
        Bucket { rate, capacity, level: capacity, at: now }
    }

    /// Tokens that come with the time up to `now`. A time that goes back brings none.
    pub(crate) fn refill(&mut self, now: Instant) {
        let micros = crate::time::micros(now.since(self.at));
        self.at = self.at.max(now);
        self.put(micros.saturating_mul(self.rate));
    }

    /// One token for every `share` of `count`, without a remainder that is lost.
    pub(crate) fn earn(&mut self, count: u64, share: u64) {
        self.put(count.saturating_mul(TOKEN / share.clamp(1, TOKEN)));
    }

    fn put(&mut self, units: u64) {
        self.level = self.level.saturating_add(units).min(self.capacity);
    }

    pub(crate) fn available(&self) -> u64 {
        self.level / TOKEN
    }

    /// Tokens that are missing from a full one, a part counts as one.
    pub(crate) fn missing(&self) -> u64 {
        (self.capacity - self.level).div_ceil(TOKEN)
    }

    pub(crate) fn take(&mut self, count: u64) -> bool {
        let units = count.saturating_mul(TOKEN);
        let enough = units <= self.level;
        if enough {
            self.level -= units;
        }
        enough
    }

    /// When so many tokens will be there if none is taken. Never if the bucket is too small or gets
    /// none.
    pub(crate) fn holds(&self, count: u64) -> Option<Instant> {
        let missing = count.saturating_mul(TOKEN).saturating_sub(self.level);
        if missing > self.capacity - self.level || (missing > 0 && self.rate == 0) {
            return None;
        }
        Some(self.at + Duration::from_micros(missing.div_ceil(self.rate.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    quickcheck! {
        fn no_more_is_taken_than_came_and_all_that_is_promised_comes(
            capacity: u8, rate: u16, steps: Vec<(u16, u8)>
        ) -> bool {
            let (capacity, rate) = (u64::from(capacity), u64::from(rate) + 1);
            let (mut bucket, mut now, mut taken) = (Bucket::full(capacity, rate, at(0)), 0, 0);
            for (micros, count) in steps {
                now += u64::from(micros);
                bucket.refill(at(now));
                let count = u64::from(count);
                match bucket.holds(count) {
                    None => assert!(count > capacity && !bucket.take(count)),
                    Some(when) => {
                        assert_eq!(bucket.clone().take(count), when <= at(now));
                        let mut later = bucket.clone();
                        later.refill(when);
                        assert!(later.take(count), "it is there when it was promised");
                        if when > at(now) {
                            let mut earlier = bucket.clone();
                            earlier.refill(at(when.as_micros() - 1));
                            assert!(!earlier.take(count), "and no microsecond earlier");
                        } else if bucket.take(count) {
                            taken += count;
                        }
                    }
                }
                assert!(bucket.available() + bucket.missing() == capacity
                    || bucket.available() + bucket.missing() == capacity + 1);
            }
            taken <= capacity + now * rate / 1_000_000
        }
    }

    #[test]
    fn a_bucket_fills_at_its_rate_up_to_its_capacity_however_time_is_cut() {
        let mut bucket = Bucket::full(10, 3, at(0));
        assert!(bucket.take(10) && !bucket.take(1));
        (0..1_000_000).step_by(7).for_each(|now| bucket.refill(at(now)));
        bucket.refill(at(1_000_000));
        assert_eq!((bucket.available(), bucket.missing()), (3, 7));
        bucket.refill(at(u64::MAX));
        assert_eq!((bucket.available(), bucket.missing()), (10, 0));
        assert!(bucket.take(10));
        for (times, count, available) in [(64, 1, 1), (1, 128, 3), (1, u64::MAX, 10)] {
            (0..times).for_each(|_| bucket.earn(count, 64));
            assert_eq!(bucket.available(), available);
        }
    }

    #[test]
    fn a_clock_that_goes_back_brings_nothing_and_takes_nothing() {
        let mut bucket = Bucket::full(10, 1_000_000, at(500));
        assert!(bucket.take(10));
        bucket.refill(at(400));
        bucket.refill(at(501));
        assert_eq!(bucket.available(), 1, "not those of the 100 microseconds once more");
    }

    #[test]
    fn tokens_that_never_come_are_not_promised() {
        assert_eq!(Bucket::full(10, 1, at(0)).holds(11), None);
        let mut dry = Bucket::full(10, 0, at(0));
        dry.take(10);
        assert_eq!(dry.holds(1), None);
    }
}
