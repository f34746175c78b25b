//! How much a stripe of some rate is given at once. Each is a piece of the stripe's time.

use crate::config::{MAX_CHUNK, MIN_CHUNK};
use crate::rate::Rate;
use core::time::Duration;

/// Used while the rate of a stripe is unknown.
const UNKNOWN_ALLOWANCE: u64 = 8 << 10;
const UNKNOWN_CHUNK: usize = 8 << 10;
const ALLOWANCE: core::ops::RangeInclusive<u64> = (8 << 10)..=(512 << 10);
/// The allowance is this much of a stripe's time.
const ALLOWANCE_TIME: Duration = Duration::from_millis(5);
/// Unsent data in the operating system is this much of a stripe's time: late enough to choose well,
/// early enough never to run dry. Linux wakes a writer when half of it is left.
const UNSENT_TIME: Duration = Duration::from_millis(10);
/// The least of the same for a rate-based congestion control. It paces what it sends, and takes a
/// moment without anything to send for a slower program. After a loss it sends a quarter of a round
/// trip's bytes and more at once. Measured with BBR at 4 x 25 Mbit/s, RTT 200 ms, as a share of the
/// caps: 10 ms 0.89, 40 ms 0.915, 100 ms 0.915.
const BUSY_TIME: Duration = Duration::from_millis(20);
const CHUNK_TIME: Duration = Duration::from_millis(4);
/// Payload of a packet on an Ethernet path: 1,500 bytes less 52 of IPv4 and TCP headers with
/// timestamps.
pub(super) const PACKET: usize = 1448;
/// A usual head of a DATA frame.
pub(super) const HEAD: usize = 12;

pub(super) fn allowance(rate: Option<Rate>) -> u64 {
    bytes(rate, ALLOWANCE_TIME)
}

/// How much may be unsent in the operating system, in bytes. `srtt` is the round trip of a stripe
/// whose congestion control is rate-based.
pub(super) fn unsent(rate: Option<Rate>, srtt: Option<Duration>) -> u64 {
    bytes(rate, srtt.map_or(UNSENT_TIME, |srtt| (srtt / 4).max(BUSY_TIME)))
}

fn bytes(rate: Option<Rate>, time: Duration) -> u64 {
    let known = |rate: Rate| rate.bytes_in(time).clamp(*ALLOWANCE.start(), *ALLOWANCE.end());
    rate.map_or(UNKNOWN_ALLOWANCE, known)
}

/// The largest piece of data, in bytes; `overhead` is what the stripe's pipe adds to each send.
pub(super) fn chunk(rate: Option<Rate>, overhead: usize) -> usize {
    rate.map_or(UNKNOWN_CHUNK, |rate| {
        let packets = whole_packets(rate.bytes_in(CHUNK_TIME) as usize);
        packets.clamp(MIN_CHUNK, MAX_CHUNK) - overhead
    })
}

/// So many bytes, or less, that fill whole packets with the head of their frame.
fn whole_packets(len: usize) -> usize {
    (len / PACKET * PACKET).saturating_sub(HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_fills_whole_packets_with_its_head() {
        for (len, filled) in
            [(0, 0), (1447, 0), (1448, 1436), (2895, 1436), (2896, MIN_CHUNK), (14_480, 14_468)]
        {
            assert_eq!(whole_packets(len), filled, "{len}");
        }
    }
}
