//! The kinds of routes for which striper exists, and what is measured on each.

use crate::cases::{Case, at_most, millis, ping_beside_bulk, seconds};
use crate::emulator::Way;
use crate::load::Amount;
use crate::peers::Peer;
use crate::report::{Measure, Target, Unit};
use crate::route::{KEYS, Route};
use crate::trial::Trial;
use std::fmt::Write;
use std::ops::Range;

/// The names of routes and their descriptions.
const ROUTES: [(&str, &str); 26] = [
    ("clean", "rtt=40ms,rate=10m"),
    ("unequal", "rtt=20ms,rate=20m/10m/5m/1m"),
    ("queue-10ms", "rtt=40ms,rate=10m,queue=10ms"),
    ("policer-16k", "rtt=40ms,rate=10m,policer=16k"),
    ("policer-256k", "rtt=40ms,rate=10m,policer=256k"),
    ("loss-0.5", "rtt=40ms,rate=10m,loss=0.5%"),
    ("loss-2", "rtt=40ms,rate=10m,loss=2%"),
    ("long", "rtt=200ms,rate=25m"),
    ("two-paths", "rtt=100ms,rate=30m + rtt=2ms,rate=10m,stripes=2"),
    ("two-paths-near-fast", "rtt=2ms,rate=30m + rtt=100ms,rate=10m,stripes=2"),
    ("dips", "rtt=40ms,rate=10m,dips=3"),
    ("link", "rtt=40ms,link=20m"),
    ("foreign", "rtt=40ms,link=20m,foreign=cubic"),
    ("jitter", "rtt=40ms,rate=10m,jitter=10ms"),
    ("near-4x100", "rtt=5ms,rate=100m"),
    ("far-4x5", "rtt=300ms,rate=5m"),
    ("16-stripes", "rtt=40ms,rate=2m,stripes=16"),
    ("2-stripes", "rtt=40ms,rate=50m,stripes=2"),
    ("queue-5ms", "rtt=40ms,rate=10m,queue=5ms,packets=4"),
    ("queue-500ms", "rtt=40ms,rate=10m,queue=500ms"),
    ("loss-0.05", "rtt=40ms,rate=10m,loss=0.05%"),
    ("loss-3", "rtt=40ms,rate=10m,loss=3%"),
    ("loss-in-rows", "rtt=40ms,rate=10m,loss=1%,burst=10"),
    ("policer-4k", "rtt=40ms,rate=10m,policer=4k"),
    ("policer-1m", "rtt=40ms,rate=10m,policer=1m"),
    ("uneven-paths", "rtt=10ms,rate=10m + rtt=100ms,rate=10m"),
];

/// The routes on which a ping-pong beside a bulk transfer is measured too.
const PINGED: [(&str, &str); 2] =
    [("ping-clean", "rtt=40ms,rate=10m"), ("ping-loss", "rtt=40ms,rate=10m,loss=0.5%")];

pub const PEERS: [Peer; 5] =
    [Peer::Ours, Peer::Bare("cubic"), Peer::Bare("bbr"), Peer::Aggligator, Peer::Mptcp];

/// A transfer is measured in this time of it, in seconds: slow start is over.
const WINDOW: Range<u64> = 5..25;
/// The least part of a shared link that a foreign connection keeps: 95 % of the three eighths that
/// it has had so far.
const FOREIGN: f64 = 0.356_25;

/// The cases of these routes, each a name or a description; none means all names.
pub fn cases(routes: &[String]) -> Result<Vec<Case>, String> {
    let bulk = |(name, line): (&str, &str)| Ok(bulk(name, line, Route::parse(line)?));
    let ping = |(name, line): (&str, &str)| Ok(ping(name, line, Route::parse(line)?));
    if routes.is_empty() {
        return ROUTES.into_iter().map(bulk).chain(PINGED.into_iter().map(ping)).collect();
    }
    let of_text = |text: &String| {
        let is_it = |(name, _): &(&str, &str)| name == text;
        match (ROUTES.into_iter().find(is_it), PINGED.into_iter().find(is_it)) {
            (Some(route), _) => bulk(route),
            (None, Some(route)) => ping(route),
            _ if text.contains('=') => bulk(("own", text)),
            _ => Err(format!("no route {text:?}; `lab --routes list` prints them")),
        }
    };
    routes.iter().map(of_text).collect()
}

