//! Stripes that die, fall silent, or come in vain: nothing is lost, and none is blamed wrongly.

use super::*;

#[test]
fn dead_stripe_returns_custody_and_nothing_is_lost() {
    let (mut pair, flow) = opened(2);
    let data = pattern(400_000);
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
    assert!(pair.flow(1, flow).fin);
    assert!(pair.sides[0].session.stats().payload_resent > 0);
}

#[test]
fn all_stripes_dead_and_one_back_resends_exactly_the_missing_bytes() {
    let (mut pair, flow) = opened(1);
    let data = pattern(100_000);
    // The data arrives, but its acknowledgement is lost with the stripe.
    pair.wires.get_mut(&StripeId(0)).unwrap()[1].held = true;
    pair.send_all(0, flow, &data);
    pair.deliver();
    pair.kill(StripeId(0));
    pair.add_stripe();
    pair.give(0, Input::FlowFinish { flow });
    pair.run();
    assert!(pair.received(1, flow) == data);
    let resent = pair.sides[0].session.stats().payload_resent;
    assert_eq!(resent, 0, "the HELLOs said that it was there");
}

#[test]
fn no_stripe_for_the_resume_limit_resets_flows_and_never_finishes_them() {
    let (mut pair, flow) = opened(1);
    pair.kill(StripeId(0));
    pair.run_until(pair.now + Duration::from_secs(61));
    for side in 0..2 {
        assert_eq!(pair.sides[side].ended(), Some(EndReason::NoStripe));
        assert_eq!(pair.flow(side, flow).over, Some(Over::ResetByPeer(Reason::SessionLost)));
        assert!(!pair.flow(side, flow).fin);
    }
}

#[test]
fn a_silent_stripe_is_doubted_relieved_and_given_up() {
    let (mut pair, flow) = opened(2);
    let data = pattern(200_000);
    pair.hold(StripeId(0), true);
    pair.send_all(0, flow, &data);
    pair.run_until(pair.now + Duration::from_secs(1));
    assert!(pair.received(1, flow) == data, "what the silent stripe held was sent again");
    let doubts = pair.sides[0].session.stats().stripes[0].doubts;
    assert_eq!(doubts, 1);
    pair.run_until(pair.now + Duration::from_secs(10));
    let stats = pair.sides[0].session.stats();
    assert_eq!((stats.stripes.len(), stats.doubts), (1, 1), "its doubts are still counted");
    let theirs = pair.sides[1].session.stats().stripes.len();
    assert_eq!(theirs, 1, "STRIPE_GONE spares the other side its own timeout");
}

#[test]
fn an_open_on_a_silent_stripe_is_sent_again_before_the_stripe_is_given_up() {
    let mut pair = Pair::new(Config { stripes: 2, ..Config::default() });
    (0..2).for_each(|stripe| pair.hold(StripeId(stripe), true));
    let flow = pair.open();
    let mut stripes = pair.sides[0].session.stripes.iter();
    let silent = stripes.find(|stripe| stripe.ledger().awaits()).unwrap().id();
    drop(stripes);
    pair.hold(StripeId(1 - silent.0), false);
    pair.run_until(pair.now + Duration::from_secs(1));
    assert!(pair.sides[1].log.live().eq([flow]));
    assert_eq!(pair.sides[1].session.stats().stripes.len(), 2);
}

#[test]
fn a_stripe_whose_hello_ends_the_session_is_closed_too() {
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
        let (id, birth) = (SessionId([7; 16]), Instant::from_micros(1));
        let mut session = Session::new(Role::Client, id, Config::default(), birth);
        session.handle(Instant::ZERO, hello(StripeId(0), accept(9), vec![]), &mut Vec::new());
        let mut out = Vec::new();
        session.handle(Instant::ZERO, second, &mut out);
        assert_eq!(out.last(), Some(&Output::Ended { reason: EndReason::Violation(violation) }));
        for stripe in [StripeId(0), StripeId(1)] {
            let position = |wanted: Output| out.iter().position(|output| *output == wanted);
            let header = Frame::Close { code: 2 }.encode(0);
            let said = position(Output::Transmit { stripe, header, payload: Bytes::new() });
            let reason = StripeClose::SessionEnded;
            let closed = position(Output::CloseStripe { stripe, reason });
            assert!(said.is_some() && said < closed, "{violation:?} on stripe {stripe}: {out:?}");
        }
    }
}

#[test]
fn a_process_that_stood_still_blames_no_stripe_for_it() {
    // Cut in such a way that the first bytes to be heard afterwards are those of one stripe alone.
    let (mut pair, flow) = opened(2);
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
        assert!(stripe.srtt < Some(Duration::from_secs(1)), "a pause is no round trip");
    }
}

#[test]
fn an_answer_behind_bytes_that_keep_coming_is_waited_for_but_not_for_ever() {
    let (mut pair, flow) = opened(1);
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
    pair.habits.iter_mut().for_each(|habits| habits.checks = false);
    pair.kill(StripeId(0));
    for number in 1..2_000 {
        let stripe = StripeId(number);
        let hello = Hello { gone: Vec::new(), ..pair.sides[1].session.hello(stripe) };
        pair.give(0, Input::StripeUp { stripe, hello });
        pair.give(0, Input::StripeDown { stripe });
        if let Some(reason) = pair.sides[0].ended() {
            assert_eq!(reason, EndReason::NoStripe);
            return;
        }
    }
    panic!("gone stripes are remembered without bound");
}
