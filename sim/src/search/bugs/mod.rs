//! Bugs that are planted on purpose, so that the simulator can be asked whether it would find them.
//!
//! Each is a patch in `sim/bugs`. Its story on top has its mistake, the harm to a user, its origin,
//! and the number of faults that it takes to show. Nothing of them is in the engine.
//! [`build::program`] makes a copy of the sources, puts all bugs in, each behind a switch, and
//! builds the simulator there. A command with `--bug` goes on in that program.

pub mod build;
pub mod patch;

use patch::Bug;
use std::fs;
use std::process::{Command, ExitCode};
#[cfg(feature = "planted")]
use striper_core::planted as switch;
pub use switch::hits;

#[cfg(not(feature = "planted"))]
mod switch {
    pub fn activate(_place: usize) {}

    pub fn active() -> Option<usize> {
        None
    }

    pub fn hits() -> usize {
        0
    }
}

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bugs");

pub fn all() -> Result<Vec<Bug>, String> {
    let trouble = |error| format!("cannot read {FOLDER}: {error}");
    let mut bugs = Vec::new();
    for entry in fs::read_dir(FOLDER).map_err(trouble)? {
        let path = entry.map_err(trouble)?.path();
        if path.extension().is_some_and(|extension| extension == "patch") {
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            bugs.push(Bug::parse(&name, &fs::read_to_string(&path).map_err(trouble)?)?);
        }
    }
    bugs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(bugs)
}

fn active() -> Option<String> {
    let place = switch::active()?;
    all().ok()?.get(place).map(|bug| bug.name.clone())
}

/// Activates a bug in this process. If there are no bugs in this program, another program goes on
/// with it; then the result is that program's exit code.
pub fn activate(name: &str) -> Result<Option<ExitCode>, String> {
    let unknown = || format!("--bug: there is no bug \"{name}\"; selftest --list prints them");
    let place = all()?.iter().position(|bug| bug.name == name).ok_or_else(unknown)?;
    switch::activate(place);
    if cfg!(feature = "planted") {
        return Ok(None);
    }
    let program = build::program()?;
    let mut command = Command::new(&program);
    let status = command.args(std::env::args_os().skip(1)).status();
    let status = status.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1).into()))
}

/// A command that repeats a run with the features of this program and its active bug.
pub fn repeat(release: bool, words: &str) -> String {
    let release = if release { " --release" } else { "" };
    let features = if cfg!(feature = "buggify") { " --features buggify" } else { "" };
    let bug = active().map_or(String::new(), |bug| format!(" --bug {bug}"));
    format!("cargo run{release} -p sim{features} -- {words}{bug}")
}
