//! When a stripe is late, in doubt, or to be given up.

use super::{Rate, Stripe};
use crate::time::{Instant, micros};
use core::time::Duration;

/// An acknowledgement is overdue only by this much and a piece's time. Others may be in front of it
/// on the stripe that brings it, and timers are late.
pub(super) const OVERDUE: Duration = Duration::from_millis(25);
/// While bytes come in, the answer may stand behind them. The stripe is given up this many times
/// the limit after the last progress, or this part of it after the last byte, whichever is first.
const HEARD: u32 = 4;

impl Stripe {
    /// When the oldest entry has taken half as long again as expected, or is overdue.
    pub(crate) fn late_at(&self) -> Option<Instant> {
        Some(self.ledger.awaited()?.late_at().min(self.due + self.overdue()))
    }

    /// An acknowledgement that is so much behind the earliest time at which it could come shows
    /// that the stripe has become slower or stands.
    pub(super) fn overdue(&self) -> Duration {
        let piece = self.rate.estimate().map_or(0, |rate| rate.micros_for(self.chunk() as u64));
        OVERDUE + Duration::from_micros(piece + self.ordinary_delay())
    }

    /// How late acknowledgements have been because of lost packets, in microseconds. It counts only
    /// where the system has seen that the route loses packets. Elsewhere a dip looks the same.
    pub(super) fn ordinary_delay(&self) -> u64 {
        if self.window.is_rate_based() { self.held_up.longest() } else { 0 }
    }

    #[inline]
    pub(crate) fn rate_now(&self, now: Instant) -> Option<Rate> {
        self.lateness(now).1
    }

    /// Whether the oldest data on it is late, and its rate as it shows now. For late data this is
    /// the rate since it was handed over. It is not more than one piece in the time for which an
    /// acknowledgement is overdue.
    pub(crate) fn lateness(&self, now: Instant) -> (bool, Option<Rate>) {
        let late = self.late_at().is_some_and(|at| at <= now);
        let rate = match self.ledger.awaited().filter(|_| late) {
            None => self.rate.hopeful(now),
            Some(front) => {
                let brought = self.delivered().saturating_sub(front.mark.delivered());
                let over = |bytes: u64, since: Instant| Rate::of(bytes, micros(now.since(since)));
                let mut rate = over(brought, front.at);
                if now.since(self.due) >= self.overdue() {
                    rate = rate.min(over(self.chunk() as u64, self.due));
                }
                let most = self.rate.estimate().unwrap_or(Rate::bytes(u64::MAX));
                Some(rate.min(most).at_least_one())
            }
        };
        (late, rate)
    }

    /// On a route where losses hold acknowledgements up, that is later, but at most twice as late.
    pub(crate) fn doubt_at(&self) -> Option<Instant> {
        let patience = self.rtt.patience();
        let more = Duration::from_micros(self.ordinary_delay()).min(patience);
        self.ledger.awaits().then(|| self.progress + patience + more)
    }

    /// When to give it up if it is in doubt and nothing is acknowledged until then. While something
    /// comes in, an answer may stand behind it: then up to [`HEARD`] times as long.
    pub(crate) fn stall_at(&self, limit: Duration) -> Instant {
        let limit = limit.max(self.rtt.patience() * 2);
        let behind = (self.inbound.heard() + limit / HEARD).min(self.progress + limit * HEARD);
        (self.progress + limit).max(behind)
    }
}
