//! When the next packets may leave, if the congestion control has a pace: Linux's internal pacing
//! (`tcp_update_skb_after_send`).
//!
//! Invariant: a sender that was late catches up by at most half of the time between two batches.

/// The first packets of a connection leave at once (Linux, after `sch_fq`).
const UNPACED: u64 = 10;

#[derive(Clone, Debug, Default)]
pub(super) struct Pacer {
    /// In nanoseconds: at 1 Gbit/s whole microseconds would cost 3 % of the pace.
    next: u64,
    packets: u64,
    pub is_set: bool,
}

impl Pacer {
    /// The microseconds until the next packets may leave, rounded up.
    pub fn wait(&self, now: u64) -> u64 {
        self.next.div_ceil(1_000).saturating_sub(now)
    }

    /// So many packets with so many bytes have left, at a pace in bytes a second.
    pub fn sent(&mut self, now: u64, packets: u64, bytes: u64, pace: u64) {
        let start = self.next.max(now * 1_000);
        let late = start - self.next;
        self.next = start;
        self.packets += packets;
        if self.packets >= UNPACED {
            let time = bytes * 1_000_000_000 / pace.max(1);
            self.next += time - late.min(time / 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_after_the_first_ten_leave_at_the_pace() {
        let mut pacer = Pacer::default();
        pacer.sent(0, 9, 9_000, 1_000_000);
        assert_eq!(pacer.wait(0), 0);
        pacer.sent(0, 2, 2_000, 1_000_000);
        assert_eq!((pacer.wait(0), pacer.wait(500)), (2_000, 1_500));
    }

    #[test]
    fn a_late_sender_catches_up_by_half_of_a_batch() {
        let mut pacer = Pacer { next: 1_000_000, packets: 10, is_set: false };
        pacer.sent(1_300, 2, 2_000, 1_000_000);
        assert_eq!(pacer.wait(1_300), 1_700);
        pacer.sent(9_000, 2, 2_000, 1_000_000);
        assert_eq!(pacer.wait(9_000), 1_000);
    }
}
