//! The measurements and their targets.

use crate::clock;
use crate::emulator::Way;
use crate::load::{Amount, BIN, Received};
use crate::peers::Peer;
use crate::report::{Measure, Target, Unit};
use crate::route::{CEILING, Route};
use crate::trial::Trial;
use std::thread;
use std::time::Duration;

pub const TESTS: [&str; 5] = ["t2", "t3", "t4", "t6", "t9"];

/// The route of most tests: 4 x 10 Mbit/s at RTT 40 ms.
const USUAL: &str = "rtt=40ms,rate=10m";
const MIB: u64 = 1 << 20;

pub struct Case {
    pub test: &'static str,
    pub name: String,
    pub route: Route,
    /// The peers that can be measured.
    pub peers: &'static [Peer],
    pub measures: Vec<Measure>,
    pub run: Run,
}

type Run = Box<dyn Fn(&Trial, Way) -> Result<Vec<f64>, String>>;

const PAIR: &[Peer] = &[Peer::Ours];
const BOTH: &[Peer] = &[Peer::Direct, Peer::Ours];

/// The cases of these tests; no name means all.
pub fn cases(tests: &[String]) -> Result<Vec<Case>, String> {
    if let Some(test) = tests.iter().find(|test| !TESTS.contains(&test.as_str())) {
        return Err(format!("no test {test:?}; there are {}", TESTS.join(", ")));
    }
    let all = [capacity(), unequal(), vec![ping_under_bulk()], faults(), vec![objects()]];
    let is_chosen = |case: &Case| tests.is_empty() || tests.iter().any(|test| test == case.test);
    Ok(all.into_iter().flatten().filter(is_chosen).collect())
}

/// The case that shows the most in the shortest time.
pub fn quick() -> Vec<Case> {
    capacity().into_iter().filter(|case| case.name == "4 x 10 Mbit/s, RTT 40").collect()
}

pub fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn route(line: &str) -> Route {
    Route::parse(line).expect("a route in the right form")
}

pub fn share(least: f64) -> Measure {
    Measure { name: "share of the caps", unit: Unit::Share, target: Target::AtLeast(least) }
}

pub fn at_most(name: &'static str, unit: Unit, most: f64) -> Measure {
    Measure { name, unit, target: Target::AtMost(most) }
}

pub fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The goodput of a timed transfer at the receiver from `from` on, as a share of the caps, and the
/// longest gap after its first byte.
fn goodput(
    trial: &Trial,
    direction: Way,
    during: u64,
    from: u64,
    caps: u64,
) -> Result<Vec<f64>, String> {
    let (received, _) = trial.bulk(direction, Amount::During(seconds(during)))?;
    Ok(vec![received.mbit(seconds(from), seconds(during)) / caps as f64, millis(received.gap)])
}

fn capacity() -> Vec<Case> {
    let case = |rtt: u64, rate: u64, target: f64| Case {
        test: "t2",
        name: format!("4 x {rate} Mbit/s, RTT {rtt}"),
        route: route(&format!("rtt={rtt}ms,rate={rate}m")),
        peers: BOTH,
        measures: vec![share(target)],
        run: Box::new(move |trial, direction| {
            let mut values = goodput(trial, direction, 10, 3, rate * 4)?;
            values.truncate(1);
            Ok(values)
        }),
    };
    vec![case(0, 10, 0.955), case(40, 10, 0.955), case(40, 100, 0.950)]
}

fn unequal() -> Vec<Case> {
    let gap = at_most("longest gap", Unit::Millis, 100.0);
    vec![
        Case {
            test: "t3",
            name: "20/10/5/1 Mbit/s, RTT 20".to_owned(),
            route: route("rtt=20ms,rate=20m/10m/5m/1m"),
            peers: BOTH,
            measures: vec![share(0.955), gap],
            run: Box::new(|trial, direction| goodput(trial, direction, 15, 5, 36)),
        },
        Case {
            test: "t3",
            name: "4 x 10 Mbit/s, two paths of RTT 10 and 100".to_owned(),
            route: route("rtt=10ms,rate=10m + rtt=100ms,rate=10m"),
            peers: BOTH,
            measures: vec![share(0.95), Measure { target: Target::None, ..gap }],
            run: Box::new(|trial, direction| goodput(trial, direction, 15, 5, 40)),
        },
    ]
}

