//! Goodput, fairness and overhead over stripes, caps, loss and schedulers, as a table in the
//! repository. A change of the engine that affects them shows as different lines.
//!
//! `STRIPER_BLESS=1 cargo test -p striper-tests --test golden_table` writes the table anew. All is
//! computed in integers and virtual time, so it is the same on every machine.

use sim::{
    FlowPlan, Pipe, Rate, Setup, Side, World,
    files::{self, FileKind},
    fluid_time, scheduler, write_percent, write_rate,
};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;

/// Flows that run at once, each of so many bytes.
const FLOWS: usize = 4;
const SIZE: u64 = 2 << 20;

/// One way.
const DELAY: Duration = Duration::from_millis(20);

/// Caps that are dealt to the stripes in turn.
const EQUAL: &[Rate] = &[Rate::mbit(10)];
const UNEQUAL: &[Rate] = &[Rate::mbit(20), Rate::mbit(10), Rate::mbit(5), Rate::mbit(1)];

/// When the flows are opened, on stripes that are up, in microseconds.
const START: u64 = 2_000_000;

const HEAD: &str = "\
# Four flows of 2 MiB each at once, client to server, RTT 40ms, seed 1, in the simulator. Written by
# STRIPER_BLESS=1 cargo test -p striper-tests --test golden_table
# goodput: share of what the fluid oracle says is possible. fairness: Jain's index of what the \
flows have got by half of the oracle's
# time. overhead: what both sides put on stripes beside the payload once, in percent of it.
stripes caps                        loss  scheduler  goodput  fairness  overhead
";

struct Case {
    stripes: usize,
    caps: &'static [Rate],
    loss: u32,
    scheduler: SchedulerKind,
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (caps, counts) in [(EQUAL, &[1, 2, 4, 8][..]), (UNEQUAL, &[2, 4])] {
        for stripes in counts {
            for loss in [0, 1_000, 10_000] {
                for scheduler in scheduler::ALL {
                    cases.push(Case { stripes: *stripes, caps, loss, scheduler });
                }
            }
        }
    }
    cases
}

fn measure(case: &Case) -> String {
    let caps: Vec<Rate> = case.caps.iter().copied().cycle().take(case.stripes).collect();
    let mut setup = Setup::capped(1, &caps, DELAY);
    setup.routes.iter_mut().flatten().for_each(|link| link.loss = case.loss);
    setup.config.iter_mut().for_each(|config| config.scheduler = case.scheduler);
    setup.repeat = "cargo test -p striper-tests --test golden_table".into();
    let pipes: Vec<Pipe> = caps.iter().map(|cap| Pipe::steady(*cap, DELAY)).collect();
    let total = FLOWS as u64 * SIZE;
    let ideal = fluid_time(&pipes, total).expect("pipes that never stop");

    let mut world = World::new(setup);
    assert!(world.warm_up(START), "not all stripes are up by {START} µs");
    let flows: Vec<usize> = (0..FLOWS).map(|_| world.open(FlowPlan::upload(START, SIZE))).collect();
    let delivered = |world: &World| -> Vec<u64> {
        flows.iter().map(|flow| world.flow(*flow).end(Side::Server).delivered).collect()
    };
    world.run_until(START + ideal / 2);
    let fairness = jain(&delivered(&world));
    let put = |world: &World| -> u64 {
        let stripes = Side::BOTH.into_iter().flat_map(|side| world.stats(side).stripes);
        stripes.map(|stripe| stripe.sent).sum()
    };
    let unfinished = |world: &World| delivered(world).iter().any(|bytes| *bytes < SIZE);
    let is_done = world.run_while(START + 100 * ideal, unfinished);
    assert!(is_done, "not done within 100 times the oracle's time");
    let time = world.now() - START;
    let names: Vec<String> =
        case.caps.iter().take(case.stripes).map(|cap| write_rate(*cap)).collect();
    let overhead = (put(&world) - total) * 10_000 / total;
    format!(
        "{:>7} {:<26} {:>5}  {:<9}  {:>7}  {:>8}  {:>7}%",
        case.stripes,
        names.join(","),
        write_percent(case.loss),
        scheduler::name(case.scheduler),
        decimals(ideal * 1_000 / time, 3),
        decimals(fairness, 3),
        decimals(overhead, 2),
    )
}

/// Jain's fairness index in thousandths: 1 if all have got the same, 1 / n if one has got it all
/// (Jain, Chiu, Hawe: A quantitative measure of fairness, 1984).
fn jain(shares: &[u64]) -> u64 {
    let sum: u128 = shares.iter().map(|share| u128::from(*share)).sum();
    let squares: u128 = shares.iter().map(|share| u128::from(*share).pow(2)).sum();
    (sum * sum * 1_000).checked_div(shares.len() as u128 * squares).unwrap_or(0) as u64
}

fn decimals(value: u64, digits: u32) -> String {
    let one = 10u64.pow(digits);
    format!("{}.{:0width$}", value / one, value % one, width = digits as usize)
}

/// The lines that differ, as they were and as they are.
fn difference(before: &str, after: &str) -> String {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let mut text = String::new();
    for index in 0..before.len().max(after.len()) {
        let (was, is) = (before.get(index), after.get(index));
        if was != is {
            let _ = was.map(|line| writeln!(text, "- {line}"));
            let _ = is.map(|line| writeln!(text, "+ {line}"));
        }
    }
    text
}

#[test]
fn goodput_fairness_and_overhead_are_as_they_were() {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("golden/goodput.txt");
    let table = cases().iter().fold(HEAD.to_owned(), |table, case| table + &measure(case) + "\n");
    if std::env::var_os("STRIPER_BLESS").is_some_and(|bless| bless == "1") {
        let begins = HEAD.lines().next().unwrap_or_default();
        let kind = FileKind { name: "an earlier table", begins };
        files::write(&path, kind, &table).unwrap_or_else(|error| panic!("{error}"));
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    let difference = difference(&kept, &table);
    assert!(
        difference.is_empty(),
        "{} differs:\n{difference}\nif that is as it should be: STRIPER_BLESS=1 cargo test -p \
         striper-tests --test golden_table",
        path.display()
    );
}

#[test]
fn fairness_is_jains_index() {
    assert_eq!(jain(&[5, 5, 5, 5]), 1_000);
    assert_eq!(jain(&[8, 0, 0, 0]), 250);
    // (1 + 3)² / (2 · (1 + 9)) = 0.8.
    assert_eq!(jain(&[1, 3]), 800);
    assert_eq!(jain(&[0, 0]), 0);
}
