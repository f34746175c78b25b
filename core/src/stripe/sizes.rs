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

/// A bound for what is in flight: so many of the shortest round trips and so many microseconds, at
/// the present rate, but at least so many bytes.
struct Clears {
    round_trips: u64,
    micros: u64,
    least: u64,
}

/// The rate of a stripe that dips falls at once, but its window only after some rounds. Until then
/// a stripe must not get bytes that arrive a second later than those on other stripes.
const CLEARS: Clears = Clears { round_trips: 2, micros: 200_000, least: 16 << 10 };
/// The present rate of a stripe that grows is that of two round trips ago. TCP has doubled its
/// window twice since. With two round trips here, 16 MB over 4 x 5 Mbit/s at RTT 300 ms took 10.6 s
/// in the simulator, with five 7.9 s, and connections without sessions 7.5 s.
const GROWING: Clears = Clears { round_trips: 5, micros: 100_000, least: 16 << 10 };
/// A stripe that has fallen below this part of its highest recent rate dips. Its queue may hold few
/// packets then, and losses in a dip keep TCP slow for seconds after it. A stripe that shares a
/// link with a stranger falls less and more slowly. With the smaller bound it would get next to
/// nothing.
const DIP: u64 = 4;
const DIPPING: Clears = Clears { round_trips: 2, micros: 100_000, least: 12 << 10 };

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

/// How many bytes may be in flight so that a stripe of this rate soon clears them. `highest` is its
/// highest recent rate, and `rtt` its shortest round trip in microseconds.
#[inline]
pub(super) fn clears_soon(rate: Rate, highest: Rate, rtt: u64, grows: bool) -> u64 {
    let dips = rate.as_bytes() < highest.as_bytes() / DIP;
    let clears = match (grows, dips) {
        (true, _) => GROWING,
        (false, true) => DIPPING,
        (false, false) => CLEARS,
    };
    let time = rtt.saturating_mul(clears.round_trips).saturating_add(clears.micros);
    rate.bytes_in_micros(time).max(clears.least)
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
    fn a_stripe_that_dips_keeps_to_less_and_one_that_grows_may_have_more() {
        let clears = |now: u64, highest: u64, grows: bool| {
            clears_soon(Rate::bytes(now), Rate::bytes(highest), 300_000, grows)
        };
        assert_eq!(clears(250_000, 1_000_000, false), 200_000);
        assert_eq!(clears(249_000, 1_000_000, false), 174_300);
        assert_eq!(clears(249_000, 1_000_000, true), 398_400);
        assert_eq!([false, true].map(|grows| clears(1000, 1000, grows)), [CLEARS.least; 2]);
        assert_eq!(clears(1000, 1_000_000, false), DIPPING.least);
    }

    #[test]
    fn a_piece_fills_whole_packets_with_its_head() {
        for (len, filled) in
            [(0, 0), (1447, 0), (1448, 1436), (2895, 1436), (2896, MIN_CHUNK), (14_480, 14_468)]
        {
            assert_eq!(whole_packets(len), filled, "{len}");
        }
    }
}
