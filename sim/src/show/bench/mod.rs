//! `sim bench-schedulers`: every scheduler on every mix of stripes with every credit, as shares of
//! the best that is possible.
//!
//! Invariant: the text depends only on the task, not on the number of threads or the machine, so it
//! can be kept and compared.

mod ceiling;
mod measure;
mod mixes;
mod table;
mod task;
mod topologies;

pub use measure::{Case, measure};
pub use mixes::{MAX_CREDIT, MIXES};
pub use topologies::Topologies;

use crate::base::each;
use table::Row;
pub use task::{Bench, Task};

impl Task {
    /// The text to print, and whether the exit code is that of success.
    pub fn report(&self) -> (String, bool) {
        match self {
            Task::Table(bench) => (bench.report(), true),
            Task::Topologies(topologies) => topologies.report(),
        }
    }
}

impl Bench {
    pub fn report(&self) -> String {
        let mut lines = Vec::new();
        for mix in self.mixes.iter().map(|mix| &MIXES[*mix]) {
            for credit in &self.credits {
                lines.extend(self.schedulers.iter().map(|kind| (mix, Some((*credit, *kind)))));
            }
            lines.push((mix, None));
        }
        let seeds: Vec<u64> = self.seeds.clone().collect();
        let outcomes = each(lines.len() * seeds.len(), self.threads, |nth| {
            let seed = seeds[nth % seeds.len()];
            match lines[nth / seeds.len()] {
                (mix, Some((credit, scheduler))) => measure(mix, Case { scheduler, credit, seed }),
                (mix, None) => ceiling::ceiling(mix, seed),
            }
        });
        let rows: Vec<Row> = lines
            .iter()
            .zip(outcomes.chunks(seeds.len()))
            .map(|((mix, with), outcomes)| match with {
                Some((credit, scheduler)) => Row::new(mix, *credit, *scheduler, outcomes),
                None => Row::ceiling(mix, outcomes),
            })
            .collect();
        if self.json { table::json(self, &rows) } else { table::text(self, &rows) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_does_not_depend_on_threads() {
        let chosen = ["objects-64K", "objects-C-64K"];
        let mixes = (0..MIXES.len()).filter(|nth| chosen.contains(&MIXES[*nth].name)).collect();
        let bench = Bench { mixes, seeds: 0..4, ..Bench::default() };
        let [one, three] = [1, 3].map(|threads| Bench { threads, ..bench.clone() }.report());
        assert_eq!(one, three);
        assert!(one.contains("objects-C-64K"));
    }
}
