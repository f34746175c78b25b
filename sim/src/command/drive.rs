//! `sim drive`: many worlds of the production driver, and the faults that took effect in them.

use super::option::{self, value};
use crate::base::in_order;
use crate::run::driver::kind::FaultKind;
use crate::run::driver::world::{self, Outcome};
use lexopt::{Arg, Parser};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Drive {
    pub seeds: Range<u64>,
    pub threads: usize,
}

#[derive(Default)]
struct Sum {
    worlds: u64,
    failed: u64,
    outcome: Outcome,
    /// The number of worlds in which each kind, and each two kinds, took effect.
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
        self.outcome.digest = self.outcome.digest.wrapping_add(outcome.digest);
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
            let cell = |kind: &_| format!("{:<16}{:>6}", format!("{kind:?}"), single(*kind));
            let _ = writeln!(text, "  {}", row.iter().map(cell).collect::<Vec<_>>().join("  "));
        }
        let kinds = FaultKind::ALL.iter().enumerate();
        let pairs = kinds.flat_map(|(index, one)| {
            FaultKind::ALL[index + 1..].iter().map(|other| (*one, *other))
        });
        let all = FaultKind::ALL.len() * (FaultKind::ALL.len() - 1) / 2;
        let missing: Vec<String> = pairs
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
    pub fn parse(parser: &mut Parser) -> Result<Option<Drive>, String> {
        let mut drive = Drive { seeds: 0..100, threads: 1 };
        while let Some(arg) = option::next(parser)? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("seeds") => drive.seeds = option::seeds(&value(parser, "seeds")?)?,
                Arg::Long("threads") => {
                    let cure = |error| format!("{error}; write it like --threads 2");
                    drive.threads = option::threads(parser).map_err(cure)?;
                }
                Arg::Long(name) => {
                    let hint = "it takes --seeds and --threads";
                    return Err(format!("--{name} has no meaning for drive; {hint}"));
                }
                arg => return option::unexpected(arg, "see --help for what there is"),
            }
        }
        Ok(Some(drive))
    }

    /// Runs the worlds, up to one that fails, which has printed the command that repeats it.
    pub fn run(&self) -> Result<String, String> {
        let stop = AtomicBool::new(false);
        let work = |nth| {
            if stop.load(Relaxed) {
                return None;
            }
            let outcome = catch_unwind(|| world::run(self.seeds.start + nth));
            stop.fetch_or(outcome.is_err(), Relaxed);
            Some(outcome)
        };
        let mut sum = Sum::default();
        in_order(self.seeds.end - self.seeds.start, self.threads, work, |outcome| match outcome {
            Some(Ok(outcome)) => sum.add(outcome),
            Some(Err(_)) => sum.failed += 1,
            None => {}
        });
        match sum.failed {
            0 => Ok(sum.text()),
            failed => Err(format!(
                "{failed} of the worlds failed; see above for the command that repeats each"
            )),
        }
    }
}
