//! Greedy connections beside the stripes.
//!
//! Invariant: they are there from the beginning, and nothing that happens to stripes happens to
//! them.

use super::World;
use super::steps::Event;
use crate::base::seed;
use crate::net::{Greedy, Later, LinkEvent};

impl World {
    /// Bytes that the foreign connections have delivered.
    pub fn foreign_delivered(&self) -> u64 {
        self.foreign.iter().map(Greedy::delivered).sum()
    }

    pub(super) fn begin_foreign(&mut self) {
        for (nth, route) in self.setup.foreign.iter().enumerate() {
            let rng = seed::stream(self.setup.seed, "foreign", nth as u64);
            self.foreign.push(Greedy::new(route, self.shared[0].clone(), rng));
        }
        for nth in 0..self.foreign.len() {
            let mut later = Later::new();
            self.foreign[nth].fill(self.now, &mut later);
            self.plan_foreign(nth, later);
        }
    }

    pub(super) fn foreign_event(&mut self, nth: usize, event: LinkEvent) {
        let mut later = Later::new();
        self.foreign[nth].happen(self.now, event, &mut later);
        self.plan_foreign(nth, later);
    }

    fn plan_foreign(&mut self, nth: usize, later: Later) {
        for (at, event) in later {
            self.agenda.add(at, Event::Foreign { nth, event });
        }
    }
}