fn ping_under_bulk() -> Case {
    Case {
        test: "t4",
        name: "100 B ping-pong under bulk, 4 x 10 Mbit/s, RTT 40".to_owned(),
        route: route(USUAL),
        peers: BOTH,
        measures: vec![
            at_most("ping p50", Unit::Millis, 46.0),
            at_most("ping p99", Unit::Millis, 65.0),
            Measure { name: "bulk's share of the caps", ..share(0.95) },
        ],
        run: Box::new(|trial, direction| {
            let (times, received) = ping_beside_bulk(trial, direction)?;
            Ok(times.into_iter().chain([received.mbit(seconds(4), seconds(14)) / 40.0]).collect())
        }),
    }
}

/// The 50th and the 99th percentile of answers beside a bulk transfer of 14 s, and its figures.
pub fn ping_beside_bulk(trial: &Trial, direction: Way) -> Result<([f64; 2], Received), String> {
    let (received, _, mut times) =
        trial.bulk_and(direction, Amount::During(seconds(14)), || {
            thread::sleep(seconds(3));
            trial.pingpong(seconds(9), 40)
        })?;
    times.sort();
    let percentile = |part: f64| millis(times[(part * times.len() as f64).ceil() as usize - 1]);
    Ok(([0.5, 0.99].map(percentile), received))
}

/// A verified transfer of 60 MiB, about 13 s on four stripes. Faults come after 4 s.
const FAULTY: Amount = Amount::Bytes(60 * MIB, Duration::from_secs(75));

fn faults() -> Vec<Case> {
    let case = |name: &str, measures, run: fn(&Trial, Way) -> Result<Vec<f64>, String>| Case {
        test: "t6",
        name: name.to_owned(),
        route: route(USUAL),
        peers: PAIR,
        measures,
        run: Box::new(run),
    };
    let stall = |most| at_most("longest stall", Unit::Millis, most);
    let again =
        |target| Measure { name: "until four stripes carry data", unit: Unit::Seconds, target };
    let full_rate = at_most("from healing to full rate", Unit::Seconds, 1.5);
    let total = at_most("total time", Unit::Seconds, 13.5);
    vec![
        case("reset of one stripe", vec![stall(60.0), again(Target::AtMost(1.0))], reset_one),
        case("one stripe silent for 10 s", vec![stall(250.0), again(Target::None)], silent_one),
        case("all silent for 10 s", vec![full_rate], silent_all),
        Case {
            route: route("rtt=40ms,rate=10m,loss=1%"),
            peers: BOTH,
            ..case("1 % loss, 60 MiB", vec![total], |trial, direction| {
                Ok(vec![trial.bulk(direction, FAULTY)?.1.as_secs_f64()])
            })
        },
    ]
}

fn reset_one(trial: &Trial, direction: Way) -> Result<Vec<f64>, String> {
    let (received, _, again) = trial.bulk_and(direction, FAULTY, || {
        thread::sleep(seconds(4));
        let (flow, before) = trial.busiest(direction)?;
        trial.wan.emulator().reset(flow);
        Ok(trial.until_all_carry(direction, &before, seconds(12)))
    })?;
    Ok(vec![millis(received.gap), again.map_or(f64::INFINITY, |time| time.as_secs_f64())])
}

