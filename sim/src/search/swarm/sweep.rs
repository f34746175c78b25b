//! Runs the scenarios of many seeds on several threads and sums them up.
//!
//! Seeds are dealt in blocks; sums and the digest are folded in the order of seeds, so that the
//! result does not depend on the number of threads.

use super::pairs::Pairs;
use super::{Outcome, Scenario, Size, draw_sized, run};
use crate::base::failure::Failure;
use crate::base::kinds::Kind;
use crate::search::repeat;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Seeds that a thread takes at a time.
const BLOCK: u64 = 64;

/// From so many small scenarios on, every pair of kinds must have met. Measured: the rarest pair
/// meets about once in 200.
pub const ALL_PAIRS: u64 = 10_000;

/// More failures than this are not listed.
const LISTED: usize = 20;

/// What became of all scenarios.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The seeds.
    pub seeds: Range<u64>,
    /// How large the worlds were.
    pub size: Size,
    /// Scenarios with a hostile peer.
    pub hostile: u64,
    /// Inputs to sessions.
    pub events: u64,
    /// Payload bytes delivered.
    pub delivered: u64,
    /// The most that an honest peer has used up of `control_burst` bytes, in parts of 10,000.
    pub control: u64,
    /// What became of flows.
    pub flows: Flows,
    /// Of each scenario with two honest sides: events and faults, sorted.
    pub distribution: (Vec<u32>, Vec<u32>),
    /// Which kinds have met.
    pub pairs: Pairs,
    /// A hash over all scenarios.
    pub digest: u64,
    /// What failed: seed and why, the lowest seeds first.
    pub failures: Vec<(u64, Failure)>,
    /// How long it took.
    pub took: Duration,
}

/// What became of flows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flows {
    /// All of them; each is one of the following too.
    pub all: u64,
    /// Those that came through whole.
    pub complete: u64,
    /// Those that a program broke off or refused.
    pub broken: u64,
    /// Those whose session ended first.
    pub lost: u64,
    /// Those with a hostile peer, of which nothing is demanded.
    pub hostile: u64,
}

impl Flows {
    fn add(&mut self, hostile: bool, outcome: &Outcome) {
        self.all += outcome.flows;
        self.complete += outcome.complete;
        self.broken += outcome.broken;
        self.lost += outcome.lost;
        self.hostile += if hostile { outcome.flows } else { 0 };
    }
}

/// Sums of one block of seeds.
#[derive(Default)]
struct Block {
    outcomes: Vec<(bool, Outcome)>,
    failures: Vec<(u64, Failure)>,
}

/// Runs the scenarios of these seeds on so many threads.
#[expect(clippy::disallowed_methods, reason = "how fast the simulator is, not what it simulates")]
pub fn sweep(seeds: Range<u64>, size: Size, threads: usize) -> Summary {
    let began = Instant::now();
    let mut summary = Summary {
        seeds: seeds.clone(),
        size,
        hostile: 0,
        events: 0,
        delivered: 0,
        control: 0,
        flows: Flows::default(),
        distribution: (Vec::new(), Vec::new()),
        pairs: Pairs::default(),
        digest: 0,
        failures: Vec::new(),
        took: Duration::ZERO,
    };
    let next = AtomicU64::new(0);
    let block = if size == Size::Large { 1 } else { BLOCK };
    let blocks = (seeds.end - seeds.start).div_ceil(block);
    // Blocks that are done and wait for an earlier one.
    let done = Mutex::new((0, BTreeMap::new(), &mut summary));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= blocks {
                        return;
                    }
                    let start = seeds.start + number * block;
                    let result = run_block(start..start.saturating_add(block).min(seeds.end), size);
                    let (expected, waiting, summary) = &mut *done.lock().expect("no thread panics");
                    waiting.insert(number, result);
                    while let Some(result) = waiting.remove(expected) {
                        *expected += 1;
                        summary.add(result);
                    }
                }
            });
        }
    });
    summary.distribution.0.sort_unstable();
    summary.distribution.1.sort_unstable();
    summary.took = began.elapsed();
    summary
}

fn run_block(seeds: Range<u64>, size: Size) -> Block {
    let mut block = Block::default();
    for seed in seeds {
        let scenario = draw_sized(seed, size);
        match run(&scenario) {
            Ok(outcome) => block.outcomes.push((matches!(scenario, Scenario::Hostile(_)), outcome)),
            Err(failure) => block.failures.push((seed, failure)),
        }
    }
    block
}

