//! The questions that a session answers. Nothing here changes anything.

use super::flows::SEGMENT_OVERHEAD;
use super::{Life, Session};
use crate::config::{Config, MAX_STRIPES};
use crate::id::{FlowId, Role, SessionId, StripeId};
use crate::stats::{FlowStats, Stats};
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::hello::{Hello, Refusal};
use alloc::vec::Vec;

impl Session {
    /// The end that this is.
    pub fn role(&self) -> Role {
        self.membership.role()
    }

    /// The session's name.
    pub fn id(&self) -> SessionId {
        self.membership.id()
    }

    /// The settings, within their limits.
    pub fn config(&self) -> Config {
        self.config
    }

    /// The latest time seen: that of its birth before the first input.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// When to send [`crate::Input::Tick`], and why.
    pub fn deadline(&self) -> Option<(Instant, Timer)> {
        self.timers.next()
    }

    /// When the session will be given up for want of a stripe; none while it has one.
    pub fn gives_up_at(&self) -> Option<Instant> {
        self.timers.at(Timer::Resume)
    }

    /// The HELLO to say on a new stripe. The client asks for it when it dials, the server when it
    /// welcomes.
    pub fn hello(&self, stripe: StripeId) -> Hello {
        self.membership.hello(stripe, self.stripes.unconfirmed())
    }

    /// Server: whether a stripe of this number may join now.
    pub fn may_join(&self, stripe: StripeId) -> Result<(), Refusal> {
        if self.life == Life::Ended {
            Err(Refusal::UnknownSession)
        } else if self.stripes.knows(stripe) {
            Err(Refusal::StripeUsed)
        } else if self.stripes.len() >= MAX_STRIPES {
            Err(Refusal::TooMany)
        } else {
            Ok(())
        }
    }

    /// How many bytes of data a flow takes now with `FlowData`. When zero, `FlowWritable` says when
    /// that changes.
    pub fn send_room(&self, flow: FlowId) -> u64 {
        self.flows.send_room(flow)
    }

    /// How much memory the session uses beyond its floors, in bytes: credit given and not used up
    /// by local consumption, and local data held.
    pub fn memory_used(&self) -> (u64, u64) {
        if self.life == Life::Ended {
            (0, 0)
        } else {
            (self.flows.receive_used(), self.flows.send_used())
        }
    }

    /// The memory that the session really takes for its flows, in bytes. It counts bytes that came
    /// and were not consumed, bytes that are not acknowledged, the floors, and an overhead for each
    /// flow, segment and frame. A peer that wastes memory shows here and not in
    /// [`Session::memory_used`].
    pub fn memory_kept(&self) -> u64 {
        self.flows.memory_kept() + self.stripes.data_entries() as u64 * SEGMENT_OVERHEAD
    }

    /// The flows that may be reset, with what each adds to [`Session::memory_kept`]; the one with
    /// the most comes first. Takes time in proportion to their number.
    pub fn heaviest_flows(&self) -> Vec<(FlowId, u64)> {
        self.flows.heaviest()
    }

    /// A snapshot of one flow, if it exists and its OPEN has come.
    pub fn flow_stats(&self, flow: FlowId) -> Option<FlowStats> {
        self.flows.get(flow).filter(|entry| !entry.is_early()).map(|entry| entry.stats(flow))
    }

    /// A snapshot of the session.
    pub fn stats(&self) -> Stats {
        let (payload_sent, payload_resent) = self.stripes.payload();
        let (payload_delivered, payload_duplicate) = self.flows.received();
        let (reordering, reordering_peak) = self.flows.reordering();
        Stats {
            stripes: self.stripes.iter().map(|stripe| stripe.stats(self.now)).collect(),
            flows: self.flows.len(),
            payload_sent,
            payload_resent,
            payload_copied: self.copies.copied(),
            payload_delivered,
            payload_duplicate,
            held: self.flows.iter().map(|(_, flow)| flow.send().buffer().held()).sum(),
            reordering,
            reordering_peak,
            credit_outstanding: self.flows.receive_used(),
            stripes_lost: self.stripes.lost(),
            doubts: self.stripes.doubts(),
            control_peak: self.admission.peak(),
        }
    }
}
