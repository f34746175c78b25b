use super::*;
use crate::base::kinds::Kind;
use crate::base::rate::Rate;

#[test]
fn a_producer_keeps_to_its_room_its_rate_and_its_end() {
    let mut plan = FlowPlan::upload(0, 100);
    plan.sends[0].rate = Some(Rate::bytes(1_000));
    let mut flow = Flow::new(0, plan);
    flow.opened(Side::Client, 0, FlowId(1), 0);
    assert!(matches!(flow.next_write(Side::Client, 1_000, 0), Write::Wait(10_000)));
    let mut given = |room, now| match flow.next_write(Side::Client, room, now) {
        Write::Data(data) => data.len(),
        Write::Nothing => 0,
        other => panic!("{other:?}"),
    };
    assert_eq!(given(1_000, 10_000), 10);
    assert_eq!(given(7, 1_000_000), 7);
    assert_eq!(given(0, 1_000_000), 0);
    assert_eq!(given(1_000, 1_000_000), 83);
    assert!(matches!(flow.next_write(Side::Client, 0, 1_000_000), Write::Finish));
    assert!(matches!(flow.next_write(Side::Client, 9, 1_000_000), Write::Nothing));
}

#[test]
fn a_consumer_keeps_to_its_rate_and_stops() {
    let mut plan = FlowPlan::upload(0, 100);
    plan.reads[1] = ReadPlan { rate: Some(Rate::bytes(1_000)), stop_after: Some(15), burst: None };
    let mut flow = Flow::new(0, plan);
    flow.ends[1].delivered = 100;
    assert_eq!(
        flow.consume(Side::Server, 0),
        Consumed { total: Some(10), again: Some(10_000), held_back: Some(Kind::SlowReader) }
    );
    assert_eq!(
        flow.consume(Side::Server, 10_000),
        Consumed { total: Some(15), again: None, held_back: Some(Kind::StuckReader) }
    );
    assert_eq!(
        flow.consume(Side::Server, 20_000),
        Consumed { total: None, again: None, held_back: Some(Kind::StuckReader) }
    );
    flow.eager = true;
    assert_eq!(
        flow.consume(Side::Server, 20_000),
        Consumed { total: Some(100), again: None, held_back: None }
    );
}

fn open_flow() -> Flow {
    let mut flow = Flow::new(0, FlowPlan::upload(0, 100));
    flow.opened(Side::Client, 0, FlowId(1), 0);
    flow.opened(Side::Server, 1, FlowId(1), 0);
    let Write::Data(data) = flow.next_write(Side::Client, 100, 0) else { panic!() };
    flow.deliver(Side::Server, &data[..60], 5);
    flow
}

#[test]
#[should_panic(expected = "differ from what was sent")]
fn a_wrong_byte_is_noticed() {
    open_flow().deliver(Side::Server, b"wrong", 5);
}

#[test]
#[should_panic(expected = "more bytes came than were sent")]
fn a_byte_too_many_is_noticed() {
    open_flow().deliver(Side::Server, &[0; 41], 5);
}

#[test]
#[should_panic(expected = "a FIN that nobody sent")]
fn an_invented_fin_is_noticed() {
    open_flow().finish(Side::Server, 5);
}

#[test]
#[should_panic(expected = "a FIN before the last byte")]
fn an_early_fin_is_noticed() {
    let mut flow = open_flow();
    assert!(matches!(flow.next_write(Side::Client, 0, 0), Write::Finish));
    flow.finish(Side::Server, 5);
}

#[test]
#[should_panic(expected = "that nobody sent")]
fn an_invented_reset_is_noticed() {
    open_flow().reset(Side::Server, Reason::Aborted, 5);
}

#[test]
#[should_panic(expected = "a reset before the bytes")]
fn an_early_reset_is_noticed() {
    let mut flow = open_flow();
    flow.leave(Side::Client, EndState::ResetHere, 5);
    flow.reset(Side::Server, Reason::Aborted, 5);
}
