//! Frames that must arrive are said again after a loss, and some are repeated on a second stripe.

use super::*;
use crate::config::FLOW_FLOOR;
use crate::timers::Timer;
use crate::wire::deframer::Item;

fn down(stripe: u64) -> Input {
    Input::StripeDown { stripe: StripeId(stripe) }
}

fn stripes_of(frames: &[(u64, Frame)], is: impl Fn(&Frame) -> bool) -> Vec<u64> {
    frames.iter().filter(|(_, frame)| is(frame)).map(|(stripe, _)| *stripe).collect()
}

/// Where a frame was said that must have been said once.
fn the_one(frames: &[(u64, Frame)], is: impl Fn(&Frame) -> bool) -> u64 {
    let stripes = stripes_of(frames, is);
    assert_eq!(stripes.len(), 1, "{frames:?}");
    stripes[0]
}

#[test]
fn a_drain_lost_with_its_stripe_is_said_again() {
    let mut alone = client(2);
    alone.open(b"");
    alone.give(Input::Shutdown);
    let stripe = the_one(&alone.frames(), |frame| *frame == Frame::Drain);
    alone.give(down(stripe));
    assert_eq!(stripes_of(&alone.frames(), |frame| *frame == Frame::Drain), [1 - stripe]);
}

#[test]
fn a_farewell_lost_with_its_stripe_is_said_again() {
    let closings = [
        Input::FlowReset { flow: FLOW, reason: Reason::Aborted },
        Input::FlowRefuse { flow: FLOW, reason: Reason::Aborted },
    ];
    let is_farewell = |frame: &Frame| matches!(frame, Frame::Reset { .. } | Frame::Refuse { .. });
    for closing in closings {
        let mut alone = server(2);
        alone.hear(0, open());
        alone.give(closing);
        let stripe = the_one(&alone.frames(), is_farewell);
        alone.give(down(stripe));
        assert_eq!(stripes_of(&alone.frames(), is_farewell), [1 - stripe]);
    }
}

#[test]
fn a_reset_that_a_copy_has_brought_is_not_said_again() {
    let is_reset = |frame: &Frame| matches!(frame, Frame::Reset { .. });
    let mut alone = client(1);
    alone.answers = false;
    alone.open(b"some data that keeps the flow");
    alone.give(Input::FlowReset { flow: FLOW, reason: Reason::Aborted });
    alone.up(1);
    alone.acknowledge(1);
    alone.frames();
    alone.wait(ms(1000));
    assert_eq!(stripes_of(&alone.frames(), is_reset), [1], "its stripe is in doubt");
    let count = end_of(&alone, 1, Token::Control(Intent::Reset(FLOW)));
    alone.hear(1, Frame::Ack { counts: vec![(StripeId(1), count)] });
    assert_eq!(alone.stats().flows, 1, "its data is still on its way");
    alone.give(down(0));
    assert_eq!(stripes_of(&alone.frames(), is_reset), []);
}

#[test]
fn the_end_of_a_stripe_is_said_until_the_peer_knows() {
    let is_gone = |frame: &Frame| matches!(frame, Frame::StripeGone { stripe: StripeId(0), .. });
    let mut alone = server(4);
    alone.give(down(0));
    let mut carriers = Vec::new();
    for _ in 0..2 {
        let stripe = the_one(&alone.frames(), is_gone);
        carriers.push(stripe);
        alone.give(down(stripe));
    }
    let stripe = the_one(&alone.frames(), is_gone);
    carriers.push(stripe);
    alone.acknowledge(stripe);
    carriers.sort_unstable();
    assert_eq!(carriers, [1, 2, 3]);
    alone.up(4);
    alone.give(down(stripe));
    assert_eq!(stripes_of(&alone.frames(), is_gone), [], "what was acknowledged is known");
}

