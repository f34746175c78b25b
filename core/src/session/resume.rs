//! Stripes come, are measured, fall into doubt and go; what they held is put up for sending again.

use super::{LATE, Session};
use crate::buggify::Site;
use crate::error::{EndReason, StripeClose, Violation};
use crate::id::{FlowId, Role, StripeId};
use crate::intents::Intent;
use crate::io::Output;
use crate::stripe::ledger::{self, Ledger};
use crate::stripe::table::Gone;
use crate::stripe::{Stripe, Token};
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::hello::{Hello, HelloKind};
use alloc::collections::btree_map::Entry;
use alloc::vec::Vec;
use core::time::Duration;

impl Session {
    pub(super) fn stripe_up(
        &mut self,
        id: StripeId,
        hello: &Hello,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        assert!(!self.stripes.live.contains_key(&id), "stripe {id} is up already");
        let heard = self.hear_hello(hello, out);
        if self.stripes.knows(id) {
            // Given up by the other side before it was up on this one.
            out.push(Output::CloseStripe { stripe: id, reason: StripeClose::PeerGone });
            return heard;
        }
        // Also after a violation: then this stripe is told so and closed with the others.
        self.stripes
            .live
            .insert(id, Stripe::new(id, self.config.record_overhead as usize, self.now));
        self.timers.set(Timer::Heartbeat(id), self.now + self.config.heartbeat);
        if !planted!(ResumeTimerRunsOn) {
            self.timers.clear(Timer::Resume);
        }
        self.intents.add(Intent::Grant);
        heard
    }

    /// What a HELLO says about the session as a whole.
    fn hear_hello(&mut self, hello: &Hello, out: &mut Vec<Output>) -> Result<(), Violation> {
        if let HelloKind::Accept { instance } = hello.kind {
            if *self.instance.get_or_insert(instance) != instance {
                return Err(Violation::InstanceChanged);
            }
            self.confirmed = true;
        }
        hello
            .gone
            .iter()
            .try_for_each(|(gone, received)| self.on_stripe_gone(*gone, *received, out))
    }

    pub(super) fn stripe_written(&mut self, id: StripeId, total: u64) {
        if let Some(stripe) = self.stripes.live.get_mut(&id) {
            assert!(
                total <= stripe.sent,
                "{total} bytes written on stripe {id}, {} transmitted",
                stripe.sent
            );
            stripe.written = stripe.written.max(total);
            if stripe.takes_data(stripe.chunk()) && !stripe.is_full(false) {
                stripe.congested = false;
            }
        }
    }

    /// A stripe is of no more use: puts up what it held for sending again, exactly that, and tells
    /// the peer.
    pub(super) fn lose_stripe(&mut self, id: StripeId) {
        let Some(stripe) = self.stripes.live.remove(&id) else { return };
        self.totals.stripes_lost += 1;
        for timer in [Timer::Doubt, Timer::Stall, Timer::Heartbeat] {
            self.timers.clear(timer(id));
        }
        self.intents.remove(Intent::Acknowledge(id));
        let mut ledger = stripe.ledger;
        let doubt = self.stripes.live.values().any(|other| other.doubted);
        if !(doubt && planted!(DeathDuringDoubtLoses)) {
            self.requeue(&mut ledger);
        }
        self.owe_control_again(&ledger);
        self.data_entries -=
            ledger.iter().filter(|entry| matches!(entry.token, Token::Data { .. })).count();
        ledger.shrink();
        let gone = Gone {
            received: stripe.acker.count(),
            confirmed: false,
            ledger: Some(ledger),
            sent: stripe.sent,
        };
        self.stripes.add_gone(id, gone);
        self.intents.add(Intent::Gone(id));
        if self.stripes.live.is_empty() {
            self.timers.set(Timer::Resume, self.now + self.config.resume_limit);
        }
    }

    /// What a ledger holds beside data is owed again.
    fn owe_control_again(&mut self, ledger: &Ledger<Token>) {
        for entry in ledger.iter().skip(usize::from(planted!(OldestControlForgotten))) {
            match entry.token {
                Token::Control(intent) => self.owe_again(intent),
                Token::Acknowledgements => self.owe_acknowledgements(),
                Token::Data { .. } | Token::Local => {}
            }
        }
    }

