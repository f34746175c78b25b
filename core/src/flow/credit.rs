//! The receiver's side of one direction's flow control.
//!
//! Credit is a cumulative offset. The window, that is, how far it runs ahead of consumption, doubles whenever half
//! of it is consumed within two round trips: then the window, and not the path, is what limits the sender.

use crate::config::FLOW_FLOOR;
use crate::time::Instant;
use core::time::Duration;

/// What one flow's sender may send us.
#[derive(Clone, Debug)]
pub(crate) struct Credit {
    /// Announced; never goes back.
    granted: u64,
    /// Taken by the local consumer.
    consumed: u64,
    /// How far `granted` should run ahead of `consumed`.
    window: u64,
    /// When `granted` last moved.
    moved: Instant,
}

impl Credit {
    /// Starts with `granted` announced.
    pub fn new(granted: u64, now: Instant) -> Self {
        Credit { granted, consumed: 0, window: granted.max(FLOW_FLOOR), moved: now }
    }

    /// The offset announced.
    pub fn granted(&self) -> u64 {
        self.granted
    }

    /// The offset consumed.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Announced and not consumed.
    pub fn outstanding(&self) -> u64 {
        self.granted - self.consumed
    }

    /// The local consumer has taken this much in all.
    pub fn consume(&mut self, total: u64) {
        self.consumed = self.consumed.max(total);
    }

    /// What to announce now, if anything: up to the window ahead of consumption, but beyond the floor only as far as
    /// `pool` bytes allow. `limit` bounds the window.
    pub fn advance(&mut self, now: Instant, rtt: Duration, pool: u64, limit: u64) -> Option<u64> {
        let limit = limit.max(FLOW_FLOOR);
        if self.outstanding() > self.window / 2 && self.outstanding() > FLOW_FLOOR / 2 {
            return None;
        }
        if now.since(self.moved) < rtt * 2 {
            self.window = (self.window * 2).min(limit);
        }
        let floor = self.consumed + FLOW_FLOOR;
        let allowed = (self.consumed + self.window).min(self.granted.max(floor) + pool);
        if allowed < self.granted + FLOW_FLOOR / 2 {
            return None;
        }
        self.granted = allowed;
        self.moved = now;
        Some(allowed)
    }
}
