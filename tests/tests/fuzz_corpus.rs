//! Replays the findings of the fuzz targets without libFuzzer: the corpus, and each input that once
//! failed (`past-*`). The file docs/fuzzing.md describes their origin.

use cap::Cap;
use std::alloc::System;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use striper_tests::fuzz;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

fn corpus(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let entries =
        fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    let read = |path: PathBuf| {
        let data = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path, data)
    };
    paths.into_iter().map(read).collect()
}

fn replay(target: &str, run: fn(&[u8], fn() -> usize)) {
    let corpus = corpus(target);
    assert!(corpus.len() >= 8, "the corpus of {target} has {} files", corpus.len());
    for (path, data) in corpus {
        // An input that ends early is another input.
        for length in [data.len(), data.len() / 2, data.len() / 4] {
            let run = AssertUnwindSafe(|| run(&data[..length], || ALLOCATOR.allocated()));
            if catch_unwind(run).is_err() {
                let path = path.display();
                panic!("the first {length} bytes of {path} fail: tests/fuzz/run {target} FILE");
            }
        }
    }
}

/// One after another: the count of allocated bytes is for the whole process.
#[test]
fn the_corpus_of_each_target_holds() {
    replay("deframer", fuzz::deframer);
    replay("handshake", fuzz::handshake);
    replay("keyed_session", fuzz::keyed_session);
    replay("session_bytes", fuzz::session_bytes);
    replay("session_ops", fuzz::session_ops);
    replay("ways", fuzz::ways);
}
