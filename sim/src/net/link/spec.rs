//! What a direction of a route is like: numbers that stay while packets go through, and that a
//! fault may replace.

use super::MSS;
use crate::base::rate::Rate;
use crate::base::units::micros;
use std::time::Duration;

/// What a direction of a route is like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkSpec {
    /// Rate of the bottleneck, of TCP payload.
    pub rate: Rate,
    /// From each time (microseconds of virtual time, ascending) on the bottleneck has this rate
    /// instead, which is not zero; what it has queued by then leaves at that too.
    pub rates: Vec<(u64, Rate)>,
    /// One-way delay without queueing.
    pub delay: Duration,
    /// Loss probability of a packet in millionths, beside what overflows the queue.
    pub loss: u32,
    /// What the bottleneck's queue takes, in bytes.
    pub queue: u64,
    /// What the operating system holds of unacknowledged and unsent bytes at most.
    pub send_buffer: u64,
    /// Initial congestion window in bytes.
    pub window: u64,
    /// Whether writes are taken in random parts and reads are merged and cut at random places.
    pub choppy: bool,
    /// A packet is late by up to so much at random; order is kept.
    pub jitter: Duration,
    /// Reads come byte by byte at first: every boundary of the head of what has arrived is a cut.
    pub bytewise: bool,
    /// Reads wait up to so long for more and give all that has come in one piece.
    pub coalesce: Duration,
    /// The low-water mark stays at this whatever the session says, as on systems that have none.
    pub low_water: Option<u64>,
}

impl LinkSpec {
    /// Both directions of a route, each as [`LinkSpec::new`].
    pub fn both_ways(rate: Rate, delay: Duration) -> [LinkSpec; 2] {
        [LinkSpec::new(rate, delay), LinkSpec::new(rate, delay)]
    }

    /// How long a full queue takes to drain, in microseconds.
    pub fn queueing(&self) -> u64 {
        self.rate.micros_for(self.queue)
    }

    /// One-way delay without queueing, in microseconds.
    pub fn delay_micros(&self) -> u64 {
        micros(self.delay)
    }

    /// A link with a queue of 100 ms, at least 8 packets, as in the lab's network emulator.
    pub fn new(rate: Rate, delay: Duration) -> Self {
        let queue = (rate.as_bits() / 80).max(8 * MSS);
        LinkSpec {
            rate,
            rates: Vec::new(),
            delay,
            loss: 0,
            queue,
            send_buffer: 4 << 20,
            window: 10 * MSS,
            choppy: false,
            jitter: Duration::ZERO,
            bytewise: false,
            coalesce: Duration::ZERO,
            low_water: None,
        }
    }
}
