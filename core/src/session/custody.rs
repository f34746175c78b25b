//! The custody of everything that was handed to a stripe. It stays in the stripe's ledger until the
//! peer has acknowledged it. If the stripe goes or falls into doubt, exactly the content of its
//! ledger is put up for sending again.

use super::control::Control;
use super::flows::Flows;
use crate::error::{StripeClose, Verdict, Violation};
use crate::id::{FlowId, StripeId};
use crate::intents::Intent;
use crate::io::Output;
use crate::stripe::ledger::{Entry, Ledger};
use crate::stripe::table::Stripes;
use crate::stripe::{Stripe, Token};
use crate::time::Instant;
use crate::timers::{Timer, Timers};
use alloc::vec::Vec;
use core::ops::Range;
use core::time::Duration;

/// The parts among which a byte passes from hand to hand, lent for one input.
pub(super) struct Custody<'a> {
    pub stripes: &'a mut Stripes,
    pub flows: &'a mut Flows,
    pub control: &'a mut Control,
    pub timers: &'a mut Timers,
    /// How long the session waits for a stripe when it has none.
    pub resume_limit: Duration,
    pub draining: bool,
    pub now: Instant,
}

impl Custody<'_> {
    /// The peer has processed a stripe's bytes up to `count`.
    pub(super) fn acknowledge(
        &mut self,
        id: StripeId,
        count: u64,
        out: &mut Vec<Output>,
    ) -> Verdict {
        if let Some(stripe) = self.stripes.get_mut(id) {
            if count > stripe.sent() {
                return Err(Violation::BadAcknowledgement);
            }
            if stripe.ledger_mut().advance(count) {
                self.settle_live(id, count, out);
            }
        } else if self.stripes.gone(id).is_some() {
            self.settle_gone(id, count, out)?;
        } else if !self.stripes.is_retired(id) {
            return Err(Violation::BadAcknowledgement);
        }
        Ok(())
    }

    fn settle_live(&mut self, id: StripeId, count: u64, out: &mut Vec<Output>) {
        let mut latest = None;
        while let Some(entry) = self.stripes.pop_acknowledged(id) {
            if entry.eliciting {
                latest = Some((entry.at, entry.mark));
            }
            self.settle_entry(&entry, out);
        }
        let Some(stripe) = self.stripes.get_mut(id) else { return };
        let drains = stripe.measure(latest, self.now);
        let partial = stripe.ledger().front().and_then(|entry| partial(entry, count));
        if drains {
            self.stripes.iter_mut().for_each(Stripe::drain_too);
        }
        self.acknowledge_data(partial, out);
    }

    fn settle_gone(&mut self, id: StripeId, count: u64, out: &mut Vec<Output>) -> Verdict {
        let Some(gone) = self.stripes.gone_mut(id) else { return Ok(()) };
        if count > gone.sent {
            return Err(Violation::BadAcknowledgement);
        }
        let Some(ledger) = &mut gone.ledger else { return Ok(()) };
        ledger.advance(count);
        let acknowledged: Vec<_> = core::iter::from_fn(|| ledger.pop()).collect();
        let partial = ledger.front().and_then(|entry| partial(entry, count));
        acknowledged.iter().for_each(|entry| self.settle_entry(entry, out));
        self.acknowledge_data(partial, out);
        Ok(())
    }

    /// The peer has what this entry stands for.
    fn settle_entry(&mut self, entry: &Entry<Token>, out: &mut Vec<Output>) {
        match entry.token {
            Token::Data { flow, offset, len, fin, .. } => {
                self.acknowledge_data(Some((flow, offset..offset + len, fin)), out);
            }
            Token::Control(intent) => self.control.confirm(intent, self.flows, self.stripes),
            Token::Acknowledgements | Token::Local => {}
        }
    }

    fn acknowledge_data(
        &mut self,
        data: Option<(FlowId, Range<u64>, bool)>,
        out: &mut Vec<Output>,
    ) {
        if let Some((flow, range, fin)) = data {
            self.flows.change(flow, |flow| flow.send_mut().acknowledge(range, fin));
            self.flows.notify_writable(flow, out);
        }
    }

    pub(super) fn pong(&mut self, id: StripeId, nonce: u64, out: &mut Vec<Output>) -> Verdict {
        match self.stripes.get_mut(id).and_then(|stripe| stripe.probes_mut().answered(nonce)) {
            Some(end) => self.acknowledge(id, end, out),
            _ => Ok(()),
        }
    }

    /// The peer has given up a stripe, after it had received so many of its bytes.
    pub(super) fn given_up_by_peer(
        &mut self,
        id: StripeId,
        received: u64,
        out: &mut Vec<Output>,
    ) -> Verdict {
        if self.stripes.is_retired(id) {
            return Ok(());
        }
        if self.stripes.is_live(id) {
            self.acknowledge(id, received, out)?;
            out.push(Output::CloseStripe { stripe: id, reason: StripeClose::PeerGone });
            self.lose(id);
        } else if self.stripes.add_unseen(id) {
            // The answer lets the other side forget it.
            self.control.owe(Intent::Gone(id));
        }
        self.acknowledge(id, received, out)?;
        self.stripes.settle_gone(id);
        if self.stripes.overfull() { Err(Violation::TooManyGoneStripes) } else { Ok(()) }
    }

    /// A stripe is of no more use: puts up what it held for sending again, exactly that, and tells
    /// the peer.
    pub(super) fn lose(&mut self, id: StripeId) {
        let Some(mut stripe) = self.stripes.lose(id) else { return };
        for timer in [Timer::Doubt, Timer::Stall, Timer::Heartbeat] {
            self.timers.clear(timer(id));
        }
        self.control.withdraw(Intent::Acknowledge(id));
        self.resend_data(stripe.ledger_mut());
        self.owe_control_again(stripe.ledger());
        self.stripes.add_gone(stripe);
        self.control.owe(Intent::Gone(id));
        if self.stripes.is_empty() {
            self.timers.set(Timer::Resume, self.now + self.resume_limit);
        }
    }

    /// Puts up what doubted stripes hold for sending again on the others, once there are any.
    pub(super) fn resend_doubted(&mut self) {
        if self.stripes.iter().all(Stripe::is_doubted) {
            return;
        }
        let doubted = |stripes: &Stripes| stripes.iter().find(|s| s.needs_resend()).map(Stripe::id);
        while let Some(id) = doubted(self.stripes) {
            let Some(stripe) = self.stripes.get_mut(id) else { return };
            stripe.resent();
            let mut ledger = core::mem::replace(stripe.ledger_mut(), Ledger::new());
            self.resend_data(&mut ledger);
            self.owe_control_again(&ledger);
            if let Some(stripe) = self.stripes.get_mut(id) {
                *stripe.ledger_mut() = ledger;
            }
        }
    }

    /// Puts up the data of a ledger for sending elsewhere, once.
    fn resend_data(&mut self, ledger: &mut Ledger<Token>) {
        let acknowledged = ledger.acknowledged();
        for entry in ledger.iter_mut() {
            let end = entry.end;
            if let Token::Data { flow, offset, len, fin, requeued } = &mut entry.token
                && !core::mem::replace(requeued, true)
            {
                let have = acknowledged_part(end, *len, acknowledged);
                let (range, fin) = (*offset + have..*offset + *len, *fin);
                self.flows.change(*flow, |flow| flow.send_mut().lose(range, fin));
            }
        }
    }

    /// The control that a ledger holds is owed again.
    fn owe_control_again(&mut self, ledger: &Ledger<Token>) {
        for entry in ledger.iter() {
            match entry.token {
                Token::Control(intent) => {
                    self.control.owe_again(intent, self.flows, self.stripes, self.draining);
                }
                Token::Acknowledgements => self.control.owe_acknowledgements(self.stripes),
                Token::Data { .. } | Token::Local => {}
            }
        }
    }
}

