//! Random sets of steady stripes: does one more ever cost anything?
//!
//! For each seed the same transfer is run over all stripes, over all but the last, and over each
//! alone. The stripes are up and have carried nothing yet. A scheduler passes if all stripes need
//! no more than 1/0.98 of the best time of the others.
//!
//! Invariant: the text depends on the seeds and the scheduler alone.

use crate::base::{Rate, Side, each, scheduler, seed, show_rate, write_size};
use crate::net::{FlowPlan, LinkSpec, Pipe, credit_time};
use crate::run::{Setup, World};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::Duration;
use striper_core::SchedulerKind;

/// The least part of the rate, in thousandths, that one more stripe must leave.
const DEMAND: u64 = 980;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Topologies {
    pub seeds: Range<u64>,
    pub scheduler: SchedulerKind,
    pub threads: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Topology {
    /// Rate in bit/s and one-way delay in microseconds; the last one is the one more.
    stripes: Vec<(u64, u64)>,
    /// The flow's largest receive window in bytes.
    credit: u64,
    size: u64,
}

/// Times in microseconds; `None` for a transfer that did not end in time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Verdict {
    seed: u64,
    all: Option<u64>,
    without: Option<u64>,
    alone: Option<u64>,
}

/// Draws one to four stripes and one more, of 0.5–100 Mbit/s and round trips of 1–300 ms, each
/// octave as likely as the next. The credit is 1–8 MiB. The size is the oracle's work of 1–4 s, but
/// at most 4 MiB and at least 64 KiB.
fn draw(seed: u64) -> Topology {
    let mut rng = seed::stream(seed, "topology", 0);
    let count = rng.random_range(1..=4) + 1;
    let stripes: Vec<(u64, u64)> = (0..count)
        .map(|_| (octaves(&mut rng, 500_000, 100_000_000), octaves(&mut rng, 500, 150_000)))
        .collect();
    let credit = 1 << (20 + rng.random_range(0..=3u64));
    let sum: u64 = stripes.iter().map(|(rate, _)| rate).sum();
    let size = sum / 8 * rng.random_range(1_000..=4_000) / 1_000;
    Topology { stripes, credit, size: size.clamp(64 << 10, 4 << 20) }
}

/// A number between two others, both included, each doubling as likely as the next.
fn octaves(rng: &mut ChaCha8Rng, low: u64, high: u64) -> u64 {
    loop {
        let octave = rng.random_range(low.ilog2()..=high.ilog2());
        let number = rng.random_range(1u64 << octave..2u64 << octave);
        if (low..=high).contains(&number) {
            return number;
        }
    }
}

fn links(stripes: &[(u64, u64)]) -> impl Iterator<Item = [LinkSpec; 2]> + '_ {
    stripes
        .iter()
        .map(|(rate, delay)| LinkSpec::both_ways(Rate::bits(*rate), Duration::from_micros(*delay)))
}

fn ideal(stripes: &[(u64, u64)], topology: &Topology) -> u64 {
    let pipes: Vec<Pipe> =
        links(stripes).map(|[link, _]| Pipe::steady(link.rate, link.delay)).collect();
    credit_time(&pipes, topology.size, topology.credit).expect("pipes that never stop")
}

impl Topologies {
    /// Returns the text to print, and whether one more stripe never cost more than it may.
    pub fn report(&self) -> (String, bool) {
        let count = (self.seeds.end - self.seeds.start) as usize;
        let verdicts = each(count, self.threads, |nth| self.judge(self.seeds.start + nth as u64));
        let mut text = format!(
            "{count} random topologies with {}: steady stripes of 0.5-100 Mbit/s, RTT 1-300 ms, \
             one to four and one more; credit 1-8 MiB.\n\
             speed with all of them, over that of the best one alone and over that without the \
             last one:\n\n\
             {:<15}  {:>10}  {:>12}\n",
            scheduler::name(self.scheduler),
            "speed",
            "best alone",
            "without last",
        );
        let within = |nth: usize, range: Range<u64>| {
            verdicts.iter().filter(|verdict| range.contains(&verdict.ratios()[nth])).count()
        };
        for window in BOUNDS.windows(2) {
            let upto = if window[1] == u64::MAX {
                "      ".into()
            } else {
                format!("- {}", thousandths(window[1]))
            };
            let [alone, without] = [0, 1].map(|nth| within(nth, window[0]..window[1]));
            let _ = writeln!(
                text,
                "{:>5} {upto:<7}  {alone:>10}  {without:>12}",
                thousandths(window[0])
            );
        }
        let below = [0, 1].map(|nth| within(nth, 0..DEMAND));
        let _ = writeln!(text, "\nbelow 0.980      {:>9}  {:>12}", below[0], below[1]);
        for (nth, name) in ["the best alone", "without the last"].into_iter().enumerate() {
            let mut worst: Vec<&Verdict> = verdicts.iter().collect();
            worst.sort_by_key(|verdict| (verdict.ratios()[nth], verdict.seed));
            let _ = writeln!(text, "\nworst against {name}:");
            for verdict in worst.into_iter().take(10) {
                let _ = write!(
                    text,
                    "{}  {}",
                    thousandths(verdict.ratios()[nth]),
                    self.describe(verdict)
                );
            }
        }
        (text, below == [0, 0])
    }

    fn command(&self, seed: u64) -> String {
        format!(
            "cargo run --release -p sim -- bench-schedulers --scheduler {} --topologies {seed}..{}",
            scheduler::name(self.scheduler),
            seed + 1,
        )
    }