    fn owe_acknowledgements(&mut self) {
        for (id, stripe) in &self.stripes.live {
            if stripe.acker.count() > 0 {
                self.intents.add(Intent::Acknowledge(*id));
            }
        }
    }

    /// Puts up the data of a ledger for sending elsewhere, once.
    fn requeue(&mut self, ledger: &mut Ledger<Token>) {
        let acknowledged = ledger.acknowledged();
        for entry in ledger.iter_mut() {
            let end = entry.end;
            if let Token::Data { flow, offset, len, fin, requeued } = &mut entry.token
                && !core::mem::replace(requeued, true)
            {
                let have = acknowledged_part(end, *len, acknowledged);
                let (range, fin) = (*offset + have..*offset + *len, *fin);
                if planted!(ResendRefundsCredit) {
                    self.change(*flow, |flow| flow.send.limit += range.end - range.start);
                }
                self.change(*flow, |flow| flow.send.lose(range, fin));
            }
        }
    }

    pub(super) fn on_ack(
        &mut self,
        id: StripeId,
        count: u64,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let mixed_up = self.stripes.gone.len() > 1 && planted!(GoneAcksMixedUp);
        if let Some(stripe) = self.stripes.live.get_mut(&id) {
            if count > stripe.sent {
                return Err(Violation::BadAcknowledgement);
            }
            if !stripe.ledger.advance(count) {
                return Ok(());
            }
            let mut latest = None;
            while let Some(entry) =
                self.stripes.live.get_mut(&id).and_then(|stripe| stripe.ledger.pop())
            {
                if entry.eliciting {
                    latest = Some((entry.at, entry.mark));
                }
                self.data_entries -= usize::from(matches!(entry.token, Token::Data { .. }));
                self.settle_entry(entry, out);
            }
            let stripe = self.stripes.live.get_mut(&id).expect("it was there");
            stripe.measure(latest, self.now);
            let partial = stripe.ledger.front().and_then(|entry| partial(entry, count));
            self.acknowledge_data(partial, out);
        } else if let Some(gone) = self.stripes.gone.get_mut(&id) {
            if count > gone.sent {
                return Err(Violation::BadAcknowledgement);
            }
            let Some(ledger) = &mut gone.ledger else { return Ok(()) };
            ledger.advance(if mixed_up { gone.sent } else { count });
            let mut acknowledged = Vec::new();
            while let Some(entry) = ledger.pop() {
                acknowledged.push(entry);
            }
            let partial = ledger.front().and_then(|entry| partial(entry, count));
            acknowledged.into_iter().for_each(|entry| self.settle_entry(entry, out));
            self.acknowledge_data(partial, out);
        } else if !self.stripes.is_retired(id) {
            return Err(Violation::BadAcknowledgement);
        }
        Ok(())
    }

    /// The peer has what this entry stands for.
    fn settle_entry(&mut self, entry: ledger::Entry<Token>, out: &mut Vec<Output>) {
        match entry.token {
            Token::Data { flow, offset, len, fin, .. } if planted!(AckTakenAsCumulative) => {
                self.acknowledge_data(Some((flow, 0..offset + len, fin)), out);
            }
            Token::Data { flow, offset, len, fin, .. } => {
                self.acknowledge_data(Some((flow, offset..offset + len, fin)), out);
            }
            Token::Control(intent) => self.confirm(intent),
            Token::Acknowledgements | Token::Local => {}
        }
    }

    fn acknowledge_data(
        &mut self,
        data: Option<(FlowId, core::ops::Range<u64>, bool)>,
        out: &mut Vec<Output>,
    ) {
        if let Some((flow, range, fin)) = data {
            self.change(flow, |flow| flow.send.acknowledge(range, fin));
            self.notify_writable(flow, out);
        }
    }

    pub(super) fn on_pong(
        &mut self,
        id: StripeId,
        nonce: u64,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        let Some(stripe) = self.stripes.live.get_mut(&id) else { return Ok(()) };
        match stripe.ping {
            Some((expected, end)) if expected == nonce => {
                stripe.ping = None;
                if planted!(PongIsNoAck) {
                    return Ok(());
                }
                // The stripe keeps order: what went before the PING has been processed.
                self.on_ack(id, end, out)
            }
            _ => Ok(()),
        }
    }

