//! One stripe as a session sees it: what was put on it, what came from it, how fast it is.

pub(crate) mod acker;
pub(crate) mod ledger;
pub(crate) mod rate;
pub(crate) mod rtt;
pub(crate) mod table;

use crate::config::{MAX_CHUNK, MIN_CHUNK};
use crate::id::{FlowId, StripeId};
use crate::intents::Intent;
use crate::stats::StripeStats;
use crate::time::Instant;
use crate::wire::deframer::Deframer;
use acker::Acker;
use core::hash::{Hash, Hasher};
use core::time::Duration;
use ledger::{Entry, Ledger};
use rate::{Mark, Rate};
use rtt::Rtt;

/// Bytes that a stripe may have handed over and not written while its rate is unknown.
const UNKNOWN_ALLOWANCE: u64 = 16 << 10;
/// Largest piece of data for a stripe of unknown rate.
const UNKNOWN_CHUNK: usize = 8 << 10;
/// Bounds of the allowance.
const ALLOWANCE: core::ops::RangeInclusive<u64> = (16 << 10)..=(512 << 10);
/// Allowance and unsent data in the operating system are this much of a stripe's time: late enough to choose
/// well, early enough never to run dry.
const ALLOWANCE_TIME: Duration = Duration::from_millis(10);
/// One piece of data is this much of a stripe's time.
const CHUNK_TIME: Duration = Duration::from_millis(8);
/// An acknowledgement that takes half a round trip and this much longer than the shortest has met a queue; less
/// may be the timer of the acknowledging side.
const QUEUED_SLACK: Duration = Duration::from_millis(10);
/// A stripe on which something came in within the last fourth of the limit is given up only after four times the limit.
const HEARD: u32 = 4;
/// Control may exceed the allowance by this many bytes.
const CONTROL_RESERVE: u64 = 16 << 10;

/// What an entry of a stripe's ledger stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Token {
    /// Bytes of a flow; `requeued` once they have been put up for sending elsewhere.
    Data { flow: FlowId, offset: u64, len: u64, fin: bool, requeued: bool },
    /// Control that is owed again if the stripe dies.
    Control(Intent),
    /// Acknowledgements of whatever stripes; if they are lost, all are owed again.
    Acknowledgements,
    /// Of no use elsewhere: PING, PONG.
    Local,
}

/// A live stripe.
#[derive(Clone, Debug)]
pub(crate) struct Stripe {
    pub id: StripeId,
    /// Frame bytes handed over for transmission.
    pub sent: u64,
    /// Frame bytes that the operating system has taken.
    pub written: u64,
    pub ledger: Ledger<Token>,
    pub rtt: Rtt,
    pub rate: Rate,
    pub deframer: Deframer,
    pub acker: Acker,
    /// When anything last came in.
    pub heard: Instant,
    /// When an acknowledgement last moved, or the first thing that asks for one was sent.
    pub progress: Instant,
    /// What was put on it before this time says nothing about its round trip: we have slept since.
    awake_since: Instant,
    /// Stripe bytes before the first thing that asks for an acknowledgement and was sent when none was awaited.
    busy_from: u64,
    /// Acknowledgements are overdue.
    pub doubted: bool,
    /// What it holds has been put up for sending elsewhere because of that.
    pub requeued: bool,
    /// The PING that is on its way: nonce and end of its bytes.
    pub ping: Option<(u64, u64)>,
    /// A PING is to be sent.
    pub ping_owed: bool,
    /// A PONG is to be sent.
    pub pong_owed: Option<u64>,
    /// Data was there, but it took no more.
    pub congested: bool,
    pub congestions: u64,
    /// What was last said in a `StripePace`; zero before the first.
    pub pace: u64,
}

impl Stripe {
    pub fn new(id: StripeId, now: Instant) -> Self {
        Stripe {
            id,
            sent: 0,
            written: 0,
            ledger: Ledger::new(),
            rtt: Rtt::default(),
            rate: Rate::new(now),
            deframer: Deframer::new(),
            acker: Acker::default(),
            heard: now,
            progress: now,
            awake_since: now,
            busy_from: 0,
            doubted: false,
            requeued: false,
            ping: None,
            ping_owed: true,
            pong_owed: None,
            congested: false,
            congestions: 0,
            pace: 0,
        }
    }

