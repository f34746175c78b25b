//! Counts of events since the program began, also of those that have no line in the log.

use crate::counts::Counts;
use std::cell::Cell;
use std::rc::Rc;
use striper_runtime::Event;

/// Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Tally(Rc<Cell<Counts>>);

impl Tally {
    pub(crate) fn now(&self) -> Counts {
        self.0.get()
    }

    pub(super) fn note(&self, event: &Event) {
        self.change(|counts| match event {
            Event::SessionStarted { .. } => counts.sessions_begun += 1,
            Event::StripeUp { .. } => counts.stripes_begun += 1,
            Event::PeerUnreachable { .. } => counts.dials_failed += 1,
            Event::StripeRefused { .. } => counts.callers_refused += 1,
            _ => {}
        });
    }

    /// A connection has ended in this way, a word of the log.
    pub(super) fn note_end(&self, how: &str) {
        self.change(|counts| match how {
            "finished" => counts.connections_finished += 1,
            "reset" => counts.connections_reset += 1,
            // Nobody wants it any more.
            "unwanted" => counts.connections_given_up += 1,
            _ => counts.connections_failed += 1,
        });
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.0.get();
        change(&mut counts);
        self.0.set(counts);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_of_a_connection_is_counted_once() {
        let tally = Tally::default();
        for how in ["finished", "finished", "reset", "reset", "refused", "no_session", "unwanted"] {
            tally.note_end(how);
        }
        let counts = Counts {
            connections_finished: 2,
            connections_reset: 2,
            connections_failed: 2,
            connections_given_up: 1,
            ..Counts::default()
        };
        assert_eq!(tally.now(), counts);
    }
}
