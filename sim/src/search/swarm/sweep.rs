//! Runs the scenarios of many seeds on several threads and sums them up.
//!
//! The sums and the digest are folded in the order of seeds, so that the result does not depend on
//! the number of threads.

use super::pairs::Pairs;
use super::{Outcome, Scenario, Size, draw_sized, run};
use crate::base::{Failure, Kind, in_order};
use crate::search::repeat;
use std::fmt::Write as _;
use std::ops::Range;
use std::time::{Duration, Instant};

/// From so many small scenarios on, every pair of kinds must have met. Measured: the rarest pair
/// meets about once in 200.
const ALL_PAIRS: u64 = 10_000;

/// The most failures that are listed.
const LISTED: usize = 20;

#[derive(Clone, Debug)]
pub struct Summary {
    seeds: Range<u64>,
    size: Size,
    /// Scenarios with a hostile peer.
    hostile: u64,
    /// The sum of all scenarios; the digest is a hash over all.
    pub sum: Outcome,
    /// Flows with a hostile peer, of which nothing is demanded.
    hostile_flows: u64,
    /// Of each scenario with two honest sides: events and faults, sorted.
    pub distribution: (Vec<u32>, Vec<u32>),
    pub pairs: Pairs,
    pub failures: Vec<(u64, Failure)>,
    took: Duration,
}

/// Runs the scenarios of these seeds on so many threads.
#[expect(clippy::disallowed_methods, reason = "how fast the simulator is, not what it simulates")]
pub fn sweep(seeds: Range<u64>, size: Size, threads: usize) -> Summary {
    let began = Instant::now();
    let mut summary = Summary {
        seeds: seeds.clone(),
        size,
        hostile: 0,
        sum: Outcome::default(),
        hostile_flows: 0,
        distribution: (Vec::new(), Vec::new()),
        pairs: Pairs::default(),
        failures: Vec::new(),
        took: Duration::ZERO,
    };
    let work = |nth| {
        let scenario = draw_sized(seeds.start + nth, size);
        let is_hostile = matches!(scenario, Scenario::Hostile(_));
        (seeds.start + nth, is_hostile, run(&scenario))
    };
    in_order(seeds.end - seeds.start, threads, work, |(seed, is_hostile, result)| match result {
        Ok(outcome) => summary.add(is_hostile, &outcome),
        Err(failure) => summary.failures.push((seed, failure)),
    });
    summary.distribution.0.sort_unstable();
    summary.distribution.1.sort_unstable();
    summary.took = began.elapsed();
    summary
}

impl Summary {
    fn add(&mut self, is_hostile: bool, outcome: &Outcome) {
        self.sum.add(outcome);
        self.pairs.add(outcome.felt);
        if is_hostile {
            self.hostile += 1;
            self.hostile_flows += outcome.flows;
        } else {
            self.distribution.0.push(u32::try_from(outcome.events).unwrap_or(u32::MAX));
            self.distribution.1.push(u32::try_from(outcome.faults).unwrap_or(u32::MAX));
        }
    }

    fn scenarios(&self) -> u64 {
        self.seeds.end - self.seeds.start
    }