    fn describe(&self, verdict: &Verdict) -> String {
        let topology = draw(verdict.seed);
        let stripes: Vec<String> = topology
            .stripes
            .iter()
            .map(|(rate, delay)| {
                format!("{} {} ms", show_rate(*rate as f64), fixed_millis(2 * delay))
            })
            .collect();
        let time = |time: Option<u64>| {
            time.map_or("never".into(), |time| format!("{} ms", fixed_millis(time)))
        };
        format!(
            "all {}, alone {}, without {}, oracle {} ms; {} KiB, credit {}; {}\n       {}\n",
            time(verdict.all),
            time(verdict.alone),
            time(verdict.without),
            fixed_millis(ideal(&topology.stripes, &topology)),
            topology.size >> 10,
            write_size(topology.credit),
            stripes.join(", "),
            self.command(verdict.seed),
        )
    }

    fn judge(&self, seed: u64) -> Verdict {
        let topology = draw(seed);
        let all = &topology.stripes[..];
        // The quickest by the oracle comes first. A stripe whose oracle needs longer than another
        // really did need not be run.
        let mut single: Vec<&[(u64, u64)]> = all.chunks(1).collect();
        single.sort_by_key(|stripe| ideal(stripe, &topology));
        let mut limit = 20 * ideal(single[0], &topology) + 60_000_000;
        let mut alone = None;
        for stripe in &single {
            if ideal(stripe, &topology) < limit
                && let Some(time) = self.time(seed, stripe, &topology, limit)
            {
                limit = time;
                alone = Some(time);
            }
        }
        // A limit so long that the ratio is far below the demand.
        let limit = 20 * limit;
        Verdict {
            seed,
            alone,
            all: self.time(seed, all, &topology, limit),
            without: {
                let limit = if all.len() == 2 { u64::MAX / 4 } else { limit };
                self.time(seed, &all[..all.len() - 1], &topology, limit)
            },
        }
    }

    /// The time of the transfer over these stripes, `None` if more than `limit`.
    fn time(
        &self,
        seed: u64,
        stripes: &[(u64, u64)],
        topology: &Topology,
        limit: u64,
    ) -> Option<u64> {
        let rates: Vec<Rate> = stripes.iter().map(|(rate, _)| Rate::bits(*rate)).collect();
        let mut setup = Setup::capped(seed, &rates, Duration::ZERO);
        setup.routes = links(stripes).collect();
        for config in &mut setup.config {
            config.scheduler = self.scheduler;
            config.window_limit = topology.credit;
        }
        setup.repeat = self.command(seed);
        let mut world = World::new(setup);
        if !world.warm_up(60_000_000) {
            return None;
        }
        let start = world.now();
        let flow = world.open(FlowPlan::upload(start, topology.size));
        let done = world.run_while(start.saturating_add(limit), |world| {
            world.flow(flow).end(Side::Server).fin_at.is_none()
        });
        done.then(|| world.now() - start)
    }
}

/// The borders of the histogram's classes, in thousandths.
const BOUNDS: [u64; 13] =
    [0, 500, 800, 900, 950, DEMAND, 1_000, 1_100, 1_250, 1_500, 2_000, 3_000, u64::MAX];

impl Verdict {
    /// The speed in thousandths of that of the best stripe alone, and of that without the last.
    fn ratios(&self) -> [u64; 2] {
        [self.alone, self.without].map(|before| match (before, self.all) {
            (_, None) => 0,
            (None, Some(_)) => u64::MAX - 1,
            (Some(before), Some(with)) => before * 1_000 / with.max(1),
        })
    }
}

fn thousandths(value: u64) -> String {
    format!("{}.{:03}", value / 1_000, value % 1_000)
}

fn fixed_millis(micros: u64) -> String {
    format!("{}.{}", micros / 1_000, micros % 1_000 / 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topologies_are_within_the_bounds_of_the_text() {
        let drawn: Vec<Topology> = (0..5_000).map(draw).collect();
        for topology in &drawn {
            assert!((2..=5).contains(&topology.stripes.len()));
            assert!([1, 2, 4, 8].map(|mib| mib << 20).contains(&topology.credit));
            assert!((64 << 10..=4 << 20).contains(&topology.size));
        }
        let stripes = drawn.iter().flat_map(|topology| topology.stripes.clone());
        let (rates, delays): (Vec<u64>, Vec<u64>) = stripes.unzip();
        assert!(rates.iter().all(|rate| (500_000..=100_000_000).contains(rate)));
        // 200 is 7.64 doublings: each of 4–8 and 32–64 Mbit/s has about an eighth.
        for low in [4_000_000, 32_000_000] {
            let share = rates.iter().filter(|rate| (low..2 * low).contains(*rate)).count() * 100
                / rates.len();
            assert!((10..=16).contains(&share), "{share} % from {low} on");
        }
        assert!(delays.iter().all(|delay| (500..=150_000).contains(delay)));
        assert!(delays.iter().any(|delay| *delay < 600));
        assert!(delays.iter().any(|delay| *delay > 140_000));
    }

    #[test]
    fn the_report_does_not_depend_on_threads() {
        let one = Topologies { seeds: 3..9, scheduler: SchedulerKind::Earliest, threads: 1 };
        let many = Topologies { threads: 4, ..one.clone() };
        assert_eq!(one.report(), many.report());
    }

    #[test]
    fn a_slower_world_with_all_stripes_is_below_the_demand() {
        let verdict =
            Verdict { seed: 0, all: Some(1_021), without: Some(1_000), alone: Some(2_042) };
        assert_eq!(verdict.ratios(), [2_000, 979]);
        assert_eq!(Verdict { all: None, ..verdict }.ratios(), [0, 0]);
    }
}
