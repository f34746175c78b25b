//! Deadlines: at most one a timer, the earliest first, ties by timer.

use crate::id::{FlowId, StripeId};
use crate::time::Instant;
use alloc::collections::{BTreeMap, BTreeSet};

/// Why the engine wants to be ticked.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Timer {
    /// An acknowledgement of received data is due.
    Acknowledge,
    /// Acknowledgements and credit are due for repetition on a second stripe.
    Repeat,
    /// The data on a stripe may be so late that it is worth a copy on another one.
    Overtake,
    /// Acknowledgements on a stripe may be overdue.
    Doubt(StripeId),
    /// A stripe may have to be given up.
    Stall(StripeId),
    /// A stripe may have been silent for long enough to be pinged.
    Heartbeat(StripeId),
    /// Ids that the peer may open its next flows with are due.
    Grant,
    /// A flow that the peer has reset may be waiting for a consumer that has stopped.
    Linger(FlowId),
    /// The session has been without a stripe for too long.
    Resume,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, Timer)>,
    by_timer: BTreeMap<Timer, Instant>,
}

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer, at: Instant) {
        self.clear(timer);
        self.by_timer.insert(timer, at);
        self.by_time.insert((at, timer));
    }

    /// Sets a timer unless it is set already: its handler looks again, so frequent moves cost
    /// nothing.
    pub(crate) fn arm(&mut self, timer: Timer, at: Instant) {
        if !self.by_timer.contains_key(&timer) {
            self.set(timer, at);
        }
    }

    pub(crate) fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.by_timer.remove(&timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    pub(crate) fn clear_all(&mut self) {
        *self = Timers::default();
    }

    pub(crate) fn is_set(&self, timer: Timer) -> bool {
        self.by_timer.contains_key(&timer)
    }

    pub(crate) fn at(&self, timer: Timer) -> Option<Instant> {
        self.by_timer.get(&timer).copied()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn set_ones(&self) -> impl Iterator<Item = Timer> + '_ {
        self.by_timer.keys().copied()
    }

    pub(crate) fn next(&self) -> Option<(Instant, Timer)> {
        self.by_time.first().copied()
    }

    /// The earliest deadline by which a stripe is judged.
    pub(crate) fn next_of_stripe(&self) -> Option<Instant> {
        // In the order of timers these stand together, so any number of others costs nothing.
        let all = Timer::Doubt(StripeId(0))..=Timer::Heartbeat(StripeId(u64::MAX));
        self.by_timer.range(all).map(|(_, at)| *at).min()
    }

    /// Takes a timer whose time has come, and says when that was.
    pub(crate) fn pop_due(&mut self, now: Instant) -> Option<(Instant, Timer)> {
        let (at, timer) = self.next()?;
        (at <= now).then(|| {
            self.clear(timer);
            (at, timer)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    fn timer(number: u8) -> Timer {
        match number % 6 {
            0 => Timer::Acknowledge,
            1 => Timer::Repeat,
            2 => Timer::Doubt(StripeId(1)),
            3 => Timer::Doubt(StripeId(2)),
            4 => Timer::Linger(FlowId(1)),
            _ => Timer::Resume,
        }
    }

    quickcheck! {
        fn behaves_like_a_map_that_is_searched_for_the_earliest(steps: Vec<(u8, u8, u8)>) -> bool {
            let mut timers = Timers::default();
            let mut model = BTreeMap::new();
            for (kind, number, at) in steps {
                let (timer, at) = (timer(number), Instant::from_micros(u64::from(at)));
                let earliest = |model: &BTreeMap<Timer, Instant>| {
                    model.iter().map(|(timer, at)| (*at, *timer)).min()
                };
                match kind % 5 {
                    0 => {
                        timers.set(timer, at);
                        model.insert(timer, at);
                    }
                    1 => {
                        timers.arm(timer, at);
                        model.entry(timer).or_insert(at);
                    }
                    2 => {
                        timers.clear(timer);
                        model.remove(&timer);
                    }
                    3 if number == 0 => {
                        timers.clear_all();
                        model.clear();
                    }
                    _ => {
                        let due = earliest(&model).filter(|(due, _)| *due <= at);
                        assert_eq!(timers.pop_due(at), due);
                        due.map(|(_, due)| model.remove(&due));
                    }
                }
                assert_eq!(timers.next(), earliest(&model));
                assert_eq!(timers.at(timer), model.get(&timer).copied());
                assert_eq!(timers.is_set(timer), model.contains_key(&timer));
                assert_eq!(timers.at(timer), model.get(&timer).copied());
                assert!(timers.set_ones().eq(model.keys().copied()));
            }
            true
        }
    }

    #[test]
    fn the_first_deadline_that_judges_a_stripe_is_found_among_others() {
        let mut timers = Timers::default();
        let others = [Timer::Acknowledge, Timer::Repeat, Timer::Linger(FlowId(0)), Timer::Resume];
        others.into_iter().for_each(|timer| timers.set(timer, Instant::from_micros(1)));
        assert_eq!(timers.next_of_stripe(), None);
        for (timer, at) in [
            (Timer::Doubt(StripeId(1)), 9),
            (Timer::Stall(StripeId(2)), 8),
            (Timer::Heartbeat(StripeId(3)), 7),
        ] {
            timers.set(timer, Instant::from_micros(at));
            assert_eq!(timers.next_of_stripe(), Some(Instant::from_micros(at)));
        }
    }
}
