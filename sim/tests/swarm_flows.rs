//! The counts of a swarm for flows that are not complete.

use sim::{
    Answer, Ending, FlowPlan,
    swarm::{Scenario, draw, run},
};

/// Whether a program breaks the flow off or refuses it.
fn is_broken(plan: &FlowPlan) -> bool {
    plan.reset.is_some()
        || matches!(plan.answer, Answer::Refuse(..))
        || plan.sends.iter().any(|half| half.end == Ending::Reset)
}

#[test]
fn each_flow_between_honest_sides_is_complete_broken_by_a_program_or_lost() {
    let (mut broken, mut lost) = (0, 0);
    for seed in 0..200 {
        let Scenario::Honest(honest) = draw(seed) else { continue };
        let outcome = run(&Scenario::Honest(honest.clone())).expect("a sound engine");
        let sum = outcome.complete + outcome.broken + outcome.lost;
        assert_eq!(sum, outcome.flows, "seed {seed}: {outcome:?}");
        let most = honest.flows.iter().filter(|plan| is_broken(plan)).count() as u64;
        assert!(outcome.broken <= most, "seed {seed}: {most} plans are broken off, {outcome:?}");
        broken += outcome.broken;
        lost += outcome.lost;
    }
    assert!(broken > 0 && lost > 0, "{broken} broken off, {lost} lost");
}
