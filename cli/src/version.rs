//! The origin of this program: its version, commit and features.

use crate::args;

/// The commit, if the build knew one: cli/build.rs says how.
pub(crate) const COMMIT: Option<&str> = option_env!("STRIPER_BUILD_COMMIT");

/// The features of cargo that the program was built with.
pub(crate) const FEATURES: &[&str] = if cfg!(feature = "top") { &["top"] } else { &[] };

/// The lines that `--version` prints. The first one is the version alone, for scripts.
pub(crate) fn text() -> String {
    let commit = COMMIT.unwrap_or("unknown");
    let features = if FEATURES.is_empty() { "none".to_owned() } else { FEATURES.join(", ") };
    format!(
        "striper-cli {}\nprotocol: version 1\ncommit: {commit}\nfeatures: {features}\n",
        args::VERSION
    )
}
