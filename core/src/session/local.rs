//! Inputs from the local side: flows begin, give data, take data, end.

use super::control::Control;
use super::flows::Flows;
use crate::error::Reason;
use crate::flow::Flow;
use crate::id::FlowId;
use crate::intents::Intent;
use crate::io::Output;
use crate::time::Instant;
use crate::timers::{Timer, Timers};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

pub(super) const LINGER: Duration = Duration::from_secs(1);

/// A consumer is not blamed for a wait that ended so late: it has had less than this of it for
/// itself.
const SLEPT: Duration = Duration::from_millis(250);

/// The parts that local programs change, lent for one input. The contract of the door has been
/// checked. Inputs for flows that have ended are ordinary races and change nothing.
pub(super) struct Local<'a> {
    pub flows: &'a mut Flows,
    pub control: &'a mut Control,
}

impl Local<'_> {
    /// A local program connects; `open` says whether flows may still begin.
    pub(super) fn open(&mut self, request: u64, opaque: Bytes, open: bool, out: &mut Vec<Output>) {
        if open {
            self.flows.ids_mut().request(request, opaque);
            self.flows.open_requested(self.control.intents_mut(), out);
        } else {
            out.push(Output::FlowOpenFailed { request });
        }
    }

    pub(super) fn accept(&mut self, flow: FlowId) {
        if self.flows.change(flow, Flow::accept) == Some(true) {
            self.control.owe(Intent::Accept(flow));
        }
    }

    pub(super) fn refuse(&mut self, flow: FlowId, reason: Reason) {
        if self.flows.change(flow, |entry| entry.refuse(reason)) == Some(true) {
            self.control.owe(Intent::Refuse(flow));
        }
    }

    pub(super) fn data(&mut self, flow: FlowId, data: Bytes) {
        if self.flows.with_local(flow).is_some_and(|entry| entry.send().is_open()) {
            self.flows.change(flow, |entry| entry.send_mut().write(data));
            self.flows.note_room(flow);
        }
    }

    /// `rtt` is the longest round trip of the stripes.
    pub(super) fn consumed(&mut self, flow: FlowId, total: u64, (now, rtt): (Instant, Duration)) {
        if self.flows.with_local(flow).is_none() {
            return;
        }
        self.flows.change(flow, |entry| entry.recv_mut().credit_mut().consume(total));
        self.flows.advance_credit(flow, (now, rtt), self.control.intents_mut());
    }

    pub(super) fn finish(&mut self, flow: FlowId) {
        self.flows.change(flow, Flow::finish);
    }

    pub(super) fn reset(&mut self, flow: FlowId, reason: Reason) {
        if self.flows.with_local(flow).is_some() {
            self.say_reset(flow, reason);
        }
    }

    fn say_reset(&mut self, flow: FlowId, reason: Reason) {
        self.flows.change(flow, |entry| entry.reset(reason));
        self.control.owe(Intent::Reset(flow));
    }

    /// A flow that the peer has reset waits for its consumer to take earlier data. It is given up
    /// if the consumer has stopped. A consumer has not stopped if the process slept, as a timer
    /// that is `late` shows: it had no chance to take anything.
    pub(super) fn linger(
        &mut self,
        flow: FlowId,
        late: Duration,
        timers: &mut Timers,
        now: Instant,
        out: &mut Vec<Output>,
    ) {
        let Some(entry) = self.flows.with_local(flow) else { return };
        let Some(reason) = entry.recv().reset() else { return };
        let stopped = self.flows.note(flow, |entry| entry.recv_mut().has_stopped());
        if stopped == Some(true) && late < SLEPT {
            out.push(Output::FlowReset { flow, reason });
            self.say_reset(flow, Reason::Aborted);
        } else {
            timers.set(Timer::Linger(flow), now + LINGER);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::flow::Phase;
    use crate::id::Role;

    const FLOW: FlowId = FlowId(1);

    fn parts(phase: Phase) -> (Flows, Control) {
        let role = Role::Server { instance: 1 };
        let mut flows = Flows::new(role, &Config::default(), Instant::ZERO);
        flows.insert(FLOW, Flow::new(phase, 1 << 20, 1 << 20));
        (flows, Control::default())
    }

    #[test]
    fn only_a_flow_that_is_offered_can_be_accepted_or_refused() {
        for (phase, answers) in [(Phase::Offered, true), (Phase::Carried, false)] {
            let (mut flows, mut control) = parts(phase);
            Local { flows: &mut flows, control: &mut control }.accept(FLOW);
            assert_eq!(control.owes(Intent::Accept(FLOW)), answers);
            let (mut flows, mut control) = parts(phase);
            Local { flows: &mut flows, control: &mut control }.refuse(FLOW, Reason::Aborted);
            assert_eq!(control.owes(Intent::Refuse(FLOW)), answers);
        }
    }

    #[test]
    fn no_flow_is_opened_while_the_session_drains() {
        let (mut flows, mut control) = parts(Phase::Carried);
        for (open, told) in [(true, "FlowOpened"), (false, "FlowOpenFailed")] {
            let mut out = Vec::new();
            let mut local = Local { flows: &mut flows, control: &mut control };
            local.open(7, Bytes::new(), open, &mut out);
            assert!(alloc::format!("{:?}", out[0]).starts_with(told), "{out:?}");
        }
    }

    #[test]
    fn a_lingering_flow_is_reset_unless_its_consumer_goes_on() {
        for (late, reset) in [(Duration::ZERO, true), (SLEPT, false)] {
            let (mut flows, mut control) = parts(Phase::Carried);
            flows.receive(FLOW, 0, Bytes::from_static(b"x"), false).unwrap();
            let mut out = Vec::new();
            flows.pass_on(FLOW, &mut out);
            flows.note(FLOW, |flow| flow.recv_mut().reset_when_delivered(Reason::Aborted));
            out.clear();
            let mut timers = Timers::default();
            let mut local = Local { flows: &mut flows, control: &mut control };
            local.linger(FLOW, late, &mut timers, Instant::ZERO, &mut out);
            assert_eq!(!out.is_empty(), reset);
            assert_eq!(timers.is_set(Timer::Linger(FLOW)), !reset);
        }
    }
}
