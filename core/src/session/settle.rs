//! Sends what can be sent: what is owed first, then data, until no stripe takes more or nothing is
//! left.

use super::{MAX_DATA_ENTRIES, Session};
use crate::buggify::Site;
use crate::config::SchedulerKind;
use crate::flow::ClosingFrame;
use crate::id::{FlowId, Role, StripeId};
use crate::intents::Intent;
use crate::io::Output;
use crate::scheduler::{Candidate, reinject};
use crate::stripe::ledger::Entry;
use crate::stripe::{Stripe, Token};
use crate::time::Instant;
use crate::timers::Timer;
use crate::wire::frame::{Frame, MAX_ACKS};
use alloc::vec::Vec;
use bytes::Bytes;
use core::time::Duration;

/// Bounds of the time after which acknowledgements and credit are repeated on a second stripe; in
/// between, a round trip.
const REPEAT: core::ops::RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_millis(500);

/// How long until a stripe that is late, but not so that a copy would pay, is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// A stripe that carries more than this without anything that asks for an acknowledgement gets a
/// PING, so that its ledger ends.
const MAX_UNANSWERED: usize = 4096;

impl Session {
    pub(super) fn settle(&mut self, out: &mut Vec<Output>) {
        if self.life == super::Life::Ended {
            return;
        }
        self.prepare(out);
        self.send_control(out);
        loop {
            self.send_data(out);
            // Data may have used up credit, and what says so changes which stripe would be the best
            // for the data that waits. The end of this is a state in which time alone changes
            // nothing before the deadline.
            if !self.send_control(out) {
                break;
            }
        }
        self.after_sending(out);
    }

    /// Brings what is owed up to date.
    pub(super) fn prepare(&mut self, out: &mut Vec<Output>) {
        self.resend_doubted();
        self.remove_ended(out);
        self.notify_memory_waiters(out);
        if let Some(early) = self.flows.grant(&self.config, self.recv_pool(), self.now) {
            debug_assert!(early <= self.config.memory_limit);
            self.intents.add(Intent::Grant);
        }
        if let Some(at) = self.flows.held_back(&self.config) {
            self.timers.arm(Timer::Grant, at);
        }
        self.collect_acknowledgements(self.now);
    }

    /// Forgets flows to which nothing more can happen.
    pub(super) fn remove_ended(&mut self, out: &mut Vec<Output>) {
        for flow in core::mem::take(&mut self.over) {
            let Some(entry) = self.flows.flows.get(&flow).filter(|entry| entry.is_over()) else {
                continue;
            };
            if entry.closing.is_none() {
                out.push(Output::FlowEnded { flow });
            }
            self.remove(flow);
        }
    }

    /// Owes the acknowledgements that are due, and sets the timer for the others.
    pub(super) fn collect_acknowledgements(&mut self, now: Instant) {
        let mut next = None;
        for (id, stripe) in &self.stripes.live {
            let eager = stripe.acker.deadline().is_some()
                && self.turns.take(Site::EagerAcknowledgement, id.0);
            if stripe.acker.due(now) || eager {
                self.intents.add(Intent::Acknowledge(*id));
            } else if let Some(at) = stripe.acker.deadline() {
                next = Some(next.map_or(at, |other: Instant| other.min(at)));
            }
        }
        if let Some(at) = next {
            self.timers.arm(Timer::Acknowledge, at);
        }
    }

    /// Sends what is owed beside data. Returns whether there was anything that a stripe took.
    fn send_control(&mut self, out: &mut Vec<Output>) -> bool {
        let before = out.len();
        self.send_own_control(out);
        self.send_owed(out);
        out.len() > before
    }

    /// PING and PONG go on their own stripe.
    fn send_own_control(&mut self, out: &mut Vec<Output>) {
        for stripe in self.stripes.live.values_mut() {
            if let Some(nonce) = stripe.pong_owed.filter(|_| stripe.takes_control()) {
                stripe.pong_owed = None;
                let frame = Frame::Pong { nonce };
                transmit(stripe, &frame, Bytes::new(), &[(Token::Local, false)], self.now, out);
            }
            stripe.ping_owed |= stripe.ledger.len() > MAX_UNANSWERED && !stripe.ledger.awaits();
            if stripe.ping_owed && stripe.takes_control() {
                stripe.ping_owed = false;
                self.nonce += 1;
                let frame = Frame::Ping { nonce: self.nonce };
                transmit(stripe, &frame, Bytes::new(), &[(Token::Local, true)], self.now, out);
                stripe.ping = Some((self.nonce, stripe.sent));
            }
        }
    }

