//! Whose turn it is: deficit round robin over the flows that have something to send, with a head start for sparse ones.
//!
//! A flow that becomes active is served before those that have been active for a round or more, for one quantum, as in
//! RFC 8290 (FQ-CoDel), section 4.1. So a keystroke does not wait behind a backup.

use crate::id::FlowId;
use alloc::collections::{BTreeMap, VecDeque};

/// Bytes that a flow may send in its turn.
const QUANTUM: i64 = 64 << 10;

/// Active flows in the order of their turns.
#[derive(Clone, Debug, Default)]
pub(crate) struct FlowQueue {
    /// Active for less than a quantum.
    fresh: VecDeque<FlowId>,
    /// All others.
    rest: VecDeque<FlowId>,
    /// What each active flow may still send in this turn.
    deficit: BTreeMap<FlowId, i64>,
}

impl FlowQueue {
    /// A flow has something to send.
    pub fn activate(&mut self, flow: FlowId) {
        self.deficit.entry(flow).or_insert_with(|| {
            self.fresh.push_back(flow);
            QUANTUM
        });
    }

    /// A flow has nothing to send.
    pub fn deactivate(&mut self, flow: FlowId) {
        if self.deficit.remove(&flow).is_some() {
            for list in [&mut self.fresh, &mut self.rest] {
                if let Some(at) = list.iter().position(|other| *other == flow) {
                    list.remove(at);
                    return;
                }
            }
        }
    }

    /// Whose turn it is.
    pub fn front(&mut self) -> Option<FlowId> {
        loop {
            let list = if self.fresh.is_empty() { &mut self.rest } else { &mut self.fresh };
            let flow = *list.front()?;
            let deficit = self.deficit.get_mut(&flow).expect("listed flows have a deficit");
            if *deficit > 0 {
                return Some(flow);
            }
            *deficit += QUANTUM;
            list.pop_front();
            self.rest.push_back(flow);
        }
    }

    /// A flow has sent this much.
    pub fn charge(&mut self, flow: FlowId, bytes: usize) {
        if let Some(deficit) = self.deficit.get_mut(&flow) {
            *deficit -= bytes as i64;
        }
    }

    /// Whether this flow is in the queue.
    pub fn contains(&self, flow: FlowId) -> bool {
        self.deficit.contains_key(&flow)
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

    /// Serves whose turn it is.
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
    fn a_sparse_flow_goes_before_those_that_have_had_their_quantum() {
        let mut queue = queue(3);
        (0..24).for_each(|_| assert!(serve(&mut queue, CHUNK) < 3));
        serve(&mut queue, 100);
        queue.activate(FlowId(9));
        assert_eq!(serve(&mut queue, 100), 9);
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
    fn activating_twice_changes_nothing() {
        let mut queue = queue(1);
        serve(&mut queue, QUANTUM as usize / 2);
        queue.activate(FlowId(0));
        queue.deactivate(FlowId(0));
        assert_eq!(queue.front(), None);
    }
}
