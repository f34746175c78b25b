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
    /// Acknowledgements on a stripe may be overdue.
    Doubt(StripeId),
    /// A stripe may have to be given up.
    Stall(StripeId),
    /// A stripe may have been silent for long enough to be pinged.
    Heartbeat(StripeId),
    /// A flow that the peer has reset may be waiting for a consumer that has stopped.
    Linger(FlowId),
    /// The session has been without a stripe for too long.
    Resume,
}

/// The deadlines that are set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    by_time: BTreeSet<(Instant, Timer)>,
    by_timer: BTreeMap<Timer, Instant>,
}

impl Timers {
    /// Sets or moves a timer.
    pub fn set(&mut self, timer: Timer, at: Instant) {
        self.clear(timer);
        self.by_timer.insert(timer, at);
        self.by_time.insert((at, timer));
    }

    /// Sets a timer unless it is set already: its handler looks again, so frequent moves cost nothing.
    pub fn arm(&mut self, timer: Timer, at: Instant) {
        if !self.by_timer.contains_key(&timer) {
            self.set(timer, at);
        }
    }

    /// Unsets a timer.
    pub fn clear(&mut self, timer: Timer) {
        if let Some(at) = self.by_timer.remove(&timer) {
            self.by_time.remove(&(at, timer));
        }
    }

    /// Unsets all.
    pub fn clear_all(&mut self) {
        *self = Timers::default();
    }

    /// Whether a timer is set.
    pub fn is_set(&self, timer: Timer) -> bool {
        self.by_timer.contains_key(&timer)
    }

    /// The earliest deadline.
    pub fn next(&self) -> Option<(Instant, Timer)> {
        self.by_time.first().copied()
    }

    /// Takes a timer whose time has come.
    pub fn pop_due(&mut self, now: Instant) -> Option<Timer> {
        let (at, timer) = self.next()?;
        (at <= now).then(|| {
            self.clear(timer);
            timer
        })
    }
}