    /// Stripes that may be chosen, none that is doubted or so new that its round trip is unknown
    /// unless all are. `writable` says which take what is to be sent.
    fn gather(&mut self, beside: Option<StripeId>, writable: impl Fn(&Stripe) -> bool) {
        let fine = |stripe: &&Stripe| !stripe.doubted;
        let known = |stripe: &&Stripe| fine(stripe) && stripe.rtt.min().is_some();
        let all_doubted = !self.stripes.live.values().any(|stripe| fine(&stripe));
        let all_new = !self.stripes.live.values().any(|stripe| known(&stripe));
        let best = self.stripes.live.values().filter_map(|stripe| stripe.rate.estimate()).max();
        self.candidates.clear();
        for stripe in self.stripes.live.values() {
            let chosen = all_doubted || known(&stripe) || (all_new && fine(&stripe));
            if chosen && Some(stripe.id) != beside {
                let congested =
                    stripe.ledger.awaits() && self.turns.take(Site::Congested, stripe.id.0);
                self.candidates.push(candidate(
                    stripe,
                    writable(stripe) && !congested,
                    best,
                    self.now,
                ));
            }
        }
    }

    /// The best stripe for control, which may ask for an acknowledgement or not.
    fn control_stripe(&mut self, beside: Option<StripeId>, eliciting: bool) -> Option<StripeId> {
        // One that is silent while others are heard may be dead in that direction, and what asks
        // for no acknowledgement would not show it. When nobody says anything, that means nothing.
        let (latest, now) = (self.stripes.live.values().map(|stripe| stripe.heard).max(), self.now);
        let silent = |stripe: &Stripe| {
            let patience = stripe.rtt.patience();
            !eliciting
                && latest.is_some_and(|at| {
                    at.since(stripe.heard) > patience && now.since(at) <= patience
                })
        };
        self.gather(beside, |stripe| stripe.takes_control() && !silent(stripe));
        let choice = self.scheduler.pick_for_control(&self.candidates);
        if choice.is_some() {
            return choice;
        }
        self.gather(beside, Stripe::takes_control);
        self.scheduler.pick_for_control(&self.candidates)
    }

    /// Sends what is owed, as far as stripes take it.
    fn send_owed(&mut self, out: &mut Vec<Output>) {
        while let Some(intent) = self.intents.first() {
            let Some(stripe) = self.control_stripe(None, intent.eliciting()) else { return };
            self.send_intent(intent, stripe, out);
            if matches!(intent, Intent::Credit(_)) {
                self.repeat_later(intent, stripe);
            }
        }
    }

    /// Sends one thing that is owed, on this stripe; nothing if it has become pointless.
    fn send_intent(&mut self, intent: Intent, stripe: StripeId, out: &mut Vec<Output>) {
        self.intents.remove(intent);
        let frame = match intent {
            Intent::Acknowledge(_) => return self.send_acknowledgements(intent, stripe, out),
            Intent::Open(flow) => return self.send_open(flow, stripe, out),
            _ => self.control_frame(intent),
        };
        if let (Some(frame), Some(stripe)) = (frame, self.stripes.live.get_mut(&stripe)) {
            let token = Token::Control(intent);
            transmit(stripe, &frame, Bytes::new(), &[(token, intent.eliciting())], self.now, out);
        }
    }