#[test]
fn acknowledgements_lost_with_their_stripe_are_said_again() {
    let acks = |alone: &mut Scripted| -> Vec<_> {
        let ack = |(_, frame)| if let Frame::Ack { counts } = frame { Some(counts) } else { None };
        alone.frames().into_iter().filter_map(ack).flatten().collect()
    };
    for answers in [true, false] {
        let mut alone = server(1);
        alone.hear(0, open());
        alone.answers = answers;
        alone.up(1);
        alone.up(2);
        alone.answers = false;
        alone.wait(ms(5));
        let stats = alone.stats();
        let carrier = alone.end.session.stripes.iter().find(|stripe| {
            stripe.ledger().iter().any(|entry| entry.token == Token::Acknowledgements)
        });
        let carrier = carrier.unwrap().id();
        acks(&mut alone);
        alone.give(Input::StripeDown { stripe: carrier });
        let brought = stats.stripes.iter().map(|stripe| (stripe.stripe, stripe.received));
        let expected: Vec<_> =
            brought.filter(|(stripe, count)| *stripe != carrier && *count > 0).collect();
        assert_eq!(acks(&mut alone), expected);
    }
}

#[test]
fn of_a_frame_that_has_arrived_in_part_only_the_rest_is_sent_again() {
    let mut alone = client(1);
    alone.answers = false;
    alone.open(&[7; 8_000]);
    let end = live(&alone, 0).sent();
    alone.hear(0, Frame::Ack { counts: vec![(StripeId(0), end - 3_000)] });
    assert_eq!(alone.stats().held, 3_000, "what has arrived is let go");
    alone.up(1);
    alone.said.clear();
    alone.give(down(0));
    let data =
        Item::Data { flow: FLOW, offset: 5_000, data: Bytes::from_static(&[7; 3_000]), fin: false };
    assert!(alone.said.contains(&(StripeId(1), data)), "{:?}", alone.said);
    assert_eq!(alone.stats().payload_resent, 3_000);
}

#[test]
fn acknowledgements_of_past_stripes_are_late_of_unknown_ones_wrong() {
    let mut alone = server(1);
    alone.hear(0, Frame::StripeGone { stripe: StripeId(7), received: 0 });
    alone.acknowledge(0);
    for (stripe, ended) in [(7, false), (8, true)] {
        alone.hear(0, Frame::Ack { counts: vec![(StripeId(stripe), 0)] });
        let reason = EndReason::Violation(Violation::BadAcknowledgement);
        assert_eq!(alone.told().contains(&Output::Ended { reason }), ended, "stripe {stripe}");
    }
}

#[test]
fn a_pong_answers_the_ping_that_it_names() {
    let mut alone = client(1);
    alone.answers = false;
    alone.open(b"");
    alone.wait(ms(1_000));
    let doubted = |alone: &Scripted| alone.stats().stripes[0].doubted;
    let (nonce, _) = live(&alone, 0).probes().ping().expect("overdue");
    alone.hear(0, Frame::Pong { nonce: nonce + 1 });
    assert!(doubted(&alone));
    alone.hear(0, Frame::Pong { nonce });
    assert!(!doubted(&alone));
}

#[test]
fn acknowledgements_are_repeated_once_on_a_second_stripe() {
    let is_ack = |frame: &Frame| matches!(frame, Frame::Ack { .. });
    let mut alone = server(2);
    alone.hear(0, open());
    alone.frames();
    alone.wait(ms(2));
    let stripe = the_one(&alone.frames(), is_ack);
    alone.wait(ms(9));
    assert_eq!(stripes_of(&alone.frames(), is_ack), []);
    alone.wait(ms(1));
    assert_eq!(stripes_of(&alone.frames(), is_ack), [1 - stripe]);
    alone.wait(ms(5_000));
    assert_eq!(stripes_of(&alone.frames(), is_ack), []);
}

#[test]
fn a_single_stripe_has_none_beside_it_for_repetitions() {
    let mut alone = server(1);
    alone.hear(0, open());
    alone.wait(ms(5));
    assert!(!alone.end.session.timers.is_set(Timer::Repeat));
}

