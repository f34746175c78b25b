//! The targets that were reached of late. A program hears of these at once that it is connected,
//! which saves a round trip. If one can't be reached after all, its connection is reset, and the
//! next one waits for the answer again.

use crate::clock;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use striper_runtime::Target;

/// A target is taken for reachable so long after it was reached.
const RECENT: Duration = Duration::from_secs(60);
/// The most targets that are kept.
const MOST: usize = 4096;

/// Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Reached(Rc<RefCell<HashMap<Target, Instant>>>);

impl Reached {
    pub(super) fn is_recent(&self, target: &Target) -> bool {
        self.0.borrow().get(target).is_some_and(|at| is_recent(*at, clock::now()))
    }

    pub(super) fn note(&self, target: &Target, was_reached: bool) {
        let mut targets = self.0.borrow_mut();
        let now = clock::now();
        if !was_reached {
            targets.remove(target);
            return;
        }
        if targets.len() >= MOST {
            targets.retain(|_, at| is_recent(*at, now));
        }
        if targets.len() < MOST {
            targets.insert(target.clone(), now);
        }
    }
}

fn is_recent(at: Instant, now: Instant) -> bool {
    now.duration_since(at) < RECENT
}

#[cfg(test)]
mod tests {
    use super::*;
    use striper_runtime::HostPort;

    #[test]
    fn a_target_is_reachable_until_it_was_not_reached_and_few_are_kept() {
        let reached = Reached::default();
        let target = |port| Target::Host(HostPort::new("a", port));
        for port in 1..=5000 {
            reached.note(&target(port), true);
        }
        assert_eq!(
            [1, 4096, 4097].map(|port| reached.is_recent(&target(port))),
            [true, true, false]
        );
        reached.note(&target(1), false);
        reached.note(&target(5000), true);
        assert_eq!([1, 5000].map(|port| reached.is_recent(&target(port))), [false, true]);
        let now = clock::now();
        assert!(!is_recent(now, now + RECENT));
    }
}