    /// What an intent says now; nothing if it has become pointless. Acknowledgements and OPENs are
    /// put together where they are sent.
    pub(super) fn control_frame(&self, intent: Intent) -> Option<Frame> {
        let entry = |flow: &FlowId| self.flows.flows.get(flow);
        match intent {
            Intent::Acknowledge(_) | Intent::Open(_) => None,
            Intent::Gone(gone) => self
                .stripes
                .gone
                .get(&gone)
                .map(|entry| Frame::StripeGone { stripe: gone, received: entry.received }),
            Intent::Grant => {
                let (flows, early) = self.flows.granted();
                Some(Frame::Grant { flows, early })
            }
            Intent::Credit(flow) => {
                entry(&flow).map(|entry| Frame::Credit { flow, limit: entry.recv.credit.granted() })
            }
            Intent::Blocked(flow) => {
                entry(&flow).map(|entry| Frame::Blocked { flow, limit: entry.send.limit })
            }
            Intent::Accept(flow) => Some(Frame::Accept { flow }),
            Intent::Refuse(flow) | Intent::Reset(flow) => {
                entry(&flow).and_then(|entry| entry.closing).map(|(closing, _)| match closing {
                    ClosingFrame::Reset(reason, final_offset) => {
                        Frame::Reset { flow, reason: reason.code(), final_offset }
                    }
                    ClosingFrame::Refuse(reason) => Frame::Refuse { flow, reason: reason.code() },
                })
            }
            Intent::Drain => Some(Frame::Drain),
        }
    }

    /// Sends all acknowledgements that are owed in one frame, `first` among them.
    fn send_acknowledgements(&mut self, first: Intent, stripe: StripeId, out: &mut Vec<Output>) {
        let mut counts = Vec::new();
        let mut next = Some(first);
        while let Some(intent @ Intent::Acknowledge(id)) = next {
            self.intents.remove(intent);
            if let Some(acknowledged) = self.stripes.live.get_mut(&id) {
                acknowledged.acker.told();
                counts.push((id, acknowledged.acker.count()));
            }
            self.repeat_later(intent, stripe);
            next = self.intents.first().filter(|_| counts.len() < MAX_ACKS);
        }
        if let Some(stripe) = self.stripes.live.get_mut(&stripe).filter(|_| !counts.is_empty()) {
            let frame = Frame::Ack { counts };
            transmit(
                stripe,
                &frame,
                Bytes::new(),
                &[(Token::Acknowledgements, false)],
                self.now,
                out,
            );
        }
    }

    /// Sends an OPEN, with the flow's first bytes if they are there.
    fn send_open(&mut self, flow: FlowId, id: StripeId, out: &mut Vec<Output>) {
        let Some(stripe) = self.stripes.live.get(&id) else { return };
        let waiting = self.flows.flows.get(&flow).map_or(0, |entry| entry.send.sendable());
        let max = stripe.chunk().min(waiting as usize);
        // Data that rides along is data: it keeps to the stripe's allowance.
        let takes = stripe.takes_data(max)
            && !stripe.is_full(true)
            && self.data_entries < MAX_DATA_ENTRIES
            && !self.turns.take(Site::BareOpen, flow.0);
        let fresh =
            takes && self.flows.flows.get(&flow).is_some_and(|entry| entry.send.buffer.next() == 0);
        let first = if fresh {
            self.change(flow, |entry| entry.send.buffer.take(max, entry.send.limit)).flatten()
        } else {
            None
        };
        let (Some(entry), Some(stripe)) =
            (self.flows.flows.get(&flow), self.stripes.live.get_mut(&id))
        else {
            return;
        };
        let again = !fresh && entry.send.buffer.next() > 0;
        let early = if again && planted!(ResentOpenWithoutEarly) { 0 } else { entry.early };
        let frame = Frame::Open {
            flow,
            early,
            credit: entry.recv.credit.granted(),
            opaque: entry.opaque.clone(),
        };
        let payload = first.map_or(Bytes::new(), |(_, data)| data);
        let len = payload.len() as u64;
        self.totals.payload_sent += len;
        let open = (Token::Control(Intent::Open(flow)), true);
        if len == 0 {
            transmit(stripe, &frame, payload, &[open], self.now, out);
        } else {
            let data = Token::Data { flow, offset: 0, len, fin: false, requeued: false };
            self.data_entries += 1;
            transmit(stripe, &frame, payload, &[open, (data, true)], self.now, out);
        }
    }

