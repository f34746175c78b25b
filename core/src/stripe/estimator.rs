//! How fast a stripe delivers, from acknowledgements.
//!
//! Samples are taken as in delivery rate estimation (draft-cheng-iccrg-delivery-rate-estimation):
//! bytes acknowledged between the hand-over of an entry and its acknowledgement, over that time. A
//! sample taken while there was not enough to send tells only that the stripe is at least that
//! fast.

use crate::rate::Rate;
use crate::stripe::acker::DELAY;
use crate::time::Instant;
use core::time::Duration;

/// A sample over less than this says more about timers than about the stripe, in microseconds.
const MIN_INTERVAL: u64 = 100;

/// Fewer bytes can't show that a stripe is slow: one late acknowledgement weighs too much.
const MIN_BYTES: u64 = 8 << 10;

/// An estimate that nothing has confirmed for this long is taken to be too low, by a factor of two
/// for each such time. Otherwise a stripe that was once measured too slow would never be used, and
/// so never be measured again.
const CONFIRMED_FOR: Duration = Duration::from_secs(1);

/// The most that such doubt raises an estimate: 2^3.
const MAX_DOUBLINGS: u32 = 3;

/// Data that came after an acknowledgement was overdue for so many microseconds is a measure of its
/// own. Less may be others in front of it on the stripe that brings it, and timers.
const GAP: u64 = 25_000;

/// Fewer bytes are no measure: they may have waited for a timer.
const PACKET: u64 = 1_000;

/// One piece that meets no queue raises an estimate by this factor at most.
const RAISED: u64 = 4;

/// State of the estimate when something was handed over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Mark {
    delivered: u64,
    delivered_at: Instant,
    /// When what was acknowledged last then had been handed over.
    first_sent_at: Instant,
    app_limited: bool,
    /// Nothing had been acknowledged since the stripe was idle.
    idle: bool,
}

impl Mark {
    /// Stripe bytes acknowledged then.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }
}

/// The latest entry that an acknowledgement covers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latest {
    pub at: Instant,
    /// The estimator's state at that time.
    pub mark: Mark,
    /// How much longer than the shortest round trip it took, in microseconds.
    pub beyond: u64,
    /// It took so long that it must have waited in a queue: the stripe was busy.
    pub queued: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct RateEstimator {
    /// Stripe bytes acknowledged, and when the latest were.
    delivered: u64,
    delivered_at: Instant,
    /// When the latest of them were handed over.
    first_sent_at: Instant,
    /// Until the bytes up to here are acknowledged, samples span a gap in which there was too
    /// little to send.
    app_limited_until: u64,
    /// Nothing has been acknowledged since the stripe was idle.
    idle: bool,
    estimate: Option<Rate>,
    /// When a sample last went into the estimate.
    confirmed_at: Instant,
    /// The rate to which an overdue acknowledgement has lowered the estimate.
    slowed: Option<Rate>,
    /// Overdue acknowledgements in a row.
    trickles: u8,
}

impl RateEstimator {
    pub(crate) fn new(now: Instant) -> Self {
        RateEstimator {
            delivered: 0,
            delivered_at: now,
            first_sent_at: now,
            app_limited_until: 1,
            idle: true,
            estimate: None,
            confirmed_at: now,
            slowed: None,
            trickles: 0,
        }
    }

    /// The state that an entry handed over now must remember. `idle` is how much has been handed
    /// over before if nothing of that is worth waiting for any more.
    pub(crate) fn mark(&mut self, idle: Option<u64>, now: Instant) -> Mark {
        if let Some(sent) = idle {
            self.delivered_at = now;
            self.first_sent_at = now;
            self.delivered = self.delivered.max(sent);
            self.idle = true;
        }
        Mark {
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_sent_at: self.first_sent_at,
            app_limited: self.delivered < self.app_limited_until,
            idle: self.idle,
        }
    }

    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// The stripe takes more than there is; it has been given `sent` bytes so far.
    pub(crate) fn app_limited(&mut self, sent: u64) {
        self.app_limited_until = self.app_limited_until.max(sent);
    }

