//! Every trace under `tests/traces` still plays. Traces with the present choices of stripes replay
//! exactly, all traces play with the choices in them, and the simulator records its traces alike.
//!
//! After a change on purpose: `cargo run -p sim -- bless tests/traces`, and read the diff. Real
//! runs can't be repeated: if only their choices have changed, add the line `choices: follow-only`
//! to their header.

use sim::scheduler;
use std::path::{Path, PathBuf};
use striper_core::SchedulerKind;
use striper_core::trace::Trace;

/// The largest trace, in bytes: people read it.
const MOST: u64 = 256 << 10;

fn traces() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces");
    let entries = std::fs::read_dir(folder).expect("a folder of traces");
    let files = entries.map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> =
        files.filter(|file| file.extension().is_some_and(|end| end == "trace")).collect();
    files.sort();
    let read = |file: PathBuf| (file.clone(), std::fs::read_to_string(file).expect("a trace"));
    files.into_iter().map(read).collect()
}

fn each(check: impl Fn(&str, Trace) -> Result<(), String>) {
    let mut wrong = Vec::new();
    for (file, text) in traces() {
        let checked = Trace::read(&text)
            .map_err(|error| error.to_string())
            .and_then(|trace| check(&text, trace));
        if let Err(why) = checked {
            wrong.push(format!("{}: {why}", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn there_are_a_dozen_small_ones_with_a_story_each_and_from_both_worlds() {
    let all = traces();
    assert!(all.len() >= 12);
    for (file, text) in &all {
        assert!(text.len() as u64 <= MOST, "{} has {} bytes", file.display(), text.len());
        let trace = Trace::read(text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let has_story = text.starts_with("# ") && trace.story.len() > 100;
        assert!(has_story, "{} has no story", file.display());
        assert!(trace.inputs() > 10 && !trace.broken_off, "{}", file.display());
    }
    let simulated = all.iter().filter(|(_, text)| text.contains("\nscenario: ")).count();
    let real = all.len() - simulated;
    assert!(simulated >= 5 && real >= 5, "{simulated} are simulated and {real} are not");
}

#[test]
fn every_trace_replays_unless_stripes_are_chosen_differently_now() {
    each(|_, trace| match trace.header.follow_only {
        true => Ok(()),
        false => trace.replay().map(drop).map_err(|divergence| divergence.to_string()),
    });
}

#[test]
fn every_trace_follows_under_every_scheduler() {
    each(|_, mut trace| {
        for scheduler in scheduler::ALL {
            trace.header.config.scheduler = scheduler;
            trace.follow().map_err(|divergence| format!("{scheduler:?}: {divergence}"))?;
        }
        Ok(())
    });
}

#[test]
fn the_simulator_still_records_its_traces_alike() {
    each(|text, _| {
        let Some(today) = sim::renew(text)? else { return Ok(()) };
        let differs = text.lines().zip(today.lines()).position(|(old, new)| old != new);
        match differs {
            None if text == today => Ok(()),
            None => {
                Err("it is longer or shorter today; see: cargo run -p sim -- bless tests/traces"
                    .into())
            }
            Some(at) => Err(format!(
                "line {}: \"{}\" is \"{}\" today; see: cargo run -p sim -- bless tests/traces",
                at + 1,
                text.lines().nth(at).unwrap_or_default(),
                today.lines().nth(at).unwrap_or_default()
            )),
        }
    });
}

/// A scheduler as good as the one that made the trace, and not the same: only following fits.
#[test]
fn a_trace_of_another_scheduler_does_not_replay_and_says_where() {
    let mut traces = traces().into_iter();
    let found = traces.find(|(file, _)| file.ends_with("sim-round-robin.trace"));
    let (_, text) = found.expect("a trace");
    let mut trace = Trace::read(&text).expect("a trace");
    trace.header.config.scheduler = SchedulerKind::UntilCongested;
    let divergence = trace.replay().expect_err("other choices");
    let line = text.lines().nth(divergence.line - 1).expect("a line");
    assert_eq!(divergence.expected.as_deref(), Some(line.trim_start()), "{divergence}");
    assert!(trace.follow().is_ok());
}
