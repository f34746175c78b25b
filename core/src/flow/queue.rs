//! Whose turn it is: deficit round robin over the flows that have something to send, with a head
//! start for sparse ones.
//!
//! A flow that becomes active is served before those that have been active for a round or more. It
//! is so for one quantum, as in RFC 8290 (FQ-CoDel), section 4.1. So a keystroke does not wait
//! behind a backup.

use crate::id::FlowId;
use alloc::collections::{BTreeMap, VecDeque};
use core::hash::{Hash, Hasher};

/// Bytes that a flow may send in its turn.
const QUANTUM: i64 = 64 << 10;

/// So many void places don't matter.
const VOID: usize = 64;

#[derive(Clone, Debug)]
struct Turn {
    /// Bytes that it may still send before others have had their turn.
    deficit: i64,
    /// Without it, a place is kept until its turn, so that coming and going earns nothing.
    active: bool,
    /// Its entry in one of the lists; entries with other tickets are void.
    ticket: u64,
}

/// Active flows in the order of their turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowQueue {
    /// Served first: flows that have come with some of their quantum left.
    fresh: VecDeque<(FlowId, u64)>,
    rest: VecDeque<(FlowId, u64)>,
    turns: BTreeMap<FlowId, Turn>,
    tickets: u64,
}

impl FlowQueue {
    pub(crate) fn activate(&mut self, flow: FlowId) {
        let turn =
            self.turns.entry(flow).or_insert(Turn { deficit: QUANTUM, active: false, ticket: 0 });
        if turn.active {
            return;
        }
        turn.active = true;
        if turn.deficit > 0 {
            self.tickets += 1;
            turn.ticket = self.tickets;
            self.fresh.push_back((flow, self.tickets));
        }
    }

    pub(crate) fn deactivate(&mut self, flow: FlowId) {
        if let Some(turn) = self.turns.get_mut(&flow).filter(|turn| turn.active) {
            turn.active = false;
            self.tickets += 1;
            turn.ticket = self.tickets;
            self.rest.push_back((flow, self.tickets));
            self.tidy();
        }
    }

    pub(crate) fn forget(&mut self, flow: FlowId) {
        self.turns.remove(&flow);
        self.tidy();
    }

    /// Void places go when their turn comes; but if a flow stands before them for long, others that
    /// come and go leave more and more.
    fn tidy(&mut self) {
        if self.fresh.len() + self.rest.len() > 2 * self.turns.len() + VOID {
            let turns = &self.turns;
            for list in [&mut self.fresh, &mut self.rest] {
                list.retain(|(flow, ticket)| {
                    turns.get(flow).is_some_and(|turn| turn.ticket == *ticket)
                });
            }
        }
    }

    #[inline]
    pub(crate) fn front(&mut self) -> Option<FlowId> {
        loop {
            let list = if self.fresh.is_empty() { &mut self.rest } else { &mut self.fresh };
            let (flow, ticket) = *list.front()?;
            let turn = self.turns.get_mut(&flow).filter(|turn| turn.ticket == ticket);
            if turn.as_ref().is_some_and(|turn| turn.active && turn.deficit > 0) {
                return Some(flow);
            }
            list.pop_front();
            match turn {
                Some(turn) if turn.active => {
                    turn.deficit += QUANTUM;
                    self.rest.push_back((flow, ticket));
                }
                Some(_) => {
                    self.turns.remove(&flow);
                }
                None => {}
            }
        }
    }

    /// Whether the flow at the front has come with some of its quantum left. Call
    /// [`FlowQueue::front`] before.
    pub(crate) fn is_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    pub(crate) fn charge(&mut self, flow: FlowId, bytes: usize) {
        if let Some(turn) = self.turns.get_mut(&flow) {
            turn.deficit -= bytes as i64;
        }
    }

    pub(crate) fn contains(&self, flow: FlowId) -> bool {
        self.turns.get(&flow).is_some_and(|turn| turn.active)
    }
}

