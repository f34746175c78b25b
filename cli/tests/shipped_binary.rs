//! The program as cargo builds it. This test also makes `cargo test --workspace` build it before
//! any test begins: the end-to-end tests of `striper-tests` run it.

use std::process::Command;

#[test]
fn the_program_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_striper-cli")).arg("--version").output().unwrap();
    let version = concat!("striper-cli ", env!("CARGO_PKG_VERSION"), "\n");
    assert!(output.status.success() && output.stdout.starts_with(version.as_bytes()), "{output:?}");
}
