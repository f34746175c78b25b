//! The rules of the house hold in every file of the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use striper_tests::tidy::{self, Crate, Fault, Source, repository};

/// The folders of crates with more than one file.
const CRATES: [&str; 7] = [
    "core/src",
    "runtime/src",
    "sim/src",
    "cli/src",
    "tests/src",
    "tests/src/bin/attack",
    "tests/src/bin/lab",
];

/// Rules that a file or folder does not keep yet. Each must still be broken, so that the list only
/// gets shorter.
const PENDING: &[(&str, &str)] = &[];

fn check(rule: &str, faults: &[Fault]) {
    assert!(faults.iter().all(|fault| fault.rule == rule));
    let is_pending = |path: &str| PENDING.contains(&(rule, path));
    let found: Vec<String> =
        faults.iter().filter(|fault| !is_pending(&fault.path)).map(Fault::to_string).collect();
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
    let broken: BTreeSet<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    for (_, path) in PENDING.iter().filter(|(pending, _)| *pending == rule) {
        assert!(broken.contains(path), "{path} keeps the rule now: remove it from PENDING");
    }
}

fn crates(sources: &[Source]) -> Vec<Crate<'_>> {
    CRATES.iter().map(|folder| Crate::new(folder, sources)).collect()
}

#[test]
fn files_import_only_downwards_and_the_table_of_layers_names_each_once() {
    let sources = repository();
    for (name, heading, folder) in [
        ("ARCHITECTURE.md", "### core", "core/src"),
        ("docs/simulator.md", "## Where things are", "sim/src"),
    ] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
        let text = fs::read_to_string(path).expect("a document");
        check("layers", &tidy::layers((name, &text), heading, &Crate::new(folder, &sources)));
    }
}

#[test]
fn no_modules_of_a_crate_import_each_other_in_a_circle() {
    let sources = repository();
    let faults: Vec<Fault> = crates(&sources).iter().flat_map(tidy::circles).collect();
    check("circles", &faults);
}

#[test]
fn functions_have_at_most_70_lines() {
    check("functions", &tidy::functions(&repository()));
}

#[test]
fn files_have_at_most_500_lines_without_their_tests() {
    let sources = repository();
    check("files", &tidy::files(&sources, &crates(&sources)));
}

#[test]
fn lines_have_at_most_100_columns() {
    check("columns", &tidy::columns(&repository()));
}

#[test]
fn a_lint_that_is_switched_off_has_a_reason() {
    check("reasons", &tidy::reasons(&repository()));
}

#[test]
fn no_comment_is_empty() {
    check("comments", &tidy::comments(&repository()));
}

#[test]
fn what_is_pending_is_in_order_and_names_rules() {
    assert!(PENDING.is_sorted());
    let rules = ["circles", "columns", "comments", "files", "functions", "layers", "reasons"];
    assert!(PENDING.iter().all(|(rule, _)| rules.contains(rule)));
}
