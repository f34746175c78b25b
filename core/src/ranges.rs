//! A set of integers kept as disjoint, non-adjacent half-open ranges.

use alloc::collections::BTreeMap;
use core::ops::Range;

/// Integers as ranges. A set that has all numbers up to some watermark costs one entry.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct RangeSet {
    /// Start to end; no two touch.
    ranges: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// Adds a range; overlaps are fine.
    pub fn insert(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        while let Some((&s, &e)) = self.ranges.range(..=end).next_back() {
            if e < start {
                break;
            }
            start = start.min(s);
            end = end.max(e);
            self.ranges.remove(&s);
        }
        self.ranges.insert(start, end);
    }

    /// Takes a range away; it need not be there.
    pub fn remove(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        while let Some((&s, &e)) = self.ranges.range(..range.end).next_back() {
            if e <= range.start {
                break;
            }
            self.ranges.remove(&s);
            if range.end < e {
                self.ranges.insert(range.end, e);
            }
            if s < range.start {
                self.ranges.insert(s, range.start);
            }
        }
    }

    /// Whether a number is in the set.
    pub fn contains(&self, value: u64) -> bool {
        self.ranges.range(..=value).next_back().is_some_and(|(_, &end)| value < end)
    }

    /// The lowest range.
    pub fn first(&self) -> Option<Range<u64>> {
        self.ranges.first_key_value().map(|(&start, &end)| start..end)
    }

    /// How many ranges it takes.
    pub fn len(&self) -> usize {
        self.ranges.len()
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// The ranges, lowest first.
    pub fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }

    /// The parts of `range` that are not in the set, lowest first.
    pub fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let below = self.ranges.range(..=range.start).next_back().map_or(range.start, |(_, &end)| end);
        let mut at = below.max(range.start);
        let mut inside = self.ranges.range(range.start + 1..range.end.max(range.start + 1));
        let end = range.end;
        core::iter::from_fn(move || {
            while at < end {
                let (next_start, next_end) = inside.next().map_or((end, end), |(&s, &e)| (s, e));
                let gap = at..next_start.min(end);
                at = at.max(next_end);
                if !gap.is_empty() {
                    return Some(gap);
                }
                if next_start == end {
                    break;
                }
            }
            None
        })
    }
}
