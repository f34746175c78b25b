//! How fast a stripe delivers, from acknowledgements.
//!
//! Samples are taken as in delivery rate estimation (draft-cheng-iccrg-delivery-rate-estimation): bytes acknowledged
//! between the hand-over of an entry and its acknowledgement, over that time. A sample taken while there was not enough to send tells only that
//! the stripe is at least that fast.

use crate::time::Instant;

/// A sample over less than this says more about timers than about the stripe, in microseconds.
const MIN_INTERVAL: u64 = 100;

/// State of the estimate when something was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    delivered: u64,
    delivered_at: Instant,
    app_limited: bool,
}

/// Delivery rate estimate.
#[derive(Clone, Debug)]
pub(crate) struct Rate {
    /// Stripe bytes acknowledged, and when the latest were.
    delivered: u64,
    delivered_at: Instant,
    /// Until the bytes up to here are acknowledged, samples span a gap in which there was too little to send.
    app_limited_until: u64,
    estimate: Option<u64>,
}

impl Rate {
    /// Nothing known.
    pub fn new(now: Instant) -> Self {
        Rate { delivered: 0, delivered_at: now, app_limited_until: 1, estimate: None }
    }

    /// What an entry handed over now must remember. `idle` if nothing is on its way.
    pub fn mark(&mut self, idle: bool, now: Instant) -> Mark {
        if idle {
            self.delivered_at = now;
        }
        Mark {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            app_limited: self.delivered < self.app_limited_until,
        }
    }

    /// There is nothing more to send although the stripe takes more; it has been given `sent` bytes so far.
    pub fn app_limited(&mut self, sent: u64) {
        self.app_limited_until = self.app_limited_until.max(sent);
    }

    /// Acknowledged up to `count`; `mark` is that of the latest entry covered, `queued` if that took so long that it
    /// must have waited in a queue: then the stripe was busy, whatever there was to send.
    pub fn acknowledged(&mut self, count: u64, mark: Option<Mark>, queued: bool, now: Instant) {
        self.delivered = count;
        self.delivered_at = now;
        let Some(mark) = mark else { return };
        let micros = u64::try_from(now.since(mark.delivered_at).as_micros()).unwrap_or(u64::MAX);
        if micros < MIN_INTERVAL {
            return;
        }
        let sample = ((count - mark.delivered).saturating_mul(1_000_000) / micros).max(1);
        self.estimate = match self.estimate {
            old if mark.app_limited && !queued && old.is_none_or(|old| sample < old) => old,
            Some(old) => Some((old * 7 + sample) / 8),
            None => Some(sample),
        };
    }

    /// Bytes per second.
    pub fn estimate(&self) -> Option<u64> {
        self.estimate
    }
}
