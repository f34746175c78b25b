//! The receiver's side of one direction's flow control.
//!
//! Credit is a cumulative offset. The window is how far credit runs ahead of consumption. It
//! doubles when the sender says that it has used up all of it while the local consumer has kept up.
//! Then the window, and neither consumer nor path, is the limit. That holds for a long path as well
//! as for one whose stripes differ, where much waits out of order. A small window doubles without
//! being asked.

use crate::config::FLOW_FLOOR;

/// Up to this the window doubles without being asked, once a quarter of it is consumed. Otherwise a
/// transfer that begins would lose a round trip each time it had to ask. In bytes.
const EAGER: u64 = 1 << 20;

/// But only to this share of what is left for all flows.
const EAGER_SHARE: u64 = 16;

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
}

impl Credit {
    pub(crate) fn new(granted: u64) -> Self {
        Credit { granted, consumed: 0, window: granted.max(FLOW_FLOOR), blocked: 0, grown_at: 0 }
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
    /// floor only as far as `pool` bytes allow. `delivered` is what the local consumer could have
    /// taken, `limit` bounds the window.
    pub(crate) fn advance(&mut self, delivered: u64, pool: u64, limit: u64) -> Option<u64> {
        let used_up = self.blocked > self.grown_at;
        let eager = self.outstanding() <= self.window * 3 / 4
            && self.window < EAGER.min(pool / EAGER_SHARE);
        if self.consumed == delivered && (used_up || eager) {
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
    /// So much that no window grows by itself.
    const WIDE: u64 = EAGER;

    quickcheck! {
        fn credit_never_goes_back_and_takes_no_more_than_window_and_pool_allow(
            limit: u32, steps: Vec<(bool, u32, u32)>
        ) -> bool {
            let limit = u64::from(limit) % (16 << 20);
            let mut credit = Credit::new(256 * KIB);
            for (blocked, consumed, pool) in steps {
                let pool = u64::from(pool) % (1 << 20);
                if blocked {
                    credit.blocked_at(credit.granted());
                }
                let more = u64::from(consumed) % (credit.outstanding() + 1);
                credit.consume(credit.consumed() + more);
                let charge = |credit: &Credit| credit.outstanding().saturating_sub(FLOW_FLOOR);
                let (granted, charged) = (credit.granted(), charge(&credit));
                let advanced = credit.advance(credit.consumed(), pool, limit);
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
        credit.advance(credit.consumed(), PLENTY, limit);
        credit.outstanding()
    }

    #[test]
    fn a_window_that_the_sender_uses_up_doubles_up_to_its_limit() {
        let mut credit = Credit::new(WIDE);
        for window in [2048, 4096, 6000, 6000] {
            credit.blocked_at(credit.granted());
            assert_eq!(drain(&mut credit, 6000 * KIB), window * KIB);
        }
    }

    #[test]
    fn a_window_doubles_once_for_one_offset_and_not_without_a_claim() {
        for (claim, claims, window) in [(0, 0, WIDE), (WIDE, 5, 2 * WIDE), (u64::MAX, 1, 2 * WIDE)]
        {
            let mut credit = Credit::new(WIDE);
            for time in 0..5 {
                if time < claims {
                    credit.blocked_at(claim);
                }
                assert_eq!(drain(&mut credit, PLENTY), window, "{claims} claims of {claim}");
            }
        }
    }

    #[test]
    fn a_small_window_doubles_unasked_once_a_quarter_is_consumed() {
        let mut credit = Credit::new(256 * KIB);
        credit.consume(64 * KIB - 1);
        assert_eq!(credit.advance(credit.consumed(), PLENTY, PLENTY), None);
        credit.consume(64 * KIB);
        assert_eq!(credit.advance(credit.consumed(), PLENTY, PLENTY), Some((64 + 512) * KIB));
        for window in [1024, 1024, 1024] {
            assert_eq!(drain(&mut credit, PLENTY), window * KIB, "so far and no further");
        }
    }

    #[test]
    fn a_small_window_grows_unasked_to_a_share_for_a_fast_consumer() {
        for (pool, delivered, grows) in [
            (256 * KIB * EAGER_SHARE + EAGER_SHARE, 128 * KIB, true),
            (256 * KIB * EAGER_SHARE, 128 * KIB, false),
            (PLENTY, 128 * KIB + 1, false),
        ] {
            let mut credit = Credit::new(256 * KIB);
            credit.consume(128 * KIB);
            let window = if grows { 512 } else { 256 };
            assert_eq!(credit.advance(delivered, pool, PLENTY), Some((128 + window) * KIB));
        }
    }

    #[test]
    fn a_slow_consumer_lets_no_window_grow() {
        let mut credit = Credit::new(256 * KIB);
        credit.blocked_at(256 * KIB);
        credit.consume(200 * KIB);
        assert_eq!(credit.advance(256 * KIB, PLENTY, PLENTY), Some(456 * KIB));
    }

    #[test]
    fn nothing_is_said_before_half_of_the_window_is_consumed() {
        let mut credit = Credit::new(WIDE);
        credit.consume(WIDE / 2 - 1);
        assert_eq!(credit.advance(credit.consumed(), PLENTY, PLENTY), None);
        credit.consume(WIDE / 2);
        assert_eq!(credit.advance(credit.consumed(), PLENTY, PLENTY), Some(WIDE * 3 / 2));
    }

    #[test]
    fn without_a_pool_a_flow_moves_on_its_floor() {
        let mut credit = Credit::new(FLOW_FLOOR);
        for _ in 0..100 {
            credit.consume(credit.granted());
            let floor = credit.consumed() + FLOW_FLOOR;
            assert_eq!(credit.advance(credit.consumed(), 0, PLENTY), Some(floor));
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
            assert_eq!(credit.advance(credit.consumed(), pool, PLENTY), announced);
            assert_eq!(credit.granted(), announced.unwrap_or(256 * KIB));
        }
    }

    #[test]
    fn a_window_below_the_floor_is_the_floor() {
        let mut credit = Credit::new(100);
        credit.consume(100);
        // A pool so small that the window grows only when asked.
        assert_eq!(credit.advance(100, FLOW_FLOOR, PLENTY), Some(100 + FLOW_FLOOR));
        credit.blocked_at(100 + FLOW_FLOOR);
        assert_eq!(drain(&mut credit, 0), FLOW_FLOOR, "nor does a limit take it below");
    }
}