#[test]
fn credit_is_repeated_on_a_second_stripe_while_it_is_of_use() {
    for useful in [true, false] {
        let mut alone = server(2);
        alone.hear(0, open());
        alone.hear_data(0, FLOW, 0, &pattern(FLOW_FLOOR as usize), false);
        alone.give(Input::FlowConsumed { flow: FLOW, total: FLOW_FLOOR });
        // The window has doubled.
        let credit = Frame::Credit { flow: FLOW, limit: 3 * FLOW_FLOOR };
        let stripe = the_one(&alone.frames(), |frame| *frame == credit);
        if !useful {
            alone.give(Input::FlowReset { flow: FLOW, reason: Reason::Aborted });
        }
        alone.wait(ms(10));
        let repeated = useful.then_some(1 - stripe);
        assert_eq!(stripes_of(&alone.frames(), |frame| *frame == credit), repeated.as_slice());
    }
}

#[test]
fn credit_lost_with_its_stripe_or_given_without_one_is_said_on_the_next() {
    for lost in [true, false] {
        let mut alone = server(1);
        alone.hear(0, open());
        alone.hear_data(0, FLOW, 0, &pattern(FLOW_FLOOR as usize), false);
        let steps = [Input::FlowConsumed { flow: FLOW, total: FLOW_FLOOR }, down(0)];
        let [first, second] = if lost { steps } else { [steps[1].clone(), steps[0].clone()] };
        alone.give(first);
        alone.give(second);
        alone.frames();
        alone.up(1);
        // The window has doubled.
        let credit = Frame::Credit { flow: FLOW, limit: 3 * FLOW_FLOOR };
        assert_eq!(stripes_of(&alone.frames(), |frame| *frame == credit), [1], "lost: {lost}");
    }
}

#[test]
fn an_open_that_is_said_again_says_the_same() {
    let mut alone = client(0);
    alone.open(b"first bytes");
    let expected = crate::config::INITIAL_EARLY;
    let is_open = |frame: &Frame| matches!(frame, Frame::Open { early, .. } if *early == expected);
    alone.up(0);
    assert_eq!(stripes_of(&alone.frames(), is_open), [0]);
    alone.answers = false;
    alone.up(1);
    alone.give(down(0));
    assert_eq!(stripes_of(&alone.frames(), is_open), [1]);
}

#[test]
fn a_fin_is_sent_again_with_the_data_that_it_ends_as_often_as_it_is_lost() {
    let mut alone = client(0);
    alone.answers = false;
    alone.open(&[3; 10_000]);
    alone.give(Input::FlowFinish { flow: FLOW });
    for stripe in 0..4 {
        alone.up(stripe);
        let fins = |(_, item): &&(StripeId, Item)| match item {
            Item::Data { fin, data, .. } => *fin && !data.is_empty(),
            Item::Frame(_) => false,
        };
        assert_eq!(alone.said.iter().filter(fins).count(), 1);
        alone.said.clear();
        alone.give(down(stripe));
    }
}

#[test]
fn exactly_the_data_of_a_dead_stripe_is_sent_again() {
    for doubt in [false, true] {
        let mut alone = alone(Role::Client, 3, round_robin(0));
        alone.answers = false;
        alone.open(&[5; 16_000]);
        let carried = |(stripe, piece): &(StripeId, Item)| match piece {
            Item::Data { offset, data, .. } => Some((*stripe, *offset, data.len() as u64)),
            Item::Frame(_) => None,
        };
        let [(first, ..), (second, offset, len)] =
            alone.said.iter().filter_map(carried).collect::<Vec<_>>()[..]
        else {
            panic!("two frames");
        };
        assert!(offset > 0 && first != second);
        let idle =
            (0..3).map(StripeId).find(|stripe| *stripe != first && *stripe != second).unwrap();
        if doubt {
            let stripe = alone.end.session.stripes.get_mut(idle).unwrap();
            stripe.doubt();
            stripe.resent();
        }
        alone.said.clear();
        alone.give(Input::StripeDown { stripe: second });
        let again: Vec<_> =
            alone.said.iter().filter_map(carried).map(|(_, offset, len)| (offset, len)).collect();
        assert_eq!(again, [(offset, len)]);
    }
}

