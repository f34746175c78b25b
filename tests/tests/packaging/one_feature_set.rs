//! Each way to build the workspace uses every dependency with the same features. Otherwise cargo
//! compiles the dependency, and all that depends on it, once more: `cargo run -p sim` after `cargo
//! test` then takes minutes instead of seconds.

use std::collections::BTreeSet;
use striper_tests::{Finished, binary};

/// The packages that a build compiles, with their versions and features.
fn packages(selection: &[&str]) -> BTreeSet<String> {
    let mut tree = binary::cargo();
    tree.args(["tree", "--offline", "--locked", "--edges", "normal,build", "--prefix", "none"])
        .args(["--format", "{p} {f}"])
        .args(selection)
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    let text = Finished::of(&mut tree).success();
    // A package that was shown before is marked with a star. Our own packages have a path: they are
    // compiled with and without the parts for simulators.
    let others = text.lines().filter(|line| !line.contains(" (/"));
    others.map(|line| line.trim_end_matches(" (*)").to_owned()).collect()
}

#[test]
fn each_program_is_built_with_the_features_of_the_whole_workspace() {
    let workspace = packages(&["--workspace"]);
    assert!(workspace.iter().any(|package| package.starts_with("rustls v")), "{workspace:?}");
    for package in ["striper-cli", "striper-runtime", "sim", "striper-tests"] {
        let alone = packages(&["--package", package]);
        let other: Vec<&String> = alone.difference(&workspace).collect();
        assert!(
            other.is_empty(),
            "-p {package} has other features than --workspace: {other:?}; declare them in the \
             workspace's Cargo.toml"
        );
    }
}

#[test]
fn a_build_without_default_features_has_no_more_packages_and_none_that_draw() {
    let workspace = packages(&["--workspace"]);
    let small = packages(&["--package", "striper-cli", "--no-default-features"]);
    // Fewer packages ask for fewer features of those below them.
    let names = |packages: &BTreeSet<String>| -> BTreeSet<String> {
        packages.iter().map(|it| it.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect()
    };
    let (of_workspace, of_small) = (names(&workspace), names(&small));
    let other: Vec<&String> = of_small.difference(&of_workspace).collect();
    assert!(other.is_empty(), "a small build has packages that --workspace lacks: {other:?}");
    let draws = |packages: &BTreeSet<String>| {
        packages.iter().any(|package| package.starts_with("ratatui") || package.contains("termion"))
    };
    assert!(draws(&workspace) && !draws(&small), "{small:?}");
}
