//! The flows of a session, the ids that were ever used, and what each side lets the other open.

use crate::config::{Config, FLOW_FLOOR, INITIAL_EARLY, INITIAL_FLOWS, INITIAL_WINDOW};
use crate::error::Violation;
use crate::flow::{Flow, Phase};
use crate::id::{FlowId, Role};
use crate::ranges::RangeSet;
use alloc::collections::{BTreeMap, VecDeque};
use bytes::Bytes;
use core::hash::{Hash, Hasher};

/// The most early credit that the peer may have at hand: so many flows can start at full window within one round trip.
const EARLY_TARGET: u64 = 16 * (INITIAL_WINDOW - FLOW_FLOOR);

/// Beyond what every session begins with, early credit takes one part in this many of what memory is free, so that idle
/// sessions leave the most of it to busy ones.
const EARLY_SHARE: u64 = 16;

/// What an id stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// It is in the table.
    Exists,
    /// It has ended; what still comes for it is late.
    Ended,
    /// The peer may open it and has not yet.
    Free,
}

/// All flows.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    role: Role,
    pub flows: BTreeMap<FlowId, Flow>,
    /// Opens that wait for the peer's grant.
    pub requests: VecDeque<(u64, Bytes)>,
    /// Flows that we have opened.
    opened: u64,
    /// Flows that we may open in all.
    may_open: u64,
    /// Early credit that we have taken, and may take in all.
    early_used: u64,
    early_limit: u64,
    /// Indexes of the peer's flows whose id has taken effect.
    seen: RangeSet,
    /// Those that a RESET consumed before their OPEN came.
    unopened: RangeSet,
    /// How many of them have ended.
    ended: u64,
    /// Flows that the peer may open in all.
    granted: u64,
    /// Early credit that the peer may take in all, has taken in OPENs, and must be going to take in OPENs that were overtaken.
    early_granted: u64,
    early_taken: u64,
    early_implied: u64,
}

impl Table {
    pub fn new(role: Role) -> Self {
        Table {
            role,
            flows: BTreeMap::new(),
            requests: VecDeque::new(),
            opened: 0,
            may_open: INITIAL_FLOWS,
            early_used: 0,
            early_limit: INITIAL_EARLY,
            seen: RangeSet::default(),
            unopened: RangeSet::default(),
            ended: 0,
            granted: INITIAL_FLOWS,
            early_granted: INITIAL_EARLY,
            early_taken: 0,
            early_implied: 0,
        }
    }

    /// The next id of ours with the early credit for it, if the peer lets us open one.
    pub fn next_id(&mut self) -> Option<(FlowId, u64)> {
        if self.opened == self.may_open + u64::from(planted!(OneFlowTooMany)) {
            return None;
        }
        let flow = FlowId::nth(self.role, self.opened);
        self.opened += 1;
        let early = (self.early_limit - self.early_used).min(INITIAL_WINDOW - FLOW_FLOOR);
        self.early_used += early;
        Some((flow, early))
    }

    /// The peer lets us open more. Cumulative, so that the order in which grants arrive does not matter.
    pub fn raise(&mut self, flows: u64, early: u64) {
        self.may_open = self.may_open.max(flows);
        self.early_limit = self.early_limit.max(early);
        if early < self.early_limit && planted!(LateGrantTakesBack) {
            self.early_limit = early;
        }
    }

    /// What an id in a frame from the peer stands for.
    pub fn standing(&self, flow: FlowId) -> Result<Standing, Violation> {
        if self.flows.contains_key(&flow) {
            Ok(Standing::Exists)
        } else if flow.opened_by(self.role) {
            let ended = flow.index() < self.opened && !planted!(LateFrameIsViolation);
            if ended { Ok(Standing::Ended) } else { Err(Violation::UnknownFlow) }
        } else if flow.index() >= self.granted {
            Err(Violation::FlowNotGranted)
        } else if self.seen.contains(flow.index()) {
            Ok(Standing::Ended)
        } else {
            Ok(Standing::Free)
        }
    }

    /// Whether an id of the peer's has taken effect.
    pub fn has_seen(&self, flow: FlowId) -> bool {
        self.seen.contains(flow.index())
    }

