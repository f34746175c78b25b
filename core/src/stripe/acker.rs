//! When to acknowledge what a stripe has brought.

use crate::time::Instant;
use core::hash::{Hash, Hasher};
use core::time::Duration;

/// So many bytes are acknowledged at once, whatever they are.
const BYTES: u64 = 32 << 10;

/// Less is acknowledged after this time, if it asks for it. Short beside a round trip and the time
/// of a chunk, long beside a burst.
pub(crate) const DELAY: Duration = Duration::from_millis(2);

/// Acknowledgements that one stripe's peer is owed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Acker {
    processed: u64,
    /// Stripe bytes covered by an acknowledgement.
    told: u64,
    /// When the oldest byte that asks for an acknowledgement and has none came in.
    asked: Option<Instant>,
}

impl Acker {
    /// The stream has been processed up to here; `eliciting` if something in it asks for an
    /// acknowledgement.
    pub(crate) fn processed(&mut self, count: u64, eliciting: bool, now: Instant) {
        self.processed = count;
        if eliciting {
            self.asked.get_or_insert(now);
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.processed
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.asked.map(|since| since + DELAY)
    }

    /// Whether so much has come that it is acknowledged at once.
    pub(crate) fn is_full(&self) -> bool {
        self.processed - self.told >= BYTES
    }

    pub(crate) fn told(&mut self) {
        self.told = self.processed;
        self.asked = None;
    }
}

/// The acknowledgement that it owes, without the times. See [`crate::Session::fingerprint`].
impl Hash for Acker {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        (self.processed, self.told, self.asked.is_some()).hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(micros: u64) -> Instant {
        Instant::from_micros(micros)
    }

    #[test]
    fn bytes_that_ask_for_it_are_acknowledged_after_the_delay() {
        let mut acker = Acker::default();
        acker.processed(100, true, at(1000));
        acker.processed(200, true, at(4000));
        assert_eq!(acker.deadline(), Some(at(1000) + DELAY), "the oldest counts");
        assert!(!acker.is_full());
    }

    #[test]
    fn bytes_that_do_not_ask_are_acknowledged_with_many_others() {
        let mut acker = Acker::default();
        acker.processed(BYTES - 1, false, at(0));
        assert_eq!((acker.deadline(), acker.is_full()), (None, false));
        acker.processed(BYTES, false, at(0));
        assert!(acker.is_full());
    }

    #[test]
    fn an_acknowledgement_covers_everything_so_far() {
        let mut acker = Acker::default();
        acker.processed(BYTES, true, at(0));
        acker.told();
        assert_eq!((acker.deadline(), acker.is_full()), (None, false));
        acker.processed(BYTES + 1, true, at(9));
        assert_eq!((acker.count(), acker.deadline()), (BYTES + 1, Some(at(9) + DELAY)));
    }
}
