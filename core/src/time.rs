//! Time as the engine knows it: microseconds since an origin that the caller chooses.

use core::fmt;
use core::ops::Add;
use core::time::Duration;

/// A point in time, in microseconds since an origin of the caller's choice.
///
/// The engine never reads a clock: every instant comes in through [`crate::Session::handle`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Instant(u64);

impl Instant {
    /// The origin.
    pub const ZERO: Instant = Instant(0);

    /// The instant `micros` microseconds after the origin.
    pub const fn from_micros(micros: u64) -> Self {
        Instant(micros)
    }

    /// Microseconds since the origin.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to `self`, zero if `earlier` is the later one.
    pub const fn since(self, earlier: Instant) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

/// A time in microseconds.
pub(crate) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, rhs: Duration) -> Instant {
        Instant(self.0.saturating_add(micros(rhs)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_adds_up_and_neither_end_of_it_is_passed() {
        let at = Instant::from_micros(5) + Duration::from_micros(7);
        assert_eq!(
            (at.as_micros(), at.since(Instant::from_micros(5))),
            (12, Duration::from_micros(7))
        );
        assert_eq!(Instant::ZERO.since(at), Duration::ZERO);
        assert_eq!((at + Duration::MAX).as_micros(), u64::MAX);
        assert_eq!(
            (Instant::from_micros(u64::MAX) + Duration::from_micros(1)).as_micros(),
            u64::MAX
        );
    }
}
