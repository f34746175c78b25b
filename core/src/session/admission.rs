//! Bounds the control that a peer may send beside its data.
//!
//! The peer's bytes are payload or control: heads, frames without payload, frames that are skipped.
//! Control is paid for out of an allowance, which begins as [`crate::Config::control_burst`]. Time,
//! payload in either direction and flows fill it up again. The head of a DATA frame that brings
//! something new costs nothing; if it brings nothing new, it is control. So no honest program comes
//! near the limit however it writes, and a peer that makes us work for nothing ends its session.
//!
//! Invariant: what is counted does not depend on how a stripe's bytes were cut.

use crate::bucket::Bucket;
use crate::config::{CONTROL_PER_FLOW, Config};
use crate::error::{Verdict, Violation};
use crate::time::Instant;
use crate::wire::deframer::Deframer;

/// The grounds on which control has been allowed, ever.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Grounds {
    /// Bytes of payload, in both directions, without what was received.
    pub payload_out: u64,
    /// Flows of both sides.
    pub flows: u64,
}

/// Bytes of a stripe, from its first on or from some point in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    bytes: u64,
    skipped: u64,
}

impl Span {
    /// The bytes that were read so far.
    pub(super) fn of(deframer: &Deframer) -> Span {
        Span { bytes: deframer.processed(), skipped: deframer.skipped() }
    }

    /// The bytes read since `before`, which moves on.
    pub(super) fn since(deframer: &Deframer, before: &mut Span) -> Span {
        let all = Span::of(deframer);
        let Span { bytes, skipped } = core::mem::replace(before, all);
        Span { bytes: all.bytes - bytes, skipped: all.skipped - skipped }
    }

    pub(super) fn bytes(self) -> u64 {
        self.bytes
    }

    /// Of bytes of which so many are payload: what is paid for at once, and the head of a DATA
    /// frame that stands behind it. Nothing if all is payload.
    pub(super) fn control(self, payload: u64) -> Option<(u64, u64)> {
        let head = self.bytes - payload - self.skipped;
        (self.bytes > payload).then_some((self.skipped, head))
    }
}

#[derive(Clone, Debug)]
pub(super) struct Admission {
    /// Bytes of control that the peer may send now.
    control: Bucket,
    payload_per_control: u64,
    allowed_for: (u64, u64),
    /// Bytes of payload that the peer has sent, ever.
    payload_received: u64,
    peak: u64,
}

impl Admission {
    pub(super) fn new(config: &Config, now: Instant) -> Self {
        Admission {
            control: Bucket::full(config.control_burst, config.control_per_second, now),
            payload_per_control: config.payload_per_control,
            allowed_for: (0, 0),
            payload_received: 0,
            peak: 0,
        }
    }

    pub(super) fn receive(&mut self, payload: u64) {
        self.payload_received += payload;
    }

    /// Adds what time, payload and flows have come to.
    pub(super) fn refill(&mut self, grounds: Grounds, now: Instant) {
        let payload = grounds.payload_out + self.payload_received;
        let (before, flows_before) =
            core::mem::replace(&mut self.allowed_for, (payload, grounds.flows));
        self.control.refill(now);
        self.control.earn(payload - before, self.payload_per_control);
        let flows = grounds.flows - flows_before;
        self.control.earn(flows.saturating_mul(CONTROL_PER_FLOW), 1);
    }

    /// Pays for so many bytes of control; `grounds` are asked if they are not there.
    pub(super) fn pay(
        &mut self,
        control: u64,
        grounds: impl FnOnce() -> Grounds,
        now: Instant,
    ) -> Verdict {
        if !self.control.take(control) {
            // Payload that has come with this input counts as well.
            self.refill(grounds(), now);
            if !self.control.take(control) {
                return Err(Violation::Flood);
            }
        }
        self.peak = self.peak.max(self.used());
        Ok(())
    }

    pub(super) fn used(&self) -> u64 {
        self.control.missing()
    }

    pub(super) fn peak(&self) -> u64 {
        self.peak
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission() -> Admission {
        let config = Config {
            control_burst: 1_000,
            control_per_second: 10,
            payload_per_control: 4,
            ..Config::default()
        };
        Admission::new(&config, Instant::ZERO)
    }

    fn none() -> Grounds {
        Grounds::default()
    }

    #[test]
    fn control_beyond_the_allowance_is_a_flood() {
        let mut admission = admission();
        assert_eq!(admission.pay(1_000, none, Instant::ZERO), Ok(()));
        assert_eq!(admission.pay(1, none, Instant::ZERO), Err(Violation::Flood));
        assert_eq!((admission.used(), admission.peak()), (1_000, 1_000));
    }

    #[test]
    fn time_payload_and_flows_each_allow_for_more_and_each_only_once() {
        let after = Instant::from_micros(2_000_000);
        for (grounds, now, earned) in [
            (none(), after, 20),
            (Grounds { payload_out: 400, flows: 0 }, Instant::ZERO, 100),
            (Grounds { payload_out: 0, flows: 1 }, Instant::ZERO, 1_000),
        ] {
            let mut admission = admission();
            admission.pay(1_000, none, Instant::ZERO).unwrap();
            (0..2).for_each(|_| admission.refill(grounds, now));
            assert_eq!(1_000 - admission.used(), earned, "{grounds:?}");
        }
        let mut admission = admission();
        admission.pay(1_000, none, Instant::ZERO).unwrap();
        admission.receive(40);
        assert_eq!(admission.pay(10, none, Instant::ZERO), Ok(()), "what came counts at once");
    }

    #[test]
    fn only_bytes_that_are_no_payload_are_paid_for() {
        let span = Span { bytes: 100, skipped: 30 };
        assert_eq!(
            span.control(60),
            Some((30, 10)),
            "skipped frames, and the head of a DATA frame"
        );
        assert_eq!(Span { bytes: 60, skipped: 0 }.control(60), None);
    }
}