    /// Handed over and not acknowledged, in bytes. What asks for no acknowledgement may lie around unacknowledged for
    /// long and counts only behind something that does.
    pub fn in_flight(&self) -> u64 {
        if self.ledger.awaits() { self.sent - self.busy_from.max(self.ledger.acknowledged()) } else { 0 }
    }

    /// Handed over and not taken by the operating system, in bytes.
    pub fn unwritten(&self) -> u64 {
        self.sent - self.written
    }

    /// How much may be unwritten.
    pub fn allowance(&self) -> u64 {
        self.rate.estimate().map_or(UNKNOWN_ALLOWANCE, |rate| {
            over(rate, ALLOWANCE_TIME).clamp(*ALLOWANCE.start(), *ALLOWANCE.end())
        })
    }

    /// The largest piece of data to put on it.
    pub fn chunk(&self) -> usize {
        self.rate
            .estimate()
            .map_or(UNKNOWN_CHUNK, |rate| (over(rate, CHUNK_TIME) as usize).clamp(MIN_CHUNK, MAX_CHUNK))
    }

    /// Whether it takes `len` more bytes of data now.
    pub fn takes_data(&self, len: usize) -> bool {
        let allowance = self.allowance() << u32::from(planted!(AllowanceDoubled));
        self.unwritten() == 0 || self.unwritten() + len as u64 <= allowance
    }

    /// Whether it takes control now.
    pub fn takes_control(&self) -> bool {
        self.unwritten() < self.allowance() + CONTROL_RESERVE
    }

    /// Records what is put on it: `len` more bytes.
    pub fn put(&mut self, len: usize, token: Token, eliciting: bool, now: Instant) {
        let begins = eliciting && !self.ledger.awaits();
        if begins && !planted!(ProgressNotRestarted) {
            self.progress = now;
            self.busy_from = self.sent;
        }
        let mark = self.rate.mark(begins.then_some(self.sent), now);
        self.sent += len as u64;
        self.ledger.push(Entry { end: self.sent, at: now, eliciting, mark, token });
    }

    /// When to doubt it if nothing is acknowledged until then.
    pub fn doubt_at(&self) -> Option<Instant> {
        self.ledger.awaits().then(|| self.progress + self.rtt.patience())
    }

    /// When to give it up if it is in doubt and nothing is acknowledged until then. While something comes in, an answer
    /// may stand behind it: then up to [`HEARD`] times as long.
    pub fn stall_at(&self, limit: Duration) -> Instant {
        let limit = limit.max(self.rtt.patience() * 2);
        let behind = (self.heard + limit / HEARD).min(self.progress + limit * HEARD);
        (self.progress + limit).max(behind)
    }

    /// Time that we have slept is not held against it.
    pub fn excuse(&mut self, slept: Duration, now: Instant) {
        self.progress = (self.progress + slept).min(now);
        self.heard = (self.heard + slept).min(now);
        self.awake_since = now;
    }

    /// An acknowledgement moved: measures by the latest entry that it covers.
    pub fn measure(&mut self, latest: Option<(Instant, Mark)>, now: Instant) {
        let latest = latest.filter(|(at, _)| *at >= self.awake_since);
        let took = latest.map(|(at, _)| now.since(at));
        if let Some(took) = took {
            self.rtt.sample(took, now);
        }
        let queued = took > self.rtt.min().map(|min| min * 3 / 2 + QUEUED_SLACK);
        self.rate.acknowledged(self.ledger.acknowledged(), latest.map(|(_, mark)| mark), queued, now);
        self.progress = now;
        if self.doubted && planted!(DoubtNeverEnds) {
            return;
        }
        self.doubted = false;
    }

    /// All that decides what it does, see [`crate::Session::fingerprint`].
    pub fn fingerprint(&self, hasher: &mut impl Hasher) {
        assert!(self.rate.estimate().is_none(), "stripe {} has been measured: time has passed", self.id);
        (self.id, self.sent, self.written).hash(hasher);
        self.ledger.fingerprint(hasher);
        self.deframer.hash(hasher);
        self.acker.fingerprint(hasher);
        (self.doubted, self.requeued, self.ping, self.ping_owed, self.pong_owed).hash(hasher);
    }

