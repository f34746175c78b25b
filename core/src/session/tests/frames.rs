//! Each frame and each request has its effect once.

use super::*;
use crate::config::{FLOW_FLOOR, INITIAL_EARLY, INITIAL_FLOWS};
use crate::wire::deframer::Item;
use crate::wire::frame::MAX_ACKS;

fn opened(told: &[Output]) -> usize {
    told.iter().filter(|output| matches!(output, Output::FlowOpened { .. })).count()
}

#[test]
fn nothing_more_is_read_of_a_stripe_that_a_frame_has_ended() {
    let mut alone = server(2);
    let stripe = StripeId(0);
    let gone = Frame::StripeGone { stripe, received: 0 }.encode(0);
    let data = Bytes::from([gone, Frame::Drain.encode(0)].concat());
    alone.give(Input::StripeBytes { stripe, data });
    assert_eq!(alone.told(), [Output::CloseStripe { stripe, reason: StripeClose::PeerGone }]);
}

#[test]
fn a_grant_opens_as_many_waiting_flows_as_it_allows() {
    let mut alone = client(1);
    for request in 0..INITIAL_FLOWS + 3 {
        alone.give(Input::FlowOpen { request, opaque: Bytes::new() });
    }
    assert_eq!(opened(&alone.told()) as u64, INITIAL_FLOWS);
    for more in [1, 2] {
        alone.hear(0, Frame::Grant { flows: INITIAL_FLOWS + more, early: INITIAL_EARLY });
        assert_eq!(opened(&alone.told()), 1);
    }
}

#[test]
fn acknowledgements_of_many_stripes_take_as_few_frames_as_hold_them() {
    let mut alone = server(MAX_ACKS as u64 + 2);
    for stripe in 0..MAX_ACKS as u64 + 2 {
        alone.hear(stripe, Frame::Grant { flows: 0, early: 0 });
    }
    alone.frames();
    alone.wait(ms(5));
    let counts = |frame| match frame {
        (_, Frame::Ack { counts }) => Some(counts.len()),
        _ => None,
    };
    let frames: Vec<_> = alone.frames().into_iter().filter_map(counts).collect();
    assert_eq!(frames, [MAX_ACKS, 2]);
}

#[test]
fn payload_is_counted_once_where_it_is_sent_and_where_it_is_delivered() {
    let mut pair = Pair::new(Config::default());
    let flow = pair.open();
    for (part, all) in [(60_000, 60_000), (40_000, 100_000)] {
        pair.send_all(0, flow, &pattern(part));
        pair.run();
        assert_eq!(pair.sides[0].session.stats().payload_sent, all);
        assert_eq!(pair.sides[1].session.stats().payload_delivered, all);
    }
    assert_eq!(pair.sides[0].session.stats().payload_delivered, 0);
}

#[test]
fn data_that_comes_again_is_dropped_and_counted() {
    let mut alone = server(2);
    alone.hear(0, open());
    for (stripe, offset, len) in [(0, 0, 100), (1, 50, 100), (0, 0, 150)] {
        alone.hear_data(stripe, FLOW, offset, &pattern(150)[offset as usize..][..len], false);
    }
    let stats = alone.stats();
    assert_eq!((stats.payload_delivered, stats.payload_duplicate), (150, 200));
}

#[test]
fn credit_grows_when_the_peer_says_that_it_has_used_it_up() {
    let mut alone = server(1);
    alone.hear(0, open());
    // So little memory is left that no window grows by itself.
    let receive = alone.end.session.memory_used().0 + 2 * FLOW_FLOOR;
    alone.give(Input::MemoryLimit { receive, send: 1 << 20 });
    alone.hear_data(0, FLOW, 0, &pattern(FLOW_FLOOR as usize), false);
    alone.give(Input::FlowConsumed { flow: FLOW, total: FLOW_FLOOR });
    let limit = 2 * FLOW_FLOOR;
    assert!(alone.frames().contains(&(0, Frame::Credit { flow: FLOW, limit })));
    alone.hear(0, Frame::Blocked { flow: FLOW, limit: FLOW_FLOOR });
    let limit = 3 * FLOW_FLOOR;
    assert_eq!(
        alone.frames(),
        [(0, Frame::Credit { flow: FLOW, limit })],
        "the window has doubled"
    );
}

#[test]
fn a_flow_is_answered_once_and_not_after_a_reset() {
    let reason = Reason::Aborted;
    let answers = [Input::FlowAccept { flow: FLOW }, Input::FlowRefuse { flow: FLOW, reason }];
    let reset = Input::FlowReset { flow: FLOW, reason };
    for first in [&answers[0], &answers[1], &reset] {
        for second in &answers {
            let mut alone = server(1);
            alone.hear(0, open());
            alone.give(first.clone());
            let said = alone.frames();
            let grants = said.iter().filter(|(_, frame)| matches!(frame, Frame::Grant { .. }));
            assert_eq!(said.len() - grants.count(), 1);
            alone.give(second.clone());
            assert_eq!(alone.frames(), []);
        }
    }
}

