use super::*;
use crate::base::{Kind, Rate, catch};

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
    let mut consume = |eager, now| {
        flow.eager = eager;
        let read = flow.consume(Side::Server, now);
        (read.total, read.again, read.held_back)
    };
    assert_eq!(consume(false, 0), (Some(10), Some(10_000), Some(Kind::SlowReader)));
    assert_eq!(consume(false, 10_000), (Some(15), None, Some(Kind::StuckReader)));
    assert_eq!(consume(false, 20_000), (None, None, Some(Kind::StuckReader)));
    assert_eq!(consume(true, 20_000), (Some(100), None, None));
}

fn open_flow() -> Flow {
    let mut flow = Flow::new(0, FlowPlan::upload(0, 100));
    flow.opened(Side::Client, 0, FlowId(1), 0);
    flow.opened(Side::Server, 1, FlowId(1), 0);
    let Write::Data(data) = flow.next_write(Side::Client, 100, 0) else { panic!() };
    flow.deliver(Side::Server, &data[..60], 5);
    flow
}

type Mistake = fn(&mut Flow);

#[test]
fn each_oracle_notices_its_mistake() {
    let mistakes: [(&str, Mistake); 6] = [
        ("differ from what was sent", |flow| flow.deliver(Side::Server, b"wrong", 5)),
        ("more bytes came than were sent", |flow| flow.deliver(Side::Server, &[0; 41], 5)),
        ("a FIN that nobody sent", |flow| flow.finish(Side::Server, 5)),
        ("a FIN before the last byte", |flow| {
            assert!(matches!(flow.next_write(Side::Client, 0, 0), Write::Finish));
            flow.finish(Side::Server, 5);
        }),
        ("a reset (Aborted) that nobody sent", |flow| flow.reset(Side::Server, Reason::Aborted, 5)),
        ("a reset before the bytes", |flow| {
            flow.leave(Side::Client, EndState::ResetHere, 5);
            flow.reset(Side::Server, Reason::Aborted, 5);
        }),
    ];
    for (said, make) in mistakes {
        let mut flow = open_flow();
        let failure = catch(|| make(&mut flow)).expect_err(said);
        assert!(failure.message.contains(said), "{said}: {}", failure.message);
    }
}
