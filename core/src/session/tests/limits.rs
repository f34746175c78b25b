//! The limits of a peer, each setting by its name.

extern crate std;

use super::*;
use crate::config::{CONTROL_PER_FLOW, INITIAL_FLOWS, MIN_CONTROL_BURST};
use crate::testing::{self, bytes};

/// The client opens flows as fast as it may and resets each at once. Returns how many it opened.
fn churn(pair: &mut Pair, flows: usize, until: Duration) -> usize {
    for request in 0..flows as u64 {
        pair.give(0, Input::FlowOpen { request, opaque: Bytes::new() });
    }
    let (end, mut reset) = (pair.now + until, pair.sides[0].log.flows().len() - 1);
    reset -= reset.min(flows);
    while pair.now < end {
        pair.run_until(end.min(pair.now + Duration::from_millis(1)));
        while reset < pair.sides[0].log.flows().len() {
            let flow = FlowId::nth(Role::Client, reset as u64);
            pair.give(0, Input::FlowReset { flow, reason: Reason::Aborted });
            reset += 1;
        }
    }
    pair.sides[0].log.flows().len()
}

#[test]
fn opens_per_second_paces_a_peer_and_wakes_it_in_time() {
    let config = Config { stripes: 2, max_flows: 64, opens_per_second: 100, ..Config::default() };
    let mut pair = Pair::new(config);
    let opened = churn(&mut pair, 400, Duration::from_secs(1));
    assert!((200..=64 + 64 + 100).contains(&opened), "{opened} flows in a second");
    // Nothing but the timer is left to wake anybody.
    let all = churn(&mut pair, 0, Duration::from_secs(3));
    assert_eq!(all, 400, "none is refused");
    assert_eq!(pair.sides[1].session.flows.len(), 0);
}

#[test]
fn at_rest_all_of_the_burst_is_there_again() {
    let config = Config { stripes: 2, max_flows: 64, opens_per_second: 100, ..Config::default() };
    let mut pair = Pair::new(config);
    churn(&mut pair, 300, Duration::from_secs(4));
    pair.run_until(pair.now + Duration::from_secs(2));
    let side = &pair.sides[1].session;
    let outstanding = side.flows.ids().granted().0 - 300;
    assert!(outstanding > 64 - 64 / 8, "{outstanding} ids at hand");
    assert!(!side.timers.is_set(Timer::Grant), "nothing is held back any more");
    let before = pair.sides[0].log.flows().len();
    let after = churn(&mut pair, 200, Duration::from_millis(10));
    assert!(after - before >= 100, "{} flows at once", after - before);
}

#[test]
fn a_grant_that_was_held_back_goes_out_in_time() {
    let config = Config { max_flows: INITIAL_FLOWS, opens_per_second: 100, ..Config::default() };
    let mut alone = alone(SERVER, 1, config);
    for index in 0..2 * INITIAL_FLOWS {
        let flow = FlowId::nth(Role::Client, index);
        alone.hear(0, Frame::Open { flow, early: 0, credit: 0, opaque: Bytes::new() });
        alone.hear(0, Frame::Reset { flow, reason: 0, final_offset: 0 });
    }
    alone.wait(ms(6));
    alone.acknowledge(0);
    alone.frames();
    let (at, timer) = alone.end.session.deadline().unwrap();
    assert_eq!(timer, Timer::Grant);
    alone.now = at;
    alone.give(Input::Tick);
    let grants = alone.frames();
    let [(0, Frame::Grant { flows, .. })] = grants[..] else { panic!("{grants:?}") };
    assert!(flows > 2 * INITIAL_FLOWS, "{flows}");
}

/// So little control is allowed that a test reaches the end of it.
fn tight() -> Config {
    Config { control_burst: MIN_CONTROL_BURST, control_per_second: 0, ..Config::default() }
}

fn limited(config: Config) -> Scripted {
    let mut alone = alone(SERVER, 2, config);
    alone.habits.checks = false;
    alone
}

/// Repeats a frame until the session ends or `most` bytes were said. Returns the bytes said.
fn flood(alone: &mut Scripted, said: &Bytes, most: u64) -> u64 {
    let mut bytes = 0;
    while bytes < most && !over(alone) {
        alone.hear_bytes(0, said.clone());
        alone.said.clear();
        bytes += said.len() as u64;
    }
    bytes
}