/// How much of an entry's data, which comes last in it, an acknowledged count covers.
fn acknowledged_part(end: u64, len: u64, count: u64) -> u64 {
    count.saturating_sub(end - len).min(len)
}

/// The part of a DATA entry that a count covers which doesn't reach its end.
fn partial(entry: &Entry<Token>, count: u64) -> Option<(FlowId, Range<u64>, bool)> {
    let Token::Data { flow, offset, len, .. } = entry.token else { return None };
    let have = acknowledged_part(entry.end, len, count);
    (have > 0).then_some((flow, offset..offset + have, false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stripe::estimator::RateEstimator;

    fn data(end: u64, len: u64) -> Entry<Token> {
        let now = Instant::ZERO;
        let mark = RateEstimator::new(now).mark(None, now);
        let token = Token::Data { flow: FlowId(1), offset: 500, len, fin: true, requeued: false };
        Entry { end, at: now, expected: now, eliciting: true, mark, token }
    }

    #[test]
    fn a_part_of_a_chunk_counts_from_its_start_and_never_with_its_fin() {
        // Stripe bytes 90 to 100 are a head, 100 to 200 the bytes 500 to 600 of the flow.
        let entry = data(200, 100);
        for (count, covered) in [(90, None), (100, None), (101, Some(501)), (199, Some(599))] {
            let expected = covered.map(|end| (FlowId(1), 500..end, false));
            assert_eq!(partial(&entry, count), expected, "acknowledged up to {count}");
        }
    }

    #[test]
    fn no_more_of_a_chunk_is_acknowledged_than_there_is() {
        assert_eq!(acknowledged_part(200, 100, 50), 0);
        assert_eq!(acknowledged_part(200, 100, 150), 50);
        assert_eq!(acknowledged_part(200, 100, 1 << 40), 100);
    }
}