fn silent_one(trial: &Trial, direction: Way) -> Result<Vec<f64>, String> {
    let (received, _, again) = trial.bulk_and(direction, FAULTY, || {
        thread::sleep(seconds(4));
        let (flow, before) = trial.busiest(direction)?;
        trial.wan.emulator().silence(flow, true);
        let begin = clock::now();
        let again = trial.until_all_carry(direction, &before, seconds(10));
        thread::sleep((begin + seconds(10)).saturating_sub(clock::now()));
        trial.wan.emulator().silence(flow, false);
        let later = || Some(seconds(10) + trial.until_all_carry(direction, &before, seconds(3))?);
        Ok(again.or_else(later))
    })?;
    Ok(vec![millis(received.gap), again.map_or(f64::INFINITY, |time| time.as_secs_f64())])
}

fn silent_all(trial: &Trial, direction: Way) -> Result<Vec<f64>, String> {
    let (received, _, healed) = trial.bulk_and(direction, FAULTY, || {
        thread::sleep(seconds(4));
        trial.wan.emulator().silence_all(true);
        thread::sleep(seconds(10));
        trial.wan.emulator().silence_all(false);
        Ok(clock::now())
    })?;
    Ok(vec![to_full_rate(&received, healed, 10.0 * trial.route().stripes as f64)])
}

/// The seconds from the healing to the first second with nine tenths of the caps; infinite if there
/// is none.
fn to_full_rate(received: &Received, healed: Duration, caps: f64) -> f64 {
    let window = (seconds(1).as_nanos() / BIN.as_nanos()) as usize;
    let first =
        (healed.saturating_sub(received.start).as_nanos()).div_ceil(BIN.as_nanos()) as usize;
    let is_full = |second: &[u64]| second.iter().sum::<u64>() as f64 * 8e-6 >= 0.9 * CEILING * caps;
    let mut seconds = received.bins.windows(window).enumerate().skip(first);
    let full = seconds.find(|(_, second)| is_full(second));
    full.map_or(f64::INFINITY, |(bin, _)| {
        (received.start + BIN * bin as u32).as_secs_f64() - healed.as_secs_f64()
    })
}

fn objects() -> Case {
    Case {
        test: "t9",
        name: "an object over 4 x 10 Mbit/s, RTT 40, warm".to_owned(),
        route: route(USUAL),
        peers: BOTH,
        measures: vec![
            at_most("100 KiB", Unit::Seconds, 0.10),
            at_most("1 MiB", Unit::Seconds, 0.28),
            at_most("10 MiB", Unit::Seconds, 2.2),
        ],
        run: Box::new(|trial, direction| {
            trial.request()?;
            thread::sleep(Duration::from_millis(500));
            let sizes = [100 << 10, MIB, 10 * MIB];
            let time = |size| {
                let (_, time) = trial.bulk(direction, Amount::Bytes(size, seconds(40)))?;
                thread::sleep(Duration::from_millis(300));
                Ok(time.as_secs_f64())
            };
            sizes.into_iter().map(time).collect()
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_is_chosen_by_name_and_none_means_all() {
        for test in TESTS {
            let chosen = cases(&[test.to_owned()]).unwrap();
            assert!(!chosen.is_empty() && chosen.iter().all(|case| case.test == test), "{test}");
        }
        assert!(cases(&["t1".to_owned()]).is_err_and(|error| error.contains("there are t2, t3")));
        assert!(cases(&[]).unwrap().iter().all(|case| TESTS.contains(&case.test)));
        assert_eq!(quick().len(), 1);
    }

    #[test]
    fn full_rate_begins_with_the_first_full_second_after_healing() {
        // 40 Mbit/s are 500,000 bytes a bin.
        let mut bins = vec![480_000; 20];
        bins.extend([0; 15]);
        bins.extend([480_000; 12]);
        let mut received = Received { start: seconds(7), bytes: 0, gap: BIN, bins, error: None };
        assert!((to_full_rate(&received, seconds(9), 40.0) - 1.5).abs() < 1e-9);
        received.bins.truncate(40);
        assert_eq!(to_full_rate(&received, seconds(9), 40.0), f64::INFINITY);
    }
}
