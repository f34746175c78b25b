//! Equal stripes without trouble: all of them are used, one more never costs anything, and no flow
//! starves beside another.
//!
//! These checks are about speed, in virtual time. The swarm checks that nothing is lost.

use crate::base::{Rate, Side};
use crate::net::FlowPlan;
use crate::run::{Path, Setup, Transfer, World};
use std::time::Duration;
use striper_core::SchedulerKind;

pub const ROUTES: [(Rate, Duration); 4] = [
    (Rate::mbit(1), Duration::from_millis(10)),
    (Rate::mbit(1), Duration::from_millis(80)),
    (Rate::mbit(20), Duration::from_millis(1)),
    (Rate::mbit(20), Duration::from_millis(40)),
];

/// Over one to five stripes goodput is at least 0.95 of the oracle; no stripe costs more than 2 %.
pub fn check_goodput((cap, rtt): (Rate, Duration)) {
    // A minute on one stripe. Linux takes up to 64 KiB for a stripe. That is half a second of the
    // slowest one here, in which the others may be idle at the end.
    let size = cap.as_bytes() * 60;
    let path = Path { rtt, ..Path::default() };
    let transfer = Transfer { caps: vec![cap], path, size, ..Transfer::default() };
    let mut before = Duration::MAX;
    for stripes in 1..=5 {
        let row = transfer.measure(stripes, SchedulerKind::Earliest);
        let repeat = transfer.command(stripes, SchedulerKind::Earliest);
        let Some(time) = row.time else { panic!("it never ends; {repeat}") };
        assert!(row.share() >= 0.95, "{:.3} of the oracle; {repeat}", row.share());
        assert!(
            time <= before.saturating_add(before / 50),
            "{time:?}, {before:?} with one less; {repeat}"
        );
        before = time;
    }
}

/// Small flows take at most half a second, and no bulk flow gets more than twice another's share.
pub fn check_fairness() {
    let mut world = World::new(Setup::capped(1, &[Rate::mbit(5); 3], Duration::from_millis(20)));
    let bulk = [20, 20].map(|mib| world.open(FlowPlan::upload(0, mib << 20)));
    let small: Vec<usize> = (0..40)
        .map(|nth| world.open(FlowPlan::both_ways(2_000_000 + nth * 50_000, 3_000)))
        .collect();
    world.run_until(10_000_000);
    let got = bulk.map(|flow| world.flow(flow).end(Side::Server).delivered);
    assert!(
        bulk.iter().all(|flow| world.flow(*flow).end(Side::Server).fin_at.is_none()),
        "both are still there"
    );
    assert!(got[0] <= 2 * got[1] && got[1] <= 2 * got[0], "two equal flows got {got:?}");
    for flow in small {
        let end = world.flow(flow).end(Side::Server);
        let Some(fin_at) = end.fin_at else { panic!("flow {flow} starves beside two bulk flows") };
        let took = fin_at - world.flow(flow).plan.at;
        assert!(took < 500_000, "flow {flow} took {took} µs beside two bulk flows");
    }
}
