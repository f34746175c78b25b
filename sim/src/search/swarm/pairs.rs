//! The pairs of kinds of trouble that have met in one world.

use crate::base::{Kind, Kinds};

/// For each pair of kinds, the number of worlds in which both really happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pairs {
    /// `counts[a][b]` for `a <= b`; on the diagonal the worlds with that kind.
    counts: Vec<Vec<u64>>,
}

impl Default for Pairs {
    fn default() -> Self {
        Pairs { counts: vec![vec![0; Kind::ALL.len()]; Kind::ALL.len()] }
    }
}

impl Pairs {
    pub fn add(&mut self, felt: Kinds) {
        for a in felt.iter() {
            for b in felt.iter().filter(|b| *b >= a) {
                self.counts[a as usize][b as usize] += 1;
            }
        }
    }

    pub fn kind(&self, kind: Kind) -> u64 {
        self.counts[kind as usize][kind as usize]
    }

    pub fn iter(&self) -> impl Iterator<Item = (Kind, Kind, u64)> {
        let of = |a: Kind| Kind::ALL.iter().filter(move |b| **b > a).map(move |b| (a, *b));
        let pairs = Kind::ALL.iter().flat_map(move |a| of(*a));
        pairs.map(|(a, b)| (a, b, self.counts[a as usize][b as usize]))
    }

    pub fn missing(&self) -> Vec<(Kind, Kind)> {
        self.iter().filter(|(_, _, count)| *count == 0).map(|(a, b, _)| (a, b)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_counts_once_a_world_in_any_order() {
        let mut felt = Kinds::default();
        felt.add(Kind::Loss);
        felt.add(Kind::Reset);
        let mut pairs = Pairs::default();
        pairs.add(felt);
        pairs.add(felt);
        assert_eq!((pairs.kind(Kind::Loss), pairs.kind(Kind::Close)), (2, 0));
        assert!(pairs.iter().any(|pair| pair == (Kind::Reset, Kind::Loss, 2)));
        let all = Kind::ALL.len() * (Kind::ALL.len() - 1) / 2;
        assert_eq!(pairs.missing().len(), all - 1);
    }
}
