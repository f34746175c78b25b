//! A session lets go of what it keeps.

use super::{Pump, Slot};
use crate::report::{Event, FlowEnd, SessionTag};
use striper_core::{Input, Reason};

impl Pump {
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
