//! Plain transfers: schedulers, many flows, many stripes, and the same outcome from the same seed.

use sim::{Checks, Control, FlowPlan, Path, Rate, SendPlan, Setup, Side, Transfer, World};
use std::time::Duration;
use striper_core::SchedulerKind;

const SECOND: u64 = 1_000_000;

fn setup(caps: &[Rate]) -> Setup {
    let mut setup = Setup::capped(1, caps, Duration::from_millis(20));
    setup.checks = Checks::Thinning;
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    setup.repeat = format!("cargo test -p striper-tests --test simulated {test}");
    setup
}

#[test]
fn on_unequal_stripes_earliest_is_not_below_the_others() {
    let caps = [20, 10, 5, 1].map(Rate::mbit);
    let transfer = Transfer { caps: caps.to_vec(), ..Transfer::default() };
    let earliest = transfer.measure(4, SchedulerKind::Earliest).goodput();
    for other in [SchedulerKind::RoundRobin, SchedulerKind::UntilCongested] {
        let goodput = transfer.measure(4, other).goodput();
        assert!(earliest >= goodput, "{other:?}: {goodput} against {earliest}");
    }
}

/// The queue of a link that the stripes share is their own. A stripe that takes it for a stranger's
/// competes for the link, and what the slower ones carry is then sent again on others.
#[test]
fn stripes_that_share_a_link_leave_each_other_room() {
    for rtt in [20, 40].map(Duration::from_millis) {
        let path = Path { rtt, shared: Some(Rate::mbit(20)), ..Path::default() };
        let size = 60_000_000;
        let transfer = Transfer { caps: vec![Rate::mbit(100)], path, size, ..Transfer::default() };
        let row = transfer.measure(4, SchedulerKind::Earliest);
        let repeat = transfer.command(4, SchedulerKind::Earliest);
        assert!(row.share() >= 0.98, "{:.3} of the oracle; {repeat}", row.share());
        assert!(row.resent <= size / 100, "{} bytes sent again; {repeat}", row.resent);
    }
}

/// Four greedy connections would take 16 of 20 Mbit/s from one.
#[test]
fn stripes_and_a_greedy_stranger_leave_each_other_a_share_of_a_link() {
    let goodputs = [(10, 7e6), (20, 8e6), (40, 8e6), (100, 8e6)].map(|(rtt, least)| {
        let (rtt, foreign) = (Duration::from_millis(rtt), vec![Control::Cubic]);
        let path =
            Path { rtt, foreign, shared: Some(Rate::mbit(20)), key: true, ..Path::default() };
        let caps = vec![Rate::mbit(100)];
        let transfer = Transfer { caps, path, size: 25_000_000, ..Transfer::default() };
        let goodput = transfer.measure(4, SchedulerKind::Earliest).goodput();
        let repeat = transfer.command(4, SchedulerKind::Earliest);
        assert!((least..14e6).contains(&goodput), "{goodput} bit/s; {repeat}");
        goodput
    });
    let mean = goodputs.iter().sum::<f64>() / goodputs.len() as f64;
    assert!((9e6..12.5e6).contains(&mean), "{mean} bit/s on average of {goodputs:?}");
}

/// In a dip a queue keeps its bytes, or drops most of them.
#[test]
fn stripes_that_dip_carry_what_the_links_allow() {
    for (shrinks, least) in [(false, 0.94), (true, 0.90)] {
        let rows = (1..=8).map(|seed| {
            let rtt = Duration::from_millis(40);
            let path = Path { rtt, dips: Some(seed), shrinks, key: true, ..Path::default() };
            let caps = vec![Rate::bits(9_650_000)];
            let transfer = Transfer { caps, path, size: 60_000_000, ..Transfer::default() };
            let row = transfer.measure(4, SchedulerKind::Earliest);
            let repeat = transfer.command(4, SchedulerKind::Earliest);
            assert!(row.pause.as_millis() <= 500, "a pause of {:?}; {repeat}", row.pause);
            row.share()
        });
        let mean = rows.sum::<f64>() / 8.0;
        assert!(mean >= least, "{mean:.3} of the oracle on average; shrinks: {shrinks}");
    }
}

#[test]
fn a_report_is_the_same_to_the_byte_for_the_same_seed() {
    let transfer = |seed| Transfer {
        caps: vec![Rate::mbit(10)],
        stripes: vec![3],
        path: Path { loss: 5_000, ..Path::default() },
        size: 1 << 20,
        seed,
        ..Transfer::default()
    };
    assert_eq!(transfer(5).report(true), transfer(5).report(true));
    assert_ne!(transfer(5).report(true), transfer(6).report(true));
}

#[test]
fn the_same_seed_gives_the_same_outputs() {
    let digest = |seed| {
        let mut setup = Setup { seed, ..setup(&[Rate::mbit(10), Rate::mbit(3)]) };
        for link in setup.routes.iter_mut().flatten() {
            (link.choppy, link.loss) = (true, 1_000);
        }
        let mut world = World::new(setup);
        for index in 0..10 {
            world.open(FlowPlan::both_ways(SECOND + index * 1_000, 50_000));
        }
        assert!(world.run_to_end(20 * SECOND));
        (world.digest(), world.inputs())
    };
    assert_eq!(digest(1), digest(1));
    assert_ne!(digest(1), digest(2));
}

#[test]
fn sixteen_stripes_of_all_kinds_carry_both_directions() {
    let caps: Vec<Rate> = (0..16).map(|index| Rate::bits(500_000 << (index % 6))).collect();
    let mut setup = setup(&caps);
    for (index, route) in setup.routes.iter_mut().enumerate() {
        for link in route {
            (link.choppy, link.delay, link.loss) =
                (true, Duration::from_millis(index as u64), 100 * index as u32);
        }
    }
    let mut world = World::new(setup);
    let flow = world.open(FlowPlan::both_ways(SECOND, 8 << 20));
    assert!(world.run_to_end(20 * SECOND), "{:#?}", world.flow(flow));
    assert!(world.flow(flow).is_complete());
}

#[test]
fn many_small_flows_complete_soon() {
    let mut world = World::new(setup(&[Rate::mbit(10); 4]));
    let flows: Vec<usize> = (0..1_000)
        .map(|index| {
            let mut plan = FlowPlan::both_ways(SECOND + index * 2_000, 1 + index * 3);
            plan.opener = Side::BOTH[index as usize % 2];
            world.open(plan)
        })
        .collect();
    // 3 MB each way in two seconds, which the stripes carry with ease.
    world.run_to_end(SECOND * 7 / 2);
    assert!(flows.iter().all(|flow| world.flow(*flow).is_complete()));
}

#[test]
fn a_keystroke_does_not_wait_behind_a_backup() {
    let mut world = World::new(setup(&[Rate::mbit(10); 4]));
    world.open(FlowPlan::upload(SECOND, 64 << 20));
    // A byte each 50 ms. One way is 20 ms, and what a stripe holds unsent or queued takes a moment
    // more.
    let mut plan = FlowPlan::upload(2 * SECOND, 100);
    plan.sends[0] = SendPlan { rate: Some(Rate::bytes(20)), piece: 1, ..SendPlan::of(100) };
    let typing = world.open(plan);
    let mut latest = 0;
    for step in 0..500 {
        world.run_until(2 * SECOND + step * 10_000);
        let flow = world.flow(typing);
        latest = latest.max(flow.end(Side::Client).given - flow.end(Side::Server).delivered);
    }
    // Fewer than six on the way is less than 300 ms.
    assert!(latest < 6, "{latest} keystrokes were on the way at once");
}