#[test]
fn a_direction_is_finished_once_and_not_after_a_reset() {
    for before in
        [Input::FlowFinish { flow: FLOW }, Input::FlowReset { flow: FLOW, reason: Reason::Aborted }]
    {
        let mut alone = client(1);
        alone.open(b"hello");
        alone.give(before);
        alone.said.clear();
        alone.give(Input::FlowFinish { flow: FLOW });
        assert_eq!(alone.said, []);
    }
}

#[test]
fn opens_from_before_the_first_stripe_carry_data_as_far_as_it_takes_some() {
    let mut alone = client(0);
    for _ in 0..3 {
        alone.open(&[0; 3_000]);
    }
    alone.up(0);
    let first = |piece: &(StripeId, Item)| match &piece.1 {
        Item::Data { offset: 0, .. } => Some("data"),
        Item::Frame(Frame::Open { .. }) => Some("open"),
        _ => None,
    };
    let said: Vec<_> = alone.said.iter().filter_map(first).collect();
    assert_eq!(said, ["open", "data", "open", "data", "open", "data"]);
    assert_eq!(alone.stats().payload_sent, 9_000);
}

#[test]
fn a_fin_that_comes_twice_is_told_once_and_a_reset_after_it_at_once() {
    let mut alone = client(1);
    alone.open(b"");
    alone.told();
    for told in [2, 0] {
        alone.hear_data(0, FLOW, 0, b"hello", true);
        assert_eq!(alone.told().len(), told);
    }
    alone.hear(0, Frame::Reset { flow: FLOW, reason: Reason::Aborted.code(), final_offset: 5 });
    assert_eq!(alone.told(), [Output::FlowReset { flow: FLOW, reason: Reason::Aborted }]);
}

#[test]
fn an_overtaken_open_takes_at_least_the_early_credit_of_its_data() {
    for (early, ended) in [(1000, false), (999, true)] {
        let mut alone = server(1);
        alone.hear_data(0, FLOW, FLOW_FLOOR + 900, &[0; 100], false);
        alone.hear(0, Frame::Open { flow: FLOW, early, credit: 0, opaque: Bytes::new() });
        let reason = EndReason::Violation(Violation::CreditExceeded);
        assert_eq!(alone.told().contains(&Output::Ended { reason }), ended, "{early}");
    }
}

#[test]
fn data_that_overtakes_its_open_counts_as_early_credit() {
    let mut alone = server(1);
    for index in 0..17 {
        let flow = FlowId::nth(Role::Client, index);
        let offset = crate::config::INITIAL_WINDOW - 1;
        assert_eq!(alone.told(), [], "sixteen flows may have that at once");
        alone.hear_data(0, flow, offset, b"x", false);
    }
    let reason = EndReason::Violation(Violation::EarlyCreditExceeded);
    assert_eq!(alone.told().last(), Some(&Output::Ended { reason }));
}

#[test]
fn blocked_on_a_flow_that_is_not_there_says_nothing() {
    let mut alone = server(1);
    alone.hear(0, Frame::Blocked { flow: FLOW, limit: 5 });
    assert_eq!((alone.frames(), alone.told()), (Vec::new(), Vec::new()));
}

#[test]
fn data_asks_for_an_acknowledgement_and_answers_and_hints_do_not() {
    let asks = |alone: &Scripted| alone.end.session.timers.is_set(Timer::Acknowledge);
    let mut alone = server(1);
    alone.hear(0, Frame::Ack { counts: vec![(StripeId(0), 0)] });
    alone.hear(0, Frame::Credit { flow: FLOW, limit: 5 });
    alone.hear(0, Frame::Blocked { flow: FLOW, limit: 5 });
    alone.hear(0, Frame::Ping { nonce: 5 });
    alone.hear(0, Frame::Pong { nonce: 5 });
    assert!(!asks(&alone));
    alone.hear_data(0, FLOW, 0, b"hello", false);
    assert!(asks(&alone));
}

#[test]
fn data_for_a_flow_that_the_peer_wants_no_more_of_is_dropped() {
    let mut alone = client(1);
    alone.open(b"");
    alone.hear(0, Frame::Reset { flow: FLOW, reason: Reason::Aborted.code(), final_offset: 20 });
    alone.said.clear();
    alone.give(Input::FlowData { flow: FLOW, data: Bytes::from_static(b"late") });
    assert_eq!(alone.said, []);
}
