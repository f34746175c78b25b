//! What `sim swarm` and `sim run` do.

use super::options::{Run, Script, Swarm};
use super::{Scenario, Size, draw_sized, keep, record, script, shrink, sweep::sweep, terse};
use crate::failure::Failure;
use crate::record as recordings;
use crate::say::say;
use std::path::Path;
use std::process::ExitCode;

/// Scenarios that are tried to make a failing one smaller.
const SHRINK_BUDGET: usize = 4_000;

/// Runs a range of seeds and prints what came of it. Exit code 1 after a failure, 2 if `out` is no
/// folder.
pub fn swarm(Swarm { seeds, size, threads, json, shrink, out, .. }: Swarm) -> ExitCode {
    if out.exists() && !out.is_dir() {
        return complain(&format!("--out: {} is no folder; name a folder", out.display()));
    }
    let summary = sweep(seeds, size, threads);
    say(if json { summary.json() } else { summary.text() });
    if let Some((seed, failure)) = summary.failures.first() {
        eprint!("{}", if json { summary.failure_text() } else { String::new() });
        if shrink {
            let large = if size == Size::Large { "large-" } else { "" };
            keep_smallest(&out, &format!("swarm-{large}{seed}"), &draw_sized(*seed, size), failure);
        }
    }
    if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn keep_smallest(parent: &Path, name: &str, scenario: &Scenario, failure: &Failure) {
    eprintln!("making the first failure smaller; --no-shrink leaves that out");
    let (smallest, failure) = shrink(scenario, failure, SHRINK_BUDGET);
    let reason = failure.message.lines().next().unwrap_or_default();
    eprint!("# {reason}\n{}", terse::write(&smallest));
    match keep::keep(parent, name, &smallest, &failure) {
        Ok(text) => eprint!("{text}"),
        Err(error) => {
            eprintln!("sim: {error}; the script above is all there is (--out names another folder)")
        }
    }
}

/// Runs one scenario. Exit code 1 if it fails, 2 if there is none or if its traces can't be
/// written.
pub fn run(Run { script, trace, session, .. }: &Run) -> ExitCode {
    let (text, scenario) = match read(script) {
        Ok(read) => read,
        Err(error) => return complain(&error),
    };
    if trace.is_none() && session.is_none() {
        return tell(super::run(&scenario).map(|outcome| say(format_args!("{outcome:#?}\n"))));
    }
    if let Some(Err(error)) = trace.as_ref().map(|path| recordings::check(path)) {
        return complain(&format!("--trace: {error}"));
    }
    let (result, traces) = record(&scenario, keep::scenario_of(&text));
    if let Some(path) = trace {
        match recordings::write(path, &traces) {
            Ok(files) => files.iter().for_each(|file| eprintln!("recorded {}", file.display())),
            Err(error) => return complain(&format!("--trace: {error}")),
        }
    }
    let Some(session) = session else {
        return tell(result.map(|outcome| say(format_args!("{outcome:#?}\n"))));
    };
    match traces.iter().find(|trace| trace.name == *session) {
        Some(trace) => say(&trace.text),
        None => {
            let names: Vec<&str> = traces.iter().map(|trace| trace.name.as_str()).collect();
            return complain(&format!(
                "--session: there is no session \"{session}\" in it; there are {}",
                names.join(", ")
            ));
        }
    }
    tell(result.map(drop))
}

/// A script as it is written, and what it says.
fn read(script: &Script) -> Result<(String, Scenario), String> {
    match script {
        Script::Inline(text) => {
            let scenario = terse::parse_line(text).map_err(|error| format!("--script: {error}"))?;
            Ok((text.clone(), scenario))
        }
        Script::File(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("can't read {}: {error}", file.display()))?;
            let scenario =
                script::parse(&text).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok((text, scenario))
        }
    }
}

fn tell(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("failed: {}", failure.message);
            ExitCode::FAILURE
        }
    }
}

fn complain(error: &str) -> ExitCode {
    eprintln!("sim: {error}");
    ExitCode::from(2)
}
