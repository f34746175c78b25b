//! Runs the scenarios of many seeds on several threads. Sums them up in the order of seeds, so that
//! the result does not depend on the number of threads.

use super::pairs::Pairs;
use super::{Outcome, Scenario, Size, draw_sized, run};
use crate::base::{Failure, Kind, in_order};
use crate::search::bugs::repeat;
use std::ops::Range;
use std::time::{Duration, Instant};

/// From so many small scenarios on, every pair of kinds must have met. Measured: the rarest pair
/// meets about once in 200.
const ALL_PAIRS: u64 = 10_000;

const LISTED: usize = 20;

#[derive(Clone, Debug, Default)]
pub struct Summary {
    seeds: Range<u64>,
    size: Size,
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

#[expect(clippy::disallowed_methods, reason = "how fast the simulator is, not what it simulates")]
pub fn sweep(seeds: Range<u64>, size: Size, threads: usize) -> Summary {
    let began = Instant::now();
    let mut summary = Summary { seeds: seeds.clone(), size, ..Summary::default() };
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
        let Outcome { events, flows, complete, broken, lost, control, digest, .. } = self.sum;
        let Summary { hostile, hostile_flows, .. } = self;
        let (scenarios, failures, took) =
            (self.scenarios(), self.failures.len(), self.took.as_secs_f64());
        let (rate, delivered) = (self.rate(), self.sum.delivered >> 20);
        let (percent, hundredths) = (control / 100, control % 100);
        let mut text = format!(
            "{scenarios} scenarios ({hostile} of them with a hostile peer), {failures} failures; \
             {events} events, {rate:.0} a second in {took:.1} s\n\
             {flows} flows: {complete} complete, {broken} broken off or refused by a program, \
             {lost} lost with a session that ended, {hostile_flows} with a hostile peer\n\
             {delivered} MiB delivered; digest {digest:016x}\n\
             control from honest peers: at most {percent}.{hundredths:02} % of what may come at \
             once\n",
        );
        for (name, values) in [("events", &self.distribution.0), ("faults", &self.distribution.1)] {
            let [min, median, p90, max] = spread(values);
            let mean = values.iter().map(|value| u64::from(*value)).sum::<u64>()
                / values.len().max(1) as u64;
            text += &format!(
                "{name} a scenario: min {min}, median {median}, mean {mean}, p90 {p90}, max {max}\n"
            );
        }
        let kind = |kind: &Kind| format!("{} {}", kind.name(), self.pairs.kind(*kind));
        let kinds = Kind::ALL.iter().map(kind).collect::<Vec<_>>().join(", ");
        let missing = self.pairs.missing();
        let all = self.pairs.iter().count();
        let (a, b, count) = self.pairs.iter().min_by_key(|pair| pair.2).expect("several kinds");
        text += &format!(
            "kinds, each with the scenarios in which it really happened:\n  {kinds}\n\
             pairs of kinds that met: {} of {all}; the rarest, {} with {}, in {count} scenarios\n",
            all - missing.len(),
            a.name(),
            b.name(),
        );
        for (a, b) in missing.iter().take(LISTED) {
            text += &format!("  never met: {} with {}\n", a.name(), b.name());
        }
        if !missing.is_empty() && !self.needs_all_pairs() {
            text += &format!("  (every pair must meet in a run of {ALL_PAIRS} seeds or more)\n");
        }
        text.push_str(&self.failure_text());
        text
    }

    pub fn failure_text(&self) -> String {
        let mut text = String::new();
        let large = if self.size == Size::Large { " --large" } else { "" };
        for (seed, failure) in self.failures.iter().take(LISTED) {
            let message: String = failure.message.chars().take(600).collect();
            let again = repeat(true, &format!("swarm{large} --seeds {seed}..{}", seed + 1));
            text += &format!("seed {seed}: {message}\n  repeat with: {again}\n");
        }
        text
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
        let failures: Vec<String> =
            self.failures.iter().map(|(seed, _)| seed.to_string()).collect();
        let Outcome { events, flows, complete, broken, lost, delivered, digest, .. } = self.sum;
        let Summary { hostile, hostile_flows, .. } = self;
        let [events_each, faults_each] =
            [&self.distribution.0, &self.distribution.1].map(|values| spread_of(values));
        let (scenarios, rate, pairs) = (self.scenarios(), self.rate(), self.pairs.iter().count());
        let [kinds, missing, failures] = [kinds, missing, failures].map(|words| words.join(","));
        format!(
            "{{\"scenarios\":{scenarios},\"hostile\":{hostile},\"events\":{events},\
             \"events_per_second\":{rate:.0},\"events_per_scenario\":{events_each},\
             \"faults_per_scenario\":{faults_each},\"flows\":{flows},\"complete\":{complete},\
             \"broken\":{broken},\"lost\":{lost},\"with_hostile_peer\":{hostile_flows},\
             \"delivered\":{delivered},\"kinds\":{{{kinds}}},\"pairs\":{pairs},\
             \"pairs_missing\":[{missing}],\"failing_seeds\":[{failures}],\
             \"digest\":\"{digest:016x}\"}}\n"
        )
    }
}

/// Least, middle, nine tenths and most of sorted values.
fn spread(sorted: &[u32]) -> [u32; 4] {
    let at =
        |tenths: usize| sorted.get((sorted.len().max(1) - 1) * tenths / 10).copied().unwrap_or(0);
    [at(0), at(5), at(9), at(10)]
}
