//! The end of a session: draining, and what is said last.

use super::control::Control;
use super::membership::Membership;
use super::{Life, Session};
use crate::error::{EndReason, Reason, StripeClose};
use crate::io::Output;
use crate::wire::frame::{Frame, MAX_ACKS};
use alloc::vec::Vec;
use bytes::Bytes;

impl Session {
    pub(super) fn drain(&mut self, out: &mut Vec<Output>) {
        if self.life == Life::Running {
            self.life = Life::Draining;
        }
        self.fail_requests(out);
    }

    fn fail_requests(&mut self, out: &mut Vec<Output>) {
        let failed = |request| Output::FlowOpenFailed { request };
        out.extend(self.flows.ids_mut().drop_requests().map(failed));
    }

    /// A draining session ends with its last flow.
    pub(super) fn conclude(&mut self, out: &mut Vec<Output>) {
        if self.life == Life::Draining && self.is_idle() {
            self.end(EndReason::Shutdown, out);
        }
    }

    /// Whether nothing is left that a draining session must wait for.
    fn is_idle(&self) -> bool {
        self.flows.len() == 0 && !self.flows.ids().has_requests()
    }

    /// The session is over: says so on every stripe, resets what flows there are, and forgets
    /// everything.
    pub(super) fn end(&mut self, reason: EndReason, out: &mut Vec<Output>) {
        self.flows.remove_ended(self.control.intents_mut(), &mut self.timers, out);
        self.say_close(reason, out);
        for (flow, entry) in self.flows.iter().filter(|(_, entry)| entry.has_local()) {
            out.push(if entry.recv().is_finished() && entry.send().is_done() {
                // Nothing is lost: all that is left is for the local consumer to take what it has
                // been given.
                Output::FlowEnded { flow }
            } else {
                Output::FlowReset { flow, reason: Reason::SessionLost }
            });
        }
        self.fail_requests(out);
        out.extend(self.membership.want(0));
        out.push(Output::Ended { reason });
        self.forget();
    }

    /// Says on every stripe that the session is over. The peer must not take for lost what has
    /// arrived here, whichever stripe brings it the news first.
    fn say_close(&self, reason: EndReason, out: &mut Vec<Output>) {
        let code = match reason {
            EndReason::Shutdown | EndReason::PeerClosed | EndReason::PeerComplained => 0,
            EndReason::Aborted | EndReason::NoStripe => 1,
            EndReason::Violation(_) => 2,
        };
        let counts: Vec<_> = self
            .stripes
            .iter()
            .map(|stripe| (stripe.id(), stripe.inbound().acker().count()))
            .filter(|(_, count)| *count > 0)
            .collect();
        for stripe in self.stripes.iter().map(crate::stripe::Stripe::id) {
            let mut say = |frame: Frame| {
                let header = frame.encode(0);
                out.push(Output::Transmit { stripe, header, payload: Bytes::new() });
            };
            counts.chunks(MAX_ACKS).for_each(|counts| say(Frame::Ack { counts: counts.to_vec() }));
            say(Frame::Close { code });
            out.push(Output::CloseStripe { stripe, reason: StripeClose::SessionEnded });
        }
    }

    /// Keeps only what statistics tell.
    fn forget(&mut self) {
        self.life = Life::Ended;
        let (role, id) = (self.role(), self.id());
        self.membership = Membership::new(role, id);
        self.flows.clear(role, &self.config, self.now);
        self.stripes.clear();
        self.control = Control::default();
        self.timers.clear_all();
    }
}