#[test]
fn an_acknowledgement_of_part_of_a_past_stripe_lets_go_of_that_part_alone() {
    let mut alone = client(1);
    alone.answers = false;
    alone.open(&[7; 8_000]);
    alone.up(1);
    alone.up(2);
    alone.give(down(2));
    alone.give(down(0));
    alone.hear(1, Frame::Ack { counts: vec![(StripeId(0), 5)] });
    assert_eq!(alone.stats().held, 8_000);
}

#[test]
fn a_reset_that_no_stripe_takes_yet_outlives_the_arrival_of_its_open() {
    let mut alone = client(1);
    alone.habits.writes = false;
    for _ in 0..63 {
        alone.give(Input::FlowOpen { request: 0, opaque: vec![0; 512].into() });
    }
    alone.give(Input::FlowOpen { request: 0, opaque: Bytes::new() });
    alone.frames();
    alone.give(Input::FlowReset { flow: FLOW, reason: Reason::Aborted });
    assert_eq!(alone.frames(), [], "it waits");
    let count = end_of(&alone, 0, Token::Control(Intent::Open(FLOW)));
    alone.hear(0, Frame::Ack { counts: vec![(StripeId(0), count)] });
    alone.habits.writes = true;
    let total = live(&alone, 0).sent();
    alone.give(Input::StripeWritten { stripe: StripeId(0), total });
    the_one(&alone.frames(), |frame| matches!(frame, Frame::Reset { .. }));
}

#[test]
fn a_silent_stripe_beside_a_heard_one_carries_no_acknowledgements() {
    let acknowledge = |alone: &mut Scripted| {
        alone.frames();
        alone.end.session.control.owe(Intent::Acknowledge(StripeId(1)));
        alone.give(Input::Tick);
        the_one(&alone.frames(), |frame| matches!(frame, Frame::Ack { .. }))
    };
    for (millis, carrier) in [(50, 0), (51, 1)] {
        let mut alone = server(2);
        alone.wait(ms(millis));
        alone.hear(1, open());
        assert_eq!(acknowledge(&mut alone), carrier);
        alone.wait(ms(50));
        assert_eq!(acknowledge(&mut alone), carrier);
        alone.wait(ms(1));
        assert_eq!(acknowledge(&mut alone), 0, "nobody has said anything for as long");
        alone.hear(1, Frame::Ping { nonce: 1 });
        let stripe = live_mut(&mut alone, 1);
        stripe.doubt();
        stripe.resent();
        assert_eq!(acknowledge(&mut alone), 0, "no other may");
    }
    let mut alone = server(2);
    alone.wait(ms(51));
    alone.hear(1, open());
    alone.frames();
    alone.give(Input::FlowAccept { flow: FLOW });
    let accept = |frame: &Frame| *frame == Frame::Accept { flow: FLOW };
    assert_eq!(the_one(&alone.frames(), accept), 0, "whose death would be noticed");
}

#[test]
fn when_the_time_of_one_has_come_one_frame_acknowledges_all_stripes_that_ask_for_it() {
    let mut alone = server(3);
    alone.hear(0, open());
    alone.wait(ms(1));
    let flow = FlowId::nth(Role::Client, 1);
    alone.hear(2, Frame::Open { flow, early: 0, credit: 1 << 20, opaque: Bytes::new() });
    alone.frames();
    alone.wait(ms(1));
    let counts = alone.frames().into_iter().find_map(|(_, frame)| match frame {
        Frame::Ack { counts } => Some(counts),
        _ => None,
    });
    let stripes: Vec<_> = counts.expect("it is time").iter().map(|(id, _)| id.0).collect();
    assert_eq!(stripes, [0, 2]);
}
