//! A set of integers kept as disjoint, non-adjacent half-open ranges.

use alloc::collections::BTreeMap;
use core::ops::Range;

/// Integers as ranges. A set that has all numbers up to some watermark costs one entry.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct RangeSet {
    /// Start to end; no two touch.
    ranges: BTreeMap<u64, u64>,
}

impl RangeSet {
    /// Adds a range; overlaps are fine. Returns how many numbers are new.
    pub(crate) fn insert(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let (mut start, mut end) = (range.start, range.end);
        let mut known = 0;
        while let Some((&s, &e)) = self.ranges.range(..=end).next_back() {
            if e < start {
                break;
            }
            known += e - s;
            start = start.min(s);
            end = end.max(e);
            self.ranges.remove(&s);
        }
        self.ranges.insert(start, end);
        end - start - known
    }

    /// Takes a range away; it need not be there. Returns how many numbers were.
    pub(crate) fn remove(&mut self, range: Range<u64>) -> u64 {
        if range.is_empty() {
            return 0;
        }
        let mut removed = 0;
        while let Some((&s, &e)) = self.ranges.range(..range.end).next_back() {
            if e <= range.start {
                break;
            }
            self.ranges.remove(&s);
            removed += e.min(range.end) - s.max(range.start);
            if range.end < e {
                self.ranges.insert(range.end, e);
            }
            if s < range.start {
                self.ranges.insert(s, range.start);
            }
        }
        removed
    }

    pub(crate) fn contains(&self, value: u64) -> bool {
        self.ranges.range(..=value).next_back().is_some_and(|(_, &end)| value < end)
    }

    pub(crate) fn first(&self) -> Option<Range<u64>> {
        self.ranges.first_key_value().map(|(&start, &end)| start..end)
    }

    pub(crate) fn len(&self) -> usize {
        self.ranges.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Range<u64>> + '_ {
        self.ranges.iter().map(|(&start, &end)| start..end)
    }

    /// The parts of `range` that are not in the set, lowest first.
    pub(crate) fn gaps(&self, range: Range<u64>) -> impl Iterator<Item = Range<u64>> + '_ {
        let below =
            self.ranges.range(..=range.start).next_back().map_or(range.start, |(_, &end)| end);
        let mut at = below.max(range.start);
        let mut inside = self.ranges.range(range.start..range.end.max(range.start));
        let end = range.end;
        core::iter::from_fn(move || {
            while at < end {
                let (next_start, next_end) = inside.next().map_or((end, end), |(&s, &e)| (s, e));
                let gap = at..next_start.min(end);
                at = at.max(next_end);
                if !gap.is_empty() {
                    return Some(gap);
                }
            }
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    /// Small numbers, so that ranges often meet: (add or take away, start, length).
    type Steps = Vec<(bool, u8, u8)>;

    fn range(start: u8, len: u8) -> Range<u64> {
        u64::from(start)..u64::from(start) + u64::from(len % 24)
    }

    /// Both kinds of set after the same steps; the counts that the steps returned are checked on
    /// the way.
    fn after(steps: Steps) -> (RangeSet, BTreeSet<u64>) {
        let (mut ranges, mut model) = (RangeSet::default(), BTreeSet::new());
        for (add, start, len) in steps {
            let range = range(start, len);
            let before = model.len();
            if add {
                model.extend(range.clone());
                assert_eq!(ranges.insert(range), (model.len() - before) as u64);
            } else {
                model.retain(|value| !range.contains(value));
                assert_eq!(ranges.remove(range), (before - model.len()) as u64);
            }
        }
        (ranges, model)
    }

    quickcheck! {
        fn behaves_like_a_set_of_numbers(steps: Steps) -> bool {
            let (ranges, model) = after(steps);
            ranges.iter().flatten().eq(model.iter().copied())
                && (0..300).all(|value| ranges.contains(value) == model.contains(&value))
                && ranges.len() == ranges.iter().count()
                && ranges.first() == ranges.iter().next()
        }

        fn ranges_never_touch_and_are_never_empty(steps: Steps) -> bool {
            let (ranges, _) = after(steps);
            let all: Vec<_> = ranges.iter().collect();
            all.iter().all(|range| !range.is_empty())
                && all.windows(2).all(|pair| pair[0].end < pair[1].start)
        }

        fn gaps_are_the_missing_ranges(steps: Steps, start: u8, len: u8) -> bool {
            let (ranges, model) = after(steps);
            let asked = range(start, len);
            let gaps: Vec<_> = ranges.gaps(asked.clone()).collect();
            gaps.iter().all(|gap| !gap.is_empty())
                && gaps.windows(2).all(|pair| pair[0].end < pair[1].start)
                && gaps.into_iter().flatten().eq(asked.filter(|value| !model.contains(value)))
        }
    }
}
