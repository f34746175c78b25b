//! Flows without a session or sockets.

use super::*;
use crate::driver::testing::{base, server};
use crate::pipe::Received;
use crate::pipe::memory::memory_pipe;
use crate::report::Cut;
use std::task::Poll;
use std::time::Duration;
use striper_core::Role;

/// Adds a flow from here. Where its token is, and how it ends once it has.
fn add(flows: &mut Flows, base: &mut Base) -> (Token, impl FnMut() -> Option<FlowEnd> + use<>) {
    let (local, _) = memory_pipe();
    let (report, mut reported) = oneshot();
    let wanted = Wanted { from: Origin::Local(Box::new(local)), opened: None, report };
    let token = flows.add(&Target::Default.into(), wanted, &Stripes::default(), base);
    (token, move || reported.try_take().map(|report: FlowReport| report.end))
}

#[test]
fn a_flow_waits_for_a_session_until_its_time_is_over() {
    let (mut flows, mut base) = (Flows::default(), base(Role::Client));
    let stripes = Stripes::default();
    let (token, mut end) = add(&mut flows, &mut base);
    let (now, second) = (base.engine.now(), Duration::from_secs(1));
    flows.wait(token, now + second, &mut base);
    assert!(flows.needs_stripe() && flows.carry_nothing());
    assert_eq!(base.agenda.next_time(), Some(now + second));
    flows.step(token, OpenError::TimedOut, &stripes, &mut base);
    assert_eq!((flows.check_invariants(&base.agenda), end()), (1, None));
    flows.wait(token, now, &mut base);
    flows.step(token, OpenError::TimedOut, &stripes, &mut base);
    assert_eq!(end(), Some(FlowEnd::NoSession(OpenError::TimedOut)));
    assert_eq!((flows.check_invariants(&base.agenda), base.agenda.len()), (0, 0));
    assert!(!flows.needs_stripe());
}

#[test]
fn a_flow_sends_its_first_bytes_before_it_has_a_local_pipe() {
    let (mut flows, mut base) = (Flows::default(), base(Role::Client));
    let stripes = Stripes::default();
    let ((accepted, mut is_accepted), (report, reported)) = (oneshot(), oneshot());
    let from = Origin::Early(Bytes::from_static(b"early"), accepted);
    let token = flows.add(
        &Target::Default.into(),
        Wanted { from, opened: None, report },
        &stripes,
        &mut base,
    );
    flows.ask_for(token, &mut base.engine);
    flows.opened(0, FlowId(1), &mut base);
    flows.deliver(FlowId(1), Bytes::from_static(b"answer"), &mut base);
    let now = base.engine.now();
    let end = flows.ends.get_mut(&token).unwrap();
    assert!(matches!(end.recv(3), Given::Chunk(chunk) if chunk == "ear"), "as far as it may");
    assert!(matches!(end.recv(10), Given::Chunk(chunk) if chunk == "ly"));
    assert!(matches!(end.recv(10), Given::Nothing));
    assert_eq!(is_accepted.try_take(), None);
    flows.accepted(FlowId(1));
    assert_eq!(is_accepted.try_take(), Some(()));
    let (local, mut program) = memory_pipe();
    flows.join(token, Box::new(local), &mut base);
    let written = flows.ends.get_mut(&token).unwrap().write(now);
    assert!(matches!(written, Written::Total(FlowId(1), 6)));
    let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
    let got = program.poll_recv(&mut cx, 100);
    assert!(matches!(got, Poll::Ready(Ok(Received::Chunk(chunk))) if chunk == "answer"));
    drop(reported);
}

#[test]
fn a_local_pipe_that_joins_while_its_flow_waits_is_asked_whether_it_has_broken() {
    let (mut flows, mut base) = (Flows::default(), base(Role::Client));
    let ((accepted, _accepted), (report, mut reported)) = (oneshot(), oneshot());
    let from = Origin::Early(Bytes::new(), accepted);
    let (wanted, stripes) = (Wanted { from, opened: None, report }, Stripes::default());
    let token = flows.add(&Target::Default.into(), wanted, &stripes, &mut base);
    let now = base.engine.now();
    flows.wait(token, now + Duration::from_secs(10), &mut base);
    let first = flows.next_sweep(now).unwrap();
    flows.sweep(first, &stripes, &mut base);
    let (local, program) = memory_pipe();
    flows.join(token, Box::new(local), &mut base);
    drop(program);
    let next = flows.next_sweep(first).expect("it is asked");
    flows.sweep(next, &stripes, &mut base);
    let end = reported.try_take().map(|report: FlowReport| report.end);
    assert_eq!(end, Some(FlowEnd::Reset(Reason::Aborted)));
}

