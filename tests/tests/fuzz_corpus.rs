//! What the fuzz targets have found is replayed without libFuzzer: the corpus, and each input that
//! once failed (`past-*`). docs/fuzzing.md says where the files come from.

use cap::Cap;
use std::alloc::System;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use striper_tests::fuzz;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

/// The count of what is allocated is for the whole process: one target at a time.
static ALONE: Mutex<()> = Mutex::new(());

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
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let corpus = corpus(target);
    assert!(corpus.len() >= 8, "the corpus of {target} has {} files", corpus.len());
    for (path, data) in corpus {
        // An input and all its beginnings of a few lengths: what ends in the middle of something is
        // another story.
        for length in [data.len(), data.len() / 2, data.len() / 4] {
            let result =
                catch_unwind(AssertUnwindSafe(|| run(&data[..length], || ALLOCATOR.allocated())));
            assert!(
                result.is_ok(),
                "the first {length} bytes of {} fail; to see it again: tests/fuzz/run {target} \
                 FILE",
                path.display()
            );
        }
    }
}

#[test]
fn the_corpus_of_the_deframer_holds() {
    replay("deframer", fuzz::deframer);
}

#[test]
fn the_corpus_of_the_tls_handshake_holds() {
    replay("handshake", fuzz::handshake);
}

#[test]
fn the_corpus_of_a_peer_with_the_key_holds() {
    replay("keyed_session", fuzz::keyed_session);
}

#[test]
fn the_corpus_of_a_session_under_attack_holds() {
    replay("session_bytes", fuzz::session_bytes);
}

#[test]
fn the_corpus_of_two_honest_sessions_holds() {
    replay("session_ops", fuzz::session_ops);
}
