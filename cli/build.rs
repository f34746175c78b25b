//! Tells the program which commit it is built from.

use std::path::Path;
use std::process::Command;

/// The release script sets it. It also serves a build from an archive, which has no git.
const VARIABLE: &str = "STRIPER_BUILD_COMMIT";

fn main() {
    println!("cargo:rerun-if-env-changed={VARIABLE}");
    let given = std::env::var(VARIABLE).ok().filter(|commit| !commit.is_empty());
    if let Some(commit) = given.or_else(from_git) {
        println!("cargo:rustc-env={VARIABLE}={commit}");
    }
}

/// The commit of the work tree, if git knows this very project. Another commit means another run of
/// this script, but a changed file does not.
fn from_git() -> Option<String> {
    let head = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    let here = git(&["ls-files", "--error-unmatch", "build.rs"])?;
    // A missing file would make each build run this again.
    if here.is_empty() || !Path::new(&head).is_file() {
        return None;
    }
    println!("cargo:rerun-if-changed={head}");
    println!("cargo:rerun-if-changed=build.rs");
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(args: &[&str]) -> Option<String> {
    let output = Command::new("git").args(args).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