    pub(super) fn on_stripe_gone(
        &mut self,
        id: StripeId,
        received: u64,
        out: &mut Vec<Output>,
    ) -> Result<(), Violation> {
        if self.stripes.is_retired(id) {
            return Ok(());
        }
        if self.stripes.live.contains_key(&id) {
            self.on_ack(id, received, out)?;
            out.push(Output::CloseStripe { stripe: id, reason: StripeClose::PeerGone });
            self.lose_stripe(id);
        } else if let Entry::Vacant(vacant) = self.stripes.gone.entry(id) {
            // It was up on the other side alone. The answer lets that side forget it.
            vacant.insert(Gone { received: 0, confirmed: false, ledger: None, sent: 0 });
            self.intents.add(Intent::Gone(id));
        }
        self.on_ack(id, received, out)?;
        if let Some(gone) = self.stripes.gone.get_mut(&id) {
            gone.ledger = None;
            self.stripes.retire(id);
        }
        if self.stripes.overfull() { Err(Violation::TooManyGoneStripes) } else { Ok(()) }
    }

    /// Does what is due.
    pub(super) fn run_timers(&mut self, out: &mut Vec<Output>) -> Result<(), Violation> {
        if self.life == super::Life::Ended {
            return Ok(());
        }
        while let Some((at, timer)) = self.timers.pop_due(self.now) {
            self.run_timer(timer, self.now, self.now.since(at), out);
            if self.life == super::Life::Ended {
                return Ok(());
            }
        }
        if self.stripes.overfull() {
            // Not the peer's fault: stripe after stripe died before a word could be said about
            // those before it.
            self.end(EndReason::NoStripe, out);
        }
        Ok(())
    }

    /// Does what a timer is for; `now` is its time or a later one, and it goes off so `late`.
    pub(super) fn run_timer(
        &mut self,
        timer: Timer,
        now: Instant,
        late: Duration,
        out: &mut Vec<Output>,
    ) {
        match timer {
            Timer::Acknowledge => self.collect_acknowledgements(now),
            Timer::Repeat => self.repeat_elsewhere(),
            // Sending looks for what is late.
            Timer::Overtake => {}
            // What is sent next looks for what may be granted.
            Timer::Grant => {}
            Timer::Doubt(id) => self.doubt(id, now),
            Timer::Stall(id) => self.give_up_stalled(id, now, out),
            Timer::Heartbeat(id) => self.heartbeat(id, now),
            Timer::Linger(flow) => self.linger(flow, late, out),
            Timer::Resume => self.end(EndReason::NoStripe, out),
        }
    }

    /// If we have slept, the time that passed meanwhile is not held against stripes.
    pub(super) fn excuse_sleep(&mut self) {
        let since = |at| self.now.since(at);
        if self.timers.next().is_none_or(|(at, _)| since(at) <= LATE) {
            return;
        }
        let slept = self.timers.next_of_stripe().map_or(Duration::ZERO, since);
        if slept > LATE {
            for stripe in self.stripes.live.values_mut() {
                // One that is in doubt would be given up now, before what has come in on it can be
                // read.
                let unread = if stripe.doubted { LATE } else { Duration::ZERO };
                stripe.excuse(slept + unread, self.now);
            }
        }
    }

    /// Acknowledgements on a stripe may be overdue: then it is asked whether it still lives, gets
    /// no new data until it answers, and what it holds is sent again elsewhere.
    fn doubt(&mut self, id: StripeId, now: Instant) {
        let Some(stripe) = self.stripes.live.get_mut(&id) else { return };
        let Some(at) = stripe.doubt_at() else { return };
        if at > now {
            self.timers.set(Timer::Doubt(id), at);
            return;
        }
        self.cast_doubt(id);
    }

    fn cast_doubt(&mut self, id: StripeId) {
        let Some(stripe) = self.stripes.live.get_mut(&id) else { return };
        stripe.doubted = true;
        stripe.requeued = false;
        stripe.ping_owed = stripe.ping.is_none();
        self.timers.set(Timer::Stall(id), stripe.stall_at(self.config.stall_limit));
    }