    /// Notes that what goes out on `stripe` is to be repeated on another: if that one dies in this
    /// direction, or is slow, the peer should not wait for it.
    fn repeat_later(&mut self, intent: Intent, stripe: StripeId) {
        if self.stripes.live.len() > 1 {
            let rtt = self
                .stripes
                .live
                .get(&stripe)
                .and_then(|stripe| stripe.rtt.smoothed())
                .unwrap_or(*REPEAT.end());
            self.repeat.insert(intent);
            self.repeat_beside = Some(stripe);
            self.timers.arm(Timer::Repeat, self.now + rtt.clamp(*REPEAT.start(), *REPEAT.end()));
        }
    }

    /// Says the latest of what was said on one stripe on another.
    pub(super) fn repeat_elsewhere(&mut self) {
        self.repeat_now = true;
    }

    fn send_repeats(&mut self, out: &mut Vec<Output>) {
        if !core::mem::take(&mut self.repeat_now) {
            return;
        }
        let repeat = core::mem::take(&mut self.repeat);
        let Some(stripe) = self.control_stripe(self.repeat_beside, false) else {
            // None takes it now. What is still true then is said with the next.
            self.repeat = repeat;
            return;
        };
        let mut counts = Vec::new();
        for intent in repeat {
            match intent {
                Intent::Acknowledge(id) => {
                    counts.extend(
                        self.stripes
                            .live
                            .get(&id)
                            .map(|acknowledged| (id, acknowledged.acker.count())),
                    );
                }
                Intent::Credit(flow)
                    if self
                        .flows
                        .flows
                        .get(&flow)
                        .is_some_and(|entry| entry.recv.wants_credit()) =>
                {
                    self.send_intent(intent, stripe, out);
                }
                _ => {}
            }
        }
        let Some(stripe) = self.stripes.live.get_mut(&stripe) else { return };
        for counts in counts.chunks(MAX_ACKS) {
            let frame = Frame::Ack { counts: counts.to_vec() };
            transmit(
                stripe,
                &frame,
                Bytes::new(),
                &[(Token::Acknowledgements, false)],
                self.now,
                out,
            );
        }
    }

    /// Sends data; when there is none left to send and stripes would take more, what is stuck on
    /// slow stripes once more.
    fn send_data(&mut self, out: &mut Vec<Output>) {
        self.send_repeats(out);
        while self.reinject(true) {}
        loop {
            self.send_queued(out);
            if self.queue.front().is_some() {
                return;
            }
            if !self.reinject(false) {
                return self.watch_late();
            }
        }
    }

    /// Nothing is left to send: wakes when what a stripe carries becomes late, since then nothing
    /// else may.
    fn watch_late(&mut self) {
        if self.stripes.live.len() < 2 || self.config.scheduler != SchedulerKind::Earliest {
            return;
        }
        let late = |stripe: &Stripe| stripe.late_at().filter(|_| !stripe.doubted);
        let late =
            |stripe| late(stripe).map(|at| if at > self.now { at } else { self.now + LOOK_AGAIN });
        if let Some(at) = self.stripes.live.values().filter_map(late).min() {
            // Earlier if one becomes late before those that were looked at.
            if self.timers.at(Timer::Overtake).is_none_or(|set| at < set) {
                self.timers.set(Timer::Overtake, at);
            }
        }
    }

    /// Puts up one piece of data for a second sending, if a copy of it would arrive well before the
    /// original.
    fn reinject(&mut self, urgent: bool) -> bool {
        let pays = self.config.scheduler == SchedulerKind::Earliest
            && self.totals.payload_reinjected < reinject::budget(self.totals.payload_sent);
        let anyway = !urgent && self.turns.once(Site::Copy);
        let any_slow = || self.stripes.live.values().any(|stripe| stripe.rate.slowed());
        if self.stripes.live.len() < 2 || !(pays || anyway) || (urgent && !any_slow()) {
            return false;
        }
        self.gather(None, |stripe| stripe.takes_data(stripe.chunk()) && !stripe.is_full(false));
        let Some((carrier, copy)) =
            reinject::carrier(&self.candidates, crate::config::MIN_CHUNK as u64)
        else {
            return false;
        };
        let others =
            self.stripes.live.values_mut().filter(|stripe| stripe.id != carrier && !stripe.doubted);
        let now = self.now;
        let stuck = |stripe| {
            if anyway {
                first_piece(stripe, 0, |_| true)
            } else {
                stuck_piece(stripe, copy, urgent, now)
            }
        };
        let Some((flow, range, fin)) = others.filter_map(stuck).next() else {
            return false;
        };
        self.totals.payload_reinjected += range.end - range.start;
        if planted!(ReinjectionForgotten) {
            return true;
        }
        self.change(flow, |entry| entry.send.lose(range, fin));
        true
    }

