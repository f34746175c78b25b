//! What flows add up to. Flows come, change and go through here alone, so that the session's sums
//! over them, its queue of those that have data to send, and its list of those that are over are
//! right after each change.

use super::Session;
use crate::config::{FLOW_FLOOR, INITIAL_EARLY};
use crate::flow::{Flow, Phase};
use crate::id::FlowId;
use crate::intents::Intent;
use crate::timers::Timer;
use alloc::vec::Vec;

/// What one flow adds to the session's sums.
#[derive(Clone, Copy, Default)]
pub(super) struct Weight {
    pub charge: u64,
    pub held: u64,
    pub backlog: u64,
    pub pieces: usize,
    pub reordering: u64,
    pub kept: u64,
}

/// What a flow takes in memory beside its bytes, here and in a driver, in bytes; measured on a
/// 64-bit machine, rounded up.
const FLOW: u64 = 2 << 10;

/// What a piece that waits out of order takes in memory beside its bytes: 103 bytes were measured
/// for pieces of one byte.
const PIECE: u64 = 128;

impl Weight {
    pub fn of(flow: &Flow) -> Self {
        Weight {
            charge: if flow.phase == Phase::Early { 0 } else { flow.recv.charge() },
            held: flow.send.buffer.held().saturating_sub(FLOW_FLOOR),
            backlog: flow.send.backlog(),
            pieces: flow.recv.assembler.pieces(),
            reordering: flow.recv.assembler.held(),
            kept: FLOW
                + flow.recv.kept()
                + flow.recv.assembler.pieces() as u64 * PIECE
                + flow.send.buffer.held(),
        }
    }
}

impl Session {
    /// How much memory the session really takes for its flows, in bytes: what has come and was not
    /// consumed, what was handed over and is not acknowledged, floors included, and what it costs
    /// to know of each flow, piece and frame. A peer that wastes memory shows here and not in
    /// [`Session::memory_used`].
    pub fn memory_kept(&self) -> u64 {
        self.kept + self.data_entries as u64 * PIECE
    }

    /// The flows that may be reset, with what each adds to [`Session::memory_kept`]; that with the
    /// most comes first. Takes time in proportion to their number.
    pub fn heaviest_flows(&self) -> Vec<(FlowId, u64)> {
        let known = self.flows.flows.iter().filter(|(_, flow)| flow.phase != Phase::Early);
        let mut flows: Vec<_> = known.map(|(id, flow)| (*id, Weight::of(flow).kept)).collect();
        flows.sort_by_key(|(_, kept)| core::cmp::Reverse(*kept));
        flows
    }

    /// Memory left for local data beyond the floors.
    pub(super) fn send_pool(&self) -> u64 {
        self.memory.1.saturating_sub(self.held)
    }

    /// Memory left for credit beyond the floors.
    pub(super) fn recv_pool(&self) -> u64 {
        self.memory.0.saturating_sub(self.receive_used())
    }

    /// Credit outstanding beyond the floors: those of flows, and the early credit that every
    /// session begins with.
    pub(super) fn receive_used(&self) -> u64 {
        (self.charged + self.flows.early_outstanding()).saturating_sub(INITIAL_EARLY)
    }

    /// Changes a flow, then brings everything that depends on its state up to date. `None` if it
    /// does not exist.
    pub(super) fn change<T>(
        &mut self,
        flow: FlowId,
        change: impl FnOnce(&mut Flow) -> T,
    ) -> Option<T> {
        let entry = self.flows.flows.get_mut(&flow)?;
        let before = Weight::of(entry);
        let result = change(entry);
        let after = Weight::of(entry);
        self.reweigh(before, after);
        let entry = &self.flows.flows[&flow];
        if entry.send.wants_to_send() {
            self.queue.activate(flow);
        } else {
            self.queue.deactivate(flow);
        }
        if entry.is_over() {
            self.over.push(flow);
        }
        Some(result)
    }

    /// Adds a new flow.
    pub(super) fn insert(&mut self, flow: FlowId, entry: Flow) {
        self.reweigh(Weight::default(), Weight::of(&entry));
        self.flows.flows.insert(flow, entry);
    }

    /// Takes a flow out for good.
    pub(super) fn remove(&mut self, flow: FlowId) {
        if let Some(entry) = self.flows.flows.get(&flow) {
            if entry.recv.reset.is_none() || !planted!(ResetKeepsCharge) {
                self.reweigh(Weight::of(entry), Weight::default());
            }
            self.flows.remove(flow);
            self.queue.forget(flow);
            self.timers.clear(Timer::Linger(flow));
            self.repeat.remove(&Intent::Credit(flow));
            for intent in [
                Intent::Credit,
                Intent::Blocked,
                Intent::Open,
                Intent::Accept,
                Intent::Refuse,
                Intent::Reset,
            ] {
                self.intents.remove(intent(flow));
            }
        }
    }

    fn reweigh(&mut self, before: Weight, after: Weight) {
        self.charged = self.charged - before.charge + after.charge;
        if after.charge < before.charge && planted!(ChargeNeverFalls) {
            self.charged += before.charge - after.charge;
        }
        self.held = self.held - before.held + after.held;
        self.backlog = self.backlog - before.backlog + after.backlog;
        self.pieces = self.pieces - before.pieces + after.pieces;
        self.kept = self.kept - before.kept + after.kept;
        self.totals.reordering = self.totals.reordering - before.reordering + after.reordering;
        self.totals.reordering_peak = self.totals.reordering_peak.max(self.totals.reordering);
    }
}
