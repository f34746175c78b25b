//! Credit and memory: what a flow may send, and what is left for the next one.

use super::*;
use crate::config::FLOW_FLOOR;

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
fn ten_thousand_stuck_flows_leave_the_next_one_moving() {
    let config = Config { stripes: 1, memory_limit: 8 << 20, ..Config::default() };
    let mut pair = Pair::new(config);
    pair.habits[1].consumes = false;
    let block = pattern(300_000);
    // Checking all flows after each step would take hours here.
    pair.habits.iter_mut().for_each(|habits| habits.checks = false);
    for _ in 0..10_000 {
        let flow = pair.open();
        let filled = pair.send(0, flow, &block);
        assert!(filled as u64 >= FLOW_FLOOR);
        pair.run();
    }
    pair.habits.iter_mut().for_each(|habits| habits.checks = true);
    pair.habits[1].consumes = true;
    let flow = pair.open();
    pair.send_all(0, flow, &block);
    pair.give(0, Input::FlowFinish { flow });
    pair.run();
    assert!(pair.received(1, flow) == block);
    assert!(pair.sides[1].session.stats().credit_outstanding <= config.memory_limit / 2);
}

#[test]
fn resets_that_overtake_their_opens_cost_no_early_credit_for_good() {
    let mut pair = Pair::new(round_robin(2));
    for _ in 0..40 {
        (0..2).for_each(|stripe| pair.hold(StripeId(stripe), true));
        let flow = pair.open();
        let mut stripes = pair.sides[0].session.stripes.iter();
        let open_on = stripes.find(|stripe| stripe.ledger().awaits()).unwrap().id();
        drop(stripes);
        pair.hold(StripeId(1 - open_on.0), false);
        // Its stripe is full of other things, so the RESET goes on the other one.
        let stripe = pair.sides[0].session.stripes.get_mut(open_on).unwrap();
        stripe.doubt();
        stripe.resent();
        pair.give(0, Input::FlowReset { flow, reason: Reason::Aborted });
        pair.deliver();
        pair.hold(open_on, false);
        pair.run();
    }
    assert!(pair.sides[1].log.flows().is_empty());
    let flow = pair.open();
    assert_eq!(pair.sides[0].session.send_room(flow), crate::config::INITIAL_WINDOW);
}

#[test]
fn a_lower_memory_limit_takes_no_credit_back_and_gives_only_the_floor() {
    let (mut pair, flow) = opened(4);
    pair.give(1, Input::MemoryLimit { receive: 0, send: 0 });
    let before = pair.sides[1].session.memory_used().0;
    let data = pattern(2_000_000);
    pair.send_all(0, flow, &data);
    pair.run();
    assert!(pair.received(1, flow) == data, "the floor keeps it moving");
    assert!(pair.sides[1].session.memory_used().0 <= before);
    let rest = pair.sides[0].session.send_room(flow);
    assert!(rest <= FLOW_FLOOR, "{rest}");
    // All of it at once, so that nothing is left of what is too little to announce.
    pair.habits[1].consumes = false;
    pair.send_all(0, flow, &data[..rest as usize]);
    pair.run();
    pair.give(1, Input::FlowConsumed { flow, total: data.len() as u64 + rest });
    pair.run();
    let room = pair.sides[0].session.send_room(flow);
    assert_eq!(room, FLOW_FLOOR, "what the peer may send beyond what was consumed");
}

#[test]
fn flows_that_wait_for_memory_are_told_in_turn() {
    let mut alone = client(1);
    alone.answers = false;
    alone.give(Input::MemoryLimit { receive: 64 << 20, send: 0 });
    let flows = [0, 1].map(|_| {
        let flow = alone.open(&[0; FLOW_FLOOR as usize]);
        alone.hear(0, Frame::Credit { flow, limit: 1 << 20 });
        flow
    });
    let writable = |alone: &mut Scripted| -> Vec<FlowId> {
        let flow =
            |output| if let Output::FlowWritable { flow } = output { Some(flow) } else { None };
        alone.told().into_iter().filter_map(flow).collect()
    };
    assert_eq!(writable(&mut alone), [], "all floors are used");
    alone.give(Input::MemoryLimit { receive: 64 << 20, send: 10_000 });
    assert_eq!(writable(&mut alone), flows);
    alone.give(Input::FlowData { flow: flows[0], data: Bytes::from_static(&[0; 10_000]) });
    alone.give(Input::Tick);
    assert_eq!((writable(&mut alone), alone.end.session.send_room(flows[1])), (Vec::new(), 0));
    alone.acknowledge(0);
    // One gets shared room, then some of its own; the other was promised room that it never had.
    assert_eq!(writable(&mut alone), [flows[0], flows[0], flows[1]]);
    alone.acknowledge(0);
    alone.give(Input::Tick);
    assert_eq!(writable(&mut alone), []);
}
