//! Commands that repeat a run, with the features of this program and the bug that is active in it.

use crate::search::bugs;

/// `cargo run -p sim -- WORDS`. A debug build if not `release`.
pub fn command(release: bool, words: &str) -> String {
    let release = if release { " --release" } else { "" };
    let features = if cfg!(feature = "buggify") { " --features buggify" } else { "" };
    let bug = bugs::active().map_or(String::new(), |bug| format!(" --bug {bug}"));
    format!("cargo run{release} -p sim{features} -- {words}{bug}")
}
