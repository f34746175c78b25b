//! The events of a world, each with a time in microseconds.
//!
//! Invariant: events come out in the order of time, and those of the same time in the order in
//! which they went in. So a run depends on nothing but its inputs.

use std::collections::BTreeMap;

#[derive(Clone, Debug)]
pub struct Agenda<E> {
    /// By the time, then by the number of events that went in before.
    events: BTreeMap<(u64, u64), E>,
    count: u64,
}

impl<E> Agenda<E> {
    pub fn new() -> Self {
        Agenda { events: BTreeMap::new(), count: 0 }
    }

    pub fn add(&mut self, at: u64, event: E) {
        self.events.insert((at, self.count), event);
        self.count += 1;
    }

    pub fn next_time(&self) -> Option<u64> {
        self.events.first_key_value().map(|((at, _), _)| *at)
    }

    pub fn pop(&mut self) -> Option<(u64, E)> {
        self.events.pop_first().map(|((at, _), event)| (at, event))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_time_keeps_the_order_of_arrival() {
        let mut agenda = Agenda::new();
        for (at, event) in [(5, 'c'), (1, 'a'), (5, 'd'), (1, 'b'), (5, 'e')] {
            agenda.add(at, event);
        }
        let order: String = std::iter::from_fn(|| agenda.pop()).map(|(_, event)| event).collect();
        assert_eq!(order, "abcde");
    }
}
