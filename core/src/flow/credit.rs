//! The receiver's side of one direction's flow control.
//!
//! Credit is a cumulative offset. The window is how far credit runs ahead of consumption. A sender
//! must never wait for it while the local consumer keeps up, also when several stripes stall for
//! some round trips. So the window doubles while half of it lasts for less time than that. It also
//! doubles when the sender says that it has used up all of its credit: much may wait out of order.

use crate::config::FLOW_FLOOR;
use crate::time::Instant;
use core::time::Duration;

/// Half of a window should last for so many round trips, and for so long at least. The time covers
/// a stripe that stalls until its bytes have come on another stripe: the detection, about two round
/// trips and 50 ms, and one more round trip. A window of twice that is not used up meanwhile.
const LASTS: u32 = 4;
const LASTS_AT_LEAST: Duration = Duration::from_millis(200);

/// Without being asked the window grows only to this share of the bytes that are left for all
/// flows. Each later doubling costs a round trip, in which the sender waits. So the share leaves
/// others their part, but is more than a long fast route keeps in flight: 12 MB at 300 ms and
/// 320 Mbit/s.
const SHARE: u64 = 2;

#[derive(Clone, Hash, Debug)]
pub(crate) struct Credit {
    /// Announced; never goes back.
    granted: u64,
    /// Taken by the local consumer.
    consumed: u64,
    /// How far `granted` should run ahead of `consumed`.
    window: u64,
    /// The highest offset at which the sender has said that its credit was used up.
    blocked: u64,
    /// The credit that was granted when the window last grew.
    grown_at: u64,
    /// When credit was last announced; not yet since the flow began.
    announced_at: Option<Instant>,
}

/// The conditions on which the growth of a window depends beside consumption.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Measure {
    pub now: Instant,
    /// The longest round trip of the stripes.
    pub rtt: Duration,
    /// Bytes that are left for the credit of all flows.
    pub pool: u64,
    /// The largest window in bytes.
    pub limit: u64,
}

impl Credit {
    pub(crate) fn new(granted: u64) -> Self {
        let window = granted.max(FLOW_FLOOR);
        Credit { granted, consumed: 0, window, blocked: 0, grown_at: 0, announced_at: None }
    }

    pub(crate) fn granted(&self) -> u64 {
        self.granted
    }

    pub(crate) fn grant(&mut self, limit: u64) {
        self.granted = self.granted.max(limit);
    }

    pub(crate) fn consumed(&self) -> u64 {
        self.consumed
    }

    pub(crate) fn outstanding(&self) -> u64 {
        self.granted - self.consumed
    }

    pub(crate) fn consume(&mut self, total: u64) {
        self.consumed = self.consumed.max(total);
    }

    pub(crate) fn blocked_at(&mut self, limit: u64) {
        self.blocked = self.blocked.max(limit.min(self.granted));
    }

