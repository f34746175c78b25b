//! Statistics of a session.

use crate::id::StripeId;
use crate::rate::Rate;
use alloc::vec::Vec;
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
    /// Flow payload delivered to local consumers.
    pub payload_delivered: u64,
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
}
