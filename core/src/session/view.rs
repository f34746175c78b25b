//! The state that a simulator compares between both sides of a session: where every flow and stripe
//! stands, in bytes. Read only.

use super::Session;
use crate::flow::Flow;
use crate::flow::send::SendState;
use crate::id::{FlowId, StripeId};
use crate::stats::StripeStats;

/// Where a flow stands on one side. All are offsets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowView {
    /// The flow.
    pub flow: FlowId,
    /// Its frames have overtaken its OPEN, so that its credit is not known yet.
    pub early: bool,
    /// The end of what was handed to stripes.
    pub sent: u64,
    /// How far the peer lets us send.
    pub credit: u64,
    /// Up to here the peer has acknowledged everything; zero once it wants no more.
    pub acknowledged: u64,
    /// How far we let the peer send.
    pub granted: u64,
    /// The end of what has come.
    pub received: u64,
    /// Up to here everything has come and was delivered.
    pub delivered: u64,
    /// Bytes that the local consumer has taken.
    pub consumed: u64,
    /// Data that comes is kept and delivered.
    pub receiving: bool,
}

impl FlowView {
    fn of(flow: FlowId, entry: &Flow) -> Self {
        let (send, recv) = (entry.send(), entry.recv());
        let stopped = send.state() == SendState::Stopped;
        FlowView {
            flow,
            early: entry.is_early(),
            sent: send.buffer().next(),
            credit: send.limit(),
            acknowledged: if stopped { 0 } else { send.buffer().written() - send.buffer().held() },
            granted: recv.credit().granted(),
            received: recv.assembler().end(),
            delivered: recv.delivered(),
            consumed: recv.credit().consumed(),
            receiving: !recv.is_discarding(),
        }
    }
}

/// With the feature `testing`: for simulators and tests, without a promise of stability.
impl Session {
    /// How many DATA frames are on stripes and not acknowledged: so many a death may send again at
    /// once.
    pub fn view_outstanding(&self) -> usize {
        self.stripes.data_entries()
    }

    /// Every flow.
    pub fn view_flows(&self) -> impl Iterator<Item = FlowView> {
        self.flows.iter().map(|(flow, entry)| FlowView::of(flow, entry))
    }

    /// One flow, if it exists.
    pub fn view_flow(&self, flow: FlowId) -> Option<FlowView> {
        self.flows.get(flow).map(|entry| FlowView::of(flow, entry))
    }

    /// Every live stripe.
    pub fn view_stripes(&self) -> impl Iterator<Item = StripeStats> {
        self.stripes.iter().map(|stripe| stripe.stats(self.now))
    }

    /// One live stripe.
    pub fn view_stripe(&self, stripe: StripeId) -> Option<StripeStats> {
        self.stripes.get(stripe).map(|stripe| stripe.stats(self.now))
    }
}
