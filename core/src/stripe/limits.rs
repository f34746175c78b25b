//! The thing that keeps a stripe from sending more, and for how long each has done so.
//!
//! A value of one moment says little: between two acknowledgements a busy stripe is full, has room,
//! and is full again. So the times are summed up.

use crate::stats::{LimitTimes, StripeLimit};
use crate::time::Instant;

/// The data that there is to send, on whatever stripe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Demand {
    Nothing,
    /// There is some, but none that has credit.
    NoCredit,
    Waiting,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    now: StripeLimit,
    since: Instant,
    /// The times before that.
    times: LimitTimes,
}

impl Limits {
    pub(super) fn new(now: Instant) -> Self {
        Limits { now: StripeLimit::Application, since: now, times: LimitTimes::default() }
    }

    #[inline]
    pub(super) fn note(&mut self, limit: StripeLimit, now: Instant) {
        if limit != self.now {
            self.times = self.times(now);
            (self.now, self.since) = (limit, now);
        }
    }

    pub(super) fn now(&self) -> StripeLimit {
        self.now
    }

    pub(super) fn times(&self, now: Instant) -> LimitTimes {
        let mut times = self.times;
        times.add(self.now, now.since(self.since));
        times
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_has_the_time_until_the_next() {
        let at = Instant::from_micros;
        let mut limits = Limits::new(at(100));
        for (limit, micros) in [
            (StripeLimit::Window, 105),
            (StripeLimit::Window, 120),
            (StripeLimit::Route, 140),
            (StripeLimit::Window, 141),
        ] {
            limits.note(limit, at(micros));
        }
        assert_eq!(limits.now(), StripeLimit::Window);
        let times = limits.times(at(150));
        let micros = StripeLimit::ALL.map(|limit| times.by(limit).as_micros());
        assert_eq!(micros, [5, 0, 35 + 9, 1], "application, receiver, window, route");
    }
}
