//! Tests that cannot run here are skipped, and the test command ends with a list of them.
//!
//! The test harness hides the output of a test that passes. So [`skip`] writes to standard error
//! past the harness, and leaves a record. The target `what_was_skipped` prints all records. It runs
//! last, because its name sorts last among the tests of the last package. Documentation tests would
//! run after it, so no package has any: examples are files in `examples/`, and tests run them.

use std::fmt::Display;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, thread};

/// Reports that the running test cannot do its work here, with the reason.
pub fn skip(reason: impl Display) {
    let line = format!("{}: {reason}\n", name());
    let _ = std::io::stderr().write_all(format!("skipped {line}").as_bytes());
    note(&record(), &line);
}

/// Takes the records of all tests that this test command has skipped so far, sorted and without
/// repetitions. Records of other commands, which ended early, go too.
pub fn take() -> Vec<String> {
    let file = record();
    let lines = take_from(&file);
    let _ = fs::remove_dir_all(file.parent().expect("a file in a folder"));
    lines
}

fn note(file: &Path, line: &str) {
    fs::create_dir_all(file.parent().expect("a file in a folder"))
        .expect("a folder for the records");
    let mut file =
        fs::File::options().append(true).create(true).open(file).expect("the file of the records");
    file.write_all(line.as_bytes()).expect("room for a record");
}

fn take_from(file: &Path) -> Vec<String> {
    let Ok(text) = fs::read_to_string(file) else { return Vec::new() };
    let _ = fs::remove_file(file);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines.dedup();
    lines
}

/// The executable and the test, as `described::real_programs::rsync_copies_a_tree`.
fn name() -> String {
    let path = env::current_exe().expect("a running test");
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    // Cargo appends a hash.
    let executable = file.rsplit_once('-').map_or(&*file, |(name, _)| name);
    match thread::current().name() {
        Some(test) => format!("{executable}::{test}"),
        None => executable.to_owned(),
    }
}

/// One file in the target folder for each process group: cargo and all tests that it starts are in
/// the same one.
fn record() -> PathBuf {
    let path = env::current_exe().expect("a running test");
    let folder = path.parent().expect("a program in a folder");
    let group = rustix::process::getpgrp().as_raw_nonzero();
    folder.join("skipped-tests").join(format!("{group}.txt"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TempDir;

    #[test]
    fn each_record_is_taken_once() {
        let folder = TempDir::create();
        let file = folder.join("records/7.txt");
        for line in ["b: no IPv6\n", "a: not root\n", "b: no IPv6\n"] {
            note(&file, line);
        }
        assert_eq!(take_from(&file), ["a: not root", "b: no IPv6"]);
        assert_eq!(take_from(&file), [""; 0]);
    }

    #[test]
    fn a_record_names_the_executable_and_the_test() {
        let test = "skipped::tests::a_record_names_the_executable_and_the_test";
        assert_eq!(name(), format!("striper_tests::{test}"));
    }
}
