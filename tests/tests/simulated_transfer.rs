//! Plain transfers: speed against the oracle, many flows, many stripes, and the same outcome from
//! the same seed.

use bytes::Bytes;
use sim::{Checks, FlowPlan, Rate, SendPlan, Setup, Side, Transfer, World};
use std::collections::BTreeMap;
use std::time::Duration;
use striper_core::{
    Config, FlowId, Input, Instant, Output, Role, SchedulerKind, Session, SessionId, StripeId,
};

const SECOND: u64 = 1_000_000;

fn setup(caps: &[Rate]) -> Setup {
    let mut setup = Setup::capped(1, caps, Duration::from_millis(20));
    setup.checks = Checks::Thinning;
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    setup.repeat = format!("cargo test -p striper-tests --test simulated_transfer {test}");
    setup
}

#[test]
fn equal_stripes_reach_most_of_the_oracle() {
    let transfer = Transfer { caps: vec![Rate::mbit(1)], ..Transfer::default() };
    for stripes in [1, 2, 4, 8] {
        let row = transfer.measure(stripes, SchedulerKind::Earliest);
        assert!(row.share() >= 0.95, "{stripes} stripes: {:.3} of the oracle", row.share());
    }
}

#[test]
fn on_unequal_stripes_earliest_is_not_below_the_others() {
    let caps = [20, 10, 5, 1].map(Rate::mbit);
    let transfer = Transfer { caps: caps.to_vec(), ..Transfer::default() };
    let earliest = transfer.measure(4, SchedulerKind::Earliest).goodput();
    for other in [SchedulerKind::RoundRobin, SchedulerKind::UntilCongested] {
        let other = transfer.measure(4, other);
        assert!(
            earliest >= other.goodput(),
            "{:?}: {} against {earliest}",
            other.scheduler,
            other.goodput()
        );
    }
}

#[test]
fn a_report_is_the_same_to_the_byte_for_the_same_seed() {
    let transfer = |seed| Transfer {
        caps: vec![Rate::mbit(10)],
        stripes: vec![3],
        loss: 5_000,
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
    assert!(
        world.run_to_end(SECOND * 7 / 2),
        "{:#?}",
        world.flows().iter().find(|flow| !flow.is_over())
    );
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

/// A session's outputs about flows: data joined, all else in order.
type Effects = BTreeMap<FlowId, (Vec<u8>, Vec<String>)>;

/// The server's effects when each stripe's bytes come cut by `cut`, which gives the length of the
/// next piece.
fn effects(streams: &BTreeMap<StripeId, Vec<u8>>, mut cut: impl FnMut(usize) -> usize) -> Effects {
    let now = Instant::from_micros(5);
    let client = Session::new(Role::Client, SessionId([7; 16]), Config::default(), now);
    let mut server =
        Session::new(Role::Server { instance: 1 }, SessionId([7; 16]), Config::default(), now);
    let mut out = Vec::new();
    for stripe in streams.keys() {
        server.handle(
            now,
            Input::StripeUp { stripe: *stripe, hello: client.hello(*stripe) },
            &mut out,
        );
    }
    for (stripe, bytes) in streams {
        let mut rest = Bytes::copy_from_slice(bytes);
        while !rest.is_empty() {
            let data = rest.split_to(cut(rest.len()).clamp(1, rest.len()));
            server.handle(now, Input::StripeBytes { stripe: *stripe, data }, &mut out);
            server.check_invariants();
        }
    }
    let mut effects = Effects::new();
    for output in out {
        match output {
            Output::FlowData { flow, data } => {
                effects.entry(flow).or_default().0.extend_from_slice(&data)
            }
            Output::FlowIncoming { flow, .. }
            | Output::FlowFinished { flow }
            | Output::FlowReset { flow, .. } => {
                effects.entry(flow).or_default().1.push(format!("{output:?}"));
            }
            _ => {}
        }
    }
    effects
}

#[test]
fn any_cut_of_stripe_bytes_has_the_same_effect() {
    let now = Instant::from_micros(5);
    let mut client = Session::new(
        Role::Client,
        SessionId([7; 16]),
        Config { stripes: 2, ..Config::default() },
        now,
    );
    let server =
        Session::new(Role::Server { instance: 1 }, SessionId([7; 16]), Config::default(), now);
    let mut out = Vec::new();
    for stripe in [StripeId(0), StripeId(1)] {
        client.handle(now, Input::StripeUp { stripe, hello: server.hello(stripe) }, &mut out);
    }
    let mut flows = Vec::new();
    for request in 0..3 {
        let mut opened = Vec::new();
        client.handle(
            now,
            Input::FlowOpen { request, opaque: Bytes::from_static(b"target") },
            &mut opened,
        );
        flows.extend(opened.iter().filter_map(|output| match output {
            Output::FlowOpened { flow, .. } => Some(*flow),
            _ => None,
        }));
        out.append(&mut opened);
    }
    for (index, flow) in flows.iter().enumerate() {
        let data: Vec<u8> = (0..500 + 1_500 * index).map(|i| (i * 7 + index) as u8).collect();
        client.handle(now, Input::FlowData { flow: *flow, data: data.into() }, &mut out);
    }
    client.handle(now, Input::FlowFinish { flow: flows[0] }, &mut out);
    client.handle(
        now,
        Input::FlowReset { flow: flows[1], reason: striper_core::Reason::Aborted },
        &mut out,
    );
    let mut streams: BTreeMap<StripeId, Vec<u8>> = BTreeMap::new();
    for output in out {
        if let Output::Transmit { stripe, header, payload } = output {
            let stream = streams.entry(stripe).or_default();
            stream.extend_from_slice(&header);
            stream.extend_from_slice(&payload);
        }
    }
    let whole = effects(&streams, |rest| rest);
    assert_eq!(whole.len(), 3);
    assert_eq!(whole.values().map(|(data, _)| data.len()).sum::<usize>(), 500 + 2_000 + 3_500);
    for size in 1..100 {
        assert_eq!(effects(&streams, |_| size), whole, "cut into pieces of {size}");
    }
    let longest = streams.values().map(Vec::len).max().unwrap();
    for at in 1..longest {
        // The first piece of each stripe ends at `at`, the second is the rest.
        let mut first = true;
        let cut = |rest: usize| {
            if std::mem::replace(&mut first, false) {
                at
            } else {
                first = rest <= at;
                rest
            }
        };
        assert_eq!(effects(&streams, cut), whole, "cut at {at}");
    }
}
