//! The receiver's side of one direction's flow control.
//!
//! Credit is a cumulative offset. The window, that is, how far it runs ahead of consumption, doubles when the sender says that it has used
//! up all of it while the local consumer has kept up: then the window, and neither consumer nor path, is the limit.
//! That holds for a long path as well as for one whose stripes differ, where much waits out of order.

use crate::config::FLOW_FLOOR;

/// What one flow's sender may send us.
#[derive(Clone, Debug)]
pub(crate) struct Credit {
    /// Announced; never goes back.
    granted: u64,
    /// Taken by the local consumer.
    consumed: u64,
    /// How far `granted` should run ahead of `consumed`.
    window: u64,
    /// The highest offset at which the sender has said that its credit was used up.
    blocked: u64,
    /// What was granted when the window last grew.
    grown_at: u64,
}

impl Credit {
    /// Starts with `granted` announced.
    pub fn new(granted: u64) -> Self {
        Credit { granted, consumed: 0, window: granted.max(FLOW_FLOOR), blocked: 0, grown_at: 0 }
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

    /// The sender has used up its credit at this offset.
    pub fn blocked_at(&mut self, limit: u64) {
        self.blocked = self.blocked.max(limit.min(self.granted));
    }

    /// What to announce now, if anything: up to the window ahead of consumption, but beyond the floor only as far as
    /// `pool` bytes allow. `delivered` is what the local consumer could have taken, `limit` bounds the window.
    pub fn advance(&mut self, delivered: u64, pool: u64, limit: u64) -> Option<u64> {
        if self.consumed == delivered && self.blocked > self.grown_at {
            self.window = (self.window * 2).min(limit.max(FLOW_FLOOR));
            self.grown_at = self.granted;
        }
        if self.outstanding() > self.window / 2 && self.outstanding() > FLOW_FLOOR / 2 {
            return None;
        }
        let floor = self.consumed + FLOW_FLOOR;
        let allowed = (self.consumed + self.window).min(self.granted.max(floor) + pool);
        if allowed < self.granted + FLOW_FLOOR / 2 {
            return None;
        }
        self.granted = allowed;
        Some(allowed)
    }
}
