//! When the sessions of a server keep more memory than they may, one of them has to let flows go.
//!
//! Limits on credit bound what an honest peer makes us keep. This bounds what any does:
//! out-of-order crumbs, floors of thousands of stuck flows, flows that are filled and reset.
//!
//! The same goes for receive buffers, of which a peer may make us keep each for the sake of a few
//! bytes: when they take too much, what comes in is copied in parts so small that nothing is kept
//! for anything else.

use super::{Pump, Slot};
use crate::pipe::buffers;
use crate::report::{Event, FlowEnd, SessionTag};
use bytes::Bytes;
use striper_core::{Input, Reason};

/// In how large parts it is copied. Smaller ones the session copies in any case.
const PART: usize = 4 << 10;

impl Pump {
    /// In how large parts bytes are to be taken: as they come, unless receive buffers take as much
    /// as half the memory limit.
    pub(super) fn part(&self) -> usize {
        if buffers::pinned() > self.config.memory_limit / 2 { PART } else { usize::MAX }
    }

    /// What came from a stripe as the session is to be given it. Flows are asked for no more than a
    /// part: the session may take less after each.
    pub(super) fn unpinned(&self, data: Bytes) -> impl Iterator<Item = Bytes> + use<> {
        let part = self.part();
        let mut rest = data;
        std::iter::from_fn(move || {
            let next = rest.split_to(rest.len().min(part));
            match part {
                _ if next.is_empty() => None,
                PART => Some(Bytes::copy_from_slice(&next)),
                _ => Some(next),
            }
        })
    }

    /// What the session keeps of the memory that it shares, in bytes.
    pub fn load(&self) -> u64 {
        if self.ended.is_some() { 0 } else { self.kept() }
    }

    /// Lets go until `excess` bytes less are kept: first of flows that are over for the session,
    /// then of the heaviest. If that is not enough the session ends, since nobody else can take
    /// from it what it keeps then.
    pub fn shed(&mut self, excess: u64) {
        let goal = self.kept().saturating_sub(excess);
        let parting = |(key, slot): (usize, &Slot)| match slot {
            Slot::Flow(flow) => flow.parting_end().map(|end| (key, end)),
            _ => None,
        };
        let parting: Vec<(usize, FlowEnd)> = self.slots.iter().filter_map(parting).collect();
        parting.into_iter().for_each(|(key, end)| self.conclude(key, end));
        let mut flows = 0;
        for (flow, _) in self.session.heaviest_flows() {
            if self.kept() <= goal {
                break;
            }
            flows += 1;
            self.input(Input::FlowReset { flow, reason: Reason::Unavailable });
            if let Some(key) = self.flows.get(&flow).copied() {
                self.conclude(key, FlowEnd::Reset(Reason::Unavailable));
            }
        }
        let ended = self.kept() > goal;
        if ended {
            self.input(Input::Abort);
        }
        if flows > 0 || ended {
            self.events.push(Event::MemoryShort { session: SessionTag::of(self.id), flows, ended });
        }
        self.ready.wake();
        self.account();
    }
}
