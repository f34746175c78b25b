//! The flows of a session, the ids that were ever used, and what each side lets the other open.

#[cfg(test)]
mod tests;

use crate::bucket::Bucket;
use crate::config::{Config, FLOW_FLOOR, INITIAL_EARLY, INITIAL_FLOWS, INITIAL_WINDOW};
use crate::error::{Verdict, Violation};
use crate::flow::{Flow, Phase};
use crate::id::{FlowId, Role};
use crate::ranges::RangeSet;
use crate::time::Instant;
use alloc::collections::{BTreeMap, VecDeque};
use bytes::Bytes;
use core::hash::{Hash, Hasher};

/// The most early credit that the peer may have at hand: so many flows can start at full window
/// within one round trip.
const EARLY_TARGET: u64 = 16 * (INITIAL_WINDOW - FLOW_FLOOR);

/// A session begins with some early credit. Beyond that, early credit takes one part in this many
/// of the free memory, so that idle sessions leave most of it to busy ones.
const EARLY_SHARE: u64 = 16;

/// Grants that are held back are said at most so many times a second.
const GRANTS_PER_SECOND: u64 = 100;

/// The meaning of a flow's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IdState {
    Exists,
    /// It has ended; what still comes for it is late.
    Ended,
    /// The peer may open it and has not yet.
    Free,
}

#[derive(Clone, Debug)]
pub(crate) struct Table {
    role: Role,
    flows: BTreeMap<FlowId, Flow>,
    /// Opens that wait for the peer's grant.
    requests: VecDeque<(u64, Bytes)>,
    opened: u64,
    /// Flows that we may open in all.
    may_open: u64,
    /// Early credit that we have taken, and may take in all.
    early_used: u64,
    early_limit: u64,
    /// Indexes of the peer's flows whose id has taken effect.
    seen: RangeSet,
    /// How many those are.
    begun_by_peer: u64,
    /// Indexes of flows that a RESET consumed before their OPEN came.
    unopened: RangeSet,
    /// How many of them have ended.
    ended: u64,
    /// Flows that the peer may open in all.
    granted: u64,
    /// How many more may be granted now.
    opens: Bucket,
    /// Early credit that the peer may take in all, has taken in OPENs, and must be going to take in
    /// OPENs that were overtaken.
    early_granted: u64,
    early_taken: u64,
    early_implied: u64,
}

impl Table {
    pub(crate) fn new(role: Role, config: &Config, now: Instant) -> Self {
        Table {
            role,
            flows: BTreeMap::new(),
            requests: VecDeque::new(),
            opened: 0,
            may_open: INITIAL_FLOWS,
            early_used: 0,
            early_limit: INITIAL_EARLY,
            seen: RangeSet::default(),
            begun_by_peer: 0,
            unopened: RangeSet::default(),
            ended: 0,
            granted: INITIAL_FLOWS,
            opens: Bucket::full(most(config), config.opens_per_second, now),
            early_granted: INITIAL_EARLY,
            early_taken: 0,
            early_implied: 0,
        }
    }

    pub(crate) fn get(&self, flow: FlowId) -> Option<&Flow> {
        self.flows.get(&flow)
    }

    pub(crate) fn get_mut(&mut self, flow: FlowId) -> Option<&mut Flow> {
        self.flows.get_mut(&flow)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (FlowId, &Flow)> {
        self.flows.iter().map(|(id, flow)| (*id, flow))
    }

    pub(crate) fn len(&self) -> usize {
        self.flows.len()
    }

    pub(crate) fn insert(&mut self, flow: FlowId, entry: Flow) {
        self.flows.insert(flow, entry);
    }

    /// The local side asks for a flow, which waits for an id.
    pub(crate) fn request(&mut self, request: u64, opaque: Bytes) {
        self.requests.push_back((request, opaque));
    }

    pub(crate) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// The next flow that was asked for, if the peer lets us open it: what was asked for, its id,
    /// and early credit for it.
    pub(crate) fn next_request(&mut self) -> Option<(u64, Bytes, FlowId, u64)> {
        if self.requests.is_empty() {
            return None;
        }
        let (flow, early) = self.next_id()?;
        let (request, opaque) = self.requests.pop_front()?;
        Some((request, opaque, flow, early))
    }

    pub(crate) fn drop_requests(&mut self) -> impl Iterator<Item = u64> + '_ {
        self.requests.drain(..).map(|(request, _)| request)
    }

