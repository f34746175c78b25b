//! The properties of one direction of a route; a fault may replace them.

use super::MSS;
use crate::base::{Rate, micros};
use std::time::Duration;

/// The bytes that one buffer of Linux holds: a segment of 64 KiB less headers, in whole packets.
pub(super) const BATCH: u64 = 44 * MSS;

/// The congestion control of a connection, as it is called in Linux.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Control {
    Cubic,
    Bbr,
}

impl Control {
    pub const ALL: [Control; 2] = [Control::Cubic, Control::Bbr];

    pub fn name(self) -> &'static str {
        match self {
            Control::Cubic => "cubic",
            Control::Bbr => "bbr",
        }
    }

    pub fn named(name: &str) -> Option<Control> {
        Control::ALL.into_iter().find(|control| control.name() == name)
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkSpec {
    /// Rate of the bottleneck, of TCP payload.
    pub rate: Rate,
    /// From each time (microseconds of virtual time, ascending) on the bottleneck has this rate
    /// instead, which is not zero. Packets in its queue at that time leave at this rate too.
    pub rates: Vec<(u64, Rate)>,
    pub delay: Duration,
    /// Loss probability of a packet in millionths, beside the losses of a full queue.
    pub loss: u32,
    /// The mean number of packets that are lost in a row (Gilbert and Elliott); below 2 each packet
    /// is lost for itself.
    pub loss_run: u32,
    /// The bytes that may wait before a packet that is let in.
    pub queue: u64,
    /// The queue holds less while the rate is lower, but so many bytes at least. Without this
    /// number it always holds the same.
    pub least_queue: Option<u64>,
    /// A policer in place of the queue: a bucket of so many bytes fills at the rate. A packet for
    /// which it does not suffice is dropped.
    pub policer: Option<u64>,
    pub congestion: Control,
    /// Whether what is written travels in TLS records, which are read whole or not at all.
    pub keyed: bool,
    /// The most unacknowledged and unsent bytes that the operating system holds.
    pub send_buffer: u64,
    pub window: u64,
    /// Whether writes are taken in random parts and reads are merged and cut at random places.
    pub choppy: bool,
    /// A packet is late by up to so much at random; order is kept.
    pub jitter: Duration,
    /// Reads come byte by byte at first: every boundary in the head of the bytes is a cut.
    pub bytewise: bool,
    /// Reads wait up to so long for more and give everything in one piece.
    pub coalesce: Duration,
    /// The bytes of a buffer that the system fills without a look at the low-water mark; not zero.
    pub batch: u64,
    /// The low-water mark stays at this whatever the session says, as on systems that have none.
    pub low_water: Option<u64>,
}

impl LinkSpec {
    pub fn both_ways(rate: Rate, delay: Duration) -> [LinkSpec; 2] {
        [LinkSpec::new(rate, delay), LinkSpec::new(rate, delay)]
    }

    /// The time in microseconds that a full queue takes to drain.
    pub fn queueing(&self) -> u64 {
        if self.policer.is_some() { 0 } else { self.rate.micros_for(self.queue) }
    }

    pub fn delay_micros(&self) -> u64 {
        micros(self.delay)
    }

    /// A round trip of two such links with a full queue, in microseconds.
    pub fn round_trip(&self) -> u64 {
        2 * micros(self.delay + self.jitter) + self.queueing() + 1_000
    }

    /// The rate of TCP with random losses: about MSS / (RTT · √p) (Mathis et al., 1997).
    pub fn lossy_rate(&self) -> Rate {
        if self.loss == 0 {
            return self.rate;
        }
        let root = u64::from(self.loss).isqrt().max(1);
        self.rate.min(Rate::bits(MSS * 8 * 1_000_000 / self.round_trip() * 1_000 / root))
    }

    /// A link with a queue of 100 ms, at least 8 packets, as in the lab's network emulator.
    pub fn new(rate: Rate, delay: Duration) -> Self {
        LinkSpec {
            rate,
            rates: Vec::new(),
            least_queue: None,
            delay,
            loss: 0,
            loss_run: 1,
            policer: None,
            congestion: Control::Cubic,
            keyed: false,
            queue: (rate.as_bits() / 80).max(8 * MSS),
            send_buffer: 4 << 20,
            window: 10 * MSS,
            choppy: false,
            jitter: Duration::ZERO,
            bytewise: false,
            coalesce: Duration::ZERO,
            batch: BATCH,
            low_water: None,
        }
    }
}
