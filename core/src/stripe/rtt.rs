//! How long a stripe's acknowledgements take, from hand-over to acknowledgement.

use crate::time::Instant;
use core::time::Duration;

/// The minimum is taken over one to two of these, so that a route that got longer is noticed.
const MIN_WINDOW: Duration = Duration::from_secs(30);

/// Slack that an acknowledgement may have over what was measured before it counts as overdue.
const SLACK: Duration = Duration::from_millis(50);

/// Patience while nothing is known. RFC 6298, section 2.1: an initial timeout of one second.
const UNKNOWN: Duration = Duration::from_secs(1);

#[derive(Clone, Debug, Default)]
pub(crate) struct Rtt {
    smoothed: Option<Duration>,
    /// Minimum of the current and the previous window.
    min: [Option<Duration>; 2],
    window_began: Instant,
}

impl Rtt {
    /// Takes a sample. Smoothing as in RFC 6298, section 2.
    pub(crate) fn sample(&mut self, sample: Duration, now: Instant) {
        match self.smoothed {
            None => {
                self.window_began = now;
                self.smoothed = Some(sample);
            }
            Some(smoothed) => self.smoothed = Some((smoothed * 7 + sample) / 8),
        }
        if now.since(self.window_began) > MIN_WINDOW {
            self.min = [None, self.min[0]];
            self.window_began = now;
        }
        self.min[0] = Some(self.min[0].map_or(sample, |min| min.min(sample)));
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.smoothed
    }

    pub(crate) fn min(&self) -> Option<Duration> {
        self.min.into_iter().flatten().min()
    }

    /// Without progress for this long, acknowledgements are overdue.
    pub(crate) fn patience(&self) -> Duration {
        self.smoothed.map_or(UNKNOWN, |smoothed| smoothed * 2 + SLACK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    fn at(seconds: u64) -> Instant {
        Instant::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn the_first_sample_is_the_estimate() {
        let mut rtt = Rtt::default();
        assert_eq!((rtt.smoothed(), rtt.min(), rtt.patience()), (None, None, UNKNOWN));
        rtt.sample(ms(40), at(0));
        assert_eq!((rtt.smoothed(), rtt.min()), (Some(ms(40)), Some(ms(40))));
        // 2 · 40 + 50
        assert_eq!(rtt.patience(), ms(130));
    }

    #[test]
    fn one_late_sample_moves_the_estimate_by_an_eighth() {
        let mut rtt = Rtt::default();
        (0..50).for_each(|_| rtt.sample(ms(40), at(0)));
        for (late, smoothed) in [(40, 40), (120, 50)] {
            rtt.sample(ms(late), at(0));
            assert_eq!((rtt.smoothed(), rtt.min()), (Some(ms(smoothed)), Some(ms(40))));
            assert_eq!(rtt.patience(), ms(2 * smoothed) + SLACK);
        }
    }

    #[test]
    fn a_route_that_got_longer_is_noticed_within_two_windows() {
        let mut rtt = Rtt::default();
        rtt.sample(ms(10), at(0));
        let forgotten = (1..100).find(|seconds| {
            rtt.sample(ms(30), at(*seconds));
            rtt.min() == Some(ms(30))
        });
        let window = MIN_WINDOW.as_secs();
        assert!(forgotten.is_some_and(|seconds| (window..=2 * window + 2).contains(&seconds)));
    }

    #[test]
    fn a_window_of_the_minimum_ends_just_after_its_time() {
        for (micros, kept) in [(0, true), (1, false)] {
            let mut rtt = Rtt::default();
            let first = Instant::from_micros(7);
            rtt.sample(ms(10), first);
            // Two windows on, the second of which is the one in question.
            let second = first + MIN_WINDOW + Duration::from_micros(1);
            rtt.sample(ms(30), second);
            rtt.sample(ms(30), second + MIN_WINDOW + Duration::from_micros(micros));
            assert_eq!(rtt.min() == Some(ms(10)), kept);
        }
    }
}
