//! Whether stripes live: doubt, stall and heartbeat, and time that the process has slept.

use crate::config::Config;
use crate::id::StripeId;
use crate::stripe::Stripe;
use crate::stripe::table::Stripes;
use crate::time::Instant;
use crate::timers::{Timer, Timers};
use core::time::Duration;

/// An input that comes this long after the deadline shows that the process did not run meanwhile,
/// or that its clock jumped. Bytes that have come in may lie unread, and no stripe can be blamed
/// for the time between. Far beyond what a busy driver takes, and well below the stall limit.
const LATE: Duration = Duration::from_secs(1);

pub(super) struct Liveness<'a> {
    pub stripes: &'a mut Stripes,
    pub timers: &'a mut Timers,
    pub config: &'a Config,
}

impl Liveness<'_> {
    pub(super) fn begin(&mut self, id: StripeId, now: Instant) {
        self.timers.set(Timer::Heartbeat(id), now + self.config.heartbeat);
        self.timers.clear(Timer::Resume);
    }

    /// If we have slept, the time that passed meanwhile is not held against stripes.
    pub(super) fn excuse_sleep(&mut self, now: Instant) {
        let since = |at| now.since(at);
        if self.timers.next().is_none_or(|(at, _)| since(at) <= LATE) {
            return;
        }
        let slept = self.timers.next_of_stripe().map_or(Duration::ZERO, since);
        if slept > LATE {
            for stripe in self.stripes.iter_mut() {
                // A doubted stripe would be given up now, before what has come in on it can be
                // read.
                let unread = if stripe.is_doubted() { LATE } else { Duration::ZERO };
                stripe.excuse(slept + unread, now);
            }
        }
    }

    /// Acknowledgements on a stripe may be overdue. Then it is asked whether it still lives and
    /// gets no new data until it answers. The data that it holds is sent again elsewhere.
    pub(super) fn doubt_if_overdue(&mut self, id: StripeId, now: Instant) {
        let Some(at) = self.stripes.get(id).and_then(Stripe::doubt_at) else { return };
        if at > now {
            self.timers.set(Timer::Doubt(id), at);
        } else {
            self.doubt(id);
        }
    }

    pub(super) fn doubt(&mut self, id: StripeId) {
        let Some(stripe) = self.stripes.get_mut(id) else { return };
        stripe.doubt();
        self.timers.set(Timer::Stall(id), stripe.stall_at(self.config.stall_limit));
    }

    /// A stripe in doubt may have been silent for too long. Whether it is to be given up.
    pub(super) fn has_stalled(&mut self, id: StripeId, now: Instant) -> bool {
        let Some(stripe) = self.stripes.get(id).filter(|stripe| stripe.is_doubted()) else {
            return false;
        };
        let at = stripe.stall_at(self.config.stall_limit);
        if at > now {
            self.timers.set(Timer::Stall(id), at);
        }
        at <= now
    }

    /// Asks a stripe that has been silent until `now` whether it still lives, and looks again
    /// later; `latest` is the time of the input.
    pub(super) fn heartbeat(&mut self, id: StripeId, now: Instant, latest: Instant) {
        let Some(stripe) = self.stripes.get_mut(id) else { return };
        let silent_at = stripe.inbound().heard() + self.config.heartbeat;
        if silent_at > now {
            self.timers.set(Timer::Heartbeat(id), silent_at);
            return;
        }
        stripe.probes_mut().ask();
        self.timers.set(Timer::Heartbeat(id), latest + self.config.heartbeat);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: StripeId = StripeId(3);

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    fn up() -> (Stripes, Timers, Config) {
        let (mut stripes, mut timers) = (Stripes::default(), Timers::default());
        stripes.add(Stripe::new(ID, 0, at(0)));
        let config = Config::default();
        Liveness { stripes: &mut stripes, timers: &mut timers, config: &config }.begin(ID, at(0));
        (stripes, timers, config)
    }

    #[test]
    fn a_stripe_that_is_heard_is_not_asked_for_a_heartbeat() {
        let (mut stripes, mut timers, config) = up();
        let beat = at(0) + config.heartbeat;
        assert_eq!(timers.at(Timer::Heartbeat(ID)), Some(beat));
        let stripe = stripes.get_mut(ID).unwrap();
        let deframer = stripe.inbound_mut().begin(at(50));
        stripe.inbound_mut().end(deframer, at(50));
        let mut liveness = Liveness { stripes: &mut stripes, timers: &mut timers, config: &config };
        liveness.heartbeat(ID, beat, beat);
        assert_eq!(timers.at(Timer::Heartbeat(ID)), Some(at(50) + config.heartbeat));
    }

    #[test]
    fn a_doubted_stripe_has_stalled_when_the_limit_is_over_and_not_before() {
        let (mut stripes, mut timers, config) = up();
        let mut liveness = Liveness { stripes: &mut stripes, timers: &mut timers, config: &config };
        assert!(!liveness.has_stalled(ID, at(60_000)), "it is not in doubt");
        liveness.doubt(ID);
        let stall = liveness.timers.at(Timer::Stall(ID)).expect("it is judged later");
        assert!(!liveness.has_stalled(ID, at(1)));
        assert!(liveness.has_stalled(ID, stall));
    }

    #[test]
    fn only_a_sleep_of_more_than_a_second_beyond_the_deadline_is_excused() {
        for (millis, excused) in [(11_000, false), (11_001, true)] {
            let (mut stripes, mut timers, config) = up();
            let mut liveness =
                Liveness { stripes: &mut stripes, timers: &mut timers, config: &config };
            liveness.excuse_sleep(at(millis));
            let heard = stripes.get(ID).unwrap().inbound().heard();
            assert_eq!(heard > at(0), excused, "after {millis} ms");
        }
    }
}
