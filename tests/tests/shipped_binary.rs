//! What is for simulation only is in no program that people run.

#[test]
fn the_engine_that_the_program_is_built_with_takes_no_rare_turns_and_has_no_planted_bugs() {
    // The program refuses to compile otherwise; this is the same build.
    assert!(!std::hint::black_box(striper_core::FOR_SIMULATION_ONLY));
}
