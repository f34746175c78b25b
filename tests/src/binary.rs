//! The program under test.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where `striper-cli` is, of the same profile as the running test and up to date.
pub fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| env::var_os("STRIPER_CLI").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    // TARGET/PROFILE/deps/TEST or TARGET/PROFILE/lab
    let test = env::current_exe().expect("a running test");
    let folder =
        test.ancestors().skip(1).find(|folder| !folder.ends_with("deps")).expect("a test in a target folder");
    let (Some(name), Some(target)) = (folder.file_name(), folder.parent()) else {
        panic!("{} is not in a target folder", test.display());
    };
    let profile = if name == "debug" { OsString::from("dev") } else { name.to_owned() };
    let status = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()))
        .args(["build", "--quiet", "--package", "striper-cli", "--bin", "striper-cli", "--profile"])
        .arg(profile)
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .expect("cargo");
    assert!(status.success(), "striper-cli could not be built");
    folder.join("striper-cli")
}