impl Summary {
    fn add(&mut self, block: Block) {
        for (hostile, outcome) in block.outcomes {
            self.hostile += u64::from(hostile);
            self.events += outcome.events;
            self.delivered += outcome.delivered;
            self.control = self.control.max(outcome.control);
            self.flows.add(hostile, &outcome);
            self.digest = self.digest.rotate_left(1) ^ outcome.digest;
            self.pairs.add(outcome.felt);
            if !hostile {
                self.distribution.0.push(u32::try_from(outcome.events).unwrap_or(u32::MAX));
                self.distribution.1.push(u32::try_from(outcome.faults).unwrap_or(u32::MAX));
            }
        }
        self.failures.extend(block.failures);
    }

    /// Scenarios.
    pub fn scenarios(&self) -> u64 {
        self.seeds.end - self.seeds.start
    }

    /// Whether nothing failed, and if there were enough of them, every pair of kinds has met.
    pub fn is_good(&self) -> bool {
        self.failures.is_empty() && (!self.needs_all_pairs() || self.pairs.missing().is_empty())
    }

    fn needs_all_pairs(&self) -> bool {
        self.size == Size::Small && self.scenarios() >= ALL_PAIRS
    }

    /// Events per second of real time, all threads together.
    pub fn rate(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64().max(1e-6)
    }

    /// What to print for people.
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
            self.events,
            self.rate(),
            self.took.as_secs_f64(),
            self.flows.all,
            self.flows.complete,
            self.flows.broken,
            self.flows.lost,
            self.flows.hostile,
            self.delivered >> 20,
            self.digest,
        );
        let _ = writeln!(
            text,
            "control from honest peers: at most {}.{:02} % of what may come at once",
            self.control / 100,
            self.control % 100
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
        let kinds: Vec<String> = Kind::ALL
            .iter()
            .map(|kind| format!("{} {}", kind.name(), self.pairs.kind(*kind)))
            .collect();
        let _ = writeln!(
            text,
            "kinds, each with the scenarios in which it really happened:\n  {}",
            kinds.join(", ")
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
            let _ =
                writeln!(text, "  (every pair must meet in a run of {ALL_PAIRS} seeds or more)");
        }
        text.push_str(&self.failure_text());
        text
    }

    /// The failures, each with the command that repeats it.
    pub fn failure_text(&self) -> String {
        let mut text = String::new();
        for (seed, failure) in self.failures.iter().take(LISTED) {
            let message: String = failure.message.chars().take(600).collect();
            let _ =
                writeln!(text, "seed {seed}: {message}\n  repeat with: {}", self.command(*seed));
        }
        text
    }

    fn command(&self, seed: u64) -> String {
        let large = if self.size == Size::Large { " --large" } else { "" };
        repeat::command(true, &format!("swarm{large} --seeds {seed}..{}", seed + 1))
    }

    /// The same as JSON.
    pub fn json(&self) -> String {
        let spread_of = |values: &[u32]| {
            let [min, median, p90, max] = spread(values);
            format!("{{\"min\":{min},\"median\":{median},\"p90\":{p90},\"max\":{max}}}")
        };
        let kinds: Vec<String> = Kind::ALL
            .iter()
            .map(|kind| format!("\"{}\":{}", kind.name(), self.pairs.kind(*kind)))
            .collect();
        let missing: Vec<String> = self
            .pairs
            .missing()
            .iter()
            .map(|(a, b)| format!("[\"{}\",\"{}\"]", a.name(), b.name()))
            .collect();
        let failures: Vec<String> =
            self.failures.iter().map(|(seed, _)| seed.to_string()).collect();
        format!(
            "{{\"scenarios\":{},\"hostile\":{},\"events\":{},\"events_per_second\":{:.0},\
             \"events_per_scenario\":{},\"faults_per_scenario\":{},\"flows\":{},\"complete\":{},\
             \"broken\":{},\"lost\":{},\"with_hostile_peer\":{},\"delivered\":{},\"kinds\":{{{}}},\
             \"pairs\":{},\"pairs_missing\":[{}],\"failing_seeds\":[{}],\"digest\":\"{:016x}\"}}\n",
            self.scenarios(),
            self.hostile,
            self.events,
            self.rate(),
            spread_of(&self.distribution.0),
            spread_of(&self.distribution.1),
            self.flows.all,
            self.flows.complete,
            self.flows.broken,
            self.flows.lost,
            self.flows.hostile,
            self.delivered,
            kinds.join(","),
            self.pairs.iter().count(),
            missing.join(","),
            failures.join(","),
            self.digest,
        )
    }
}

/// Least, middle, nine tenths and most of sorted values.
fn spread(sorted: &[u32]) -> [u32; 4] {
    let at =
        |tenths: usize| sorted.get((sorted.len().max(1) - 1) * tenths / 10).copied().unwrap_or(0);
    [at(0), at(5), at(9), at(10)]
}