    /// The next id of ours with the early credit for it, if the peer lets us open one.
    fn next_id(&mut self) -> Option<(FlowId, u64)> {
        if self.opened == self.may_open {
            return None;
        }
        let flow = FlowId::nth(self.role, self.opened);
        self.opened += 1;
        let early = (self.early_limit - self.early_used).min(INITIAL_WINDOW - FLOW_FLOOR);
        self.early_used += early;
        Some((flow, early))
    }

    /// Cumulative, so that the order in which grants arrive does not matter.
    pub(crate) fn raise(&mut self, flows: u64, early: u64) {
        self.may_open = self.may_open.max(flows);
        self.early_limit = self.early_limit.max(early);
    }

    pub(crate) fn id_state(&self, flow: FlowId) -> Result<IdState, Violation> {
        if self.flows.contains_key(&flow) {
            Ok(IdState::Exists)
        } else if flow.opened_by(self.role) {
            let ended = flow.index() < self.opened;
            if ended { Ok(IdState::Ended) } else { Err(Violation::UnknownFlow) }
        } else if flow.index() >= self.granted {
            Err(Violation::FlowNotGranted)
        } else if self.seen.contains(flow.index()) {
            Ok(IdState::Ended)
        } else {
            Ok(IdState::Free)
        }
    }

    pub(crate) fn begun(&self) -> u64 {
        self.opened + self.begun_by_peer
    }

    pub(crate) fn has_seen(&self, flow: FlowId) -> bool {
        self.seen.contains(flow.index())
    }

    pub(crate) fn grant_as_much(&mut self, flows: u64, early: u64) {
        self.granted = self.granted.max(flows);
        self.early_granted = self.early_granted.max(early);
    }

    /// An id of the peer's takes effect, now and never again, with `early` credit on top of the
    /// floor.
    pub(crate) fn see(&mut self, flow: FlowId, early: u64) -> Verdict {
        self.begun_by_peer += self.seen.insert(flow.index()..flow.index() + 1);
        self.take_early(early)
    }

    /// An id of the peer's ends before its OPEN has come. The OPEN still counts when it does: it
    /// has taken early credit. Until then the id is not made up for by a new one, or a peer could
    /// make us remember any number of them.
    pub(crate) fn end_unopened(&mut self, flow: FlowId) {
        let index = flow.index()..flow.index() + 1;
        self.begun_by_peer += self.seen.insert(index.clone());
        self.unopened.insert(index);
    }

    /// An OPEN for an id that has taken effect has no effect. But if the id ended before any OPEN
    /// came, the early credit of this one is taken.
    pub(crate) fn see_again(&mut self, flow: FlowId, early: u64) -> Verdict {
        if !self.unopened.contains(flow.index()) {
            return Ok(());
        }
        self.unopened.remove(flow.index()..flow.index() + 1);
        self.ended += 1;
        self.take_early(early)
    }

    fn take_early(&mut self, early: u64) -> Verdict {
        if early > INITIAL_WINDOW - FLOW_FLOOR {
            return Err(Violation::EarlyCreditExceeded);
        }
        self.early_taken += early;
        self.check_early()
    }

    /// Data up to `end` has overtaken the OPEN of an early flow, so that OPEN takes at least this
    /// much early credit.
    pub(crate) fn imply_early(&mut self, flow: FlowId, end: u64) -> Verdict {
        let early = end.saturating_sub(FLOW_FLOOR);
        if let Some(entry) = self.flows.get_mut(&flow).filter(|entry| early > entry.early) {
            self.early_implied += early - entry.early;
            entry.early = early;
        }
        self.check_early()
    }

    /// An early flow becomes a real one, or goes: nothing is implied any more.
    pub(crate) fn forget_implied_early(&mut self, flow: FlowId) {
        if let Some(entry) = self.flows.get_mut(&flow) {
            self.early_implied -= core::mem::take(&mut entry.early);
        }
    }

