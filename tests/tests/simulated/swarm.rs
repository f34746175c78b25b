//! Small worlds drawn at random, and those that once failed.
//! `cargo run --release -p sim -- swarm --seeds A..B` runs as many as one likes.

use sim::{
    swarm::sweep::sweep,
    swarm::{self, Size, draw, script},
};
use std::path::Path;

#[test]
fn random_worlds_hold_all_invariants_and_complete() {
    let summary = sweep(0..600, Size::Small, 2);
    print!("{}", summary.text());
    assert!(summary.failures.is_empty(), "{}", summary.failure_text());
}

#[test]
fn large_random_worlds_hold_all_invariants_and_complete() {
    let summary = sweep(0..4, Size::Large, 2);
    assert!(summary.failures.is_empty(), "{}", summary.failure_text());
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let [one, three] = [1, 3].map(|threads| sweep(1_000..1_200, Size::Small, threads));
    assert_eq!((one.sum, &one.distribution), (three.sum, &three.distribution));
    assert_eq!(one.pairs, three.pairs);
}

#[test]
fn a_scenario_read_back_from_text_runs_the_same_way() {
    for seed in 2_000..2_040 {
        let scenario = draw(seed);
        let again = script::parse(&script::write(&scenario)).expect("what was written can be read");
        assert_eq!(swarm::run(&scenario), swarm::run(&again), "seed {seed}");
    }
}

/// Each of these made a session or the simulator fail once; its first lines tell the story.
#[test]
fn scenarios_that_once_failed_hold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of scenarios") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|extension| extension == "scenario") {
            let text = std::fs::read_to_string(&path).expect("text");
            assert!(text.starts_with("# "), "{} tells no story", path.display());
            let scenario =
                script::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            let result = swarm::run(&scenario);
            assert!(result.is_ok(), "{}: {result:?}", path.display());
            count += 1;
        }
    }
    assert!(count > 0, "no scenarios");
}