    /// The credit to announce now, if any: up to the window ahead of consumption, but beyond the
    /// floor only as far as the pool allows. `delivered` is what the local consumer could have
    /// taken.
    pub(crate) fn advance(&mut self, delivered: u64, by: Measure) -> Option<u64> {
        let Measure { now, rtt, pool, limit } = by;
        let used_up = self.blocked > self.grown_at;
        let quarter = (rtt * LASTS).max(LASTS_AT_LEAST) / 2;
        let short = self.outstanding() <= self.window * 3 / 4
            && self.announced_at.is_none_or(|at| now.since(at) < quarter)
            && self.window < pool / SHARE;
        if self.consumed == delivered && (used_up || short) {
            self.window = (self.window * 2).min(limit.max(FLOW_FLOOR));
            self.grown_at = self.granted;
        }
        if self.outstanding() > self.window / 2 {
            return None;
        }
        let floor = self.consumed + FLOW_FLOOR;
        let allowed = (self.consumed + self.window).min(self.granted.max(floor) + pool);
        if allowed < self.granted + FLOW_FLOOR / 2 {
            return None;
        }
        self.granted = allowed;
        self.announced_at = Some(now);
        Some(allowed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    const KIB: u64 = 1 << 10;
    const PLENTY: u64 = 1 << 40;
    /// So late that no window grows because it lasts for too short a time.
    const LATE: u64 = 1 << 40;

    /// At so many milliseconds, with round trips of 40 ms.
    fn at(millis: u64, pool: u64, limit: u64) -> Measure {
        let now = Instant::from_micros(millis * 1000);
        Measure { now, rtt: Duration::from_millis(40), pool, limit }
    }

    /// As after an announcement a long time ago.
    fn old(granted: u64) -> Credit {
        Credit { announced_at: Some(Instant::ZERO), ..Credit::new(granted) }
    }

    quickcheck! {
        fn credit_never_goes_back_and_takes_no_more_than_window_and_pool_allow(
            limit: u32, steps: Vec<(bool, u32, u32, u16)>
        ) -> bool {
            let limit = u64::from(limit) % (16 << 20);
            let mut credit = Credit::new(256 * KIB);
            let mut now = 0;
            for (blocked, consumed, pool, passed) in steps {
                now += u64::from(passed);
                let pool = u64::from(pool) % (1 << 20);
                if blocked {
                    credit.blocked_at(credit.granted());
                }
                let more = u64::from(consumed) % (credit.outstanding() + 1);
                credit.consume(credit.consumed() + more);
                let charge = |credit: &Credit| credit.outstanding().saturating_sub(FLOW_FLOOR);
                let (granted, charged) = (credit.granted(), charge(&credit));
                let advanced = credit.advance(credit.consumed(), at(now, pool, limit));
                assert_eq!(advanced.unwrap_or(granted), credit.granted());
                assert!(advanced.is_none_or(|to| to > granted));
                assert!(charge(&credit) <= charged + pool);
                assert!(credit.outstanding() <= limit.max(256 * KIB));
                assert!(credit.outstanding() >= FLOW_FLOOR / 2, "a sender is never left without");
            }
            true
        }
    }

    fn drain(credit: &mut Credit, limit: u64) -> u64 {
        credit.consume(credit.granted());
        credit.advance(credit.consumed(), at(LATE, PLENTY, limit));
        credit.announced_at = Some(Instant::ZERO);
        credit.outstanding()
    }

    #[test]
    fn a_window_that_the_sender_uses_up_doubles_up_to_its_limit() {
        let mut credit = old(1024 * KIB);
        for window in [2048, 4096, 6000, 6000] {
            credit.blocked_at(credit.granted());
            assert_eq!(drain(&mut credit, 6000 * KIB), window * KIB);
        }
    }

    #[test]
    fn a_window_doubles_once_for_one_offset_and_not_without_a_claim() {
        const WIDE: u64 = 1024 * KIB;
        for (claim, claims, window) in [(0, 0, WIDE), (WIDE, 5, 2 * WIDE), (u64::MAX, 1, 2 * WIDE)]
        {
            let mut credit = old(WIDE);
            for time in 0..5 {
                if time < claims {
                    credit.blocked_at(claim);
                }
                assert_eq!(drain(&mut credit, PLENTY), window, "{claims} claims of {claim}");
            }
        }
    }

    #[test]
    fn a_window_half_of_which_lasts_for_less_than_some_round_trips_doubles() {
        for (consumed, millis, rtt, window) in [
            (64 * KIB - 1, 0, 40, None),
            (64 * KIB, 99, 40, Some(512)),
            (64 * KIB, 100, 40, None),
            (128 * KIB, 100, 40, Some(256)),
            (64 * KIB, 199, 100, Some(512)),
            (64 * KIB, 200, 100, None),
        ] {
            let mut credit = old(256 * KIB);
            credit.consume(consumed);
            let by = Measure { rtt: Duration::from_millis(rtt), ..at(millis, PLENTY, PLENTY) };
            let announced = credit.advance(consumed, by);
            assert_eq!(announced, window.map(|window| consumed + window * KIB), "{millis} ms");
        }
    }

    #[test]
    fn the_first_quarter_of_a_flow_doubles_its_window() {
        let mut credit = Credit::new(256 * KIB);
        credit.consume(64 * KIB);
        let announced = credit.advance(64 * KIB, at(LATE, PLENTY, PLENTY));
        assert_eq!(announced, Some((64 + 512) * KIB));
    }

    #[test]
    fn a_window_grows_unasked_to_a_share_for_a_fast_consumer() {
        for (pool, delivered, grows) in [
            (256 * KIB * SHARE + SHARE, 128 * KIB, true),
            (256 * KIB * SHARE, 128 * KIB, false),
            (PLENTY, 128 * KIB + 1, false),
        ] {
            let mut credit = Credit::new(256 * KIB);
            credit.consume(128 * KIB);
            let window = if grows { 512 } else { 256 };
            let announced = credit.advance(delivered, at(0, pool, PLENTY));
            assert_eq!(announced, Some((128 + window) * KIB));
        }
    }

    #[test]
    fn a_slow_consumer_lets_no_window_grow() {
        let mut credit = Credit::new(256 * KIB);
        credit.blocked_at(256 * KIB);
        credit.consume(200 * KIB);
        assert_eq!(credit.advance(256 * KIB, at(0, PLENTY, PLENTY)), Some(456 * KIB));
    }

    #[test]
    fn nothing_is_said_before_half_of_the_window_is_consumed() {
        let mut credit = old(1024 * KIB);
        for (consumed, announced) in [(512 * KIB - 1, None), (512 * KIB, Some(1536 * KIB))] {
            credit.consume(consumed);
            assert_eq!(credit.advance(consumed, at(LATE, PLENTY, PLENTY)), announced);
        }
    }

    #[test]
    fn without_a_pool_a_flow_moves_on_its_floor() {
        let mut credit = Credit::new(FLOW_FLOOR);
        for _ in 0..100 {
            credit.consume(credit.granted());
            let floor = credit.consumed() + FLOW_FLOOR;
            assert_eq!(credit.advance(credit.consumed(), at(LATE, 0, PLENTY)), Some(floor));
        }
    }

    #[test]
    fn counts_of_consumption_and_grants_never_go_back() {
        let mut credit = Credit::new(100);
        [50, 20].into_iter().for_each(|total| credit.consume(total));
        [300, 200].into_iter().for_each(|limit| credit.grant(limit));
        assert_eq!((credit.consumed(), credit.granted(), credit.outstanding()), (50, 300, 250));
    }

    #[test]
    fn less_than_half_a_floor_is_not_worth_announcing() {
        for (pool, announced) in [(FLOW_FLOOR / 2 - 1, None), (FLOW_FLOOR / 2, Some(264 * KIB))] {
            let mut credit = Credit::new(256 * KIB);
            credit.consume(128 * KIB);
            assert_eq!(credit.advance(credit.consumed(), at(LATE, pool, PLENTY)), announced);
            assert_eq!(credit.granted(), announced.unwrap_or(256 * KIB));
        }
    }

    #[test]
    fn a_window_below_the_floor_is_the_floor() {
        let mut credit = Credit::new(100);
        credit.consume(100);
        // A pool so small that the window grows only when asked.
        assert_eq!(credit.advance(100, at(LATE, FLOW_FLOOR, PLENTY)), Some(100 + FLOW_FLOOR));
        credit.blocked_at(100 + FLOW_FLOOR);
        assert_eq!(drain(&mut credit, 0), FLOW_FLOOR, "nor does a limit take it below");
    }
}
