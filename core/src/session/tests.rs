//! A pair of sessions joined by stripes without delay that tests can hold back, break and re-cut.

use super::*;
use crate::io::Input;
use alloc::collections::BTreeMap;
use alloc::vec;
use core::time::Duration;

/// One direction of a stripe: bytes on their way.
#[derive(Default)]
struct Wire {
    bytes: Vec<u8>,
    held: bool,
}

/// What one side's local world has seen.
#[derive(Default)]
struct Seen {
    opened: Vec<FlowId>,
    incoming: Vec<FlowId>,
    data: BTreeMap<FlowId, Vec<u8>>,
    finished: Vec<FlowId>,
    reset: Vec<(FlowId, Reason)>,
    refused: Vec<(FlowId, Reason)>,
    ended: Vec<FlowId>,
    accepted: Vec<FlowId>,
    over: Option<EndReason>,
    /// Report consumption at once.
    lazy: bool,
}

struct Side {
    session: Session,
    seen: Seen,
    written: BTreeMap<StripeId, u64>,
}

struct Pair {
    now: Instant,
    sides: [Side; 2],
    /// By stripe: client to server, server to client.
    wires: BTreeMap<StripeId, [Wire; 2]>,
    next_stripe: u64,
    /// Closed by a side; what it had written before still arrives.
    closing: Vec<(StripeId, usize)>,
    unchecked: bool,
}

impl Pair {
    fn new(config: Config) -> Self {
        let now = Instant::from_micros(1);
        let side = |role| Side {
            session: Session::new(role, SessionId([7; 16]), config, now),
            seen: Seen::default(),
            written: BTreeMap::new(),
        };
        let mut pair = Pair {
            now,
            sides: [side(Role::Client), side(Role::Server { instance: 9 })],
            wires: BTreeMap::new(),
            next_stripe: 0,
            closing: Vec::new(),
            unchecked: false,
        };
        for _ in 0..config.stripes {
            pair.add_stripe();
        }
        pair.run();
        pair
    }

    fn add_stripe(&mut self) -> StripeId {
        let stripe = StripeId(self.next_stripe);
        self.next_stripe += 1;
        self.wires.insert(stripe, Default::default());
        let client = self.sides[0].session.hello(stripe);
        let server = self.sides[1].session.hello(stripe);
        self.give(1, Input::StripeUp { stripe, hello: client });
        self.give(0, Input::StripeUp { stripe, hello: server });
        stripe
    }

    fn give(&mut self, side: usize, input: Input) {
        let mut queue = vec![input];
        while let Some(input) = (!queue.is_empty()).then(|| queue.remove(0)) {
            let mut out = Vec::new();
            let Side { session, seen, written } = &mut self.sides[side];
            session.handle(self.now, input, &mut out);
            if !self.unchecked {
                session.check_invariants();
            }
            for output in out {
                match output {
                    Output::Transmit { stripe, header, payload } => {
                        let total = written.entry(stripe).or_default();
                        *total += (header.len() + payload.len()) as u64;
                        if let Some(wires) = self.wires.get_mut(&stripe) {
                            wires[side].bytes.extend_from_slice(&header);
                            wires[side].bytes.extend_from_slice(&payload);
                        }
                        queue.push(Input::StripeWritten { stripe, total: *total });
                    }
                    Output::FlowOpened { flow, .. } => seen.opened.push(flow),
                    Output::FlowIncoming { flow, .. } => seen.incoming.push(flow),
                    Output::FlowAccepted { flow } => seen.accepted.push(flow),
                    Output::FlowData { flow, data } => {
                        let all = seen.data.entry(flow).or_default();
                        all.extend_from_slice(&data);
                        if !seen.lazy {
                            queue.push(Input::FlowConsumed { flow, total: all.len() as u64 });
                        }
                    }
                    Output::FlowFinished { flow } => seen.finished.push(flow),
                    Output::FlowReset { flow, reason } => seen.reset.push((flow, reason)),
                    Output::FlowRefused { flow, reason } => seen.refused.push((flow, reason)),
                    Output::FlowEnded { flow } => seen.ended.push(flow),
                    Output::Ended { reason } => seen.over = Some(reason),
                    Output::CloseStripe { stripe, .. } => {
                        self.closing.push((stripe, side));
                    }
                    _ => {}
                }
            }
        }
    }

