//! The task of a comparison.

use super::mixes::MIXES;
use super::topologies::Topologies;
use crate::base::{all_cores, scheduler, write_size};
use std::ops::Range;
use striper_core::SchedulerKind;

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    Table(Bench),
    Topologies(Topologies),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bench {
    /// The mixes, by their place in [`MIXES`].
    pub mixes: Vec<usize>,
    pub schedulers: Vec<SchedulerKind>,
    /// The largest receive windows of a flow in bytes.
    pub credits: Vec<u64>,
    pub seeds: Range<u64>,
    pub json: bool,
    pub threads: usize,
}

impl Default for Bench {
    fn default() -> Self {
        Bench {
            mixes: (0..MIXES.len()).collect(),
            schedulers: scheduler::ALL.to_vec(),
            credits: vec![256 << 10, 1 << 20, 4 << 20],
            seeds: 0..20,
            json: false,
            threads: all_cores(),
        }
    }
}

impl Bench {
    pub(crate) fn command(&self) -> String {
        let mut line = "cargo run --release -p sim -- bench-schedulers".to_owned();
        let usual = Bench::default();
        if self.mixes != usual.mixes {
            let names: Vec<&str> = self.mixes.iter().map(|mix| MIXES[*mix].name).collect();
            line += &format!(" --mix {}", names.join(","));
        }
        if self.schedulers != usual.schedulers {
            let names = self.schedulers.iter().map(|kind| scheduler::name(*kind));
            line += &format!(" --scheduler {}", names.collect::<Vec<_>>().join(","));
        }
        if self.credits != usual.credits {
            let sizes = self.credits.iter().map(|credit| write_size(*credit));
            line += &format!(" --credit {}", sizes.collect::<Vec<_>>().join(","));
        }
        let from = if self.seeds.start == 0 { "" } else { &format!("{}..", self.seeds.start) };
        line + &format!(" --seeds {from}{}", self.seeds.end)
    }
}
