//! `sim bench-schedulers`: every scheduler on every mix of stripes with every credit, as shares of
//! the best that is possible.
//!
//! Invariant: the text depends on what is asked for alone, not on the number of threads or the
//! machine, so it can be kept and compared.

mod ceiling;
mod measure;
mod mixes;
mod options;
mod table;
mod topologies;

pub use measure::{Case, Outcome, measure};
pub use mixes::{Drawn, Load, MIXES, Mix, Trouble};
pub use options::{Bench, Task};
pub use topologies::Topologies;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use table::Row;

impl Task {
    /// Measures all that is asked for; the answer is the text to print, and whether the exit code
    /// is that of success.
    ///
    /// # Panics
    /// If a world fails; it has printed the command that repeats it.
    pub fn report(&self) -> (String, bool) {
        match self {
            Task::Table(bench) => (bench.report(), true),
            Task::Topologies(topologies) => topologies.report(),
        }
    }
}

impl Bench {
    /// Measures all that is asked for; the answer is the text to print.
    ///
    /// # Panics
    /// If a world fails; it has printed the command that repeats it.
    pub fn report(&self) -> String {
        let mut lines = Vec::new();
        for mix in self.mixes.iter().map(|mix| &MIXES[*mix]) {
            for credit in &self.credits {
                lines.extend(
                    self.schedulers.iter().map(|scheduler| (mix, Some((*credit, *scheduler)))),
                );
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

/// Does `count` things, some at a time; the answers are in their order.
fn each<T: Send>(count: usize, threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads.min(count) {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= count {
                        break;
                    }
                    let answer = work(nth);
                    done.lock().expect("no thread panics while it is held").push((nth, answer));
                }
            });
        }
    });
    let mut done = done.into_inner().expect("no thread panics while it is held");
    done.sort_unstable_by_key(|(nth, _)| *nth);
    done.into_iter().map(|(_, answer)| answer).collect()
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

    #[test]
    fn answers_come_in_order_whoever_was_faster() {
        let work = |nth: usize| {
            if nth.is_multiple_of(7) {
                std::thread::yield_now();
            }
            nth * 2
        };
        assert_eq!(each(1_000, 4, work), (0..1_000).map(|nth| nth * 2).collect::<Vec<_>>());
        assert_eq!(each(0, 4, work), []);
    }
}
