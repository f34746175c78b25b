//! The acknowledgements of a receiver that delays them as Linux does: the first 16 packets one by
//! one, and then every second full one. A small packet, or one out of order, is not waited with.
//!
//! Invariant: a packet is acknowledged at the latest after [`DELAY`].

/// The longest delay of an acknowledgement in microseconds (Linux's `TCP_DELACK_MIN`).
pub(super) const DELAY: u64 = 40_000;
/// Packets that are acknowledged one by one (Linux's `TCP_MAX_QUICKACKS`).
const QUICK: u32 = 16;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// At once, with the one that waited.
    Now(Option<u64>),
    Later,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Acks {
    arrived: u32,
    waiting: Option<u64>,
}

impl Acks {
    /// Transmission `tx` arrives; `may_wait` says that it is a full packet in order.
    pub fn arrive(&mut self, tx: u64, may_wait: bool) -> Answer {
        self.arrived = self.arrived.saturating_add(1);
        if may_wait && self.arrived > QUICK && self.waiting.is_none() {
            self.waiting = Some(tx);
            return Answer::Later;
        }
        Answer::Now(self.waiting.take())
    }

    /// Whether transmission `tx` still waits. It is acknowledged now.
    pub fn is_due(&mut self, tx: u64) -> bool {
        let due = self.waiting == Some(tx);
        if due {
            self.waiting = None;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_full_packet_is_acknowledged_after_the_first_ones() {
        let mut acks = Acks::default();
        for tx in 0..16 {
            assert_eq!(acks.arrive(tx, true), Answer::Now(None));
        }
        assert_eq!(
            (acks.arrive(16, true), acks.arrive(17, true)),
            (Answer::Later, Answer::Now(Some(16)))
        );
        assert_eq!(
            (acks.arrive(18, true), acks.arrive(19, false)),
            (Answer::Later, Answer::Now(Some(18)))
        );
        assert_eq!(
            (acks.arrive(20, false), acks.arrive(21, true)),
            (Answer::Now(None), Answer::Later)
        );
        assert_eq!((acks.is_due(20), acks.is_due(21), acks.is_due(21)), (false, true, false));
    }
}