    /// Acknowledged up to `count`, `overdue` microseconds later than it could be, and than losses
    /// explain. Gives the sample if it is one.
    pub(crate) fn acknowledged(
        &mut self,
        count: u64,
        overdue: u64,
        latest: Option<Latest>,
        now: Instant,
    ) -> Option<Rate> {
        let shown = self.shown(count, overdue, now);
        self.delivered = self.delivered.max(count);
        self.delivered_at = now;
        self.idle = false;
        let Latest { at, mark, beyond, queued } = latest?;
        self.first_sent_at = at;
        // Over the longer of what handing over and what acknowledging took: acknowledgements that
        // come in a burst show nothing.
        let took = now.since(mark.delivered_at).max(at.since(mark.first_sent_at));
        let micros = crate::time::micros(took);
        if micros < MIN_INTERVAL {
            return None;
        }
        let bytes = count.saturating_sub(mark.delivered);
        let sample = Rate::of(bytes, micros).at_least_one();
        let lower_bound = bytes < MIN_BYTES || (mark.app_limited && !queued);
        if lower_bound && self.estimate.is_none_or(|old| sample < old) {
            return None;
        }
        self.confirmed_at = now;
        self.estimate = Some(self.estimate.map_or(sample, |old| {
            let measured = if mark.idle {
                // The way there is in it, during which nothing could arrive. Without it, it would
                // be too high.
                let most = Rate::of(bytes, beyond + DELAY.as_micros() as u64);
                old.clamp(sample, most.max(sample))
            } else {
                sample
            };
            let measured = shown.map_or(measured, |shown| measured.min(shown));
            Rate::bytes((old.as_bytes() * 7 + measured.as_bytes()) / 8)
        }));
        Some(sample)
    }

    /// The rate that an overdue acknowledgement shows. If it is far lower, it holds at once.
    fn shown(&mut self, count: u64, overdue: u64, now: Instant) -> Option<Rate> {
        let brought = count.saturating_sub(self.delivered);
        let shown = Rate::of(brought, overdue).at_least_one();
        if overdue < GAP || brought < PACKET {
            self.trickles = 0;
            return None;
        }
        self.trickles = self.trickles.saturating_add(1);
        if self.estimate.is_some_and(|old| shown.as_bytes() < old.as_bytes() / 4) {
            self.estimate = Some(shown);
            self.confirmed_at = now;
            self.slowed = Some(shown);
        }
        Some(shown)
    }

    /// So many bytes that found the stripe idle took so many microseconds longer than the shortest
    /// round trip. If that is far less than the estimate says, the stripe has become fast again.
    pub(crate) fn unhindered(&mut self, bytes: u64, micros: u64, now: Instant) {
        let Some(old) = self.estimate else { return };
        let predicted = old.micros_for(bytes);
        if predicted >= GAP && predicted / 4 > micros {
            let most = Rate::bytes(old.as_bytes().saturating_mul(RAISED));
            self.estimate = Some(Rate::of(bytes, micros).min(most));
            self.confirmed_at = now;
        }
    }

    /// It was seen to become much slower of a sudden, and has not become twice as fast since.
    pub(crate) fn slowed(&self) -> bool {
        self.trickles >= 2
            && self
                .slowed
                .zip(self.estimate)
                .is_some_and(|(low, rate)| rate.as_bytes() < low.as_bytes().saturating_mul(2))
    }

    pub(crate) fn estimate(&self) -> Option<Rate> {
        self.estimate
    }