#[test]
fn a_flow_without_a_local_pipe_may_be_given_up_while_it_waits() {
    let (mut flows, mut base) = (Flows::default(), base(Role::Client));
    let ((accepted, mut is_accepted), (report, mut reported)) = (oneshot(), oneshot());
    let from = Origin::Early(Bytes::new(), accepted);
    let wanted = Wanted { from, opened: None, report };
    let token = flows.add(&Target::Default.into(), wanted, &Stripes::default(), &mut base);
    flows.abandon(token, &Stripes::default(), &mut base);
    let report: FlowReport = reported.try_take().unwrap();
    assert_eq!(report.end, FlowEnd::Reset(Reason::Aborted));
    assert_eq!((is_accepted.try_take(), base.agenda.len()), (None, 0));
}

#[test]
fn an_answer_that_comes_after_the_end_of_its_flow_opens_nothing() {
    let (mut flows, mut base) = (Flows::default(), base(Role::Client));
    let [(ended, _), (other, _)] = [(); 2].map(|()| add(&mut flows, &mut base));
    for token in [ended, other] {
        flows.ask_for(token, &mut base.engine);
    }
    assert_eq!((flows.requests(), flows.carry_nothing()), (vec![0, 1], false));
    let end = FlowEnd::Reset(Reason::Aborted);
    flows.conclude(ended, end, &Stripes::default(), &mut base);
    let (next, _) = add(&mut flows, &mut base);
    assert_eq!(next, ended, "it has the same token");
    flows.opened(0, FlowId(4), &mut base);
    assert!(!flows.carries(FlowId(4)));
    assert_eq!(flows.take_request(1), Some(other));
}

#[test]
fn a_flow_that_asks_for_a_listener_is_no_connection() {
    let (mut flows, mut base) = (Flows::default(), server());
    let stripes = Stripes::default();
    let listen = Target::Listen { number: 1, address: ([127, 0, 0, 1], 0).into() };
    flows.arrive(FlowId(1), listen.into(), &stripes, &mut base);
    assert_eq!((flows.len(), flows.carry_nothing(), flows.needs_stripe()), (0, true, true));
    flows.arrive(FlowId(3), Target::Listener(1).into(), &stripes, &mut base);
    assert_eq!((flows.len(), flows.carry_nothing()), (1, false));
    let listener = flows.token(FlowId(1)).unwrap();
    flows.conclude(listener, FlowEnd::Finished, &stripes, &mut base);
    assert_eq!((flows.len(), flows.check_invariants(&base.agenda)), (1, 1));
}

#[test]
fn a_session_that_ends_counts_the_connections_that_it_has_reset() {
    let (mut flows, mut base) = (Flows::default(), server());
    let listen = Target::Listen { number: 1, address: ([127, 0, 0, 1], 0).into() };
    let targets = [listen, Target::Listener(1), Target::Default];
    for (flow, target) in (1..).step_by(2).zip(targets) {
        flows.arrive(FlowId(flow), target.into(), &Stripes::default(), &mut base);
    }
    flows.reset(FlowId(5), Reason::Aborted, Some(Cut::Stopped), &mut base);
    for flow in [1, 3] {
        flows.reset(FlowId(flow), Reason::SessionLost, Some(Cut::Stopped), &mut base);
    }
    assert_eq!((flows.take_lost(), flows.take_lost()), (1, 0));
}

#[test]
fn bytes_of_a_flow_that_was_reset_count_until_its_local_pipe_has_them() {
    let (mut flows, mut base) = (Flows::default(), server());
    let (stripes, end) = (Stripes::default(), FlowEnd::Reset(Reason::Aborted));
    for flow in [FlowId(1), FlowId(3)] {
        flows.arrive(flow, Opening::default(), &stripes, &mut base);
        flows.deliver(flow, Bytes::from_static(b"bytes"), &mut base);
        flows.cut(flow, end.clone(), &mut base);
    }
    assert_eq!((flows.len(), flows.lingering()), (0, 10));
    assert_eq!(flows.check_invariants(&base.agenda), 2);
    // Nobody has answered it, so nothing will take its bytes.
    let first = base.agenda.next_unwritten().unwrap();
    flows.write(first, &stripes, &mut base);
    assert_eq!(flows.lingering(), 5);
    flows.drop_lingering(&stripes, &mut base);
    assert_eq!((flows.lingering(), base.agenda.len()), (0, 0));
}