/// The names of routes, and the keys of their descriptions.
pub fn list() -> String {
    let mut text = String::new();
    for (name, line) in ROUTES.iter().chain(&PINGED) {
        let _ = writeln!(text, "  {name:20} {line}");
    }
    text + "or your own, such as 'rtt=40ms,rate=10m,queue=10ms,loss=0.5%,stripes=4', from\n" + KEYS
}

fn bulk(name: &str, line: &str, route: Route) -> Case {
    let (share, pause) = match name {
        // 0.957 of the caps.
        "clean" => (Target::AtLeast(0.992), Target::None),
        _ if route.has_dips() => (Target::AtLeast(0.90), Target::AtMost(400.0)),
        _ if route.paths.len() > 1 => (Target::AtLeast(0.95), Target::None),
        _ if route.foreign.is_some() => (Target::None, Target::None),
        _ => (Target::OfBare(0.98), Target::None),
    };
    let mut measures = vec![
        Measure { name: "share of what the caps allow", unit: Unit::Share, target: share },
        Measure { name: "longest pause", unit: Unit::Millis, target: pause },
    ];
    if route.foreign.is_some() {
        let link = route.paths[0].link.map_or(0.0, |link| link.rate as f64 * 1e-6);
        let target = Target::AtLeast(FOREIGN * link);
        measures.push(Measure { name: "the foreign connection", unit: Unit::Mbit, target });
    }
    Case {
        test: "routes",
        name: format!("{name}: {line}"),
        route,
        peers: &PEERS,
        measures,
        run: Box::new(transfer),
    }
}

fn transfer(trial: &Trial, direction: Way) -> Result<Vec<f64>, String> {
    let amount = Amount::During(seconds(WINDOW.end));
    let (route, window) = (trial.route(), seconds(WINDOW.start)..seconds(WINDOW.end));
    let (received, foreign) = match route.foreign {
        None => (trial.bulk(direction, amount)?.0, None),
        Some(_) => {
            let beside = || trial.foreign(direction, amount);
            let (received, _, foreign) = trial.bulk_and(direction, amount, beside)?;
            (received, Some(foreign.mbit(window.start, window.end)))
        }
    };
    let share = received.mbit(window.start, window.end) / route.allows(window);
    Ok([share, millis(received.gap)].into_iter().chain(foreign).collect())
}

fn ping(name: &str, line: &str, route: Route) -> Case {
    Case {
        test: "routes",
        name: format!("{name}: {line}, 100 B ping-pong beside bulk"),
        route,
        peers: &[Peer::Ours],
        measures: vec![
            at_most("p50 above idle", Unit::Millis, 6.0),
            at_most("p99 above idle", Unit::Millis, 25.0),
        ],
        run: Box::new(|trial, direction| {
            let mut idle = trial.pingpong(seconds(2), 10)?;
            idle.sort();
            let idle = idle[idle.len() / 2];
            let (times, _) = ping_beside_bulk(trial, direction)?;
            Ok(times.map(|time| time - millis(idle)).to_vec())
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_and_each_description_is_a_case() {
        let all = cases(&[]).unwrap();
        assert_eq!(all.len(), ROUTES.len() + PINGED.len());
        let some = ["ping-loss", "rtt=1ms,rate=1m", "clean"].map(str::to_owned);
        let names: Vec<String> = cases(&some).unwrap().into_iter().map(|case| case.name).collect();
        assert!(names[0].starts_with("ping-loss: ") && names[2].starts_with("clean: "));
        assert_eq!(names[1], "own: rtt=1ms,rate=1m");
    }

    #[test]
    fn an_unknown_route_is_an_error_and_the_list_has_the_names_and_the_keys() {
        let error = cases(&["cleen".to_owned()]).err().unwrap();
        assert!(error.contains("cleen"), "{error}");
        assert!(list().contains("policer-16k") && list().contains("link-queue"), "{}", list());
    }

    #[test]
    fn a_foreign_connection_keeps_its_part_of_the_link() {
        let measures = cases(&["foreign".to_owned()]).unwrap().remove(0).measures;
        assert_eq!(measures[2].target, Target::AtLeast(7.125));
    }
}