    /// Sends what is queued, each piece on the stripe that the scheduler picks.
    fn send_queued(&mut self, out: &mut Vec<Output>) {
        let mut gathered = None;
        while let Some(flow) = self.queue.front() {
            if self.data_entries >= MAX_DATA_ENTRIES {
                break;
            }
            let waiting = self.flows.flows[&flow].send.sendable();
            let sparse = waiting <= crate::config::MIN_CHUNK as u64 && self.queue.is_fresh();
            let len = waiting.min(crate::config::MAX_CHUNK as u64);
            let takes = |stripe: &Stripe| {
                stripe.takes_data(stripe.chunk().min(len as usize)) && !stripe.is_full(sparse)
            };
            if gathered != Some((len, sparse)) {
                self.gather(None, takes);
                gathered = Some((len, sparse));
            }
            let Some(id) = self.scheduler.pick(&self.candidates, len, self.backlog) else { break };
            self.send_chunk(flow, id, out);
            let stripe = &self.stripes.live[&id];
            if planted!(StaleCandidate) {
                continue;
            }
            let best = self.stripes.live.values().filter_map(|stripe| stripe.rate.estimate()).max();
            let changed = candidate(stripe, takes(stripe), best, self.now);
            if let Some(slot) = self.candidates.iter_mut().find(|slot| slot.stripe == id) {
                *slot = changed;
            }
        }
    }

    fn send_chunk(&mut self, flow: FlowId, id: StripeId, out: &mut Vec<Output>) {
        let Some(mut max) = self.stripes.live.get(&id).map(Stripe::chunk) else { return };
        if self.turns.take(Site::Crumb, self.totals.payload_sent + self.totals.payload_resent) {
            max = max.min(3);
        }
        let Some((chunk, again)) = self
            .change(flow, |entry| {
                let before = entry.send.buffer.next();
                entry.send.take(max).map(|chunk| (chunk, entry.send.buffer.next() == before))
            })
            .flatten()
        else {
            return;
        };
        let len = chunk.data.len() as u64;
        self.account_for(flow, len, again);
        self.queue.charge(flow, chunk.data.len());
        let Some(stripe) = self.stripes.live.get_mut(&id) else { return };
        let frame = Frame::Data { flow, offset: chunk.offset, fin: chunk.fin };
        let fin = chunk.fin && !(again && len > 0 && planted!(ResentFinNotRecorded));
        let token = Token::Data { flow, offset: chunk.offset, len, fin, requeued: false };
        let unwritten = stripe.unwritten();
        assert!(
            unwritten == 0 || unwritten + len <= stripe.allowance(),
            "data beyond a stripe's allowance"
        );
        transmit(stripe, &frame, chunk.data, &[(token, true)], self.now, out);
        self.notify_writable(flow, out);
    }

    /// Counts a DATA frame that is about to go on a stripe, `again` if what it carries was sent
    /// before. The last of the credit is worth a word to the peer.
    pub(super) fn account_for(&mut self, flow: FlowId, len: u64, again: bool) {
        if again {
            self.totals.payload_resent += len;
        } else {
            self.totals.payload_sent += len;
        }
        if self
            .flows
            .flows
            .get(&flow)
            .is_some_and(|entry| entry.send.buffer.next() == entry.send.limit)
        {
            self.intents.add(Intent::Blocked(flow));
        }
        self.data_entries += 1;
    }