    pub fn stats(&self) -> StripeStats {
        StripeStats {
            stripe: self.id,
            sent: self.sent,
            written: self.written,
            acknowledged: self.ledger.acknowledged(),
            received: self.deframer.processed(),
            congestions: self.congestions,
            srtt: self.rtt.smoothed(),
            min_rtt: self.rtt.min(),
            rate: self.rate.estimate(),
            doubted: self.doubted,
        }
    }
}

/// Bytes that `rate` bytes per second make in `time`.
fn over(rate: u64, time: Duration) -> u64 {
    rate.saturating_mul(time.as_micros() as u64) / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000;
    const LIMIT: Duration = Duration::from_secs(4);

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    fn stripe() -> Stripe {
        Stripe::new(StripeId(7), Instant::ZERO)
    }

    /// A stripe that was measured at so many bytes per second.
    fn of_rate(rate: u64) -> Stripe {
        let mut stripe = stripe();
        let mark = stripe.rate.mark(Some(0), Instant::ZERO);
        stripe.rate.acknowledged(rate, Some(mark), true, at(SECOND));
        assert_eq!(stripe.rate.estimate(), Some(rate));
        stripe
    }

    /// Something that asks for an acknowledgement, or not.
    fn put(stripe: &mut Stripe, len: usize, eliciting: bool, micros: u64) {
        stripe.put(len, Token::Local, eliciting, at(micros));
    }

    /// All that was put on it is acknowledged.
    fn acknowledge(stripe: &mut Stripe, micros: u64) {
        stripe.ledger.advance(stripe.sent);
        let mut latest = None;
        while let Some(entry) = stripe.ledger.pop() {
            latest = Some((entry.at, entry.mark));
        }
        stripe.measure(latest, at(micros));
    }

    #[test]
    fn allowance_and_chunk_are_a_stripes_time_within_bounds() {
        let sizes = |stripe: Stripe| (stripe.allowance(), stripe.chunk());
        assert_eq!(sizes(stripe()), (16 << 10, 8 << 10));
        assert_eq!(sizes(of_rate(100_000)), (16 << 10, 4 << 10));
        assert_eq!(sizes(of_rate(4_000_000)), (40_000, 32_000));
        assert_eq!(sizes(of_rate(1_000_000_000)), (512 << 10, 64 << 10));
    }

    #[test]
    fn data_goes_on_a_stripe_with_nothing_unwritten_or_within_the_allowance() {
        let mut stripe = stripe();
        assert!(stripe.takes_data(1 << 20), "or the largest piece would never go");
        put(&mut stripe, 100, true, 0);
        assert!(stripe.takes_data((16 << 10) - 100) && !stripe.takes_data((16 << 10) - 99));
        stripe.written = 40;
        assert_eq!(stripe.unwritten(), 60);
        assert!(stripe.takes_data((16 << 10) - 60) && !stripe.takes_data((16 << 10) - 59));
        stripe.written = 100;
        assert!(stripe.takes_data(1 << 20));
    }

    #[test]
    fn control_has_a_reserve_of_its_own() {
        let mut stripe = stripe();
        put(&mut stripe, (32 << 10) - 1, true, 0);
        assert!(stripe.takes_control());
        put(&mut stripe, 1, true, 0);
        assert!(!stripe.takes_control());
    }

    #[test]
    fn what_asks_for_nothing_counts_as_in_flight_only_behind_what_does() {
        let mut stripe = stripe();
        put(&mut stripe, 100, false, 0);
        assert_eq!((stripe.in_flight(), stripe.doubt_at()), (0, None));
        put(&mut stripe, 50, true, 0);
        assert_eq!(stripe.in_flight(), 50);
        put(&mut stripe, 30, false, 0);
        put(&mut stripe, 20, true, 0);
        assert_eq!(stripe.in_flight(), 100);
        stripe.ledger.advance(120);
        assert_eq!(stripe.in_flight(), 80);
        acknowledge(&mut stripe, 1);
        assert_eq!((stripe.in_flight(), stripe.sent), (0, 200));
    }

    #[test]
    fn patience_begins_with_the_first_thing_that_asks_for_an_acknowledgement() {
        let mut stripe = stripe();
        put(&mut stripe, 10, false, SECOND);
        put(&mut stripe, 10, true, 2 * SECOND);
        put(&mut stripe, 10, true, 3 * SECOND);
        assert_eq!(stripe.doubt_at(), Some(at(2 * SECOND) + stripe.rtt.patience()));
    }

    #[test]
    fn a_stripe_is_given_up_after_the_limit_or_later_while_it_is_heard() {
        let mut stripe = stripe();
        stripe.progress = at(10 * SECOND);
        for (heard, expected) in [(0, 14), (13, 14), (20, 21), (24, 25), (30, 26), (1000, 26)] {
            stripe.heard = at(heard * SECOND);
            assert_eq!(stripe.stall_at(LIMIT), at(expected * SECOND), "heard at {heard} s");
        }
        stripe.heard = at(0);
        assert_eq!(stripe.stall_at(Duration::ZERO), at(12 * SECOND), "not before twice the patience");
    }

    #[test]
    fn time_slept_moves_the_deadlines_but_not_into_the_future() {
        let mut stripe = stripe();
        (stripe.progress, stripe.heard) = (at(10), at(8));
        stripe.excuse(Duration::from_micros(3), at(12));
        assert_eq!((stripe.progress, stripe.heard), (at(12), at(11)));
        stripe.heard = at(12);
        stripe.excuse(Duration::from_micros(3), at(13));
        assert_eq!((stripe.progress, stripe.heard), (at(13), at(13)));
    }

    #[test]
    fn what_was_sent_before_a_sleep_is_no_measure_and_what_was_sent_after_it_is() {
        let mut stripe = stripe();
        put(&mut stripe, 10, true, 10);
        stripe.excuse(Duration::from_secs(9), at(20));
        acknowledge(&mut stripe, 30);
        assert_eq!((stripe.rtt.smoothed(), stripe.progress), (None, at(30)));
        put(&mut stripe, 10, true, 40);
        stripe.excuse(Duration::from_secs(9), at(40));
        acknowledge(&mut stripe, 45);
        assert_eq!(stripe.rtt.smoothed(), Some(Duration::from_micros(5)));
    }

    #[test]
    fn an_acknowledgement_ends_doubt() {
        let mut stripe = stripe();
        stripe.doubted = true;
        stripe.measure(None, at(9));
        assert_eq!((stripe.doubted, stripe.progress, stripe.rtt.smoothed()), (false, at(9), None));
    }

    #[test]
    fn only_an_acknowledgement_that_met_a_queue_measures_a_stripe_with_too_little_to_send() {
        // The shortest took 20 ms; half of that more and 10 ms may still be the timer.
        for (took, measured) in [(40_000, false), (40_001, true)] {
            let mut stripe = stripe();
            stripe.rate.app_limited(1 << 30);
            put(&mut stripe, 10_000, true, 0);
            acknowledge(&mut stripe, 20_000);
            assert_eq!(stripe.rate.estimate(), None);
            put(&mut stripe, 10_000, true, SECOND);
            acknowledge(&mut stripe, SECOND + took);
            assert_eq!(stripe.rate.estimate().is_some(), measured, "{took} us");
        }
    }

    #[test]
    fn stats_say_what_was_counted() {
        let mut stripe = of_rate(4_000_000);
        put(&mut stripe, 100, true, 5);
        stripe.rtt.sample(Duration::from_millis(4), at(5));
        stripe.rtt.sample(Duration::from_millis(12), at(5));
        stripe.ledger.advance(60);
        (stripe.written, stripe.congestions, stripe.doubted) = (80, 3, true);
        let expected = StripeStats {
            stripe: StripeId(7),
            sent: 100,
            written: 80,
            acknowledged: 60,
            received: 0,
            congestions: 3,
            srtt: Some(Duration::from_millis(5)),
            min_rtt: Some(Duration::from_millis(4)),
            rate: Some(4_000_000),
            doubted: true,
        };
        assert_eq!(stripe.stats(), expected);
    }
}
