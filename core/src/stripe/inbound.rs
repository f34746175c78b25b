//! The incoming bytes of one stripe: their framing, and how many are acknowledged.

use super::acker::Acker;
use crate::time::Instant;
use crate::wire::deframer::Deframer;
use core::hash::{Hash, Hasher};
use core::time::Duration;

#[derive(Clone, Debug)]
pub(crate) struct Inbound {
    deframer: Deframer,
    acker: Acker,
    /// The length of the head of the DATA frame that is coming in, as long as nothing of it was
    /// new.
    idle_head: u64,
    heard: Instant,
}

impl Inbound {
    pub(crate) fn new(now: Instant) -> Self {
        Inbound { deframer: Deframer::new(), acker: Acker::default(), idle_head: 0, heard: now }
    }

    /// Bytes have come in: the deframer, taken out while what it finds changes everything else, the
    /// stripe included.
    pub(crate) fn begin(&mut self, now: Instant) -> Deframer {
        self.heard = now;
        core::mem::take(&mut self.deframer)
    }

    /// All incoming bytes have been processed.
    pub(crate) fn end(&mut self, deframer: Deframer, now: Instant) {
        self.acker.processed(deframer.processed(), false, now);
        self.deframer = deframer;
    }

    pub(crate) fn received(&self) -> u64 {
        self.deframer.processed()
    }

    pub(crate) fn acker(&self) -> &Acker {
        &self.acker
    }

    pub(crate) fn acker_mut(&mut self) -> &mut Acker {
        &mut self.acker
    }

    /// The head of a DATA frame has come, of which nothing is new so far. Gives the length of the
    /// one before it if that has brought nothing.
    pub(crate) fn replace_idle_head(&mut self, head: u64) -> u64 {
        core::mem::replace(&mut self.idle_head, head)
    }

    pub(crate) fn heard(&self) -> Instant {
        self.heard
    }

    /// Time that we have slept is not held against the stripe.
    pub(crate) fn excuse(&mut self, slept: Duration, now: Instant) {
        self.heard = (self.heard + slept).min(now);
    }
}

/// See [`crate::Session::fingerprint`].
impl Hash for Inbound {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        self.deframer.hash(hasher);
        self.acker.hash(hasher);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::Frame;

    #[test]
    fn processed_bytes_are_counted_and_their_time_kept() {
        let mut inbound = Inbound::new(Instant::ZERO);
        let now = Instant::from_micros(5);
        let mut deframer = inbound.begin(now);
        let mut bytes = Frame::Ping { nonce: 1 }.encode(0);
        let len = bytes.len() as u64;
        deframer.next(&mut bytes).unwrap();
        inbound.end(deframer, now);
        assert_eq!((inbound.received(), inbound.acker().count()), (len, len));
        assert_eq!(inbound.heard(), now);
        inbound.excuse(Duration::from_micros(9), Instant::from_micros(7));
        assert_eq!(inbound.heard(), Instant::from_micros(7), "never later than now");
    }
}
