//! The rules that the honest side keeps, whatever the peer says: invariants, bounded work and
//! memory, and flows that make sense to its programs.
//!
//! The knowledge of the programs is noted as it is checked; it decides their next steps.

use super::Play;
use crate::base::Side;
use crate::run::observe;
use striper_core::{EndReason, FlowId, Input, Output};

/// The most outputs for one input, whatever the peer does: four stripes' allowances in the smallest
/// chunks, and a word for each flow.
const MOST_OUTPUTS: usize = 256 + 192 * 6 + 8 * 1_000;

impl Play {
    /// One input to the honest side, the oracles, and the outputs.
    pub(super) fn input(&mut self, input: Input) {
        if self.ended.is_some() {
            return;
        }
        let mut outputs = std::mem::take(&mut self.outputs);
        let (now, side) = (self.now, Side::from(self.role));
        observe::give(&mut self.observer, (0, side), &mut self.session, now, input, &mut outputs);
        self.events += 1;
        self.session.check_invariants();
        let deadline = self.session.deadline();
        assert!(deadline.is_none_or(|(at, _)| at > self.now), "{deadline:?} has come already");
        let others =
            outputs.iter().filter(|output| !matches!(output, Output::FlowData { .. })).count();
        assert!(others <= MOST_OUTPUTS, "one input yields {others} outputs");
        let (receive, send) = self.session.memory_used();
        let half = self.limit / 2;
        assert!(
            receive <= half && send <= half + (16 << 10),
            "{receive} and {send} bytes are over the limit"
        );
        for output in outputs.drain(..) {
            self.perform(output);
        }
        self.outputs = outputs;
    }

    fn perform(&mut self, output: Output) {
        assert!(self.ended.is_none(), "an output after the end: {output:?}");
        match output {
            Output::Transmit { stripe, header, payload } => {
                assert!(self.up.contains(&stripe), "a frame on stripe {stripe}, which is not up");
                self.digest.words(&header);
                *self.sent.entry(stripe).or_default() += (header.len() + payload.len()) as u64;
            }
            Output::CloseStripe { stripe, .. } => self.up.retain(|other| *other != stripe),
            Output::FlowOpened { flow, .. } => {
                self.opened += 1;
                self.known.push(flow);
            }
            Output::FlowIncoming { flow, .. } => {
                assert!(!self.known.contains(&flow), "a flow comes twice");
                self.known.push(flow);
                self.offered.insert(flow);
            }
            Output::FlowData { flow, data } => {
                self.assert_listens(flow, "data");
                assert!(!self.finished.contains(&flow), "data after FIN");
                *self.delivered.entry(flow).or_default() += data.len() as u64;
            }
            Output::FlowFinished { flow } => {
                self.assert_listens(flow, "FIN");
                assert!(self.finished.insert(flow), "a second FIN");
            }
            Output::FlowReset { flow, .. } | Output::FlowRefused { flow, .. } => {
                self.assert_listens(flow, "a reset");
                self.gone.insert(flow);
            }
            Output::FlowEnded { flow } => {
                self.gone.insert(flow);
            }
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
                self.ended = Some(reason);
            }
            _ => {}
        }
    }

    fn assert_listens(&self, flow: FlowId, what: &str) {
        assert!(
            self.known.contains(&flow) && !self.gone.contains(&flow),
            "{what} for {flow:?}, which is over"
        );
    }
}