/// The order of turns and the quanta that are left; not the tickets, and not void entries. See
/// [`crate::Session::fingerprint`].
impl Hash for FlowQueue {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        for list in [&self.fresh, &self.rest] {
            for (flow, ticket) in list {
                if let Some(turn) = self.turns.get(flow).filter(|turn| turn.ticket == *ticket) {
                    (flow, turn.deficit, turn.active).hash(hasher);
                }
            }
            hasher.write_u8(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    const CHUNK: usize = QUANTUM as usize / 4;

    fn queue(flows: u64) -> FlowQueue {
        let mut queue = FlowQueue::default();
        (0..flows).for_each(|flow| queue.activate(FlowId(flow)));
        queue
    }

    fn serve(queue: &mut FlowQueue, bytes: usize) -> u64 {
        let flow = queue.front().unwrap();
        queue.charge(flow, bytes);
        flow.0
    }

    quickcheck! {
        fn flows_with_enough_to_send_get_the_same_share(flows: u8, sizes: Vec<u16>) -> bool {
            let flows = 1 + u64::from(flows) % 8;
            let mut queue = queue(flows);
            let mut served = alloc::vec![0; flows as usize];
            for size in sizes.iter().cycle().take(sizes.len() * 20) {
                let bytes = 1 + usize::from(*size);
                served[serve(&mut queue, bytes) as usize] += bytes as i64;
            }
            let (most, least) = (served.iter().max().unwrap(), served.iter().min().unwrap());
            most - least <= 3 * QUANTUM
        }

        fn exactly_the_active_flows_get_a_turn(steps: Vec<(bool, u8)>) -> bool {
            let mut queue = FlowQueue::default();
            let mut active = BTreeSet::new();
            for (activate, flow) in steps {
                let flow = u64::from(flow % 16);
                if activate {
                    queue.activate(FlowId(flow));
                    active.insert(flow);
                } else {
                    queue.deactivate(FlowId(flow));
                    active.remove(&flow);
                }
                assert!((0..16).all(|flow| queue.contains(FlowId(flow)) == active.contains(&flow)));
                assert_eq!(queue.front().is_some(), !active.is_empty());
            }
            let turns = 4 * active.len() * QUANTUM as usize / CHUNK;
            let served: BTreeSet<u64> = (0..turns).map(|_| serve(&mut queue, CHUNK)).collect();
            served == active
        }
    }

    #[test]
    fn a_flow_keeps_its_turn_for_one_quantum() {
        let mut queue = queue(2);
        let turns: Vec<u64> = (0..16).map(|_| serve(&mut queue, CHUNK)).collect();
        assert_eq!(turns, [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 1, 1]);
    }

    #[test]
    fn the_head_start_is_one_quantum() {
        let mut queue = queue(1);
        serve(&mut queue, QUANTUM as usize);
        serve(&mut queue, 100);
        queue.activate(FlowId(9));
        (0..4).for_each(|_| assert_eq!(serve(&mut queue, CHUNK), 9));
        assert_eq!(serve(&mut queue, 100), 0);
    }

    #[test]
    fn a_flow_is_fresh_for_its_first_quantum() {
        let mut queue = queue(1);
        for fresh in [true, true, true, true, false, false] {
            queue.front();
            assert_eq!(queue.is_fresh(), fresh);
            serve(&mut queue, CHUNK);
        }
        queue.activate(FlowId(9));
        assert!(queue.front() == Some(FlowId(9)) && queue.is_fresh());
        queue.deactivate(FlowId(9));
        assert!(queue.front() == Some(FlowId(0)) && !queue.is_fresh());
    }

    #[test]
    fn flows_that_come_and_go_do_not_starve_one_that_stays() {
        let mut queue = queue(1);
        let mut served = [0; 3];
        for _ in 0..100 {
            for guest in [1, 2] {
                queue.activate(FlowId(guest));
                let flow = queue.front().unwrap();
                queue.charge(flow, CHUNK);
                served[flow.0 as usize] += CHUNK;
                if flow.0 == guest {
                    queue.deactivate(flow);
                }
            }
        }
        assert!(served[0] > 200 * CHUNK / 4, "{served:?}");
    }

    #[test]
    fn a_flow_that_comes_and_goes_without_sending_gets_no_turns_on_top() {
        let mut queue = queue(2);
        for _ in 0..3 {
            queue.deactivate(FlowId(0));
            queue.activate(FlowId(0));
        }
        let turns = (0..64).filter(|_| serve(&mut queue, CHUNK) == 0).count();
        assert_eq!(turns, 32);
    }

    #[test]
    fn a_flow_that_returns_after_a_quantum_keeps_its_place() {
        let mut queue = queue(3);
        (0..3).for_each(|flow| assert_eq!(serve(&mut queue, QUANTUM as usize), flow));
        queue.front();
        queue.activate(FlowId(9));
        assert_eq!(serve(&mut queue, QUANTUM as usize), 9);
        queue.deactivate(FlowId(9));
        queue.activate(FlowId(9));
        let turns: Vec<u64> = (0..7).map(|_| serve(&mut queue, QUANTUM as usize)).collect();
        assert_eq!(turns, [0, 1, 2, 0, 1, 2, 9]);
    }

    /// A flow that waits for ever at the front of the others, while this many come, send a byte so
    /// often, and end.
    fn beside_a_stuck_flow(fresh: bool, flows: u64, times: u64) -> FlowQueue {
        let mut queue = queue(1);
        serve(&mut queue, if fresh { 1 } else { QUANTUM as usize });
        assert_eq!((queue.front(), queue.is_fresh()), (Some(FlowId(0)), fresh));
        for flow in 1..=flows {
            for _ in 0..times {
                queue.activate(FlowId(flow));
                queue.front();
                queue.charge(FlowId(flow), 1);
                queue.deactivate(FlowId(flow));
            }
            queue.forget(FlowId(flow));
        }
        assert_eq!(queue.front(), Some(FlowId(0)));
        queue
    }

    #[test]
    fn flows_that_come_and_go_beside_one_that_is_stuck_leave_nothing_behind() {
        for (fresh, flows, times) in [
            (false, 1, 60_000),
            (false, 60_000, 1),
            (false, 300, 200),
            (true, 1, 60_000),
            (true, 300, 200),
        ] {
            let queue = beside_a_stuck_flow(fresh, flows, times);
            let places = queue.fresh.len() + queue.rest.len();
            assert!(places <= 2 * VOID + 4, "{places} places after {flows} flows, {times} times");
            assert_eq!(queue.turns.len(), 1);
        }
    }
}
