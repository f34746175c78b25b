//! `sim drive`: many worlds of the production driver, and what took effect in them.

use super::option::{self, value};
use crate::run::driver::kind::FaultKind;
use crate::run::driver::world;
use crate::run::driver::world::Outcome;
use lexopt::{Arg, Parser};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Mutex;

/// What the user wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drive {
    /// One world each.
    pub seeds: Range<u64>,
    /// How many worlds at a time.
    pub threads: usize,
}

/// What many worlds add up to.
#[derive(Default)]
struct Sum {
    worlds: u64,
    outcome: Outcome,
    /// In how many worlds each kind, and each two kinds, took effect.
    pairs: BTreeMap<(FaultKind, FaultKind), u64>,
    polls: Vec<u64>,
}

impl Sum {
    fn add(&mut self, outcome: Outcome) {
        self.worlds += 1;
        let kinds: Vec<FaultKind> = outcome.effects.keys().copied().collect();
        for (index, one) in kinds.iter().enumerate() {
            for other in &kinds[index..] {
                *self.pairs.entry((*one, *other)).or_default() += 1;
            }
        }
        self.polls.push(outcome.polls);
        self.outcome.flows += outcome.flows;
        self.outcome.complete += outcome.complete;
        self.outcome.bytes += outcome.bytes;
        self.outcome.polls += outcome.polls;
        // In any order: threads end when they like.
        self.outcome.digest = self.outcome.digest.wrapping_add(outcome.digest);
    }

    fn merge(mut self, other: Sum) -> Sum {
        self.worlds += other.worlds;
        for (pair, count) in other.pairs {
            *self.pairs.entry(pair).or_default() += count;
        }
        self.polls.extend(other.polls);
        self.outcome.flows += other.outcome.flows;
        self.outcome.complete += other.outcome.complete;
        self.outcome.bytes += other.outcome.bytes;
        self.outcome.polls += other.outcome.polls;
        self.outcome.digest = self.outcome.digest.wrapping_add(other.outcome.digest);
        self
    }

    fn text(mut self) -> String {
        let Outcome { flows, complete, bytes, polls, digest, .. } = self.outcome;
        self.polls.sort_unstable();
        let median = self.polls.get(self.polls.len() / 2).copied().unwrap_or(0);
        let mut text = format!(
            "{} worlds without a violation: {flows} flows, {complete} of them complete \
             (the others were broken by what happened), {} MiB read,\n\
             {polls} polls of tasks, {median} in the median world; digest {digest:016x}\n",
            self.worlds,
            bytes >> 20,
        );
        let single = |kind: FaultKind| self.pairs.get(&(kind, kind)).copied().unwrap_or(0);
        let _ = writeln!(text, "worlds in which a fault took effect:");
        for row in FaultKind::ALL.chunks(5) {
            let cells: Vec<String> = row
                .iter()
                .map(|kind| format!("{:<16}{:>6}", format!("{kind:?}"), single(*kind)))
                .collect();
            let _ = writeln!(text, "  {}", cells.join("  "));
        }
        let all = FaultKind::ALL.len() * (FaultKind::ALL.len() - 1) / 2;
        let missing: Vec<String> = FaultKind::ALL
            .iter()
            .enumerate()
            .flat_map(|(index, one)| {
                FaultKind::ALL[index + 1..].iter().map(move |other| (*one, *other))
            })
            .filter(|pair| !self.pairs.contains_key(pair))
            .map(|(one, other)| format!("{one:?}+{other:?}"))
            .collect();
        let _ = write!(text, "pairs of faults in one world: {} of {all}", all - missing.len());
        if !missing.is_empty() && missing.len() <= 20 {
            let _ = write!(text, "; never {}", missing.join(" "));
        }
        text.push('\n');
        text
    }
}

impl Drive {
    /// Reads what follows `drive` on the command line; `None` if it asks for the help.
    pub fn parse(parser: &mut Parser) -> Result<Option<Drive>, String> {
        let mut drive = Drive { seeds: 0..100, threads: 1 };
        while let Some(arg) = option::next(parser)? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("seeds") => drive.seeds = option::seeds(&value(parser, "seeds")?)?,
                Arg::Long("threads") => {
                    drive.threads = option::threads(parser)
                        .map_err(|error| format!("{error}; write it like --threads 2"))?;
                }
                Arg::Long(name) => {
                    return Err(format!(
                        "--{name} has no meaning for drive; it takes --seeds and --threads"
                    ));
                }
                arg => return Err(format!("{}; see --help for what there is", arg.unexpected())),
            }
        }
        Ok(Some(drive))
    }

    /// Runs the worlds; the answer is the text to print. A world that fails has printed why and how
    /// to repeat it.
    pub fn run(&self) -> Result<String, String> {
        let seeds = Mutex::new(self.seeds.clone());
        let work = || {
            let mut sum = Sum::default();
            let next = || seeds.lock().expect("no thread panics while it is held").next();
            while let Some(seed) = next() {
                sum.add(world::run(seed));
            }
            sum
        };
        let sums: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads).map(|_| scope.spawn(work)).collect();
            threads.into_iter().map(|thread| thread.join()).collect()
        });
        let failed = sums.iter().filter(|sum| sum.is_err()).count();
        if failed > 0 {
            return Err(format!(
                "{failed} of the worlds failed; see above for the command that repeats each"
            ));
        }
        Ok(sums.into_iter().flatten().fold(Sum::default(), Sum::merge).text())
    }
}
