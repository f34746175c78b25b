//! Equal stripes without trouble: all of them are used, one more never costs anything, and no flow starves.

use sim::app::{FlowPlan, Side};
use sim::report::Scenario;
use sim::world::{Setup, World};
use std::time::Duration;
use striper_core::SchedulerKind;

#[test]
fn equal_stripes_reach_the_oracle_and_one_more_never_costs() {
    for (cap, millis) in [(1_000_000, 10), (1_000_000, 80), (20_000_000, 1), (20_000_000, 40)] {
        let rtt = Duration::from_millis(millis);
        // The queue holds 100 ms: on longer routes one halving leaves a stripe idle, whoever sends. Half a minute on one stripe.
        let size = cap / 8 * 30;
        let scenario = Scenario { caps: vec![cap], rtt, size, ..Scenario::default() };
        let mut before = u64::MAX;
        for stripes in 1..=5 {
            let row = scenario.measure(stripes, SchedulerKind::Earliest);
            let time = row.time.expect("it ends");
            let repeat = scenario.command(stripes, SchedulerKind::Earliest);
            assert!(row.share() >= 0.95, "{:.3} of the oracle; {repeat}", row.share());
            assert!(
                time <= before.saturating_add(before / 50),
                "{time} µs, {before} with one less; {repeat}"
            );
            before = time;
        }
    }
}

#[test]
fn no_flow_starves_beside_a_bulk_flow() {
    let mut world = World::new(Setup::capped(1, &[5_000_000; 3], 20_000));
    let bulk = world.open(FlowPlan::upload(0, 20 << 20));
    let small: Vec<usize> =
        (0..40).map(|nth| world.open(FlowPlan::both_ways(2_000_000 + nth * 50_000, 3_000))).collect();
    world.run_until(10_000_000);
    assert!(world.flow(bulk).end(Side::Server).fin_at.is_none(), "the bulk flow is still there");
    for flow in small {
        let end = world.flow(flow).end(Side::Server);
        let took = end.fin_at.expect("it has come through") - world.flow(flow).plan.at;
        assert!(took < 500_000, "flow {flow} took {took} µs beside the bulk flow");
    }
}
