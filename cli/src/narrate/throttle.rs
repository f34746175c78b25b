//! How often the log says the same: strangers and peers can cause lines as often as they like.

use std::time::{Duration, Instant};

/// Log lines for one cause within [`PERIOD`], unless told otherwise.
pub const LINES: u32 = 20;

/// How long those are all.
pub const PERIOD: Duration = Duration::from_secs(10);

/// So many times that of what is said of each connection and each stripe: that is what such lines
/// are for.
pub const ORDINARY: u32 = 50;

/// Lets so many lines through within [`PERIOD`] and counts the rest, so that a port scan does not
/// fill the disk. The count comes with the next line that it lets through.
pub struct Throttle {
    lines: u32,
    since: Option<Instant>,
    said: u32,
    unsaid: u64,
}

impl Throttle {
    /// That many.
    pub fn new(lines: u32) -> Self {
        Throttle { lines, since: None, said: 0, unsaid: 0 }
    }

    /// Whether to say something now: `Some` with the number of times that it was not said before.
    pub fn admit(&mut self, now: Instant) -> Option<u64> {
        let admitted = self.release(now, false);
        if admitted.is_none() {
            self.unsaid += 1;
        }
        admitted
    }

    /// As [`Throttle::admit`], for something that has been counted already. At the end there is
    /// always room.
    pub fn release(&mut self, now: Instant, is_end: bool) -> Option<u64> {
        if self.since.is_none_or(|since| now.duration_since(since) >= PERIOD) {
            self.since = Some(now);
            self.said = 0;
        }
        if self.said >= self.lines && !is_end {
            return None;
        }
        self.said = self.said.saturating_add(1);
        Some(std::mem::take(&mut self.unsaid))
    }

    /// So many more have not been said.
    pub fn add(&mut self, unsaid: u64) {
        self.unsaid += unsaid;
    }
}

/// What a throttle held back before this line.
pub fn more(unsaid: u64, what: &str) -> String {
    if unsaid > 0 {
        format!(" ({unsaid} more {what} since the last such line)")
    } else {
        String::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_strangers_is_summed_up() {
        let (mut throttle, now) = (Throttle::new(LINES), crate::clock::now());
        let admitted = (0..100).filter(|_| throttle.admit(now).is_some()).count();
        assert_eq!(admitted, 20);
        assert_eq!(throttle.admit(now + PERIOD), Some(80));
        assert_eq!(throttle.admit(now + PERIOD), Some(0));
    }

    #[test]
    fn what_was_not_said_is_counted() {
        assert_eq!(more(80, "begun"), " (80 more begun since the last such line)");
        assert_eq!(more(0, "begun"), "");
    }
}