    /// Notes what the sending has shown, and sets the timers that end every wait.
    pub(super) fn after_sending(&mut self, out: &mut Vec<Output>) {
        let waiting = self.queue.front().is_some();
        for (id, stripe) in &mut self.stripes.live {
            let full = stripe.is_full(false);
            if stripe.takes_data(stripe.chunk()) && !full {
                stripe.rate.app_limited(stripe.sent);
            } else if waiting && !stripe.congested {
                stripe.congested = true;
                stripe.congestions += 1;
            }
            if waiting && full {
                stripe.window.limit();
            }
            if let Some(at) =
                stripe.doubt_at().filter(|_| !stripe.doubted && !planted!(DoubtTimerForgotten))
            {
                // Earlier if the stripe has been measured meanwhile; later is what its handler sees
                // to.
                if self.timers.at(Timer::Doubt(*id)).is_none_or(|set| at < set) {
                    self.timers.set(Timer::Doubt(*id), at);
                }
            }
            let pace = stripe.unsent();
            if pace >= stripe.pace * 2 || pace <= stripe.pace / 2 {
                stripe.pace = pace;
                out.push(Output::StripePace { stripe: *id, unsent: pace });
            }
        }
        let missing = self.missing_stripes();
        if missing != self.wanted && matches!(self.role, Role::Client) {
            self.wanted = missing;
            out.push(Output::StripesWanted { count: missing });
        }
    }
}

/// As the scheduler sees it. No stripe is hoped to be faster than the `best` is known to be.
fn candidate(stripe: &Stripe, writable: bool, best: Option<u64>, now: Instant) -> Candidate {
    Candidate {
        stripe: stripe.id,
        writable,
        min_rtt: stripe.rtt.min().map(|rtt| rtt.as_micros() as u64),
        rate: stripe.rate_now(now).map(|rate| best.map_or(rate, |best| rate.min(best))),
        in_flight: stripe.on_the_way(now),
        unwritten: stripe.unwritten(),
        chunk: stripe.chunk() as u64,
    }
}

/// The oldest piece of data on a stripe that a copy which takes `copy` microseconds would clearly
/// overtake. It is handed out once. If it is `urgent`, since there is other data to send, only one
/// that will be late: the scheduler may have put it there knowing how long it takes.
fn stuck_piece(stripe: &mut Stripe, copy: u64, urgent: bool, now: Instant) -> Option<Piece> {
    if urgent && !stripe.rate.slowed() {
        return None;
    }
    let late = stripe.late_at().is_some_and(|at| at <= now);
    let rate = stripe.rate_now(now)?;
    let worth = reinject::worth_behind(rate, copy, late && !urgent);
    if stripe.in_flight() <= worth {
        return None;
    }
    let acknowledged = stripe.ledger.acknowledged();
    let wanted = |entry: &Entry<Token>| {
        let left = (entry.end - acknowledged).saturating_mul(1_000_000) / rate;
        !urgent || now + Duration::from_micros(left) > crate::stripe::late(entry)
    };
    first_piece(stripe, worth, wanted)
}

/// A part of a flow: which, and whether its end is in it.
type Piece = (FlowId, core::ops::Range<u64>, bool);

/// The oldest piece of data on a stripe behind so many unacknowledged bytes that is `wanted`. It is
/// handed out once.
fn first_piece(
    stripe: &mut Stripe,
    behind: u64,
    wanted: impl Fn(&Entry<Token>) -> bool,
) -> Option<Piece> {
    let behind = stripe.ledger.acknowledged() + behind;
    let spent = |token: &Token| !matches!(token, Token::Data { requeued: false, .. });
    match &mut stripe.ledger.find(behind, spent, wanted)?.token {
        Token::Data { flow, offset, len, fin, requeued } => {
            *requeued = true;
            Some((*flow, *offset..*offset + *len, *fin && !planted!(CopyLosesFin)))
        }
        _ => None,
    }
}

/// Puts a frame on a stripe. Its last token covers the payload, those before it only the head.
pub(super) fn transmit(
    stripe: &mut Stripe,
    frame: &Frame,
    payload: Bytes,
    tokens: &[(Token, bool)],
    now: Instant,
    out: &mut Vec<Output>,
) {
    let header = frame.encode(payload.len());
    let mut len = header.len();
    for (index, (token, eliciting)) in tokens.iter().enumerate() {
        if index + 1 == tokens.len() {
            len += payload.len();
        }
        let (token, eliciting) = if planted!(LedgerOrderSwapped) {
            tokens[tokens.len() - 1 - index]
        } else {
            (*token, *eliciting)
        };
        stripe.put(len, token, eliciting, now);
        len = 0;
    }
    out.push(Output::Transmit { stripe: stripe.id, header, payload });
}
