//! Bugs that are planted on purpose, so that the simulator can be asked whether it would find them.
//!
//! Each is a patch in `sim/bugs`. Its story on top has its mistake, the harm to a user, its origin,
//! and the number of faults that it takes to show. Nothing of them is in the engine.
//! [`build::program`] makes a copy of the sources, puts all bugs in, each behind a switch, and
//! builds the simulator there. A command with `--bug` goes on in that program.

pub mod build;
pub mod patch;
mod switch;

use patch::Bug;
use std::path::Path;
use std::process::{Command, ExitCode};

pub use switch::hits;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/bugs");

/// All bugs, by name. Fails if a patch can't be read, or is not written as it should be.
///
pub fn all() -> Result<Vec<Bug>, String> {
    patch::read(Path::new(FOLDER))
}

/// The bug that is active in this process.
pub fn active() -> Option<String> {
    let place = switch::active()?;
    all().ok()?.get(place).map(|bug| bug.name().to_owned())
}

/// Activates a bug in this process. If there are no bugs in this program, another program goes on
/// with it; then the result is that program's exit code. Fails if there is no such bug, or no
/// program with bugs could be built.
///
pub fn activate(name: &str) -> Result<Option<ExitCode>, String> {
    let unknown = || format!("--bug: there is no bug \"{name}\"; selftest --list prints them");
    let place = all()?.iter().position(|bug| bug.name() == name).ok_or_else(unknown)?;
    if switch::activate(place) {
        return Ok(None);
    }
    let program = build::program()?;
    let mut command = Command::new(&program);
    let status = command.args(std::env::args_os().skip(1)).status();
    let status = status.map_err(|error| format!("cannot run {}: {error}", program.display()))?;
    Ok(Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1).into()))
}