    /// Moves bytes and time until nothing happens any more for 50 ms.
    fn run(&mut self) {
        let until = self.now + Duration::from_millis(50);
        self.run_until(until);
    }

    fn run_until(&mut self, until: Instant) {
        loop {
            if self.deliver() {
                continue;
            }
            let next = self.sides.iter().filter_map(|side| side.session.deadline()).map(|(at, _)| at).min();
            match next {
                Some(at) if at <= until => {
                    self.now = self.now.max(at);
                    self.give(0, Input::Tick);
                    self.give(1, Input::Tick);
                }
                _ => break,
            }
        }
        self.now = until;
    }

    /// Moves all bytes that are not held back; whether there were any.
    fn deliver(&mut self) -> bool {
        let mut any = false;
        for stripe in self.wires.keys().copied().collect::<Vec<_>>() {
            for side in 0..2 {
                let Some(wire) = self.wires.get_mut(&stripe).map(|wires| &mut wires[side]) else { continue };
                if !wire.held && !wire.bytes.is_empty() {
                    let data = Bytes::from(core::mem::take(&mut wire.bytes));
                    any = true;
                    self.give(1 - side, Input::StripeBytes { stripe, data });
                }
            }
        }
        for (stripe, side) in core::mem::take(&mut self.closing) {
            match self.wires.get(&stripe) {
                Some(wires) if wires[side].held || !wires[side].bytes.is_empty() => {
                    self.closing.push((stripe, side))
                }
                Some(_) => {
                    self.wires.remove(&stripe);
                    self.give(1 - side, Input::StripeDown { stripe });
                    any = true;
                }
                None => {}
            }
        }
        any
    }

    fn hold(&mut self, stripe: StripeId, held: bool) {
        self.wires.get_mut(&stripe).unwrap().iter_mut().for_each(|wire| wire.held = held);
    }

    /// Both ends see the stripe break; what was on it is lost.
    fn kill(&mut self, stripe: StripeId) {
        self.wires.remove(&stripe);
        self.give(0, Input::StripeDown { stripe });
        self.give(1, Input::StripeDown { stripe });
    }

    fn open(&mut self) -> FlowId {
        self.give(0, Input::FlowOpen { request: 0, opaque: Bytes::from_static(b"target") });
        *self.sides[0].seen.opened.last().unwrap()
    }

    /// Hands over as much as the session takes; how much that was.
    fn send(&mut self, side: usize, flow: FlowId, data: &[u8]) -> usize {
        let room = self.sides[side].session.send_room(flow) as usize;
        let len = data.len().min(room);
        if len > 0 {
            self.give(side, Input::FlowData { flow, data: Bytes::copy_from_slice(&data[..len]) });
        }
        len
    }

    fn send_all(&mut self, side: usize, flow: FlowId, mut data: &[u8]) {
        while !data.is_empty() {
            let len = self.send(side, flow, data);
            data = &data[len..];
            if len == 0 {
                self.run();
            }
        }
    }