    /// The estimate, more if that was measured long ago.
    pub(crate) fn hopeful(&self, now: Instant) -> Option<Rate> {
        let doublings = now.since(self.confirmed_at).as_micros() / CONFIRMED_FOR.as_micros();
        let doublings = doublings.min(u128::from(MAX_DOUBLINGS));
        self.estimate.map(|rate| Rate::bytes(rate.as_bytes() << doublings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    const CHUNK: u64 = 10_000;
    const SECOND: u64 = 1_000_000;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn latest(at: Instant, mark: Mark, queued: bool) -> Option<Latest> {
        Some(Latest { at, mark, beyond: 0, queued })
    }

    /// Keeps one chunk on its way at a time, each acknowledged after `micros`.
    fn steady(rate: &mut RateEstimator, chunks: u64, micros: u64, app_limited: bool) {
        let (mut now, mut sent) = (rate.delivered_at, rate.delivered);
        for _ in 0..chunks {
            if app_limited {
                rate.app_limited(sent + CHUNK);
            }
            let (began, mark) = (now, rate.mark(None, now));
            sent += CHUNK;
            now = now + Duration::from_micros(micros);
            rate.acknowledged(sent, 0, latest(began, mark, false), now);
        }
    }

    /// So many more bytes are acknowledged.
    fn acknowledge(rate: &mut RateEstimator, bytes: u64, mark: Mark, queued: bool, micros: u64) {
        let latest = latest(mark.first_sent_at, mark, queued);
        rate.acknowledged(rate.delivered + bytes, 0, latest, at(micros));
    }

    /// The estimate in bytes per second.
    fn told(rate: &RateEstimator) -> Option<u64> {
        rate.estimate().map(Rate::as_bytes)
    }

    fn near(estimate: Option<u64>, expected: u64) -> bool {
        estimate.is_some_and(|rate| rate.abs_diff(expected) <= expected / 50)
    }

    quickcheck! {
        fn no_order_of_acknowledgements_overflows(steps: Vec<(u32, u32, bool, bool)>) -> bool {
            let (mut rate, mut now, mut count) = (RateEstimator::new(at(0)), at(0), 0u64);
            let mut mark = None;
            for (micros, bytes, take, queued) in steps {
                now = now + Duration::from_micros(u64::from(micros));
                if take || mark.is_none() {
                    mark = Some((now, rate.mark(queued.then_some(0), now)));
                }
                count += u64::from(bytes) << 20;
                let latest = mark.and_then(|(at, mark)| latest(at, mark, queued));
                rate.acknowledged(count, 0, latest, now);
                assert!(rate.hopeful(now) >= rate.estimate());
            }
            true
        }
    }

    #[test]
    fn a_busy_stripe_is_measured_and_too_little_to_send_lowers_no_estimate() {
        let mut rate = RateEstimator::new(at(0));
        assert_eq!(told(&rate), None);
        for (micros, app_limited, expected) in [
            (40_000, false, 250_000),
            (10_000, false, 1_000_000),
            (100_000, true, 1_000_000),
            (5_000, true, 2_000_000),
        ] {
            steady(&mut rate, 60, micros, app_limited);
            assert!(near(told(&rate), expected), "{rate:?}");
        }
    }

    #[test]
    fn a_queue_shows_that_a_stripe_with_little_to_send_was_busy() {
        let mut rate = RateEstimator::new(at(0));
        rate.app_limited(CHUNK);
        let mark = rate.mark(Some(0), at(0));
        acknowledge(&mut rate, CHUNK, mark, true, 20_000);
        assert_eq!(told(&rate), Some(500_000));
    }

    #[test]
    fn idle_time_and_a_few_bytes_do_not_count() {
        let mut rate = fast();
        let mark = rate.mark(Some(rate.delivered), at(10_000_000));
        acknowledge(&mut rate, CHUNK, mark, false, 10_010_000);
        assert!(near(told(&rate), 1_000_000), "{rate:?}");
        let mark = rate.mark(None, rate.delivered_at);
        acknowledge(&mut rate, 100, mark, true, 11_000_000);
        assert!(near(told(&rate), 1_000_000), "{rate:?}");
    }

    #[test]
    fn hope_grows_with_the_age_of_an_estimate_up_to_a_limit() {
        assert_eq!(RateEstimator::new(at(0)).hopeful(at(1 << 40)), None);
        let rate = fast();
        for (age, factor) in [(0, 1), (1, 2), (2, 4), (3, 8), (1000, 8)] {
            let hopeful = rate.hopeful(rate.confirmed_at + CONFIRMED_FOR * age);
            assert_eq!(hopeful.map(Rate::as_bytes), told(&rate).map(|rate| rate * factor));
        }
    }

    #[test]
    fn the_shortest_time_and_the_fewest_bytes_that_tell_something() {
        for (bytes, micros, told) in [
            (MIN_BYTES, MIN_INTERVAL, true),
            (MIN_BYTES - 1, MIN_INTERVAL, false),
            (MIN_BYTES, MIN_INTERVAL - 1, false),
        ] {
            let mut rate = RateEstimator::new(at(0));
            let mark = rate.mark(None, at(0));
            acknowledge(&mut rate, bytes, mark, true, micros);
            assert_eq!(rate.estimate().is_some(), told, "{bytes} bytes in {micros} us");
        }
    }

    #[test]
    fn once_the_bytes_of_a_gap_are_acknowledged_samples_count_again() {
        let mut rate = fast();
        rate.app_limited(11 * CHUNK);
        assert!(rate.mark(None, at(100_000)).app_limited);
        rate.acknowledged(11 * CHUNK, 0, None, at(110_000));
        assert!(!rate.mark(None, at(110_000)).app_limited);
    }

    #[test]
    fn a_sample_of_too_little_to_send_confirms_the_estimate_that_it_equals() {
        let mut rate = RateEstimator::new(at(0));
        steady(&mut rate, 1, 10_000, false);
        assert_eq!(rate.confirmed_at, at(0), "not busy yet");
        steady(&mut rate, 1, 10_000, false);
        for (bytes, now, confirmed) in [(CHUNK - 1, 30_000, 20_000), (CHUNK, 40_000, 40_000)] {
            let mark = Mark { app_limited: true, ..rate.mark(None, at(now - 10_000)) };
            acknowledge(&mut rate, bytes, mark, false, now);
            assert_eq!((rate.confirmed_at, told(&rate)), (at(confirmed), Some(1_000_000)));
        }
    }

    #[test]
    fn an_estimate_moves_by_an_eighth_of_the_difference() {
        let mut rate = RateEstimator::new(at(0));
        steady(&mut rate, 2, 10_000, false);
        steady(&mut rate, 1, 40_000, false);
        assert_eq!(told(&rate), Some((7 * 1_000_000 + 250_000) / 8));
    }

    /// At 1 MB/s, with nothing on its way.
    fn fast() -> RateEstimator {
        let mut rate = RateEstimator::new(at(0));
        steady(&mut rate, 10, 10_000, false);
        rate
    }

    #[test]
    fn an_overdue_acknowledgement_sets_the_rate_below_a_fourth_at_once() {
        // Bytes that came, and how late, in microseconds.
        for (bytes, overdue, expected) in [
            (6_250, GAP, None),
            (6_249, GAP, Some(249_960)),
            (1_000, 50_000, Some(20_000)),
            (PACKET - 1, 50_000, None),
            (PACKET, GAP - 1, None),
        ] {
            let mut rate = fast();
            let expected = expected.or(told(&rate));
            rate.acknowledged(rate.delivered + bytes, overdue, None, rate.delivered_at);
            assert_eq!(told(&rate), expected, "{bytes} bytes, {overdue} us late");
        }
    }

    #[test]
    fn a_sample_counts_no_more_than_the_latest_overdue_one_shows() {
        let mut rate = fast();
        let began = rate.delivered_at;
        let mark = rate.mark(None, began);
        let now = began + Duration::from_micros(10_000);
        let estimate = told(&rate).unwrap();
        let sample = rate.acknowledged(rate.delivered + CHUNK, GAP, latest(began, mark, true), now);
        assert!(near(sample.map(Rate::as_bytes), 1_000_000));
        assert_eq!(told(&rate), Some((estimate * 7 + 400_000) / 8));
    }

    #[test]
    fn two_overdue_in_a_row_slow_a_stripe_until_it_is_twice_as_fast() {
        let mut rate = fast();
        let overdue = |rate: &mut RateEstimator, overdue: u64| {
            rate.acknowledged(rate.delivered + 1_000, overdue, None, rate.delivered_at);
            rate.slowed()
        };
        assert!(!overdue(&mut rate, 50_000) && overdue(&mut rate, 50_000));
        assert_eq!([0, 50_000, 50_000].map(|late| overdue(&mut rate, late)), [false, false, true]);
        for (estimate, slowed) in [(39_999, true), (40_000, false)] {
            rate.estimate = Some(Rate::bytes(estimate));
            assert_eq!(rate.slowed(), slowed);
        }
    }

    #[test]
    fn a_burst_that_meets_an_idle_stripe_bounds_its_rate_from_both_sides() {
        // 100 kB in 100 ms: at least 1 MB/s; at most what came over what it took beyond the
        // shortest round trip, and the timer.
        for (beyond, before, held) in [
            (0, 500_000, 1_000_000),
            (0, 4_000_000, 4_000_000),
            (48_000, 500_000, 1_000_000),
            (48_000, 1_500_000, 1_500_000),
            (48_000, 4_000_000, 2_000_000),
            (98_000, 4_000_000, 1_000_000),
        ] {
            let mut rate = fast();
            rate.estimate = Some(Rate::bytes(before));
            let at = rate.delivered_at;
            let mark = rate.mark(Some(rate.delivered), at);
            let latest = Some(Latest { at, mark, beyond, queued: true });
            let now = at + Duration::from_micros(100_000);
            rate.acknowledged(rate.delivered + 100_000, 0, latest, now);
            assert_eq!(told(&rate), Some((before * 7 + held) / 8), "{before} before, {beyond} us");
        }
    }

    #[test]
    fn a_piece_that_misses_an_expected_queue_raises_the_rate_four_times() {
        for (estimate, bytes, micros, expected) in [
            (40_000, 1_000, 6_249, 160_000),
            (40_000, 1_000, 1_000, 160_000),
            (40_000, 1_000, 6_250, 40_000),
            (40_000, 999, 100, 40_000),
            (40_000, 10_000, 62_499, 160_000),
        ] {
            let mut rate = fast();
            rate.estimate = Some(Rate::bytes(estimate));
            rate.unhindered(bytes, micros, at(SECOND));
            let told = told(&rate).unwrap();
            assert!(told.abs_diff(expected) < 200, "{estimate}, {bytes}, {micros}: {told}");
        }
    }
}