fn over(alone: &Scripted) -> bool {
    let reason = EndReason::Violation(Violation::Flood);
    match alone.told.iter().find(|output| matches!(output, Output::Ended { .. })) {
        Some(end) if *end == (Output::Ended { reason }) => true,
        Some(other) => panic!("{other:?}"),
        None => false,
    }
}

/// The client's first flow, with credit for what the tests say.
fn first_flow() -> Bytes {
    let early = crate::config::INITIAL_EARLY;
    Frame::Open { flow: FlowId(1), early, credit: 0, opaque: Bytes::new() }.encode(0)
}

fn data(offset: u64, payload: &[u8]) -> Bytes {
    bytes(&testing::data(1, offset), payload)
}

#[test]
fn control_burst_ends_a_flood_of_any_frame_that_brings_nothing() {
    let (flow, mine, stripe) = (FlowId(1), FlowId(0), StripeId(0));
    let fin = Frame::Data { flow, offset: 1, fin: true }.encode(0);
    let floods = [
        ("PING", Frame::Ping { nonce: 1 }.encode(0)),
        ("PONG", Frame::Pong { nonce: 0 }.encode(0)),
        ("ACK", Frame::Ack { counts: vec![(stripe, 0)] }.encode(0)),
        ("GRANT", Frame::Grant { flows: 0, early: 0 }.encode(0)),
        ("OPEN again", Frame::Open { flow, early: 0, credit: 0, opaque: Bytes::new() }.encode(0)),
        ("ACCEPT", Frame::Accept { flow: mine }.encode(0)),
        ("CREDIT", Frame::Credit { flow: mine, limit: 0 }.encode(0)),
        ("BLOCKED", Frame::Blocked { flow, limit: 0 }.encode(0)),
        ("RESET again", Frame::Reset { flow: FlowId(3), reason: 0, final_offset: 0 }.encode(0)),
        ("DRAIN", Frame::Drain.encode(0)),
        ("FIN again", fin),
        ("a frame that nobody knows, of one byte", Bytes::from_static(&[1, 0x40])),
        ("a frame that nobody knows", Bytes::from([&[0xe8, 0x07, 0x40][..], &[0; 999]].concat())),
        ("DATA again", data(0, b"x")),
    ];
    for (name, said) in floods {
        let mut alone = limited(tight());
        alone.open(b"hello");
        alone.hear_bytes(0, first_flow());
        alone.hear_bytes(0, data(0, b"x"));
        alone.told.clear();
        let said = flood(&mut alone, &said, 1 << 20);
        assert!(over(&alone), "{name}");
        // Three flows, and what was said before.
        let most = MIN_CONTROL_BURST + 3 * CONTROL_PER_FLOW + 2048;
        assert!((MIN_CONTROL_BURST - 2048..=most * 5 / 4).contains(&said), "{name}: {said} bytes");
    }
}

#[test]
fn data_in_pieces_of_one_byte_is_no_flood_however_much_of_it_comes() {
    let mut alone = limited(tight());
    alone.hear_bytes(0, first_flow());
    for offset in 0..100_000 {
        alone.hear_bytes(0, data(offset, b"x"));
        if offset % 1000 == 0 {
            alone.said.clear();
        }
    }
    assert!(!over(&alone));
    assert!(alone.stats().control_peak < MIN_CONTROL_BURST / 4, "its heads cost nothing");
}

#[test]
fn control_per_second_fills_the_allowance_up_again_and_no_further() {
    let config = Config { control_per_second: 1000, ..tight() };
    let mut alone = limited(config);
    let ping = Frame::Ping { nonce: 1 }.encode(0);
    flood(&mut alone, &ping, MIN_CONTROL_BURST - 300);
    alone.now = alone.now + Duration::from_secs(10);
    flood(&mut alone, &ping, 9_900);
    assert!(!over(&alone), "ten seconds bring 10,000 bytes");
    alone.now = alone.now + Duration::from_secs(86_400);
    let said = flood(&mut alone, &ping, 1 << 20);
    assert!(over(&alone) && said <= MIN_CONTROL_BURST + 100, "a day brings a burst: {said}");
}

