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
