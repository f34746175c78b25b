//! One transfer of the comparison: a mix, a scheduler, a credit and a seed, and the figures of it.
//!
//! Invariant: the same four give the same figures, whatever else runs.

use super::mixes::{Drawn, IDLE, Load, Mix, PIECE, WARMING};
use crate::base::{Rate, Side, micros, scheduler, write_size};
use crate::net::{Fault, FlowPlan, LinkSpec, Pipe, capacity, credit_time};
use crate::run::{Setup, World};
use std::cell::RefCell;
use std::time::Duration;
use striper_core::SchedulerKind;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Case {
    pub scheduler: SchedulerKind,
    /// The largest receive window of the flow in bytes.
    pub credit: u64,
    pub seed: u64,
}

/// The figures of one transfer. Times are in microseconds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Outcome {
    /// `None` if it did not end within 20 times the oracle's time and a minute.
    pub time: Option<u64>,
    pub ideal: u64,
    pub size: u64,
    /// Payload bytes that both sides handed to a stripe again.
    pub resent: u64,
    /// The longest time without a delivery that ended after the trouble began.
    pub pause: Option<u64>,
    /// The time from the end of the trouble to full rate, as [`recovery`] has it.
    pub recovery: Option<u64>,
    /// The sorted delays of a paced load's pieces, each from when it was to be written.
    pub delays: Vec<u64>,
}

impl Outcome {
    /// The share of the oracle in thousandths.
    pub fn share(&self) -> u64 {
        self.time.map_or(0, |time| self.ideal * 1_000 / time.max(1))
    }

    /// The oracle's time once, in thousandths: 1,000 at best; `u64::MAX` if it never ended.
    pub fn stretch(&self) -> u64 {
        self.time.map_or(u64::MAX, |time| (time * 1_000).div_ceil(self.ideal.max(1)))
    }

    /// The bytes that were sent again, in hundredths of a percent of the transfer.
    pub fn extra(&self) -> u64 {
        (self.resent * 10_000).div_ceil(self.size.max(1))
    }
}

pub fn measure(mix: &Mix, case: Case) -> Outcome {
    let drawn = mix.draw(case.seed);
    let (plan, ideal) = plan(mix.load, &drawn, case.credit);
    let limit = 20 * ideal + 60_000_000;
    let mut world = World::new(setup(&drawn, case, mix.name));
    let ready = world.warm_up(limit)
        && (!matches!(mix.load, Load::Object(_)) || warm(&mut world, WARMING, limit));
    let start = world.now();
    let before = resent(&world);
    let flow = world.open(FlowPlan { at: start, ..plan.clone() });
    trouble(&mut world, start, &drawn);
    let log = RefCell::new(vec![(start, 0)]);
    let going = |world: &World| {
        let end = world.flow(flow).end(Side::Server);
        let last = log.borrow().last().expect("the beginning").1;
        if end.delivered > last {
            log.borrow_mut().push((world.now(), end.delivered));
        }
        Side::BOTH.iter().any(|side| world.flow(flow).end(*side).fin_at.is_none())
    };
    let done = ready && world.run_while(start + limit, going);
    let fins = Side::BOTH.iter().filter(|side| plan.sends[side.other().index()].bytes > 0);
    let last = fins.filter_map(|side| world.flow(flow).end(*side).fin_at).max();
    let mut log = log.into_inner();
    if !done {
        log.push((world.now(), log.last().expect("the beginning").1));
    }
    let (opened, bytes) = (world.flow(flow).end(Side::Client).opened_at, plan.sends[0].bytes);
    let delays = plan.sends[0].rate.map(|rate| delays(&log, opened, rate, bytes));
    let relative: Vec<(u64, u64)> = log.iter().map(|(at, bytes)| (at - start, *bytes)).collect();
    let full = drawn.links.iter().map(|link| link.rate).sum();
    Outcome {
        time: last.filter(|_| done).map(|last| last - start),
        ideal,
        size: plan.sends.iter().map(|half| half.bytes).sum(),
        resent: resent(&world) - before,
        pause: drawn.struck.map(|struck| longest_pause(&relative, struck)),
        recovery: drawn.healed.and_then(|healed| recovery(&relative, healed, full)),
        delays: delays.unwrap_or_default(),
    }
}

