//! The oracle of ends: each report says what has become of the flow, and why.

use super::tasks::Proxy;
use super::*;
use striper_core::Reason;
use striper_runtime::OpenError;

/// How long a flow waits for a stripe: the default of the client.
const WAIT: u64 = 10_000_000;
/// How late a timer may be, since polls take time.
const LATE: u64 = 1_000_000;

impl Proxy {
    /// The server has heard of a flow: once, somebody has asked for it, and not too long ago.
    pub(super) fn heard(&self, index: usize) {
        let (plan, flow) = self.flow(index);
        let flow = flow.borrow();
        assert_eq!(flow.reach, Reach::Unheard, "heard of twice: {flow:?}");
        let Some(asked_at) = flow.asked_at else { panic!("nobody has asked for it: {flow:?}") };
        let until = asked_at + WAIT + LATE;
        let waits = self.punctual && plan.reverse.is_none();
        let bare = waits && self.causes.borrow().is_bare_throughout(asked_at, until);
        assert!(!bare, "opened after the client has waited too long: {flow:?}");
    }
}

impl World {
    /// Whether no clock of a process jumps and it never stands still.
    pub(super) fn is_punctual(&self, of: usize) -> bool {
        let mut script = self.scenario.script.iter().map(|(_, action)| action);
        !script.any(|action| match action {
            Action::Pause { process, .. } | Action::Jump { process, .. } => *process == of,
            _ => false,
        })
    }

    /// Each report of a flow is true.
    pub(super) fn judge_reports(&self, plan: &FlowPlan, flow: &FlowState) {
        for (side, report) in flow.reports.iter().enumerate() {
            if let Some(report) = report {
                self.judge_report(plan, flow, side, report);
            }
        }
        if flow.reach == Reach::Unwanted {
            let broken = flow.is_broken_off();
            let ended = self.causes.borrow().any_ended(plan.at, u64::MAX);
            assert!(broken || ended, "the server was told that nobody wants it: {flow:?}");
        }
        if flow.sides[1].started {
            let reachable = matches!(
                plan.answer,
                Answer::Accepts | Answer::Late(_) | Answer::Resets | Answer::Ends
            );
            assert!(reachable, "its target can't be reached, and was: {flow:?}");
        }
    }

    fn judge_report(&self, plan: &FlowPlan, flow: &FlowState, side: usize, report: &FlowReport) {
        let causes = self.causes.borrow();
        // A flow that both programs have seen through may be unsettled between the proxies.
        let at = flow.reported_at[side];
        let ended = causes.any_ended(plan.at, at);
        let [mine, other] = [&flow.sides[side], &flow.sides[1 - side]];
        let known = match &report.end {
            FlowEnd::Finished => {
                let counts = (report.sent, report.received) == (mine.wrote, other.wrote);
                mine.sent_fin && other.sent_fin && (counts || flow.is_broken_off())
            }
            FlowEnd::Reset(Reason::Aborted) => flow.is_broken_off() || ended,
            FlowEnd::Reset(_) | FlowEnd::Cut(_) => ended,
            FlowEnd::Refused(reason) if side == CLIENT => {
                let listener_ended = flow.listener_ended && flow.reach == Reach::Unheard;
                flow.reach.reason() == Some(*reason)
                    || (*reason == Reason::Unavailable && (ended || listener_ended))
                    || (*reason == Reason::NotAllowed && listener_ended)
            }
            FlowEnd::NoSession(error) if side == CLIENT && flow.reach == Reach::Unheard => {
                let waited = report.duration.as_micros() as u64;
                match error {
                    // A flow that a session has not taken before its end waits for the next one.
                    OpenError::TimedOut | OpenError::ServerStopping
                        if self.is_punctual(CLIENT)
                            && (waited < WAIT || (waited >= WAIT + LATE && !ended)) =>
                    {
                        false
                    }
                    OpenError::TimedOut | OpenError::Unreachable(_) => causes.any_bare(plan.at, at),
                    // The client goes by what it last heard of a server.
                    OpenError::ServerStopping => causes.any_ended(0, at),
                    OpenError::ShuttingDown => ended,
                    _ => false,
                }
            }
            _ => false,
        };
        assert!(known, "side {side} was told {report:?}, which has no cause: {flow:#?}\n{plan:#?}");
        let refused = flow.reach.reason().filter(|_| side == CLIENT);
        if let Some(reason) = refused.filter(|_| !ended && !flow.is_broken_off()) {
            assert_eq!(report.end, FlowEnd::Refused(reason), "at its client: {flow:#?}");
        }
    }

    /// Why its target can't be reached, if it can't.
    pub(super) fn may_fail(&self, plan: &FlowPlan, reach: &Reach) -> bool {
        let dialler = if plan.reverse.is_some() { CLIENT } else { SERVER };
        let Reach::Failed(error) = reach else {
            return matches!(
                (plan.answer, reach),
                (Answer::Denied, Reach::Denied) | (Answer::Unanswered, Reach::Unanswered)
            );
        };
        match error {
            DialError::Refused => plan.answer == Answer::Refuses,
            DialError::TimedOut => {
                let slow = match plan.answer {
                    Answer::Never => true,
                    Answer::Late(after) => after + LATE > micros(targets::LIMIT),
                    _ => false,
                };
                slow || !self.is_punctual(dialler)
            }
            DialError::Other(_) => self.scenario.script.iter().any(|(_, action)| {
                matches!(action, Action::NoFiles { process, accept: 0, .. } if *process == dialler)
            }),
            _ => false,
        }
    }
}
