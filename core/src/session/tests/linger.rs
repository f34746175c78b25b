//! A flow that the peer has reset while bytes before the end are missing: how long is waited.

use super::*;

const RESET: Output = Output::FlowReset { flow: FLOW, reason: Reason::Aborted };

/// Ten bytes have come, ten more were sent before the RESET.
fn reset_in_the_middle() -> Scripted {
    let mut alone = client(1);
    alone.open(b"");
    alone.hear_data(0, FLOW, 0, &[1; 10], false);
    alone.hear(0, Frame::Reset { flow: FLOW, reason: Reason::Aborted.code(), final_offset: 20 });
    alone.told();
    alone.frames();
    alone
}

#[test]
fn a_consumer_that_has_stopped_is_given_up_after_a_second() {
    let mut alone = reset_in_the_middle();
    alone.wait(ms(999));
    assert_eq!(alone.told(), []);
    alone.wait(ms(1));
    assert_eq!(alone.told(), [RESET]);
    let said = alone.frames();
    let is_reset = |frame: &Frame| matches!(frame, Frame::Reset { flow: FLOW, .. });
    assert!(said.iter().any(|(_, frame)| is_reset(frame)), "{said:?}");
}

#[test]
fn a_consumer_that_goes_on_taking_is_waited_for_as_long_as_it_does() {
    let mut alone = reset_in_the_middle();
    for total in 1..5 {
        alone.wait(ms(900));
        alone.give(Input::FlowConsumed { flow: FLOW, total });
        assert_eq!(alone.told(), [], "{total} taken");
    }
    alone.wait(ms(2000));
    assert_eq!(alone.told(), [RESET]);
}

#[test]
fn a_consumer_is_not_blamed_for_bytes_that_come_as_the_wait_ends() {
    let mut alone = reset_in_the_middle();
    alone.give(Input::FlowConsumed { flow: FLOW, total: 10 });
    alone.wait(ms(1_000));
    alone.now = alone.now + Duration::from_secs(1);
    alone.hear_data(0, FLOW, 10, &[2; 5], false);
    let first = Output::FlowData { flow: FLOW, data: Bytes::from_static(&[2; 5]) };
    assert_eq!(alone.told(), [first]);
    alone.hear_data(0, FLOW, 15, &[3; 5], false);
    let last = Output::FlowData { flow: FLOW, data: Bytes::from_static(&[3; 5]) };
    assert_eq!(alone.told(), [last, RESET]);
}

#[test]
fn a_consumer_is_not_blamed_for_a_wait_that_we_have_slept_through() {
    let mut alone = reset_in_the_middle();
    alone.now = alone.now + Duration::from_millis(1_250);
    alone.give(Input::Tick);
    assert_eq!(alone.told(), []);
    alone.wait(ms(1_000));
    assert_eq!(alone.told(), [RESET]);
}

#[test]
fn missing_bytes_are_waited_for_as_long_as_it_takes() {
    let mut alone = reset_in_the_middle();
    alone.give(Input::FlowConsumed { flow: FLOW, total: 10 });
    alone.wait(ms(10_000));
    assert_eq!(alone.told(), []);
    alone.hear_data(0, FLOW, 10, &[2; 10], false);
    let data = Output::FlowData { flow: FLOW, data: Bytes::from_static(&[2; 10]) };
    assert_eq!(alone.told(), [data, RESET]);
}