pub(super) fn setup(drawn: &Drawn, case: Case, mix: &str) -> Setup {
    let rates: Vec<Rate> = drawn.links.iter().map(|link| link.rate).collect();
    let mut setup = Setup::capped(case.seed, &rates, Duration::ZERO);
    // The links are steady until the load begins.
    let steady = |link: &LinkSpec| LinkSpec { rates: Vec::new(), ..link.clone() };
    setup.routes = drawn.links.iter().map(|link| [steady(link), steady(link)]).collect();
    for config in &mut setup.config {
        config.scheduler = case.scheduler;
        config.window_limit = case.credit;
    }
    setup.repeat = format!(
        "cargo run --release -p sim -- bench-schedulers --mix {mix} --scheduler {} --credit {} \
         --seeds {}..{}",
        scheduler::name(case.scheduler),
        write_size(case.credit),
        case.seed,
        case.seed + 1,
    );
    setup
}

pub(super) fn trouble(world: &mut World, start: u64, drawn: &Drawn) {
    for (route, link) in drawn.links.iter().enumerate().filter(|(_, link)| !link.rates.is_empty()) {
        let rates = link.rates.iter().map(|(at, rate)| (start + at, *rate)).collect();
        let dips = LinkSpec { rates, ..link.clone() };
        world.fault(start, route, Fault::Change(Box::new([dips.clone(), dips])));
    }
    for (at, route, fault) in &drawn.faults {
        world.fault(start + at, *route, fault.clone());
    }
}

fn plan(load: Load, drawn: &Drawn, credit: u64) -> (FlowPlan, u64) {
    let time = |bytes| credit_time(&drawn.pipes, bytes, credit).expect("pipes that return");
    match load {
        Load::Upload(bytes) | Load::Object(bytes) => (FlowPlan::upload(0, bytes), time(bytes)),
        Load::BothWays(up, down) => {
            let mut plan = FlowPlan::upload(0, up);
            plan.sends[Side::Server.index()].bytes = down;
            (plan, time(up).max(time(down)))
        }
        Load::Paced(span) => {
            let (rate, bytes) = pace(&drawn.pipes, span);
            let mut plan = FlowPlan::upload(0, bytes);
            plan.sends[0].rate = Some(rate);
            plan.sends[0].piece = PIECE;
            (plan, time(bytes).max(micros(span)))
        }
    }
}

/// Half of the rate that the pipes can carry until then, and its bytes in whole pieces.
pub(super) fn pace(pipes: &[Pipe], span: Duration) -> (Rate, u64) {
    let span = micros(span);
    let rate = capacity(pipes, span) * 1_000 / (span / 1_000) / 2;
    (Rate::bytes(rate), rate * (span / 1_000) / 1_000 / PIECE * PIECE)
}

/// A transfer of so many bytes and some idle time. Whether the transfer ended.
pub(super) fn warm(world: &mut World, bytes: u64, limit: u64) -> bool {
    let flow = world.open(FlowPlan::upload(world.now(), bytes));
    let done = world.run_while(world.now() + limit, |world| !world.flow(flow).is_over());
    world.run_until(world.now() + micros(IDLE));
    done
}

fn resent(world: &World) -> u64 {
    Side::BOTH.iter().map(|side| world.stats(*side).payload_resent).sum()
}

/// The longest time between two entries (time, bytes so far); the later one is after `from`.
fn longest_pause(log: &[(u64, u64)], from: u64) -> u64 {
    let gaps = log.windows(2).filter(|two| two[1].0 > from);
    gaps.map(|two| two[1].0 - two[0].0).max().unwrap_or(0)
}

