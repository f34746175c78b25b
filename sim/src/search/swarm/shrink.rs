//! Makes a failing scenario smaller as long as it fails for the same reason: fewer moves, faults,
//! flows and routes first, then smaller sizes and plainer links and settings.

use super::{Honest, Scenario, run};
use crate::base::failure::Failure;
use crate::base::rate::Rate;
use crate::net::app::{Answer, Ending, ReadPlan, SendPlan, Start};
use crate::net::link::LinkSpec;
use std::time::Duration;
use striper_core::Config;

/// A smaller scenario that fails as this one does, and how. Tries at most `budget` scenarios.
pub fn shrink(scenario: &Scenario, failure: &Failure, budget: usize) -> (Scenario, Failure) {
    let mut best = (scenario.clone(), failure.clone());
    let signature = failure.signature();
    let mut left = budget;
    loop {
        let mut smaller = None;
        for candidate in candidates(&best.0) {
            if left == 0 {
                break;
            }
            left -= 1;
            match run(&candidate) {
                Err(failure) if failure.signature() == signature => {
                    smaller = Some((candidate, failure));
                    break;
                }
                _ => {}
            }
        }
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

/// Scenarios that are a bit smaller, the much smaller ones first.
fn candidates(scenario: &Scenario) -> Box<dyn Iterator<Item = Scenario> + '_> {
    match scenario {
        Scenario::Hostile(hostile) => Box::new(thinned(&hostile.moves).map(move |moves| {
            let mut smaller = hostile.clone();
            smaller.moves = moves;
            Scenario::Hostile(smaller)
        })),
        Scenario::Honest(honest) => Box::new(
            fewer(honest)
                .chain(plainer(honest))
                .filter(move |other| other != honest)
                .map(Scenario::Honest),
        ),
    }
}

/// A list without a part of it: a half, a quarter, and so on down to single items.
fn thinned<T: Clone>(list: &[T]) -> impl Iterator<Item = Vec<T>> + '_ {
    let sizes = std::iter::successors(Some(list.len().div_ceil(2)), |size| {
        (*size > 1).then(|| size.div_ceil(2))
    });
    sizes.filter(|size| *size > 0).flat_map(move |size| {
        (0..list.len()).step_by(size).map(move |from| {
            let to = (from + size).min(list.len());
            list[..from].iter().chain(&list[to..]).cloned().collect()
        })
    })
}

fn fewer(honest: &Honest) -> impl Iterator<Item = Honest> + '_ {
    let flows = thinned(&honest.flows)
        .filter(|flows| !flows.is_empty())
        .map(|flows| Honest { flows, ..honest.clone() });
    let faults = thinned(&honest.faults).map(|faults| Honest { faults, ..honest.clone() });
    let process_faults = thinned(&honest.process_faults)
        .map(|process_faults| Honest { process_faults, ..honest.clone() });
    let routes = (0..honest.routes.len())
        .filter(|_| honest.routes.len() > 1)
        .map(|route| without(honest, route));
    flows.chain(faults).chain(process_faults).chain(routes)
}

/// One route, and one stripe, less.
fn without(honest: &Honest, route: usize) -> Honest {
    let mut smaller = honest.clone();
    smaller.routes.remove(route);
    smaller.faults.retain(|fault| fault.1 != route);
    smaller.faults.iter_mut().filter(|fault| fault.1 > route).for_each(|fault| fault.1 -= 1);
    smaller
        .config
        .iter_mut()
        .for_each(|config| config.stripes = config.stripes.min(smaller.routes.len()));
    smaller
}

type Change = Box<dyn Fn(&mut Honest)>;

fn plainer(honest: &Honest) -> impl Iterator<Item = Honest> + '_ {
    let mut changes: Vec<Change> = Vec::new();
    for side in 0..2 {
        changes.push(Box::new(move |it| {
            it.config[side] = Config { stripes: it.config[side].stripes, ..Config::default() }
        }));
        changes.push(Box::new(move |it| {
            it.config[side].window_limit = Config::default().window_limit
        }));
        changes.push(Box::new(move |it| {
            it.config[side].memory_limit = Config::default().memory_limit
        }));
        changes.push(Box::new(move |it| it.config[side].max_flows = Config::default().max_flows));
        changes.push(Box::new(move |it| {
            it.config[side].opens_per_second = Config::default().opens_per_second
        }));
        changes.push(Box::new(move |it| it.config[side].scheduler = Config::default().scheduler));
        changes.push(Box::new(move |it| it.config[side].heartbeat = Config::default().heartbeat));
        changes
            .push(Box::new(move |it| it.config[side].stall_limit = Config::default().stall_limit));
        changes.push(Box::new(move |it| {
            it.config[side].resume_limit = Config::default().resume_limit
        }));
    }
    for route in 0..honest.routes.len() {
        changes.push(Box::new(move |it| {
            it.routes[route] = LinkSpec::both_ways(Rate::mbit(10), Duration::from_millis(10))
        }));
        for way in 0..2 {
            changes.push(Box::new(move |it| {
                let LinkSpec { rate, delay, .. } = it.routes[route][way];
                it.routes[route][way] = LinkSpec::new(rate, delay);
            }));
            changes.push(Box::new(move |it| it.routes[route][way].loss = 0));
            changes.push(Box::new(move |it| it.routes[route][way].jitter = Duration::ZERO));
            changes.push(Box::new(move |it| it.routes[route][way].coalesce = Duration::ZERO));
            changes.push(Box::new(move |it| it.routes[route][way].low_water = None));
            changes.push(Box::new(move |it| it.routes[route][way].choppy = false));
            changes.push(Box::new(move |it| it.routes[route][way].bytewise = false));
        }
    }
    for flow in 0..honest.flows.len() {
        changes.push(Box::new(move |it| it.flows[flow].reset = None));
        changes.push(Box::new(move |it| it.flows[flow].answer = Answer::Accept(Duration::ZERO)));
        changes.push(Box::new(move |it| it.flows[flow].at /= 2));
        for side in 0..2 {
            changes.push(Box::new(move |it| it.flows[flow].sends[side] = SendPlan::of(0)));
            changes.push(Box::new(move |it| it.flows[flow].reads[side] = ReadPlan::default()));
            changes.push(Box::new(move |it| it.flows[flow].sends[side].bytes /= 2));
            changes.push(Box::new(move |it| it.flows[flow].sends[side].rate = None));
            changes.push(Box::new(move |it| it.flows[flow].sends[side].piece = 64 << 10));
            changes.push(Box::new(move |it| it.flows[flow].sends[side].start = Start::AtOnce));
            changes.push(Box::new(move |it| it.flows[flow].sends[side].end = Ending::Finish));
        }
    }
    changes.into_iter().map(|change| {
        let mut smaller = honest.clone();
        change(&mut smaller);
        smaller
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thinning_tries_halves_first_and_single_items_last() {
        let all: Vec<Vec<u8>> = thinned(&[1, 2, 3, 4]).collect();
        assert_eq!(all[..2], [vec![3, 4], vec![1, 2]]);
        assert_eq!(all[2..], [vec![2, 3, 4], vec![1, 3, 4], vec![1, 2, 4], vec![1, 2, 3]]);
        assert_eq!(thinned::<u8>(&[]).count(), 0);
    }
}