    /// Takes the rare turns that need no occasion, at most one: each causes inputs at which there
    /// could be another.
    pub(super) fn take_rare_turn(&mut self, out: &mut Vec<Output>) {
        let Some(id) =
            self.stripes.live.keys().nth(self.turns.pick(self.stripes.live.len())).copied()
        else {
            return;
        };
        let Some(stripe) = self.stripes.live.get_mut(&id) else { return };
        let take = |site| self.turns.take(site, 0);
        if take(Site::GiveUp) {
            out.push(Output::CloseStripe { stripe: id, reason: StripeClose::Stalled });
            self.lose_stripe(id);
        } else if take(Site::Doubt) && stripe.ledger.awaits() && !stripe.doubted {
            self.cast_doubt(id);
        } else if take(Site::Ping) {
            stripe.ping_owed = stripe.ping.is_none();
        } else if take(Site::Pace) {
            stripe.pace = 0;
        } else if take(Site::Grant) {
            self.intents.add(Intent::Grant);
        } else if take(Site::RepeatNow) {
            self.repeat_elsewhere();
        }
    }

    /// What doubted stripes hold is sent again on the others, once there are any.
    pub(super) fn resend_doubted(&mut self) {
        if self.stripes.live.values().all(|stripe| stripe.doubted) {
            return;
        }
        let relieve = |stripe: &&mut Stripe| stripe.doubted && !stripe.requeued;
        while let Some(stripe) = self.stripes.live.values_mut().find(relieve) {
            stripe.requeued = true;
            let id = stripe.id;
            let mut ledger = core::mem::replace(&mut stripe.ledger, Ledger::new());
            self.requeue(&mut ledger);
            self.owe_control_again(&ledger);
            if let Some(stripe) = self.stripes.live.get_mut(&id) {
                stripe.ledger = ledger;
            }
        }
    }

    /// A stripe in doubt may have been silent for too long.
    fn give_up_stalled(&mut self, id: StripeId, now: Instant, out: &mut Vec<Output>) {
        let Some(stripe) = self.stripes.live.get(&id).filter(|stripe| stripe.doubted) else {
            return;
        };
        let at = stripe.stall_at(self.config.stall_limit);
        if self.stripes.live.values().all(|other| other.doubted) && planted!(LastStripesKept) {
            return;
        }
        if at > now {
            self.timers.set(Timer::Stall(id), at);
        } else {
            out.push(Output::CloseStripe { stripe: id, reason: StripeClose::Stalled });
            self.lose_stripe(id);
        }
    }

    /// Asks a stripe that has been silent whether it still lives.
    fn heartbeat(&mut self, id: StripeId, now: Instant) {
        let Some(stripe) = self.stripes.live.get_mut(&id) else { return };
        let silent_at = stripe.heard + self.config.heartbeat;
        if silent_at > now {
            self.timers.set(Timer::Heartbeat(id), silent_at);
            return;
        }
        stripe.ping_owed = stripe.ping.is_none();
        self.timers.set(Timer::Heartbeat(id), self.now + self.config.heartbeat);
    }

    /// The number of stripes that the client misses.
    pub(super) fn missing_stripes(&self) -> usize {
        match self.role {
            Role::Client => self.config.stripes.saturating_sub(self.stripes.live.len()),
            Role::Server { .. } => 0,
        }
    }
}

/// How much of an entry's data, which comes last in it, an acknowledged count covers.
fn acknowledged_part(end: u64, len: u64, count: u64) -> u64 {
    (count.saturating_sub(end - len) + u64::from(planted!(PartialAckOffByOne))).min(len)
}

/// The part of a DATA entry that a count covers which doesn't reach its end.
fn partial(
    entry: &ledger::Entry<Token>,
    count: u64,
) -> Option<(FlowId, core::ops::Range<u64>, bool)> {
    let Token::Data { flow, offset, len, .. } = entry.token else { return None };
    let have = acknowledged_part(entry.end, len, count);
    let have = if have > 0 && planted!(PartAckDropsCustody) { len } else { have };
    (have > 0).then_some((flow, offset..offset + have, false))
}
