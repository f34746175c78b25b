//! `top`: the stripes and flows of a running process, live.

mod canvas;
mod flows;
mod grid;
mod head;
mod history;
mod keys;
mod model;
mod samples;
mod screen;
mod stripes;
mod table;
mod terminal;
mod tone;
mod watch;
mod why;
mod words;

use crate::failure::Failure;
use std::path::Path;
use tone::Palette;

/// Shows the process with this control socket, or the only one, until the user has seen enough.
/// Returns the exit code.
pub(crate) fn run(socket: Option<&Path>, no_color: bool) -> Result<u8, Failure> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    terminal::check(set("TERM").as_deref().and_then(|term| term.to_str()))?;
    // As https://no-color.org has it: any value counts.
    let plain = no_color || set("NO_COLOR").is_some();
    watch::run(socket, if plain { Palette::Plain } else { Palette::Colours })
}

#[cfg(test)]
mod tests;
