//! Makes a failing scenario smaller as long as it fails for the same reason. First come fewer
//! moves, faults, flows and routes, then smaller sizes and plainer links and settings.

use super::{Honest, Hostile, Scenario, run};
use crate::base::{Failure, Rate};
use crate::net::{Answer, Control, Ending, FlowPlan, LinkSpec, ReadPlan, SendPlan, Start};
use std::time::Duration;
use striper_core::Config;

/// A smaller scenario that fails alike, and its failure. Tries at most `budget` scenarios.
pub fn shrink(scenario: &Scenario, failure: &Failure, budget: usize) -> (Scenario, Failure) {
    let mut best = (scenario.clone(), failure.clone());
    let signature = failure.signature();
    let mut left = budget;
    loop {
        let smaller = candidates(&best.0).take(left).find_map(|candidate| {
            left -= 1;
            let failure = run(&candidate).err()?;
            (failure.signature() == signature).then_some((candidate, failure))
        });
        match smaller {
            Some(smaller) => best = smaller,
            None => return best,
        }
    }
}

/// Scenarios that are a bit smaller, the much smaller ones first.
fn candidates(scenario: &Scenario) -> Box<dyn Iterator<Item = Scenario> + '_> {
    match scenario {
        Scenario::Hostile(hostile) => Box::new(
            thinned(&hostile.moves)
                .map(move |moves| Scenario::Hostile(Hostile { moves, ..hostile.clone() })),
        ),
        Scenario::Honest(honest) => {
            let smaller = fewer(honest).chain(plainer(honest));
            Box::new(smaller.filter(move |other| other != honest).map(Scenario::Honest))
        }
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
    let routes = smaller.routes.len();
    smaller.config.iter_mut().for_each(|config| config.stripes = config.stripes.min(routes));
    smaller
}

type Change = Box<dyn Fn(&mut Honest)>;

const SETTINGS: [fn(&mut Config, Config); 9] = [
    |it, usual| *it = Config { stripes: it.stripes, ..usual },
    |it, usual| it.window_limit = usual.window_limit,
    |it, usual| it.memory_limit = usual.memory_limit,
    |it, usual| it.max_flows = usual.max_flows,
    |it, usual| it.opens_per_second = usual.opens_per_second,
    |it, usual| it.scheduler = usual.scheduler,
    |it, usual| it.heartbeat = usual.heartbeat,
    |it, usual| it.stall_limit = usual.stall_limit,
    |it, usual| it.resume_limit = usual.resume_limit,
];

const LINK: [fn(&mut LinkSpec); 8] = [
    |it| *it = LinkSpec::new(it.rate, it.delay),
    |it| it.loss = 0,
    |it| it.congestion = Control::Cubic,
    |it| it.jitter = Duration::ZERO,
    |it| it.coalesce = Duration::ZERO,
    |it| it.low_water = None,
    |it| it.choppy = false,
    |it| it.bytewise = false,
];

const FLOW: [fn(&mut FlowPlan); 3] =
    [|it| it.reset = None, |it| it.answer = Answer::Accept(Duration::ZERO), |it| it.at /= 2];

const PROGRAM: [fn(&mut SendPlan, &mut ReadPlan); 7] = [
    |it, _| *it = SendPlan::of(0),
    |_, it| *it = ReadPlan::default(),
    |it, _| it.bytes /= 2,
    |it, _| it.rate = None,
    |it, _| it.piece = 64 << 10,
    |it, _| it.start = Start::AtOnce,
    |it, _| it.end = Ending::Finish,
];

fn plainer(honest: &Honest) -> impl Iterator<Item = Honest> + '_ {
    let mut changes: Vec<Change> = Vec::new();
    for side in 0..2 {
        for set in SETTINGS {
            changes.push(Box::new(move |it| set(&mut it.config[side], Config::default())));
        }
    }
    for route in 0..honest.routes.len() {
        changes.push(Box::new(move |it| {
            it.routes[route] = LinkSpec::both_ways(Rate::mbit(10), Duration::from_millis(10))
        }));
        for way in 0..2 {
            for set in LINK {
                changes.push(Box::new(move |it| set(&mut it.routes[route][way])));
            }
        }
    }
    for flow in 0..honest.flows.len() {
        for set in FLOW {
            changes.push(Box::new(move |it| set(&mut it.flows[flow])));
        }
        for side in 0..2 {
            for set in PROGRAM {
                changes.push(Box::new(move |it| {
                    let FlowPlan { sends, reads, .. } = &mut it.flows[flow];
                    set(&mut sends[side], &mut reads[side]);
                }));
            }
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
