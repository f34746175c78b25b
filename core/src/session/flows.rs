//! The flows of a session: their table, whose turn it is to send, and what they add up to.
//!
//! Flows come, change and go through here alone. So three things are right after each change: the
//! sums over them, the queue of those with data to send, and the list of ended ones.

use crate::config::{Config, FLOW_FLOOR, INITIAL_EARLY, INITIAL_WINDOW};
use crate::error::{Verdict, Violation};
use crate::flow::Flow;
use crate::flow::credit::Measure;
use crate::flow::queue::FlowQueue;
use crate::flow::table::{IdState, Table};
use crate::id::{FlowId, Role};
use crate::intents::{Intent, Intents};
use crate::io::Output;
use crate::stripe::table::MAX_DATA_ENTRIES;
use crate::time::Instant;
use crate::timers::{Timer, Timers};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// The memory of a flow beside its bytes, here and in a driver, in bytes. It was measured on a
/// 64-bit machine and rounded up.
const FLOW_OVERHEAD: u64 = 2 << 10;

/// The memory of a segment that waits out of order beside its bytes: 103 bytes were measured for
/// segments of one byte. An entry of a ledger takes about as much.
pub(super) const SEGMENT_OVERHEAD: u64 = 128;

/// The most disjoint segments that we hold out of order. They are twice as many as an honest peer
/// can make of [`MAX_DATA_ENTRIES`], and one more for each [`JOINED`] bytes of memory. A frame may
/// arrive in many parts.
const MAX_SEGMENTS: usize = 2 * MAX_DATA_ENTRIES;

/// Small parts of a frame are joined to at least half of this many bytes.
const JOINED: u64 = 4 << 10;

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Sums {
    /// Bytes of credit outstanding beyond the floors.
    charged: u64,
    held: u64,
    backlog: u64,
    segments: usize,
    reordering: u64,
    /// Bytes of memory, see [`Flows::memory_kept`].
    kept: u64,
    /// Flows whose local side may give more only after more credit.
    blocked: usize,
}

impl Sums {
    fn of(flow: &Flow) -> Self {
        let (send, recv) = (flow.send(), flow.recv());
        let segments = recv.assembler().segments();
        Sums {
            charged: if flow.is_early() { 0 } else { recv.charge() },
            held: send.buffer().held().saturating_sub(FLOW_FLOOR),
            backlog: send.backlog(),
            segments,
            reordering: recv.assembler().held(),
            kept: FLOW_OVERHEAD
                + recv.kept()
                + segments as u64 * SEGMENT_OVERHEAD
                + send.buffer().held(),
            blocked: usize::from(send.is_open() && send.is_blocked()),
        }
    }

    /// A flow that added `before` now adds `after`.
    fn replace(&mut self, before: Sums, after: Sums) {
        self.charged = self.charged - before.charged + after.charged;
        self.held = self.held - before.held + after.held;
        self.backlog = self.backlog - before.backlog + after.backlog;
        self.segments = self.segments - before.segments + after.segments;
        self.reordering = self.reordering - before.reordering + after.reordering;
        self.kept = self.kept - before.kept + after.kept;
        self.blocked = self.blocked - before.blocked + after.blocked;
    }
}

#[derive(Clone, Debug)]
pub(super) struct Flows {
    table: Table,
    queue: FlowQueue,
    sums: Sums,
    /// Bytes that may be used beyond the floors: for receiving, for sending.
    shares: (u64, u64),
    /// The most that one flow's receive window grows to, in bytes.
    window_limit: u64,
    /// Segments that may be held out of order.
    max_segments: usize,
    memory_waiters: VecDeque<FlowId>,
    /// Flows to which nothing more can happen.
    over: Vec<FlowId>,
    delivered: u64,
    /// Bytes that came again, ever.
    duplicate: u64,
    /// The most bytes that were ever held out of order.
    reordering_peak: u64,
}

impl Flows {
    pub(super) fn new(role: Role, config: &Config, now: Instant) -> Self {
        Flows {
            table: Table::new(role, config, now),
            queue: FlowQueue::default(),
            sums: Sums::default(),
            shares: (config.memory_limit / 2, config.memory_limit / 2),
            window_limit: config.window_limit,
            max_segments: MAX_SEGMENTS + (config.memory_limit / JOINED) as usize,
            memory_waiters: VecDeque::new(),
            over: Vec::new(),
            delivered: 0,
            duplicate: 0,
            reordering_peak: 0,
        }
    }

    /// Forgets all flows, but not what has been counted.
    pub(super) fn clear(&mut self, role: Role, config: &Config, now: Instant) {
        let Flows { delivered, duplicate, reordering_peak, .. } = *self;
        *self = Flows { delivered, duplicate, reordering_peak, ..Flows::new(role, config, now) };
    }