    /// Grants so much at least.
    pub fn grant_as_much(&mut self, flows: u64, early: u64) {
        self.granted = self.granted.max(flows);
        self.early_granted = self.early_granted.max(early);
    }

    /// An id of the peer's takes effect, now and never again, with `early` credit on top of the floor.
    pub fn see(&mut self, flow: FlowId, early: u64) -> Result<(), Violation> {
        self.seen.insert(flow.index()..flow.index() + 1);
        self.take_early(early)
    }

    /// An id of the peer's ends before its OPEN has come. The OPEN still counts when it does: it has taken early credit. Until then the
    /// id is not made up for by a new one, or a peer could make us remember any number of them.
    pub fn end_unopened(&mut self, flow: FlowId) {
        if planted!(OvertakenOpenRevives) {
            return;
        }
        let index = flow.index()..flow.index() + 1;
        self.seen.insert(index.clone());
        self.unopened.insert(index);
    }

    /// An OPEN for an id that has taken effect: of no effect, but if the id ended before any OPEN came, this one's early credit is taken.
    pub fn see_again(&mut self, flow: FlowId, early: u64) -> Result<(), Violation> {
        if !self.unopened.contains(flow.index()) && !planted!(OpenAgainCountsAgain) {
            return Ok(());
        }
        self.unopened.remove(flow.index()..flow.index() + 1);
        self.ended += 1;
        self.take_early(early)
    }

    fn take_early(&mut self, early: u64) -> Result<(), Violation> {
        if early > INITIAL_WINDOW - FLOW_FLOOR {
            return Err(Violation::EarlyCreditExceeded);
        }
        self.early_taken += early;
        self.check_early()
    }

    /// Data up to `end` has overtaken the OPEN of an early flow, so that OPEN takes at least this much early credit.
    pub fn imply_early(&mut self, flow: FlowId, end: u64) -> Result<(), Violation> {
        let early = end.saturating_sub(FLOW_FLOOR);
        if let Some(entry) = self.flows.get_mut(&flow).filter(|entry| early > entry.early) {
            let counted = if entry.early > 0 && planted!(EarlyDataCountedTwice) { 0 } else { entry.early };
            self.early_implied += early - counted;
            entry.early = early;
        }
        self.check_early()
    }

    /// An early flow becomes a real one, or goes: nothing is implied any more.
    pub fn unimply(&mut self, flow: FlowId) {
        if let Some(entry) = self.flows.get_mut(&flow) {
            self.early_implied -= core::mem::take(&mut entry.early);
        }
    }

    fn check_early(&self) -> Result<(), Violation> {
        if self.early_taken + self.early_implied > self.early_granted {
            return Err(Violation::EarlyCreditExceeded);
        }
        Ok(())
    }

    /// Early credit that the peer may still take.
    pub fn early_outstanding(&self) -> u64 {
        self.early_granted - self.early_taken
    }

    /// Takes a flow out for good.
    pub fn remove(&mut self, flow: FlowId) -> Option<Flow> {
        let entry = self.flows.remove(&flow)?;
        if !flow.opened_by(self.role) && entry.phase != Phase::Early && !planted!(EndedFlowNotCounted) {
            self.ended += 1;
        }
        Some(entry)
    }

    /// Grants more if that is worth a frame: ids as others end, early credit while `pool` bytes are free. Returns how much of the pool
    /// that takes.
    pub fn grant(&mut self, config: &Config, pool: u64) -> Option<u64> {
        let most = config.max_flows.max(INITIAL_FLOWS);
        let flows = self.ended + most;
        let outstanding = self.early_outstanding();
        let early = EARLY_TARGET.min(INITIAL_EARLY + pool / EARLY_SHARE);
        let pool = if planted!(EarlyCreditBeyondPool) { early } else { pool };
        let more_early = early.saturating_sub(outstanding).min(pool);
        let worthwhile = flows >= self.granted + most / 8 || more_early >= early / 2;
        if !worthwhile {
            return None;
        }
        self.granted = self.granted.max(flows);
        self.early_granted += more_early;
        Some(more_early)
    }

