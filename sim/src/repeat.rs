//! Commands that repeat what this program does: built as it is, with the bug that is active in it.

/// `cargo run -p sim -- WORDS`, with what the program was built with. A debug build if not
/// `release`.
pub fn command(release: bool, words: &str) -> String {
    let release = if release { " --release" } else { "" };
    let mut features = Vec::new();
    if cfg!(feature = "buggify") {
        features.push("buggify");
    }
    let bug = active_bug().map_or(String::new(), |bug| {
        features.push("planted");
        format!(" --bug {bug}")
    });
    let features = if features.is_empty() {
        String::new()
    } else {
        format!(" --features {}", features.join(","))
    };
    format!("cargo run{release} -p sim{features} -- {words}{bug}")
}

/// The planted bug that is active in this process.
pub fn active_bug() -> Option<&'static str> {
    #[cfg(feature = "planted")]
    return striper_core::planted::active().map(striper_core::planted::Bug::name);
    #[cfg(not(feature = "planted"))]
    None
}

/// Activates a planted bug for the whole process; with `None` nothing changes. The error says what
/// was wrong and what to do.
pub fn plant(bug: Option<&str>) -> Result<(), String> {
    let Some(name) = bug else { return Ok(()) };
    #[cfg(feature = "planted")]
    {
        use striper_core::planted::{Bug, activate};
        let bug = Bug::from_name(name);
        activate(Some(bug.ok_or_else(|| {
            format!("--bug: there is no bug \"{name}\"; selftest --list prints them")
        })?));
        Ok(())
    }
    #[cfg(not(feature = "planted"))]
    Err(format!(
        "--bug {name}: no bugs are planted in this program; build it with --features planted"
    ))
}
