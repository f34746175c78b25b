//! Aggregates by bucket of time, so that a picture's size does not depend on the run's.

use super::timeline::Steps;
use std::ops::Range;

#[derive(Clone, Debug)]
pub struct Buckets {
    pub span: Range<u64>,
    /// At least one.
    pub count: usize,
}

impl Buckets {
    /// Cuts a range, which has some length, into at most `count` buckets of at least a microsecond.
    pub fn new(span: Range<u64>, count: usize) -> Self {
        let length = span.end.saturating_sub(span.start).max(1);
        let count = (count as u64).clamp(1, length) as usize;
        Buckets { span: span.start..span.start + length, count }
    }

    /// The beginning of bucket `index`. The one after the last is the end.
    pub fn border(&self, index: usize) -> u64 {
        let length = u128::from(self.span.end - self.span.start);
        self.span.start + (length * index as u128 / self.count as u128) as u64
    }

    /// The bucket that a time falls into, if any. The end belongs to the last.
    pub fn of(&self, at: u64) -> Option<usize> {
        if at < self.span.start || at > self.span.end {
            return None;
        }
        let length = u128::from(self.span.end - self.span.start);
        let index = (u128::from(at - self.span.start) * self.count as u128 / length) as usize;
        // Borders are rounded down, so a time may lie beyond that of the bucket that was computed
        // for it.
        let index = index.min(self.count - 1);
        Some(if index + 1 < self.count && self.border(index + 1) <= at { index + 1 } else { index })
    }

    /// In microseconds.
    pub fn width(&self, index: usize) -> u64 {
        self.border(index + 1) - self.border(index)
    }

    /// How fast a count of bytes grows, in bit/s by bucket.
    pub fn rates(&self, steps: &Steps) -> Vec<f64> {
        let rate = |index: usize| {
            let to = match steps.last() {
                Some((at, all)) if index + 1 == self.count && *at <= self.span.end => *all,
                _ => before(steps, self.border(index + 1)),
            };
            let bytes = to.saturating_sub(before(steps, self.border(index)));
            bytes as f64 * 8e6 / self.width(index) as f64
        };
        (0..self.count).map(rate).collect()
    }

    pub fn sums(&self, values: impl IntoIterator<Item = (u64, u64)>) -> Vec<u64> {
        let mut sums = vec![0; self.count];
        for (at, value) in values {
            if let Some(index) = self.of(at) {
                sums[index] += value;
            }
        }
        sums
    }

    /// The share of each bucket that spans cover which do not overlap.
    pub fn shares(&self, spans: &[(u64, u64)]) -> Vec<f64> {
        let mut covered = vec![0u64; self.count];
        for (from, to) in spans {
            let (from, to) = (*from.max(&self.span.start), *to.min(&self.span.end));
            if from >= to {
                continue;
            }
            let Some(first) = self.of(from) else { continue };
            for (index, covered) in covered.iter_mut().enumerate().skip(first) {
                let (start, end) = (self.border(index).max(from), self.border(index + 1).min(to));
                if start >= to {
                    break;
                }
                *covered += end.saturating_sub(start);
            }
        }
        (0..self.count)
            .map(|index| covered[index] as f64 / self.width(index).max(1) as f64)
            .collect()
    }

    pub fn peaks(&self, steps: &Steps) -> Vec<u64> {
        let mut peaks: Vec<u64> =
            (0..self.count).map(|index| before(steps, self.border(index))).collect();
        for (at, value) in steps {
            if let Some(index) = self.of(*at) {
                peaks[index] = peaks[index].max(*value);
            }
        }
        peaks
    }

    pub fn quantiles(&self, samples: &[(u64, u64)]) -> Vec<Option<[u64; 3]>> {
        let mut sorted: Vec<Vec<u64>> = vec![Vec::new(); self.count];
        for (at, value) in samples {
            if let Some(index) = self.of(*at) {
                sorted[index].push(*value);
            }
        }
        sorted.into_iter().map(summary).collect()
    }
}

/// The least, the median and the most of some values.
pub fn summary(mut values: Vec<u64>) -> Option<[u64; 3]> {
    values.sort_unstable();
    Some([*values.first()?, values[(values.len() - 1) / 2], *values.last()?])
}

/// The value just before a time.
fn before(steps: &Steps, at: u64) -> u64 {
    let place = steps.partition_point(|(time, _)| *time < at);
    if place == 0 { 0 } else { steps[place - 1].1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_falls_between_the_borders_of_its_bucket() {
        for (length, count) in [(1, 5), (7, 3), (100, 7), (1_000_003, 240)] {
            let buckets = Buckets::new(50..50 + length, count);
            for at in (50..50 + length).step_by(1 + length as usize / 1_000) {
                let index = buckets.of(at).unwrap();
                let bucket = buckets.border(index)..buckets.border(index + 1);
                assert!(bucket.contains(&at), "{length} {count} {at}");
            }
            assert_eq!(buckets.of(49), None);
            assert_eq!(buckets.of(51 + length), None);
            assert_eq!(buckets.of(50 + length), Some(buckets.count - 1));
        }
    }

    #[test]
    fn rates_add_up_to_all_bytes() {
        let buckets = Buckets::new(1_000..2_000, 3);
        let steps = vec![(900, 10), (1_000, 20), (1_400, 50), (2_000, 100)];
        let rates = buckets.rates(&steps).into_iter().enumerate();
        let bytes: f64 = rates.map(|(i, rate)| rate * buckets.width(i) as f64 / 8e6).sum();
        assert!((bytes - 90.0).abs() < 1e-6, "{bytes}");
    }

    #[test]
    fn a_span_fills_its_share_of_each_bucket() {
        let buckets = Buckets::new(0..400, 4);
        assert_eq!(buckets.shares(&[(50, 150), (350, 999)]), [0.5, 0.5, 0.0, 0.5]);
    }

    #[test]
    fn peaks_last_until_the_value_changes() {
        let buckets = Buckets::new(0..400, 4);
        assert_eq!(buckets.peaks(&vec![(10, 5), (110, 1)]), [5, 5, 1, 1]);
    }

    #[test]
    fn samples_are_summed_up_by_bucket() {
        let buckets = Buckets::new(0..200, 2);
        assert_eq!(buckets.quantiles(&[(1, 3), (2, 9), (3, 4)]), [Some([3, 4, 9]), None]);
        assert_eq!(buckets.sums([(1, 3), (150, 9), (151, 1), (999, 7)]), [3, 10]);
    }
}