#[test]
fn payload_per_control_and_flows_allow_for_more_control() {
    let (ping, payload) = (Frame::Ping { nonce: 1 }.encode(0), [7; 6400]);
    let allowed = |prepare: &dyn Fn(&mut Scripted)| {
        let mut alone = limited(tight());
        flood(&mut alone, &ping, MIN_CONTROL_BURST / 2);
        prepare(&mut alone);
        flood(&mut alone, &ping, 1 << 20)
    };
    let plain = allowed(&|_| {});
    let flow = |times: usize| {
        move |alone: &mut Scripted| {
            alone.hear_bytes(0, first_flow());
            (0..times).for_each(|_| alone.hear_bytes(0, data(0, &payload)));
        }
    };
    let [bare, once, twice] = [0, 1, 2].map(|times| allowed(&flow(times)) - plain);
    assert!((CONTROL_PER_FLOW - 20..=CONTROL_PER_FLOW).contains(&bare), "less an OPEN: {bare}");
    assert!((99..=102).contains(&(once - bare)), "6,400 bytes and a free head: {}", once - bare);
    assert!((87..=95).contains(&(twice - once)), "the same again, less a head: {}", twice - once);
    let three = |alone: &mut Scripted| {
        for _ in 0..3 {
            alone.open(&[7; 6400]);
        }
    };
    let ours = allowed(&three) - plain;
    let three = 3 * CONTROL_PER_FLOW;
    assert!((three..three + 400).contains(&ours), "three of ours: {ours}");
}

#[test]
fn the_count_of_control_does_not_depend_on_cuts() {
    let stream = [
        data(0, b"new"),
        data(0, b"new"),
        Bytes::from_static(&[4, 0x40, 1, 2, 3]),
        data(1, b"ew and more"),
        Frame::Ping { nonce: 1 }.encode(0),
        Bytes::from_static(&[4, 0x40, 1, 2, 3]),
        data(5, b"d"),
        Frame::Data { flow: FlowId(1), offset: 12, fin: true }.encode(0),
        Frame::Data { flow: FlowId(1), offset: 12, fin: true }.encode(0),
        Frame::Ping { nonce: 2 }.encode(0),
    ]
    .concat();
    let mut fresh = limited(tight());
    fresh.answers = false;
    let peak = |cuts: &[usize]| {
        let mut alone = fresh.clone();
        let mut from = 0;
        for to in cuts.iter().copied().chain([stream.len()]) {
            alone.hear_bytes(0, Bytes::copy_from_slice(&stream[from..to]));
            from = to;
        }
        alone.end.session.admission.used()
    };
    let whole = peak(&[]);
    for first in 0..stream.len() {
        for second in first..stream.len() {
            assert_eq!(peak(&[first, second]), whole, "cut at {first} and {second}");
        }
    }
    assert_eq!(peak(&(1..stream.len()).collect::<Vec<_>>()), whole, "byte by byte");
}

/// The peer uses all stripes, pieces of one byte, connections without data, and stripes that die.
#[test]
fn honest_peers_use_up_little_of_control_burst_at_their_most_talkative() {
    const MILLIS: u64 = 400;
    let mut pair = Pair::new(Config { stripes: 64, ..Config::default() });
    pair.habits.iter_mut().for_each(|habits| habits.checks = false);
    let flows: Vec<_> = (0..40).map(|_| pair.open()).collect();
    pair.run();
    for millis in 0..MILLIS {
        for flow in &flows {
            pair.send(0, *flow, b"x");
            pair.send(1, *flow, b"y");
        }
        for _ in 0..10 {
            let flow = pair.open();
            pair.give(0, Input::FlowReset { flow, reason: Reason::Aborted });
        }
        if millis % 20 == 0 {
            pair.kill(StripeId(millis / 20));
            pair.add_stripe();
        }
        pair.run_until(pair.now + Duration::from_millis(1));
    }
    for side in &pair.sides {
        let (stats, config) = (side.session.stats(), side.session.config());
        assert_eq!(side.ended(), None);
        assert!(stats.stripes_lost == MILLIS / 20 && stats.payload_sent == 40 * MILLIS);
        // The part of it that was used up lay between two refills.
        std::println!("{} of {} bytes", stats.control_peak, config.control_burst);
        assert!(stats.control_peak < config.control_burst / 100, "{} bytes", stats.control_peak);
    }
    assert_eq!(pair.sides[0].log.flows().len() as u64, 40 + 10 * MILLIS);
}
