//! What `sim swarm` and `sim run` do.

use super::{Failure, Scenario, draw_sized, script, shrink, sweep::sweep};
use crate::args::Swarm;
use std::path::Path;
use std::process::ExitCode;

/// Scenarios that are tried to make a failing one smaller.
const SHRINK_BUDGET: usize = 4_000;

/// Runs a range of seeds and prints what came of it. Exit code 1 after a failure.
pub fn swarm(Swarm { seeds, size, threads, json, shrink }: Swarm) -> ExitCode {
    let summary = sweep(seeds, size, threads);
    print!("{}", if json { summary.json() } else { summary.text() });
    if let Some((seed, failure)) = summary.failures.first() {
        eprint!("{}", if json { summary.failure_text() } else { String::new() });
        if shrink {
            show_smallest(&draw_sized(*seed, size), failure);
        }
    }
    if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn show_smallest(scenario: &Scenario, failure: &Failure) {
    eprintln!("making the first failure smaller; --no-shrink leaves that out");
    let (smallest, failure) = shrink(scenario, failure, SHRINK_BUDGET);
    eprintln!("save this as FILE and repeat it with: cargo run --release -p sim -- run FILE");
    eprintln!("# {}\n{}", failure.message.lines().next().unwrap_or_default(), script::write(&smallest));
}

/// Runs the scenario in a file. Exit code 1 if it fails, 2 if there is none.
pub fn run(file: &Path) -> ExitCode {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) => {
            eprintln!("sim: can't read {}: {error}", file.display());
            return ExitCode::from(2);
        }
    };
    let scenario = match script::parse(&text) {
        Ok(scenario) => scenario,
        Err(error) => {
            eprintln!("sim: {}: {error}", file.display());
            return ExitCode::from(2);
        }
    };
    match super::run(&scenario) {
        Ok(outcome) => {
            println!("{outcome:#?}");
            ExitCode::SUCCESS
        }
        Err(failure) => {
            eprintln!("failed: {}", failure.message);
            ExitCode::FAILURE
        }
    }
}