    /// See [`crate::Session::fingerprint`].
    pub fn fingerprint(&self, hasher: &mut impl Hasher) {
        hasher.write_usize(self.flows.len());
        for (id, flow) in &self.flows {
            id.hash(hasher);
            flow.fingerprint(hasher);
        }
        (&self.requests, &self.seen, &self.unopened).hash(hasher);
        (self.opened, self.may_open, self.early_used, self.early_limit).hash(hasher);
        (self.ended, self.granted, self.early_granted, self.early_taken, self.early_implied).hash(hasher);
    }

    /// What GRANT says.
    pub fn granted(&self) -> (u64, u64) {
        (self.granted, self.early_granted)
    }

    /// Panics if either side has opened more, or taken more early credit, than the other has granted, or if the peer's flows
    /// don't add up. For simulations.
    pub fn check(&self) {
        let total = |ids: &RangeSet| ids.iter().map(|range| range.end - range.start).sum::<u64>();
        let live =
            self.flows.iter().filter(|(id, flow)| !id.opened_by(self.role) && flow.phase != Phase::Early);
        let known = live.count() as u64 + self.ended + total(&self.unopened);
        assert_eq!(total(&self.seen), known, "flows of the peer whose id has taken effect");
        assert!(self.opened <= self.may_open, "{} flows opened, {} granted", self.opened, self.may_open);
        assert!(self.early_used <= self.early_limit, "early credit beyond what the peer has granted");
        let taken = self.early_taken + self.early_implied;
        assert!(
            taken <= self.early_granted,
            "the peer has taken {taken} of {} early credit",
            self.early_granted
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::Delivery;
    use crate::flow::credit::Credit;
    use crate::flow::recv::Recv;
    use crate::flow::send::Send;

    const EARLY: u64 = INITIAL_WINDOW - FLOW_FLOOR;
    const POOL: u64 = 1 << 30;

    /// The server's table: the client's ids are odd.
    fn table() -> Table {
        Table::new(Role::Server { instance: 0 })
    }

    fn client(index: u64) -> FlowId {
        FlowId::nth(Role::Client, index)
    }

    fn add(table: &mut Table, flow: FlowId, phase: Phase) {
        let entry = Flow {
            phase,
            opaque: Bytes::new(),
            early: 0,
            open: Delivery::Done,
            accept: Delivery::Done,
            farewell: None,
            send: Send::new(0),
            recv: Recv::new(Credit::new(FLOW_FLOOR)),
        };
        table.flows.insert(flow, entry);
    }

    #[test]
    fn ids_are_odd_for_clients_and_even_for_servers_and_count_up() {
        let ids = |role| {
            let mut table = Table::new(role);
            [(); 3].map(|()| table.next_id().unwrap().0.0)
        };
        assert_eq!(ids(Role::Client), [1, 3, 5]);
        assert_eq!(ids(Role::Server { instance: 0 }), [0, 2, 4]);
    }

    #[test]
    fn no_more_flows_are_opened_than_granted_whatever_the_order_of_grants() {
        let mut table = table();
        table.raise(INITIAL_FLOWS + 2, 0);
        table.raise(INITIAL_FLOWS + 1, 0);
        let opened = core::iter::from_fn(|| table.next_id()).count() as u64;
        assert_eq!(opened, INITIAL_FLOWS + 2);
    }

    #[test]
    fn early_credit_goes_to_the_first_flows_until_it_is_used_up() {
        let mut table = table();
        assert_eq!(table.next_id().unwrap().1, EARLY);
        assert_eq!(table.next_id().unwrap().1, 0);
        table.raise(0, INITIAL_EARLY + 1000);
        assert_eq!(table.next_id().unwrap().1, 1000);
    }

    #[test]
    fn an_id_stands_for_a_flow_that_exists_has_ended_or_may_be_opened() {
        let mut table = table();
        assert_eq!(table.standing(client(0)), Ok(Standing::Free));
        add(&mut table, client(0), Phase::Offered);
        table.see(client(0), 0).unwrap();
        assert_eq!(table.standing(client(0)), Ok(Standing::Exists));
        table.remove(client(0));
        assert_eq!(table.standing(client(0)), Ok(Standing::Ended), "an id is never used twice");
        assert_eq!(table.standing(client(INITIAL_FLOWS - 1)), Ok(Standing::Free));
        assert_eq!(table.standing(client(INITIAL_FLOWS)), Err(Violation::FlowNotGranted));
        assert_eq!(table.standing(FlowId(0)), Err(Violation::UnknownFlow), "ours, and never opened");
        table.next_id();
        assert_eq!(table.standing(FlowId(0)), Ok(Standing::Ended));
    }

    #[test]
    fn ids_seen_collapse_to_a_watermark() {
        let mut table = table();
        (0..64).rev().for_each(|index| table.see(client(index), 0).unwrap());
        assert_eq!(table.seen.len(), 1);
    }

    #[test]
    fn more_early_credit_than_granted_or_than_one_flow_may_take_is_a_violation() {
        let mut table = table();
        assert_eq!(table.see(client(0), EARLY), Ok(()));
        assert_eq!(table.see(client(1), 1), Err(Violation::EarlyCreditExceeded));
        let mut table = self::table();
        table.grant(&Config::default(), POOL);
        assert_eq!(table.see(client(0), EARLY + 1), Err(Violation::EarlyCreditExceeded));
        assert_eq!(table.see(client(0), varint_max()), Err(Violation::EarlyCreditExceeded));
    }

    fn varint_max() -> u64 {
        crate::wire::varint::MAX
    }

    #[test]
    fn data_before_its_open_counts_as_early_credit_until_the_open_comes() {
        let mut table = table();
        (0..3).for_each(|index| add(&mut table, client(index), Phase::Early));
        assert_eq!(table.imply_early(client(0), FLOW_FLOOR), Ok(()), "the floor is everyone's");
        assert_eq!(table.imply_early(client(0), INITIAL_WINDOW), Ok(()));
        assert_eq!(table.imply_early(client(1), FLOW_FLOOR), Ok(()));
        assert_eq!(table.imply_early(client(1), FLOW_FLOOR + 1), Err(Violation::EarlyCreditExceeded));
        let mut table = self::table();
        add(&mut table, client(0), Phase::Early);
        table.imply_early(client(0), INITIAL_WINDOW).unwrap();
        table.unimply(client(0));
        assert_eq!(table.see(client(0), EARLY), Ok(()), "not counted twice");
    }

    #[test]
    fn a_far_offset_before_its_open_is_a_violation_and_does_not_overflow() {
        let mut table = table();
        add(&mut table, client(0), Phase::Early);
        assert_eq!(table.imply_early(client(0), varint_max()), Err(Violation::EarlyCreditExceeded));
    }

    #[test]
    fn ids_are_granted_as_flows_end_and_in_batches() {
        let config = Config { max_flows: INITIAL_FLOWS, ..Config::default() };
        let mut table = table();
        table.grant(&config, POOL);
        let granted = |table: &Table| table.granted().0;
        for index in 0..INITIAL_FLOWS / 8 {
            assert_eq!(granted(&table), INITIAL_FLOWS);
            add(&mut table, client(index), Phase::Offered);
            table.remove(client(index));
            table.grant(&config, POOL);
        }
        assert_eq!(granted(&table), INITIAL_FLOWS + INITIAL_FLOWS / 8);
    }

    #[test]
    fn early_credit_is_granted_only_out_of_the_pool_and_never_taken_back() {
        let mut table = table();
        let (mut pool, mut last) = (POOL, 0);
        for index in 0..200 {
            let taken = table.grant(&Config::default(), pool).unwrap_or(0);
            assert!(taken <= pool);
            let (_, early) = table.granted();
            assert!(early >= last && table.early_outstanding() <= EARLY_TARGET.max(INITIAL_EARLY));
            last = early;
            table.see(client(index), table.early_outstanding().min(EARLY)).unwrap();
            pool = if index < 100 { POOL } else { 0 };
        }
        assert_eq!(table.early_outstanding(), 0, "an empty pool gives none");
    }

    #[test]
    fn an_id_that_is_reset_before_its_open_is_made_up_for_only_when_that_comes() {
        let config = Config { max_flows: INITIAL_FLOWS, ..Config::default() };
        let mut table = table();
        (0..INITIAL_FLOWS).for_each(|index| table.end_unopened(client(index)));
        table.grant(&config, POOL);
        assert_eq!(table.granted().0, INITIAL_FLOWS);
        assert_eq!(table.standing(client(5)), Ok(Standing::Ended));
        for _ in 0..2 {
            (0..INITIAL_FLOWS).for_each(|index| table.see_again(client(index), 0).unwrap());
            table.grant(&config, POOL);
            assert_eq!(table.granted().0, 2 * INITIAL_FLOWS, "each counts once");
        }
    }

    #[test]
    fn the_early_credit_of_an_open_that_comes_too_late_is_taken_once() {
        let mut table = table();
        table.end_unopened(client(0));
        assert_eq!(table.early_outstanding(), INITIAL_EARLY);
        (0..2).for_each(|_| assert_eq!(table.see_again(client(0), 1000), Ok(())));
        assert_eq!(table.early_outstanding(), INITIAL_EARLY - 1000);
        table.end_unopened(client(1));
        assert_eq!(table.see_again(client(1), INITIAL_EARLY), Err(Violation::EarlyCreditExceeded));
    }

    #[test]
    fn a_share_of_a_small_pool_goes_into_early_credit() {
        let mut table = table();
        assert_eq!(table.grant(&Config::default(), 16 * 1600), Some(1600));
        assert_eq!(table.granted(), (Config::default().max_flows, INITIAL_EARLY + 1600));
        let mut table = self::table();
        assert_eq!(table.grant(&Config::default(), POOL), Some(15 * EARLY), "enough for 16 flows at once");
    }

    #[test]
    fn early_credit_is_granted_anew_once_half_of_it_is_taken() {
        let config = Config { max_flows: INITIAL_FLOWS, ..Config::default() };
        let mut table = table();
        table.grant(&config, POOL);
        (0..7).for_each(|index| table.see(client(index), EARLY).unwrap());
        table.see(client(7), EARLY - 1).unwrap();
        assert_eq!(table.grant(&config, POOL), None);
        table.see(client(8), 1).unwrap();
        assert_eq!(table.grant(&config, POOL), Some(8 * EARLY));
        assert_eq!(table.grant(&config, POOL), None);
    }

    #[test]
    fn only_flows_that_the_peer_opened_are_made_up_for() {
        let config = Config { max_flows: INITIAL_FLOWS, ..Config::default() };
        let mut table = table();
        table.grant(&config, POOL);
        for index in 0..INITIAL_FLOWS {
            let (ours, _) = table.next_id().unwrap();
            add(&mut table, ours, Phase::Carried);
            add(&mut table, client(index), Phase::Early);
            assert!(table.remove(ours).is_some() && table.remove(client(index)).is_some());
            assert!(table.remove(ours).is_none());
        }
        table.grant(&config, POOL);
        assert_eq!(table.granted().0, INITIAL_FLOWS);
    }

    #[test]
    fn an_id_is_seen_when_it_takes_effect() {
        let mut table = table();
        table.see(client(1), 0).unwrap();
        table.end_unopened(client(3));
        assert_eq!(
            [0, 1, 2, 3, 4].map(|index| table.has_seen(client(index))),
            [false, true, false, true, false]
        );
    }

    #[test]
    fn a_grant_by_other_means_never_takes_back() {
        let mut table = table();
        table.grant_as_much(100, INITIAL_EARLY + 5);
        table.grant_as_much(99, INITIAL_EARLY + 4);
        assert_eq!(table.granted(), (100, INITIAL_EARLY + 5));
        assert_eq!(table.standing(client(99)), Ok(Standing::Free));
        assert_eq!(table.early_outstanding(), INITIAL_EARLY + 5);
    }

    #[test]
    fn more_data_before_an_open_implies_only_what_it_adds() {
        let mut table = table();
        add(&mut table, client(0), Phase::Early);
        for end in [100, 1000, 500, 1000] {
            table.imply_early(client(0), FLOW_FLOOR + end).unwrap();
        }
        assert_eq!((table.early_implied, table.flows[&client(0)].early), (1000, 1000));
        table.unimply(client(0));
        table.unimply(client(0));
        assert_eq!((table.early_implied, table.flows[&client(0)].early), (0, 0));
    }
}
