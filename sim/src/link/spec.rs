//! What a direction of a route is like: numbers that stay while packets go through, and that a
//! fault may replace.

use super::MSS;

/// What a direction of a route is like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkSpec {
    /// Rate of the bottleneck in bit/s of TCP payload.
    pub rate: u64,
    /// From each time (microseconds of virtual time, ascending) on the bottleneck has this rate
    /// instead, in bit/s and not zero; what it has queued by then leaves at that too.
    pub rates: Vec<(u64, u64)>,
    /// One-way delay in microseconds, without queueing.
    pub delay: u64,
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
    /// A packet is late by up to so many microseconds at random; order is kept.
    pub jitter: u64,
    /// Reads come byte by byte at first: every boundary of the head of what has arrived is a cut.
    pub bytewise: bool,
    /// Reads wait up to so many microseconds for more and give all that has come in one piece.
    pub coalesce: u64,
    /// The low-water mark stays at this whatever the session says, as on systems that have none.
    pub low_water: Option<u64>,
}

impl LinkSpec {
    /// A link with a queue of 100 ms, at least 8 packets, as in the lab's network emulator.
    pub fn new(rate: u64, delay: u64) -> Self {
        let queue = (rate / 80).max(8 * MSS);
        LinkSpec {
            rate,
            rates: Vec::new(),
            delay,
            loss: 0,
            queue,
            send_buffer: 4 << 20,
            window: 10 * MSS,
            choppy: false,
            jitter: 0,
            bytewise: false,
            coalesce: 0,
            low_water: None,
        }
    }
}
