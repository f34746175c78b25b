//! The house rules hold in every file of the repository.

use std::fs;
use std::path::Path;
use striper_tests::tidy::{self, Crate, Fault, Source, documents, repository};

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

#[track_caller]
fn check(faults: &[Fault]) {
    let found: Vec<String> = faults.iter().map(Fault::to_string).collect();
    assert!(found.is_empty(), "{} faults:\n{}", found.len(), found.join("\n"));
}

fn document(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    fs::read_to_string(path).expect("a document")
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
        check(&tidy::layers((name, &document(name)), heading, &Crate::new(folder, &sources)));
    }
}

#[test]
fn no_modules_of_a_crate_import_each_other_in_a_circle() {
    let sources = repository();
    let faults: Vec<Fault> = crates(&sources).iter().flat_map(tidy::circles).collect();
    check(&faults);
}

/// Lengths of functions and lines, comments, examples, and reasons of lints that are switched off.
#[test]
fn each_file_keeps_the_rules() {
    check(&tidy::rules(&repository()));
}

#[test]
fn documents_wrap_at_100_columns_outside_tables_and_code() {
    check(&tidy::document_columns(&documents()));
}

#[test]
fn sentences_have_a_subject_and_at_most_32_words() {
    check(&tidy::sentences(&[documents(), repository()].concat()));
}

#[test]
fn files_have_at_most_500_lines_without_their_tests() {
    let sources = repository();
    check(&tidy::files(&sources, &crates(&sources)));
}

#[test]
fn each_test_in_the_threat_table_exists() {
    let name = "SECURITY.md";
    check(&tidy::named_tests((name, &document(name)), &repository()));
}
