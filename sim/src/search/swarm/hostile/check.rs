//! The rules that the honest side keeps, whatever the peer says: those of
//! [`striper_core::testing::Endpoint`], its invariants, bounded work and memory.

use super::Play;
use crate::base::Side;
use crate::run::observe;
use striper_core::{EndReason, Input, Output};

/// The most outputs for one input, whatever the peer does: four stripes' allowances in the smallest
/// chunks, and a word for each flow.
const MOST_OUTPUTS: usize = 256 + 192 * 6 + 8 * 1_000;

impl Play {
    pub(super) fn input(&mut self, input: Input) {
        if self.end.ended().is_some() {
            return;
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        let (now, side) = (self.now, Side::from(self.role));
        observe::give(&mut self.observer, (0, side), &mut self.end, now, input, &mut outputs);
        self.events += 1;
        self.end.session.check_invariants();
        let deadline = self.end.session.deadline();
        assert!(deadline.is_none_or(|(at, _)| at > self.now), "{deadline:?} has come already");
        let is_other = |output: &&Output| !matches!(output, Output::FlowData { .. });
        let others = outputs.iter().filter(is_other).count();
        assert!(others <= MOST_OUTPUTS, "one input yields {others} outputs");
        let (receive, send) = self.end.session.memory_used();
        let half = self.limit / 2;
        let is_within = receive <= half && send <= half + (16 << 10);
        assert!(is_within, "{receive} and {send} bytes are over the limit");
        for output in outputs.drain(..) {
            self.perform(output);
        }
        self.outputs = outputs;
    }

    fn perform(&mut self, output: Output) {
        match output {
            Output::Transmit { stripe, header, payload } => {
                self.digest.words(&header);
                *self.sent.entry(stripe).or_default() += (header.len() + payload.len()) as u64;
            }
            Output::FlowOpened { flow, .. } => {
                self.opened += 1;
                self.known.push(flow);
            }
            Output::FlowIncoming { flow, .. } => self.known.push(flow),
            Output::Ended { reason } => {
                let asked = matches!(
                    reason,
                    EndReason::Violation(_)
                        | EndReason::PeerClosed
                        | EndReason::PeerComplained
                        | EndReason::Shutdown
                        | EndReason::NoStripe
                );
                assert!(asked, "the session ends without a cause: {reason}");
                self.digest.bytes(format!("{reason:?}").as_bytes());
            }
            _ => {}
        }
    }
}
