//! The bound on lines of one kind: callers and peers can cause events as often as they like.

use std::time::{Duration, Instant};

/// The default bound on log lines for one cause within [`PERIOD`].
pub(crate) const LINES: u32 = 20;

pub(super) const PERIOD: Duration = Duration::from_secs(10);

/// Events of each connection and each stripe may have so many times more lines.
pub(super) const ORDINARY: u32 = 50;

/// Lets so many lines through within [`PERIOD`] and counts the rest, so that a port scan does not
/// fill the disk. The count comes with the next line that it lets through.
pub(super) struct Throttle {
    lines: u32,
    since: Option<Instant>,
    said: u32,
    pub unsaid: u64,
}

impl Throttle {
    pub(super) fn new(lines: u32) -> Self {
        Throttle { lines, since: None, said: 0, unsaid: 0 }
    }

    /// Whether there is room for a line now: `Some` with the number of lines left out before it.
    pub(super) fn admit(&mut self, now: Instant) -> Option<u64> {
        let admitted = self.release(now, false);
        if admitted.is_none() {
            self.unsaid += 1;
        }
        admitted
    }

    /// As [`Throttle::admit`], for something that has been counted already. At the end there is
    /// always room.
    pub(super) fn release(&mut self, now: Instant, is_end: bool) -> Option<u64> {
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
}

pub(super) fn more(unsaid: u64, what: &str) -> String {
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
    fn lines_beyond_the_bound_are_counted_in_the_next_line() {
        let (mut throttle, now) = (Throttle::new(LINES), crate::clock::now());
        let admitted = (0..100).filter(|_| throttle.admit(now).is_some()).count();
        assert_eq!(admitted, 20);
        assert_eq!(throttle.admit(now + PERIOD), Some(80));
        assert_eq!(throttle.admit(now + PERIOD), Some(0));
        assert_eq!(more(80, "begun"), " (80 more begun since the last such line)");
        assert_eq!(more(0, "begun"), "");
    }
}