    /// Whether nothing failed, and if there were enough scenarios, every pair of kinds has met.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && (!self.needs_all_pairs() || self.pairs.missing().is_empty())
    }

    fn needs_all_pairs(&self) -> bool {
        self.size == Size::Small && self.scenarios() >= ALL_PAIRS
    }

    /// Events per second of real time, all threads together.
    fn rate(&self) -> f64 {
        self.sum.events as f64 / self.took.as_secs_f64().max(1e-6)
    }

    pub fn text(&self) -> String {
        let mut text = format!(
            "{} scenarios ({} of them with a hostile peer), {} failures; {} events, {:.0} a second \
             in {:.1} s\n\
             {} flows: {} complete, {} broken off or refused by a program, \
             {} lost with a session that ended, {} with a hostile peer\n\
             {} MiB delivered; digest {:016x}\n",
            self.scenarios(),
            self.hostile,
            self.failures.len(),
            self.sum.events,
            self.rate(),
            self.took.as_secs_f64(),
            self.sum.flows,
            self.sum.complete,
            self.sum.broken,
            self.sum.lost,
            self.hostile_flows,
            self.sum.delivered >> 20,
            self.sum.digest,
        );
        let _ = writeln!(
            text,
            "control from honest peers: at most {}.{:02} % of what may come at once",
            self.sum.control / 100,
            self.sum.control % 100
        );
        for (name, values) in [("events", &self.distribution.0), ("faults", &self.distribution.1)] {
            let [min, median, p90, max] = spread(values);
            let mean = values.iter().map(|value| u64::from(*value)).sum::<u64>()
                / values.len().max(1) as u64;
            let _ = writeln!(
                text,
                "{name} a scenario: min {min}, median {median}, mean {mean}, p90 {p90}, max {max}"
            );
        }
        let kind = |kind: &Kind| format!("{} {}", kind.name(), self.pairs.kind(*kind));
        let kinds = Kind::ALL.iter().map(kind).collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            text,
            "kinds, each with the scenarios in which it really happened:\n  {kinds}",
        );
        let missing = self.pairs.missing();
        let rarest = self.pairs.iter().min_by_key(|pair| pair.2).expect("more than one kind");
        let _ = writeln!(
            text,
            "pairs of kinds that met: {} of {}; the rarest, {} with {}, in {} scenarios",
            self.pairs.iter().count() - missing.len(),
            self.pairs.iter().count(),
            rarest.0.name(),
            rarest.1.name(),
            rarest.2,
        );
        for (a, b) in missing.iter().take(LISTED) {
            let _ = writeln!(text, "  never met: {} with {}", a.name(), b.name());
        }
        if !missing.is_empty() && !self.needs_all_pairs() {
            text += &format!("  (every pair must meet in a run of {ALL_PAIRS} seeds or more)\n");
        }
        text.push_str(&self.failure_text());
        text
    }

    /// The failures, each with the command that repeats it.
    pub fn failure_text(&self) -> String {
        let mut text = String::new();
        for (seed, failure) in self.failures.iter().take(LISTED) {
            let message: String = failure.message.chars().take(600).collect();
            text += &format!("seed {seed}: {message}\n  repeat with: {}\n", self.command(*seed));
        }
        text
    }

    fn command(&self, seed: u64) -> String {
        let large = if self.size == Size::Large { " --large" } else { "" };
        repeat::command(true, &format!("swarm{large} --seeds {seed}..{}", seed + 1))
    }

    pub fn json(&self) -> String {
        let spread_of = |values: &[u32]| {
            let [min, median, p90, max] = spread(values);
            format!("{{\"min\":{min},\"median\":{median},\"p90\":{p90},\"max\":{max}}}")
        };
        let kind = |kind: &Kind| format!("\"{}\":{}", kind.name(), self.pairs.kind(*kind));
        let pair = |(a, b): &(Kind, Kind)| format!("[\"{}\",\"{}\"]", a.name(), b.name());
        let kinds: Vec<String> = Kind::ALL.iter().map(kind).collect();
        let missing: Vec<String> = self.pairs.missing().iter().map(pair).collect();
        let failing = self.failures.iter().map(|(seed, _)| seed.to_string());
        let failures: Vec<String> = failing.collect();
        format!(
            "{{\"scenarios\":{},\"hostile\":{},\"events\":{},\"events_per_second\":{:.0},\
             \"events_per_scenario\":{},\"faults_per_scenario\":{},\"flows\":{},\"complete\":{},\
             \"broken\":{},\"lost\":{},\"with_hostile_peer\":{},\"delivered\":{},\"kinds\":{{{}}},\
             \"pairs\":{},\"pairs_missing\":[{}],\"failing_seeds\":[{}],\"digest\":\"{:016x}\"}}\n",
            self.scenarios(),
            self.hostile,
            self.sum.events,
            self.rate(),
            spread_of(&self.distribution.0),
            spread_of(&self.distribution.1),
            self.sum.flows,
            self.sum.complete,
            self.sum.broken,
            self.sum.lost,
            self.hostile_flows,
            self.sum.delivered,
            kinds.join(","),
            self.pairs.iter().count(),
            missing.join(","),
            failures.join(","),
            self.sum.digest,
        )
    }
}

/// Least, middle, nine tenths and most of sorted values.
fn spread(sorted: &[u32]) -> [u32; 4] {
    let at =
        |tenths: usize| sorted.get((sorted.len().max(1) - 1) * tenths / 10).copied().unwrap_or(0);
    [at(0), at(5), at(9), at(10)]
}
