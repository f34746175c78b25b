//! Worlds drawn at random. `cargo run --release -p sim -- sweep --seeds A..B` runs as many as one likes.

#[test]
fn random_worlds_hold_all_invariants_and_complete() {
    print!("{}", sim::sweep::run(0..40));
}

#[test]
fn a_random_world_runs_the_same_way_twice() {
    for seed in 1_000..1_006 {
        assert_eq!(sim::sweep::world(seed), sim::sweep::world(seed));
    }
}