/// The time from `from` until a second at full rate begins, in steps of 10 ms. Such a second brings
/// at least 90 % of a second at `rate`, and each quarter of it at least 75 %. A burst of bytes that
/// had waited for one piece is no full rate, though it may pass for a quarter. `None` if the log
/// ends before.
fn recovery(log: &[(u64, u64)], from: u64, rate: Rate) -> Option<u64> {
    let by = |time: u64| {
        log[..log.partition_point(|(at, _)| *at <= time)].last().map_or(0, |(_, bytes)| *bytes)
    };
    let end = log.last().map_or(0, |(at, _)| *at);
    let begins = (from..).step_by(10_000).take_while(|begin| begin + 1_000_000 <= end);
    let second = rate.as_bytes();
    let is_full = |begin: &u64| {
        let quarter = |nth: u64| by(begin + (nth + 1) * 250_000) - by(begin + nth * 250_000);
        by(begin + 1_000_000) - by(*begin) >= second / 10 * 9
            && (0..4).all(|nth| quarter(nth) >= second / 16 * 3)
    };
    begins.into_iter().find(is_full).map(|begin| begin - from)
}

/// The delay of each piece. A piece that never came is as late as the end of the log.
fn delays(log: &[(u64, u64)], opened: u64, rate: Rate, bytes: u64) -> Vec<u64> {
    let end = log.last().map_or(opened, |(at, _)| *at);
    let mut entries = log.iter().peekable();
    let mut delays = Vec::new();
    for last in (1..=bytes / PIECE).map(|piece| piece * PIECE) {
        while entries.next_if(|(_, delivered)| *delivered < last).is_some() {}
        let due =
            opened + (u128::from(last) * 8_000_000).div_ceil(u128::from(rate.as_bits())) as u64;
        delays.push(entries.peek().map_or(end, |(at, _)| *at).saturating_sub(due));
    }
    delays.sort_unstable();
    delays
}

#[cfg(test)]
mod tests {
    use super::super::mixes::MIXES;
    use super::*;

    #[test]
    fn a_pause_counts_if_it_ends_after_the_trouble_began() {
        let log = [(0, 0), (500, 1), (510, 2), (900, 3), (950, 4)];
        let pauses = [0, 505, 900, 2_000].map(|from| longest_pause(&log, from));
        assert_eq!(pauses, [500, 390, 50, 0]);
    }

    #[test]
    fn full_rate_is_a_second_without_a_hole() {
        // 8 Mbit/s: 10,000 B every 10 ms from 3 s on, when a burst of 2,000,000 B comes with the
        // first.
        let log: Vec<(u64, u64)> =
            (0..=300).map(|step| (3_000_000 + step * 10_000, 2_000_000 + step * 10_000)).collect();
        let healed = 2_500_000;
        // The second that begins at 2.5 s holds the burst, and yet half of it is empty. The burst
        // can make up for one quarter.
        assert_eq!(recovery(&log, healed, Rate::mbit(8)), Some(250_000));
        assert_eq!(recovery(&log, healed, Rate::mbit(12)), None);
        assert_eq!(recovery(&log[..50], healed, Rate::mbit(8)), None);
    }

    #[test]
    fn a_piece_is_late_by_the_time_since_it_was_due() {
        // Two pieces come together, one later, one never.
        let log = [(0, 0), (3_000_000, 2 * PIECE), (4_500_000, 3 * PIECE), (9_000_000, 3 * PIECE)];
        // A piece a second: due at 2, 3, 4 and 5 s when opened at 1 s.
        let delays = delays(&log, 1_000_000, Rate::bytes(PIECE), 4 * PIECE);
        assert_eq!(delays, [0, 500_000, 1_000_000, 4_000_000]);
    }

    #[test]
    fn a_small_object_takes_little_more_than_the_oracle_says() {
        let mix = MIXES.iter().find(|mix| mix.name == "objects-64K").unwrap();
        let case = |seed| Case { scheduler: SchedulerKind::Earliest, credit: 1 << 20, seed };
        let outcomes: Vec<_> = (1..=5).map(|seed| measure(mix, case(seed))).collect();
        assert_eq!(outcomes[0], measure(mix, case(1)));
        assert!(outcomes.iter().all(|outcome| outcome.size == 64 << 10));
        // The congestion windows after the warming transfer decide about one round trip more.
        let mut stretches: Vec<_> = outcomes.iter().map(Outcome::stretch).collect();
        stretches.sort_unstable();
        assert!(stretches[0] >= 1_000 && stretches[2] < 1_900, "{stretches:?}");
    }
}
