//! The time at which local pipes that nobody receives from are asked whether they have broken.

use std::time::Duration;
use striper_core::Instant;

/// How often they are asked.
const PERIOD: Duration = Duration::from_millis(500);

#[derive(Default)]
pub(super) struct Sweep {
    is_needed: bool,
    at: Option<Instant>,
}

impl Sweep {
    /// There may be such a pipe.
    pub(super) fn need(&mut self) {
        self.is_needed = true;
    }

    /// When to ask, if there may be such a pipe.
    pub(super) fn next(&mut self, now: Instant) -> Option<Instant> {
        if self.at.is_none() && self.is_needed {
            self.at = Some(now + PERIOD);
        }
        self.at
    }

    /// Whether it is time. There is no further time until it is needed again.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        let is_due = self.at.is_some_and(|at| at <= now);
        if is_due {
            *self = Sweep::default();
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_comes_half_a_second_after_it_is_needed_and_once() {
        let mut sweep = Sweep::default();
        let start = Instant::from_micros(1);
        assert_eq!(sweep.next(start), None);
        sweep.need();
        let at = start + PERIOD;
        assert_eq!((sweep.next(start), sweep.next(at)), (Some(at), Some(at)));
        assert!(!sweep.is_due(start));
        assert!(sweep.is_due(at) && !sweep.is_due(at));
        assert_eq!(sweep.next(at), None, "nobody needs another one");
    }
}