    fn check_early(&self) -> Verdict {
        if self.early_taken + self.early_implied > self.early_granted {
            return Err(Violation::EarlyCreditExceeded);
        }
        Ok(())
    }

    pub(crate) fn early_outstanding(&self) -> u64 {
        self.early_granted - self.early_taken
    }

    pub(crate) fn remove(&mut self, flow: FlowId) -> Option<Flow> {
        let entry = self.flows.remove(&flow)?;
        if !flow.opened_by(self.role) && entry.phase != Phase::Early {
            self.ended += 1;
        }
        Some(entry)
    }

    /// Grants more if that is worth a frame: ids as others end, but no faster than `config` says,
    /// early credit while `pool` bytes are free. Returns how much of the pool that takes.
    pub(crate) fn grant(&mut self, config: &Config, pool: u64, now: Instant) -> Option<u64> {
        self.opens.refill(now);
        let flows = self.grantable(config).min(self.opens.available());
        let outstanding = self.early_outstanding();
        let early = EARLY_TARGET.min(INITIAL_EARLY + pool / EARLY_SHARE);
        let more_early = early.saturating_sub(outstanding).min(pool);
        let more_flows = self.is_worth_granting(config) && flows >= step(config);
        let worthwhile = more_flows || more_early >= early / 2;
        if !worthwhile {
            return None;
        }
        self.opens.take(flows);
        self.granted += flows;
        self.early_granted += more_early;
        Some(more_early)
    }

    /// When more ids may be granted, if that is all they wait for.
    pub(crate) fn held_back(&self, config: &Config) -> Option<Instant> {
        self.opens.holds(step(config)).filter(|_| self.is_worth_granting(config))
    }

    /// How many more ids the peer could have as far as the number of flows that may exist goes.
    fn grantable(&self, config: &Config) -> u64 {
        (self.ended + most(config)).saturating_sub(self.granted)
    }

    /// Whether so many ids could be granted that a frame pays.
    fn is_worth_granting(&self, config: &Config) -> bool {
        self.grantable(config) >= most(config) / 8
    }

    pub(crate) fn granted(&self) -> (u64, u64) {
        (self.granted, self.early_granted)
    }

    /// Panics if either side has opened more, or taken more early credit, than the other has
    /// granted, or if the peer's flows don't add up. For simulations.
    pub(crate) fn check(&self) {
        let total = |ids: &RangeSet| ids.iter().map(|range| range.end - range.start).sum::<u64>();
        let live = self
            .flows
            .iter()
            .filter(|(id, flow)| !id.opened_by(self.role) && flow.phase != Phase::Early);
        let known = live.count() as u64 + self.ended + total(&self.unopened);
        assert_eq!(total(&self.seen), known, "flows of the peer whose id has taken effect");
        assert_eq!(known, self.begun_by_peer, "the count of these");
        assert!(
            self.opened <= self.may_open,
            "{} flows opened, {} granted",
            self.opened,
            self.may_open
        );
        assert!(
            self.early_used <= self.early_limit,
            "early credit beyond what the peer has granted"
        );
        let taken = self.early_taken + self.early_implied;
        assert!(
            taken <= self.early_granted,
            "the peer has taken {taken} of {} early credit",
            self.early_granted
        );
    }
}

/// See [`crate::Session::fingerprint`].
impl Hash for Table {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_usize(self.flows.len());
        for (id, flow) in &self.flows {
            id.hash(hasher);
            flow.hash(hasher);
        }
        (&self.requests, &self.seen, &self.unopened).hash(hasher);
        (self.opened, self.may_open, self.early_used, self.early_limit).hash(hasher);
        self.opens.hash(hasher);
        (self.ended, self.granted, self.early_granted, self.early_taken, self.early_implied)
            .hash(hasher);
    }
}

fn most(config: &Config) -> u64 {
    config.max_flows.max(INITIAL_FLOWS)
}

/// How many ids at the least are granted at a time when they are held back.
fn step(config: &Config) -> u64 {
    (most(config) / 8).min((config.opens_per_second / GRANTS_PER_SECOND).max(1))
}