    fn received(&self, side: usize, flow: FlowId) -> &[u8] {
        self.sides[side].seen.data.get(&flow).map_or(&[], |data| data)
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|i| (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect()
}

#[test]
fn bytes_and_fins_cross_in_both_directions() {
    let mut pair = Pair::new(Config::default());
    let data = pattern(3_000_000);
    let flow = pair.open();
    pair.run();
    assert_eq!(pair.sides[1].seen.incoming, [flow]);
    pair.give(1, Input::FlowAccept { flow });
    pair.send_all(0, flow, &data);
    pair.give(0, Input::FlowFinish { flow });
    pair.run();
    assert_eq!(pair.sides[0].seen.accepted, [flow]);
    assert_eq!(pair.sides[1].seen.finished, [flow]);
    assert!(pair.sides[0].seen.finished.is_empty(), "half-close is per direction");
    pair.send_all(1, flow, &data);
    pair.give(1, Input::FlowFinish { flow });
    pair.run();
    for side in 0..2 {
        assert!(pair.received(side, flow) == data);
        assert_eq!(pair.sides[side].seen.ended, [flow]);
        assert_eq!(pair.sides[side].session.stats().flows, 0);
    }
}

#[test]
fn dead_stripe_returns_custody_and_nothing_is_lost() {
    let mut pair = Pair::new(Config { stripes: 2, ..Config::default() });
    let data = pattern(400_000);
    let flow = pair.open();
    pair.run();
    pair.hold(StripeId(0), true);
    let mut sent = pair.send(0, flow, &data);
    pair.kill(StripeId(0));
    pair.run();
    pair.add_stripe();
    while sent < data.len() {
        sent += pair.send(0, flow, &data[sent..]);
        pair.run();
    }
    pair.give(0, Input::FlowFinish { flow });
    pair.run();
    assert!(pair.received(1, flow) == data);
    assert_eq!(pair.sides[1].seen.finished, [flow]);
    assert!(pair.sides[0].session.stats().payload_resent > 0);
}

#[test]
fn all_stripes_dead_and_one_back_resends_exactly_what_was_missing() {
    let mut pair = Pair::new(Config { stripes: 1, ..Config::default() });
    let data = pattern(100_000);
    let flow = pair.open();
    pair.run();
    // The data arrives, but its acknowledgement is lost with the stripe.
    pair.wires.get_mut(&StripeId(0)).unwrap()[1].held = true;
    pair.send_all(0, flow, &data);
    pair.deliver();
    pair.kill(StripeId(0));
    pair.add_stripe();
    pair.give(0, Input::FlowFinish { flow });
    pair.run();
    assert!(pair.received(1, flow) == data);
    assert_eq!(pair.sides[0].session.stats().payload_resent, 0, "the HELLOs said that it was there");
}

#[test]
fn no_stripe_for_the_resume_limit_resets_flows_and_never_finishes_them() {
    let mut pair = Pair::new(Config { stripes: 1, ..Config::default() });
    let flow = pair.open();
    pair.run();
    pair.kill(StripeId(0));
    pair.run_until(pair.now + Duration::from_secs(61));
    for side in 0..2 {
        assert_eq!(pair.sides[side].seen.over, Some(EndReason::NoStripe));
        assert_eq!(pair.sides[side].seen.reset, [(flow, Reason::SessionLost)]);
        assert!(pair.sides[side].seen.finished.is_empty());
    }
}

#[test]
fn a_reset_delivers_earlier_bytes_first() {
    let mut pair = Pair::new(Config { stripes: 2, ..Config::default() });
    let data = pattern(100_000);
    let flow = pair.open();
    pair.run();
    pair.hold(StripeId(0), true);
    pair.hold(StripeId(1), true);
    pair.send_all(1, flow, &data);
    pair.give(1, Input::FlowReset { flow, reason: Reason::Aborted });
    for stripe in [StripeId(1), StripeId(0)] {
        pair.hold(stripe, false);
        pair.run();
    }
    assert!(pair.received(0, flow) == data);
    assert_eq!(pair.sides[0].seen.reset, [(flow, Reason::Aborted)]);
    assert_eq!((pair.sides[0].session.stats().flows, pair.sides[1].session.stats().flows), (0, 0));
}

#[test]
fn a_reset_waits_at_most_a_second_for_a_consumer_that_has_stopped() {
    let mut pair = Pair::new(Config::default());
    let flow = pair.open();
    pair.run();
    pair.sides[0].seen.lazy = true;
    let data = pattern(2_000_000);
    let mut sent = 0;
    while let len @ 1.. = pair.send(1, flow, &data[sent..]) {
        sent += len;
        pair.run();
    }
    pair.give(1, Input::FlowReset { flow, reason: Reason::Aborted });
    pair.run();
    assert!(pair.sides[0].seen.reset.is_empty() || pair.received(0, flow).len() == sent);
    pair.run_until(pair.now + Duration::from_secs(2));
    assert_eq!(pair.sides[0].seen.reset, [(flow, Reason::Aborted)]);
    assert_eq!((pair.sides[0].session.stats().flows, pair.sides[1].session.stats().flows), (0, 0));
}

#[test]
fn a_refused_flow_ends_on_both_sides() {
    let mut pair = Pair::new(Config::default());
    let flow = pair.open();
    pair.send(0, flow, b"hello");
    pair.run();
    pair.give(1, Input::FlowRefuse { flow, reason: Reason::ConnectionRefused });
    pair.run();
    assert_eq!(pair.sides[0].seen.refused, [(flow, Reason::ConnectionRefused)]);
    assert_eq!((pair.sides[0].session.stats().flows, pair.sides[1].session.stats().flows), (0, 0));
}

#[test]
fn frames_of_a_flow_may_overtake_its_open_in_every_order() {
    for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
        let mut pair = Pair::new(Config {
            stripes: 3,
            scheduler: crate::SchedulerKind::RoundRobin,
            ..Config::default()
        });
        (0..3).for_each(|stripe| pair.hold(StripeId(stripe), true));
        let flow = pair.open();
        let data = pattern(40_000);
        pair.send_all(0, flow, &data);
        pair.give(0, Input::FlowFinish { flow });
        for stripe in order {
            pair.hold(StripeId(stripe), false);
            pair.run();
        }
        assert!(pair.received(1, flow) == data, "order {order:?}");
        assert_eq!(pair.sides[1].seen.finished, [flow]);
    }
}

#[test]
fn ten_thousand_stuck_flows_leave_the_next_one_moving() {
    let config = Config { stripes: 1, memory_limit: 8 << 20, ..Config::default() };
    let mut pair = Pair::new(config);
    pair.sides[1].seen.lazy = true;
    let block = pattern(300_000);
    // Checking all flows after each step would take hours here.
    pair.unchecked = true;
    for _ in 0..10_000 {
        let flow = pair.open();
        let filled = pair.send(0, flow, &block);
        assert!(filled as u64 >= FLOW_FLOOR);
        pair.run();
    }
    pair.unchecked = false;
    pair.sides[1].seen.lazy = false;
    let flow = pair.open();
    pair.send_all(0, flow, &block);
    pair.give(0, Input::FlowFinish { flow });
    pair.run();
    assert!(pair.received(1, flow) == block);
    assert!(pair.sides[1].session.stats().credit_outstanding <= config.memory_limit / 2);
}

#[test]
fn a_lone_new_flow_sends_256_kib_without_a_round_trip() {
    let mut pair = Pair::new(Config::default());
    (0..4).for_each(|stripe| pair.wires.get_mut(&StripeId(stripe)).unwrap()[1].held = true);
    let flow = pair.open();
    let data = pattern(1 << 20);
    let mut sent = 0;
    while let len @ 1.. = pair.send(0, flow, &data[sent..]) {
        sent += len;
    }
    pair.deliver();
    assert_eq!(sent, 256 << 10);
    assert_eq!(pair.received(1, flow).len(), 256 << 10);
}

#[test]
fn a_drained_session_ends_when_its_flows_have() {
    let mut pair = Pair::new(Config::default());
    let flow = pair.open();
    pair.run();
    pair.give(0, Input::Shutdown);
    pair.run();
    assert_eq!(pair.sides[0].seen.over, None);
    pair.give(0, Input::FlowFinish { flow });
    pair.give(1, Input::FlowFinish { flow });
    pair.run();
    for side in 0..2 {
        assert!(matches!(pair.sides[side].seen.over, Some(EndReason::Shutdown | EndReason::PeerClosed)));
        assert_eq!(pair.sides[side].seen.ended, [flow], "ended, not reset");
    }
}

#[test]
fn a_silent_stripe_is_doubted_relieved_and_given_up() {
    let mut pair = Pair::new(Config { stripes: 2, ..Config::default() });
    let data = pattern(200_000);
    let flow = pair.open();
    pair.run();
    pair.hold(StripeId(0), true);
    pair.send_all(0, flow, &data);
    pair.run_until(pair.now + Duration::from_secs(1));
    assert!(pair.received(1, flow) == data, "what the silent stripe held was sent again");
    pair.run_until(pair.now + Duration::from_secs(10));
    assert_eq!(pair.sides[0].session.stats().stripes.len(), 1);
    assert_eq!(
        pair.sides[1].session.stats().stripes.len(),
        1,
        "STRIPE_GONE spares the other side its own timeout"
    );
}

#[test]
fn a_slow_consumer_sees_the_fin_of_a_session_that_the_other_side_closed() {
    let mut pair = Pair::new(Config::default());
    let flow = pair.open();
    pair.run();
    pair.sides[1].seen.lazy = true;
    pair.send_all(0, flow, &pattern(1000));
    pair.give(0, Input::FlowFinish { flow });
    pair.give(1, Input::FlowFinish { flow });
    pair.run();
    pair.give(0, Input::Shutdown);
    pair.run();
    assert!(pair.sides[1].seen.over.is_some());
    assert_eq!(pair.sides[1].seen.finished, [flow]);
    assert_eq!((&pair.sides[1].seen.ended[..], &pair.sides[1].seen.reset[..]), (&[flow][..], &[][..]));
}

#[test]
fn an_open_on_a_silent_stripe_is_sent_again_before_the_stripe_is_given_up() {
    let mut pair = Pair::new(Config { stripes: 2, ..Config::default() });
    (0..2).for_each(|stripe| pair.hold(StripeId(stripe), true));
    let flow = pair.open();
    let silent =
        *pair.sides[0].session.stripes.live.iter().find(|(_, stripe)| stripe.ledger.awaits()).unwrap().0;
    pair.hold(StripeId(1 - silent.0), false);
    pair.run_until(pair.now + Duration::from_secs(1));
    assert_eq!(pair.sides[1].seen.incoming, [flow]);
    assert_eq!(pair.sides[1].session.stats().stripes.len(), 2);
}

#[test]
fn resets_that_overtake_their_opens_cost_no_early_credit_for_good() {
    let mut pair =
        Pair::new(Config { stripes: 2, scheduler: crate::SchedulerKind::RoundRobin, ..Config::default() });
    for _ in 0..40 {
        (0..2).for_each(|stripe| pair.hold(StripeId(stripe), true));
        let flow = pair.open();
        let open_on =
            *pair.sides[0].session.stripes.live.iter().find(|(_, stripe)| stripe.ledger.awaits()).unwrap().0;
        pair.hold(StripeId(1 - open_on.0), false);
        // Its stripe is full of other things, so the RESET goes on the other one.
        let stripe = pair.sides[0].session.stripes.live.get_mut(&open_on).unwrap();
        (stripe.doubted, stripe.requeued) = (true, true);
        pair.give(0, Input::FlowReset { flow, reason: Reason::Aborted });
        pair.deliver();
        pair.hold(open_on, false);
        pair.run();
    }
    assert!(pair.sides[1].seen.incoming.is_empty());
    let flow = pair.open();
    assert_eq!(pair.sides[0].session.send_room(flow), crate::config::INITIAL_WINDOW);
}

#[test]
fn a_lower_memory_limit_takes_no_credit_back_and_gives_only_the_floor() {
    let mut pair = Pair::new(Config::default());
    let flow = pair.open();
    pair.run();
    pair.give(1, Input::MemoryLimit { receive: 0, send: 0 });
    let before = pair.sides[1].session.memory_used().0;
    let data = pattern(2_000_000);
    pair.send_all(0, flow, &data);
    pair.run();
    assert!(pair.received(1, flow) == data, "the floor keeps it moving");
    assert!(pair.sides[1].session.memory_used().0 <= before);
    assert_eq!(
        pair.sides[0].session.send_room(flow),
        FLOW_FLOOR,
        "what the peer may send beyond what was consumed"
    );
}

#[test]
fn a_stripe_whose_hello_ends_the_session_is_told_and_closed_like_the_others() {
    let hello = |stripe, kind, gone| Input::StripeUp {
        stripe,
        hello: Hello { kind, session: SessionId([7; 16]), stripe, gone },
    };
    let accept = |instance| HelloKind::Accept { instance };
    let never_sent = vec![(StripeId(0), 1 << 40)];
    for (second, violation) in [
        (hello(StripeId(1), accept(8), vec![]), Violation::InstanceChanged),
        (hello(StripeId(1), accept(9), never_sent), Violation::BadAcknowledgement),
    ] {
        let mut session =
            Session::new(Role::Client, SessionId([7; 16]), Config::default(), Instant::from_micros(1));
        session.handle(Instant::ZERO, hello(StripeId(0), accept(9), vec![]), &mut Vec::new());
        let mut out = Vec::new();
        session.handle(Instant::ZERO, second, &mut out);
        assert_eq!(out.last(), Some(&Output::Ended { reason: EndReason::Violation(violation) }));
        for stripe in [StripeId(0), StripeId(1)] {
            let header = Frame::Close { code: 2 }.encode(0);
            let said = out.iter().position(|output| {
                *output == Output::Transmit { stripe, header: header.clone(), payload: Bytes::new() }
            });
            let closed = out.iter().position(|output| {
                *output == Output::CloseStripe { stripe, reason: StripeClose::SessionEnded }
            });
            assert!(said.is_some() && said < closed, "{violation:?} on stripe {stripe}: {out:?}");
        }
    }
}

#[test]
fn a_process_that_stood_still_blames_no_stripe_for_it() {
    // Cut in such a way that the first bytes to be heard afterwards are those of one stripe alone.
    let mut pair = Pair::new(Config { stripes: 2, ..Config::default() });
    let flow = pair.open();
    pair.run();
    pair.wires.values_mut().for_each(|wires| wires[1].held = true);
    pair.send(0, flow, &pattern(100_000));
    pair.deliver();
    pair.now = pair.now + Duration::from_secs(30);
    pair.hold(StripeId(1), false);
    pair.deliver();
    pair.hold(StripeId(0), false);
    pair.run();
    assert_eq!(pair.sides[0].session.stats().stripes_lost, 0);
    for stripe in pair.sides[0].session.stats().stripes {
        assert!(!stripe.doubted);
        assert!(stripe.srtt < Some(Duration::from_secs(1)), "a pause is no round trip: {:?}", stripe.srtt);
    }
}

#[test]
fn an_answer_behind_bytes_that_keep_coming_is_waited_for_but_not_for_ever() {
    let mut pair = Pair::new(Config { stripes: 1, ..Config::default() });
    let flow = pair.open();
    pair.run();
    pair.hold(StripeId(0), true);
    pair.send(0, flow, &pattern(1_000));
    let began = pair.now;
    while pair.sides[0].session.stats().stripes_lost == 0 {
        pair.now = pair.now + Duration::from_millis(500);
        let data = Frame::Ping { nonce: 1 }.encode(0);
        pair.give(0, Input::StripeBytes { stripe: StripeId(0), data });
        assert!(pair.now.since(began) < Duration::from_secs(20), "given up in the end");
    }
    assert!(pair.now.since(began) > Duration::from_secs(10), "after {:?}", pair.now.since(began));
}

#[test]
fn stripes_that_all_die_unheard_end_the_session_without_blame() {
    let mut pair = Pair::new(Config { stripes: 1, ..Config::default() });
    pair.unchecked = true;
    pair.kill(StripeId(0));
    for number in 1..2_000 {
        let stripe = StripeId(number);
        let hello = Hello { gone: Vec::new(), ..pair.sides[1].session.hello(stripe) };
        pair.give(0, Input::StripeUp { stripe, hello });
        pair.give(0, Input::StripeDown { stripe });
        if let Some(reason) = pair.sides[0].seen.over {
            assert_eq!(reason, EndReason::NoStripe);
            return;
        }
    }
    panic!("gone stripes are remembered without bound");
}
