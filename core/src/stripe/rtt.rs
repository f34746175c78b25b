//! How long a stripe's acknowledgements take, from hand-over to acknowledgement.

use crate::time::Instant;
use core::time::Duration;

/// The minimum is taken over one to two of these, so that a route that got longer is noticed.
const MIN_WINDOW: Duration = Duration::from_secs(30);

/// Slack that an acknowledgement may have over what was measured before it counts as overdue.
const SLACK: Duration = Duration::from_millis(50);

/// Patience while nothing is known. RFC 6298, section 2.1: an initial timeout of one second.
const UNKNOWN: Duration = Duration::from_secs(1);

/// Round trip estimate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    variation: Duration,
    /// Minimum of the current and the previous window.
    min: [Option<Duration>; 2],
    window_began: Instant,
}

impl Rtt {
    /// Takes a sample. Smoothing as in RFC 6298, section 2.
    pub fn sample(&mut self, sample: Duration, now: Instant) {
        match self.smoothed {
            None => {
                self.smoothed = Some(sample);
                self.variation = sample / 2;
            }
            Some(smoothed) => {
                self.variation = (self.variation * 3 + smoothed.abs_diff(sample)) / 4;
                self.smoothed = Some((smoothed * 7 + sample) / 8);
            }
        }
        if now.since(self.window_began) > MIN_WINDOW {
            self.min = [None, self.min[0]];
            self.window_began = now;
        }
        self.min[0] = Some(self.min[0].map_or(sample, |min| min.min(sample)));
    }

    /// The smoothed round trip.
    pub fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    /// The shortest recent round trip.
    pub fn min(&self) -> Option<Duration> {
        self.min.into_iter().flatten().min()
    }

    /// Without progress for this long, acknowledgements are overdue.
    pub fn patience(&self) -> Duration {
        self.smoothed.map_or(UNKNOWN, |smoothed| smoothed * 2 + self.variation * 4 + SLACK)
    }
}
