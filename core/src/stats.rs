//! Statistics of a session.

use crate::id::{FlowId, StripeId};
use crate::rate::Rate;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;

/// A snapshot of a session. Byte counts are since the session began.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The live stripes, by number.
    pub stripes: Vec<StripeStats>,
    /// Flows that exist now.
    pub flows: usize,
    /// Flow payload handed to stripes for the first time.
    pub payload_sent: u64,
    /// Flow payload handed to a stripe again.
    pub payload_resent: u64,
    /// That of it which was sent again although the first copy may still arrive.
    pub payload_copied: u64,
    /// Flow payload delivered to local consumers.
    pub payload_delivered: u64,
    /// Flow payload that came again and was dropped.
    pub payload_duplicate: u64,
    /// Local data held until the peer acknowledges it, now.
    pub held: u64,
    /// Data held out of order, now.
    pub reordering: u64,
    /// The most data that was ever held out of order.
    pub reordering_peak: u64,
    /// Credit given to the peer and not used up by local consumption, beyond the floors, now.
    pub credit_outstanding: u64,
    /// Stripes that were lost so far.
    pub stripes_lost: u64,
    /// How often a stripe was in doubt.
    pub doubts: u64,
    /// The most of [`crate::Config::control_burst`] that the peer has ever used up.
    pub control_peak: u64,
}

/// A snapshot of one stripe.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct StripeStats {
    /// Its number.
    pub stripe: StripeId,
    /// Frame bytes given out for transmission.
    pub sent: u64,
    /// Frame bytes that the operating system has taken.
    pub written: u64,
    /// Frame bytes that the peer has acknowledged.
    pub acknowledged: u64,
    /// Frame bytes received and processed.
    pub received: u64,
    /// How often it became congested: data was there, but it took no more.
    pub congestions: u64,
    /// Smoothed time from hand-over to acknowledgement.
    pub srtt: Option<Duration>,
    /// Shortest such time.
    pub min_rtt: Option<Duration>,
    /// Estimated delivery rate.
    pub rate: Option<Rate>,
    /// How many bytes may be in flight, if that is bounded.
    pub window: Option<u64>,
    /// Acknowledgements are overdue; it gets no new data until one comes.
    pub doubted: bool,
    /// How often that was so.
    pub doubts: u64,
    /// The limit of its sending, now.
    pub limit: StripeLimit,
    /// The time for which each limit has held since it came up, to the latest input.
    pub limited: LimitTimes,
}

/// The thing that keeps a stripe from sending more.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum StripeLimit {
    /// No data waits: the local programs give no more.
    #[default]
    Application,
    /// Data has used up its credit: the programs of the peer take no more.
    Receiver,
    /// Data waits, and as much is in flight as our own bound allows.
    Window,
    /// Data waits, and the operating system takes no more, or the stripe is in doubt or too slow.
    Route,
}

impl StripeLimit {
    /// All of them.
    pub const ALL: [StripeLimit; 4] =
        [StripeLimit::Application, StripeLimit::Receiver, StripeLimit::Window, StripeLimit::Route];
}

impl fmt::Display for StripeLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            StripeLimit::Application => "application",
            StripeLimit::Receiver => "receiver",
            StripeLimit::Window => "window",
            StripeLimit::Route => "route",
        })
    }
}

/// For how long each limit has held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LimitTimes([Duration; StripeLimit::ALL.len()]);

impl LimitTimes {
    /// For how long this limit has held.
    pub fn by(&self, limit: StripeLimit) -> Duration {
        self.0[limit as usize]
    }

    /// Adds a time in which this limit has held.
    pub fn add(&mut self, limit: StripeLimit, time: Duration) {
        self.0[limit as usize] += time;
    }

    /// The limit that has held for the longest since earlier times of the same stripe; none if no
    /// time has passed.
    pub fn longest_since(&self, earlier: &LimitTimes) -> Option<StripeLimit> {
        let since = |limit: &StripeLimit| self.by(*limit).saturating_sub(earlier.by(*limit));
        StripeLimit::ALL.into_iter().max_by_key(since).filter(|limit| !since(limit).is_zero())
    }
}

/// A snapshot of one flow. Byte counts are since it began.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct FlowStats {
    /// Its number.
    pub flow: FlowId,
    /// Data from the local program.
    pub written: u64,
    /// The part of it that the peer has not acknowledged.
    pub held: u64,
    /// How much more data may be sent before the peer gives more credit.
    pub credit: u64,
    /// Data from the peer that was given to the local program in order.
    pub delivered: u64,
    /// The part of it that the local program has not taken.
    pub waiting: u64,
    /// Data from the peer that waits for earlier data.
    pub reordering: u64,
    /// The thing that the direction to the peer waits for.
    pub sending: FlowWait,
    /// The thing that the direction from the peer waits for.
    pub receiving: FlowWait,
}

/// The thing that a direction of a flow waits for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum FlowWait {
    /// The target has not been reached yet.
    Target,
    /// The local program gives no more, or takes no more.
    Program,
    /// Data has used up its credit: the program of the peer takes no more.
    Credit,
    /// Other flows use the memory that this side has for data.
    Memory,
    /// Data waits for a stripe that takes it.
    Stripe,
    /// Data waits for earlier data.
    Order,
    /// The peer has to acknowledge data, or gives none.
    Peer,
    /// Nothing: the direction has ended.
    Finished,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_limit_is_that_since_the_earlier_times() {
        let mut times = LimitTimes::default();
        assert_eq!(times.longest_since(&times), None, "no time has passed");
        times.add(StripeLimit::Application, Duration::from_secs(9));
        let earlier = times;
        for (limit, millis) in
            [(StripeLimit::Receiver, 2), (StripeLimit::Route, 3), (StripeLimit::Window, 2)]
        {
            times.add(limit, Duration::from_millis(millis));
        }
        assert_eq!(times.longest_since(&earlier), Some(StripeLimit::Route));
        assert_eq!(times.longest_since(&LimitTimes::default()), Some(StripeLimit::Application));
        assert_eq!(StripeLimit::ALL.map(|limit| times.by(limit).as_millis()), [9000, 2, 2, 3]);
    }
}
