//! The program under test.

use crate::process::{Finished, Process};
use std::env;
use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

/// The path of `striper-cli`, of the same profile as the running program and up to date.
///
/// `cargo test --workspace` builds it before any test begins, for the tests of its own package. A
/// run of a single test does not, so each process calls cargo once, unless `TESTED_STRIPER_CLI`
/// names the program. The program itself would warn of a name that begins with `STRIPER_`.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| env::var_os("TESTED_STRIPER_CLI").map_or_else(build, PathBuf::from))
}

/// Runs `striper-cli` to its end, with only these of its environment variables.
pub fn run(args: &[&str], variables: &[(&str, &str)]) -> Finished {
    Finished::of(striper(args).envs(variables.iter().copied()))
}

/// `striper-cli` without its environment variables.
pub(crate) fn striper(args: &[&str]) -> Command {
    let mut command = Command::new(path());
    for (name, _) in env::vars_os() {
        if name.to_string_lossy().starts_with("STRIPER_") {
            command.env_remove(name);
        }
    }
    command.args(args);
    command
}

/// Cargo takes less time to find that nothing has changed.
const AT_ONCE: Duration = Duration::from_secs(2);

/// A build from scratch takes less time on any machine that can run the tests.
const SLOW_BUILD: Duration = Duration::from_secs(30 * 60);

fn build() -> PathBuf {
    // TARGET/PROFILE/deps/TEST or TARGET/PROFILE/lab
    let test = env::current_exe().expect("a running test");
    let mut folders = test.ancestors().skip(1).filter(|folder| !folder.ends_with("deps"));
    let folder = folders.next().expect("a test in a target folder");
    let (Some(name), Some(target)) = (folder.file_name(), folder.parent()) else {
        panic!("{} is not in a target folder", test.display());
    };
    let profile = if name == "debug" { OsString::from("dev") } else { name.to_owned() };
    let mut command = cargo();
    command
        .args(["build", "--quiet", "--package", "striper-cli", "--bin", "striper-cli", "--profile"])
        .arg(profile)
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let mut cargo = Process::start(&mut command);
    let status = cargo.wait(AT_ONCE).or_else(|| {
        // Past the test harness, which hides what a test prints.
        let _ = std::io::stderr().write_all(b"building striper-cli for this test\n");
        cargo.wait(SLOW_BUILD)
    });
    assert!(status.is_some_and(|status| status.success()), "striper-cli could not be built");
    folder.join("striper-cli")
}

/// Cargo without the variables of the outer cargo that describe a package. `ring` is built again
/// whenever these change: here, and once more by the next outer cargo.
pub fn cargo() -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_MANIFEST_") || text.starts_with("CARGO_PKG_") {
            command.env_remove(name);
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inner_cargo_does_not_see_the_package_of_the_outer_one() {
        let command = cargo();
        let removed: Vec<_> = command.get_envs().filter(|(_, value)| value.is_none()).collect();
        for name in ["CARGO_MANIFEST_DIR", "CARGO_PKG_NAME"] {
            assert!(env::var_os(name).is_some(), "cargo describes the package of a test");
            let is_removed = removed.iter().any(|(removed, _)| *removed == name);
            assert!(is_removed, "{name} reaches the inner cargo");
        }
    }
}