    pub(super) fn get(&self, flow: FlowId) -> Option<&Flow> {
        self.table.get(flow)
    }

    pub(super) fn with_local(&self, flow: FlowId) -> Option<&Flow> {
        self.get(flow).filter(|entry| entry.has_local())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (FlowId, &Flow)> {
        self.table.iter()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    pub(super) fn id_state(&self, flow: FlowId) -> Result<IdState, Violation> {
        self.table.id_state(flow)
    }

    pub(super) fn ids(&self) -> &Table {
        &self.table
    }

    /// See [`Flows::ids`]. Flows themselves change through [`Flows::change`] alone.
    pub(super) fn ids_mut(&mut self) -> &mut Table {
        &mut self.table
    }

    /// Bytes that may be used beyond the floors from now on: for receiving, for sending.
    pub(super) fn share(&mut self, receive: u64, send: u64) {
        self.shares = (receive, send);
    }

    pub(super) fn send_pool(&self) -> u64 {
        self.shares.1.saturating_sub(self.sums.held)
    }

    pub(super) fn recv_pool(&self) -> u64 {
        self.shares.0.saturating_sub(self.receive_used())
    }

    pub(super) fn receive_used(&self) -> u64 {
        (self.sums.charged + self.table.early_outstanding()).saturating_sub(INITIAL_EARLY)
    }

    pub(super) fn send_used(&self) -> u64 {
        self.sums.held
    }

    /// Bytes of memory, floors included, and what it costs to know of each flow and segment.
    pub(super) fn memory_kept(&self) -> u64 {
        self.sums.kept
    }

    /// The flows that may be reset, with what each adds to [`Flows::memory_kept`]; the one with the
    /// most comes first. Takes time in proportion to their number.
    pub(super) fn heaviest(&self) -> Vec<(FlowId, u64)> {
        let known = self.iter().filter(|(_, flow)| !flow.is_early());
        let mut flows: Vec<_> = known.map(|(id, flow)| (id, Sums::of(flow).kept)).collect();
        flows.sort_by_key(|(_, kept)| core::cmp::Reverse(*kept));
        flows
    }

    pub(super) fn backlog(&self) -> u64 {
        self.sums.backlog
    }

    /// Whether a flow has used up its credit and may have more to send.
    pub(super) fn want_credit(&self) -> bool {
        self.sums.blocked > 0
    }

    pub(super) fn reordering(&self) -> (u64, u64) {
        (self.sums.reordering, self.reordering_peak)
    }

    /// Bytes of payload from the peer, ever: given to local consumers, and dropped because they had
    /// come before.
    pub(super) fn received(&self) -> (u64, u64) {
        (self.delivered, self.duplicate)
    }

    #[inline]
    pub(super) fn next_to_send(&mut self) -> Option<FlowId> {
        self.queue.front()
    }

    /// Whether the flow whose turn it is has come with some of its quantum left.
    pub(super) fn next_is_fresh(&self) -> bool {
        self.queue.is_fresh()
    }

    pub(super) fn charge_turn(&mut self, flow: FlowId, bytes: usize) {
        self.queue.charge(flow, bytes);
    }

    /// Changes a flow, then brings everything that depends on its state up to date. `None` if it
    /// does not exist.
    pub(super) fn change<T>(
        &mut self,
        flow: FlowId,
        change: impl FnOnce(&mut Flow) -> T,
    ) -> Option<T> {
        let entry = self.table.get_mut(flow)?;
        let before = Sums::of(entry);
        let result = change(entry);
        let after = Sums::of(entry);
        if entry.send().wants_to_send() {
            self.queue.activate(flow);
        } else {
            self.queue.deactivate(flow);
        }
        if entry.is_over() {
            self.over.push(flow);
        }
        self.replace(before, after);
        Some(result)
    }

    /// Changes what no sum depends on: what the local side of a flow was told, and how far it has
    /// come between the two sides.
    pub(super) fn note<T>(&mut self, flow: FlowId, note: impl FnOnce(&mut Flow) -> T) -> Option<T> {
        self.table.get_mut(flow).map(note)
    }

    pub(super) fn insert(&mut self, flow: FlowId, entry: Flow) {
        self.replace(Sums::default(), Sums::of(&entry));
        self.table.insert(flow, entry);
    }

    /// Takes a flow out for good, with all that the peer was to be told of it.
    pub(super) fn remove(&mut self, flow: FlowId, intents: &mut Intents, timers: &mut Timers) {
        if let Some(entry) = self.table.get(flow) {
            self.replace(Sums::of(entry), Sums::default());
            self.table.remove(flow);
            self.queue.forget(flow);
            timers.clear(Timer::Linger(flow));
            intents.forget_flow(flow);
        }
    }

    fn replace(&mut self, before: Sums, after: Sums) {
        self.sums.replace(before, after);
        self.reordering_peak = self.reordering_peak.max(self.sums.reordering);
    }

    pub(super) fn receive(&mut self, flow: FlowId, offset: u64, data: Bytes, fin: bool) -> Verdict {
        let dropped = self.change(flow, |entry| entry.recv_mut().insert(offset, data, fin));
        self.duplicate += dropped.unwrap_or(Ok(0))?;
        if self.sums.segments > self.max_segments {
            return Err(Violation::TooManyGaps);
        }
        Ok(())
    }

    pub(super) fn pass_on(&mut self, flow: FlowId, out: &mut Vec<Output>) {
        let delivered = self.change(flow, |entry| {
            entry.recv_mut().deliver(|data| out.push(Output::FlowData { flow, data }))
        });
        self.delivered += delivered.unwrap_or(0);
    }

    pub(super) fn send_room(&self, flow: FlowId) -> u64 {
        self.with_local(flow).map_or(0, |entry| entry.send().room(self.send_pool()))
    }

    /// Notes whether the local side of a flow has to wait now.
    pub(super) fn note_room(&mut self, flow: FlowId) {
        let room = self.send_room(flow);
        self.note(flow, |entry| entry.send_mut().show_room(room));
        self.queue_for_memory(flow);
    }

    fn queue_for_memory(&mut self, flow: FlowId) {
        if self.note(flow, |entry| entry.send_mut().queue_for_memory()) == Some(true) {
            self.memory_waiters.push_back(flow);
        }
    }

    /// Tells the local side of a flow, if it waits, that it need not wait any more.
    pub(super) fn notify_writable(&mut self, flow: FlowId, out: &mut Vec<Output>) {
        let has_room = self.send_room(flow) > 0;
        let notify = |entry: &mut Flow| {
            let has_local = entry.has_local();
            entry.send_mut().notify_writable(has_room, has_local)
        };
        match self.note(flow, notify) {
            Some(true) => out.push(Output::FlowWritable { flow }),
            Some(false) => self.queue_for_memory(flow),
            None => {}
        }
    }

    pub(super) fn notify_memory_waiters(&mut self, out: &mut Vec<Output>) {
        while let Some(&flow) = self.memory_waiters.front() {
            let waits = self.get(flow).is_some_and(|entry| entry.send().waits_for_room());
            if waits && self.send_room(flow) == 0 && self.send_pool() == 0 {
                return;
            }
            self.memory_waiters.pop_front();
            self.note(flow, |entry| entry.send_mut().leave_memory_queue());
            self.notify_writable(flow, out);
        }
    }

    /// `rtt` is the longest round trip of the stripes.
    pub(super) fn advance_credit(
        &mut self,
        flow: FlowId,
        (now, rtt): (Instant, Duration),
        intents: &mut Intents,
    ) {
        let by = Measure { now, rtt, pool: self.recv_pool(), limit: self.window_limit };
        let advanced = self.change(flow, |entry| entry.recv_mut().advance_credit(by));
        if advanced == Some(true) {
            intents.add(Intent::Credit(flow));
        }
    }

    /// Forgets flows to which nothing more can happen.
    pub(super) fn remove_ended(
        &mut self,
        intents: &mut Intents,
        timers: &mut Timers,
        out: &mut Vec<Output>,
    ) {
        for flow in core::mem::take(&mut self.over) {
            let Some(entry) = self.get(flow).filter(|entry| entry.is_over()) else { continue };
            if entry.closing().is_none() {
                out.push(Output::FlowEnded { flow });
            }
            self.remove(flow, intents, timers);
        }
    }

    /// Opens flows that were asked for, as far as the peer lets us.
    pub(super) fn open_requested(&mut self, intents: &mut Intents, out: &mut Vec<Output>) {
        while let Some((request, opaque, flow, early)) = self.table.next_request() {
            let window = FLOW_FLOOR + (INITIAL_WINDOW - FLOW_FLOOR).min(self.recv_pool() / 4);
            self.insert(flow, Flow::opening(opaque, early, window));
            intents.add(Intent::Open(flow));
            out.push(Output::FlowOpened { request, flow });
            self.note_room(flow);
        }
    }

    /// Panics if a sum is wrong, a limit is exceeded, or a flow that has data to send is not
    /// queued. For simulations.
    pub(super) fn check(&self, config: &Config) {
        assert!(self.over.is_empty(), "flows that are over have been forgotten");
        self.table.check();
        let mut sums = Sums::default();
        for (flow, entry) in self.iter() {
            sums.replace(Sums::default(), Sums::of(entry));
            let (send, recv) = (entry.send(), entry.recv());
            assert!(recv.credit().consumed() <= recv.delivered());
            assert!(recv.assembler().end() <= recv.credit().granted());
            assert!(send.buffer().next() <= send.limit(), "flow {flow} has exceeded its credit");
            assert!(
                !send.wants_to_send() || self.queue.contains(flow),
                "flow {flow} has data and is not queued"
            );
        }
        assert_eq!(sums, self.sums, "sums over flows");
        let half = config.memory_limit / 2;
        assert!(self.receive_used() <= half, "credit beyond the memory limit");
        assert!(self.sums.held <= half + FLOW_FLOOR, "local data beyond the memory limit");
    }
}

/// The state that decides how flows go on. See [`crate::Session::fingerprint`].
impl Hash for Flows {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.shares.hash(hasher);
        self.table.hash(hasher);
        self.queue.hash(hasher);
        (&self.memory_waiters, &self.over).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Phase;

    const CLIENT: FlowId = FlowId(1);

    fn flows(config: Config) -> Flows {
        Flows::new(Role::Server { instance: 1 }, &config, Instant::ZERO)
    }

    /// A flow of the peer's that the local side has accepted, with credit both ways.
    fn with_flow(config: Config) -> Flows {
        let mut flows = flows(config);
        flows.insert(CLIENT, Flow::new(Phase::Carried, 1 << 20, 1 << 20));
        flows
    }

    fn zeros(len: usize) -> Bytes {
        alloc::vec![0; len].into()
    }

    #[test]
    fn sums_and_the_queue_are_right_after_each_change() {
        let mut flows = with_flow(Config::default());
        let idle = flows.memory_kept();
        assert_eq!(flows.next_to_send(), None);
        flows.change(CLIENT, |flow| flow.send_mut().write(zeros(FLOW_FLOOR as usize + 5)));
        assert_eq!((flows.send_used(), flows.next_to_send()), (5, Some(CLIENT)));
        assert_eq!(flows.memory_kept(), idle + FLOW_FLOOR + 5);
        flows.receive(CLIENT, 10, zeros(3), false).unwrap();
        assert_eq!(flows.reordering(), (3, 3));
        assert_eq!(flows.memory_kept(), idle + FLOW_FLOOR + 8 + SEGMENT_OVERHEAD);
        flows.remove(CLIENT, &mut Intents::default(), &mut Timers::default());
        assert_eq!((flows.send_used(), flows.next_to_send(), flows.len()), (0, None, 0));
        assert_eq!((flows.reordering(), flows.memory_kept()), ((0, 3), 0));
    }

    #[test]
    fn segments_out_of_order_are_bounded_and_memory_allows_more() {
        let most = |memory_limit| flows(Config { memory_limit, ..Config::default() }).max_segments;
        assert_eq!(most(8 << 20), 65_536 + 2_048);
        let mut flows = with_flow(Config::default());
        flows.max_segments = 2;
        let mut gap = |at| flows.receive(CLIENT, at, zeros(1), false);
        assert_eq!((gap(9_000), gap(20_000)), (Ok(()), Ok(())));
        assert_eq!(gap(40_000), Err(Violation::TooManyGaps));
    }

    #[test]
    fn free_memory_goes_to_flows_in_the_order_in_which_they_wait() {
        let config = Config { memory_limit: 2 << 20, ..Config::default() };
        let mut flows = flows(config);
        let ids = [1, 3, 5].map(FlowId);
        ids.iter().for_each(|id| flows.insert(*id, Flow::new(Phase::Carried, 1 << 30, 0)));
        flows.share(1 << 20, 0);
        for id in [5, 1].map(FlowId) {
            flows.change(id, |flow| flow.send_mut().write(zeros(FLOW_FLOOR as usize)));
            flows.note_room(id);
        }
        let mut told = Vec::new();
        flows.notify_memory_waiters(&mut told);
        assert_eq!(told, []);
        flows.share(1 << 20, 1 << 20);
        flows.notify_memory_waiters(&mut told);
        let writable = |flow| Output::FlowWritable { flow: FlowId(flow) };
        assert_eq!(told, [5, 1].map(writable), "the third does not wait");
    }

    #[test]
    fn a_flow_that_is_over_is_removed_once_and_told_unless_we_have_closed_it() {
        for closed in [false, true] {
            let mut flows = with_flow(Config::default());
            flows.change(CLIENT, |flow| {
                if closed {
                    flow.reset(crate::error::Reason::Aborted);
                    flow.closing_arrived();
                }
                flow.send_mut().stop();
                flow.recv_mut().discard();
            });
            let mut told = Vec::new();
            let (mut intents, mut timers) = (Intents::default(), Timers::default());
            (0..2).for_each(|_| flows.remove_ended(&mut intents, &mut timers, &mut told));
            assert_eq!(told.len(), usize::from(!closed), "{told:?}");
            assert_eq!(flows.len(), 0);
        }
    }
}
