//! The bytes of a flow that have been seen: disjoint ranges, joined where they touch.

use std::collections::BTreeMap;
use std::ops::Range;

#[derive(Clone, Debug, Default)]
pub struct Coverage {
    /// Start to end of each range; none touches the next.
    ranges: BTreeMap<u64, u64>,
    total: u64,
}

impl Coverage {
    /// Adds a range. Returns the number of its bytes that are new.
    pub fn add(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let (mut start, mut end) = (range.start, range.end);
        let mut known = 0;
        while let Some((&from, &to)) = self.ranges.range(..=end).next_back()
            && to >= start
        {
            self.ranges.remove(&from);
            known += to.min(range.end).saturating_sub(from.max(range.start));
            start = start.min(from);
            end = end.max(to);
        }
        self.ranges.insert(start, end);
        let new = range.end - range.start - known;
        self.total += new;
        new
    }

    /// The offset up to which every byte is in the set.
    pub fn prefix(&self) -> u64 {
        self.ranges.get(&0).copied().unwrap_or(0)
    }

    pub fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn only_bytes_that_were_not_there_are_new() {
        let mut coverage = Coverage::default();
        let new = [10..20, 30..40, 15..35, 0..50, 0..50, 50..50].map(|range| coverage.add(range));
        assert_eq!(new, [10, 10, 10, 20, 0, 0]);
        assert_eq!(coverage.total(), 50);
        assert_eq!(coverage.ranges.len(), 1);
    }

    #[test]
    fn ranges_count_like_a_set_of_bytes() {
        let (mut coverage, mut model) = (Coverage::default(), BTreeSet::new());
        let mut draw = 7u64;
        for _ in 0..500 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (start, len) = ((draw >> 40) % 300, (draw >> 20) % 20);
            let before = model.len();
            model.extend(start..start + len);
            assert_eq!(coverage.add(start..start + len), (model.len() - before) as u64);
        }
        assert_eq!(coverage.total(), model.len() as u64);
    }
}
