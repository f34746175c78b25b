//! The detection of a policer in BBR version 1 (`bbr_lt_bw_sampling` of Linux's `tcp_bbr.c`).
//!
//! A policer passes a burst and then drops all beyond its rate. Two intervals in a row with many
//! losses and about the same rate tell of one. The sender then keeps to that rate for a while.
//!
//! Invariant: an interval begins and ends with a loss, and has no sample of a sender with too
//! little data.

use super::super::{Ack, Delivery};
use super::{SHIFT, UNIT};

/// The bounds of an interval, in round trips.
const ROUNDS: [u64; 2] = [4, 16];
/// From this share of lost packets on an interval tells of a policer, in 1/256.
const LOSS: u64 = 50;
/// Rates are about the same if they differ by this share, in 1/256.
const SAME: u64 = UNIT / 8;
/// Or by so many bytes a second.
const SAME_BYTES: u64 = 500;
/// The rate is kept for so many round trips.
const KEPT: u64 = 48;

#[derive(Clone, Debug, Default)]
pub(super) struct LongTerm {
    sampling: bool,
    used: bool,
    rate: u64,
    rounds: u64,
    began: u64,
    delivered: u64,
    lost: u64,
}

impl LongTerm {
    /// The rate of the policer, if there is one.
    pub fn rate(&self) -> Option<u64> {
        self.used.then_some(self.rate)
    }

    /// Whether the rate has been kept for long enough and was given up.
    pub fn kept_long_enough(&mut self, delivery: &Delivery) -> bool {
        self.rounds += 1;
        let over = self.rounds >= KEPT;
        if over {
            self.reset(delivery);
        }
        over
    }

    /// Takes an acknowledgement while no rate is in use. Whether one is from now on.
    pub fn sample(&mut self, ack: &Ack, round_start: bool, delivery: &Delivery) -> bool {
        if !self.sampling {
            if ack.losses == 0 {
                return false;
            }
            self.restart(delivery);
            self.sampling = true;
        }
        if ack.sample.app_limited {
            self.reset(delivery);
            return false;
        }
        self.rounds += u64::from(round_start);
        if self.rounds < ROUNDS[0] {
            return false;
        }
        if self.rounds > ROUNDS[1] {
            self.reset(delivery);
            return false;
        }
        let (lost, delivered) = (delivery.lost - self.lost, delivery.delivered - self.delivered);
        let millis = (delivery.delivered_at / 1_000).saturating_sub(self.began / 1_000);
        if ack.losses == 0 || delivered == 0 || lost << 8 < LOSS * delivered || millis == 0 {
            return false;
        }
        self.end_interval((delivered << SHIFT) / (millis * 1_000), delivery)
    }

    fn end_interval(&mut self, rate: u64, delivery: &Delivery) -> bool {
        let apart = rate.abs_diff(self.rate);
        let bytes = (u128::from(apart) * u128::from(super::MSS) * 1_000_000) >> SHIFT;
        if self.rate > 0 && (apart * UNIT <= SAME * self.rate || bytes <= u128::from(SAME_BYTES)) {
            self.rate = rate.midpoint(self.rate);
            self.used = true;
            self.rounds = 0;
            return true;
        }
        self.rate = rate;
        self.restart(delivery);
        false
    }

    pub fn reset(&mut self, delivery: &Delivery) {
        *self = LongTerm::default();
        self.restart(delivery);
    }

    fn restart(&mut self, delivery: &Delivery) {
        self.began = delivery.delivered_at;
        (self.delivered, self.lost, self.rounds) = (delivery.delivered, delivery.lost, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Round trips of 10 ms with ten packets each, of which so many are lost.
    fn rounds(long_term: &mut LongTerm, delivery: &mut Delivery, count: u64, lost: u64) -> bool {
        let mut found = false;
        for _ in 0..count {
            delivery.delivered += 10 - lost;
            delivery.lost += lost;
            delivery.delivered_at += 10_000;
            let ack = Ack { losses: lost, ..Ack::default() };
            found |= long_term.sample(&ack, true, delivery);
        }
        found
    }

    #[test]
    fn two_intervals_with_many_losses_and_the_same_rate_tell_of_a_policer() {
        let (mut long_term, mut delivery) = (LongTerm::default(), Delivery::default());
        // The first loss begins an interval of four rounds, and the next interval is like it.
        assert!(!rounds(&mut long_term, &mut delivery, 7, 3));
        assert!(rounds(&mut long_term, &mut delivery, 1, 3));
        // 7 packets in 10 ms.
        let expected = (7 << SHIFT) / 10_000;
        assert!(long_term.rate().is_some_and(|rate| rate.abs_diff(expected) < expected / 10));
        let over = (0..100).position(|_| long_term.kept_long_enough(&delivery));
        assert_eq!((over, long_term.rate()), (Some(47), None));
    }

    #[test]
    fn few_losses_or_a_sender_with_too_little_data_tell_of_none() {
        let (mut long_term, mut delivery) = (LongTerm::default(), Delivery::default());
        assert!(!rounds(&mut long_term, &mut delivery, 100, 1), "a tenth is lost");
        for _ in 0..30 {
            rounds(&mut long_term, &mut delivery, 3, 3);
            let mut ack = Ack { losses: 3, ..Ack::default() };
            ack.sample.app_limited = true;
            assert!(!long_term.sample(&ack, true, &delivery));
        }
    }
}
