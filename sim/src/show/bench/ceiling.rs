//! The ceiling for any scheduler: the share of the oracle that modelled TCP leaves. Each stripe
//! carries all that it can, for itself.
//!
//! The fluid oracle knows neither slow start nor losses nor TCP's timeouts. Here each stripe is run
//! alone, with its own trouble, as fast as it goes. The transfer ends when all together have
//! delivered its size, as if the right stripe of each byte had been known. The difference to a
//! scheduler's share is the cost of the scheduler.
//!
//! It is no bound: several stripes together may meet TCP's losses at other moments than each of
//! them alone.

use super::measure::{Case, Outcome, pace, setup, trouble, warm};
use super::mixes::{Drawn, Load, MAX_CREDIT, Mix, PIECE, WARMING};
use crate::base::{Rate, Side};
use crate::net::{FlowPlan, fluid_time, paced_delays};
use crate::run::World;
use std::cell::RefCell;
use striper_core::SchedulerKind;

/// A paced load does not fill the stripes, so its outcome is the fluid oracle's.
pub(super) fn ceiling(mix: &Mix, seed: u64) -> Outcome {
    let drawn = mix.draw(seed);
    let size = match mix.load {
        Load::Upload(size) | Load::Object(size) | Load::BothWays(size, _) => size,
        Load::Paced(span) => {
            let (rate, size) = pace(&drawn.pipes, span);
            let mut delays =
                paced_delays(&drawn.pipes, PIECE, rate, size / PIECE).expect("pipes that return");
            delays.sort_unstable();
            return Outcome { size, delays, ..Outcome::default() };
        }
    };
    let ideal = fluid_time(&drawn.pipes, size).expect("pipes that return");
    let mut deliveries = Vec::new();
    for stripe in 0..drawn.links.len() {
        deliveries.extend(alone(mix, &drawn, stripe, seed, size, 4 * ideal));
    }
    Outcome { time: reached(deliveries, size), ideal, size, ..Outcome::default() }
}

/// The bytes that came over one stripe: pairs of time (microseconds) and count, up to a time.
fn alone(
    mix: &Mix,
    drawn: &Drawn,
    stripe: usize,
    seed: u64,
    size: u64,
    until: u64,
) -> Vec<(u64, u64)> {
    let only = drawn.only(stripe);
    let case = Case { scheduler: SchedulerKind::RoundRobin, credit: MAX_CREDIT, seed };
    let mut world = World::new(setup(&only, case, mix.name));
    let mut ready = world.warm_up(60_000_000);
    if let Load::Object(_) = mix.load {
        let all: Rate = drawn.links.iter().map(|link| link.rate).sum();
        let share = WARMING * only.links[0].rate.as_bits() / all.as_bits();
        ready &= warm(&mut world, share, 60_000_000);
    }
    let start = world.now();
    let flow = world.open(FlowPlan::upload(start, size));
    trouble(&mut world, start, &only);
    let log = RefCell::new((0, Vec::new()));
    let note = |world: &World| {
        let delivered = world.flow(flow).end(Side::Server).delivered;
        let (last, log) = &mut *log.borrow_mut();
        if delivered > *last {
            log.push((world.now() - start, delivered - *last));
            *last = delivered;
        }
        delivered < size
    };
    if ready {
        world.run_while(start + until, note);
    }
    log.into_inner().1
}

fn reached(mut deliveries: Vec<(u64, u64)>, size: u64) -> Option<u64> {
    deliveries.sort_unstable();
    let mut sum = 0;
    deliveries.into_iter().find_map(|(at, bytes)| {
        sum += bytes;
        (sum >= size).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::super::mixes::MIXES;
    use super::*;

    #[test]
    fn deliveries_of_all_stripes_add_up() {
        let deliveries = vec![(10, 5), (30, 5), (5, 2), (20, 2), (40, 2)];
        for (size, at) in [(7, Some(10)), (14, Some(30)), (17, None)] {
            assert_eq!(reached(deliveries.clone(), size), at);
        }
    }

    #[test]
    fn tcp_alone_is_near_the_oracle_where_nothing_happens_and_never_beyond() {
        for mix in MIXES.iter().filter(|mix| ["E1", "objects-512K"].contains(&mix.name)) {
            let share = ceiling(mix, 4).share();
            assert!((700..=1_000).contains(&share), "{}: {share}", mix.name);
        }
    }
}
