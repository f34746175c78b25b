//! One stripe as a session sees it: what was put on it, what came from it, how fast it is.

pub(crate) mod acker;
pub(crate) mod estimator;
mod holdup;
mod inbound;
mod lateness;
pub(crate) mod ledger;
mod limits;
mod probes;
pub(crate) mod rtt;
mod sizes;
pub(crate) mod table;
mod token;
pub(crate) mod window;

use crate::id::StripeId;
use crate::io::Output;
use crate::rate::Rate;
use crate::stats::{StripeLimit, StripeStats};
use crate::time::{Instant, micros};
use crate::wire::frame::Frame;
use alloc::vec::Vec;
use bytes::Bytes;
use core::hash::{Hash, Hasher};
use core::time::Duration;
use estimator::{Latest, Mark, RateEstimator};
use holdup::HoldUp;
use inbound::Inbound;
use ledger::{Entry, Ledger};
use limits::Limits;
use probes::Probes;
use rtt::Rtt;
use window::{Ack, Window};

pub(crate) use limits::Demand;
pub(crate) use token::Token;

/// An acknowledgement that takes half a round trip and this much longer than the shortest has met a
/// queue. A shorter delay may be the timer of the acknowledging side.
const QUEUED_SLACK: Duration = Duration::from_millis(10);
/// How long data may take on a stripe of which nothing is known before it is late.
const LENIENT_RTT: Duration = Duration::from_millis(100);
/// How fast such a stripe is taken to be for the same question; as in the choice.
const LENIENT_RATE: Rate = Rate::bytes(1_250_000);
/// A stripe that carries more entries than this without anything that asks for an acknowledgement
/// gets a PING, so that its ledger ends.
const MAX_UNANSWERED: usize = 4096;
/// Control may exceed the allowance by this many bytes.
const CONTROL_RESERVE: u64 = 16 << 10;

#[derive(Clone, Debug)]
pub(crate) struct Stripe {
    id: StripeId,
    /// The bytes that its pipe adds to each send.
    overhead: usize,
    sent: u64,
    /// Frame bytes that the operating system has taken.
    written: u64,
    ledger: Ledger<Token>,
    /// Stripe bytes that were at the peer's system at the last count, those behind a lost packet
    /// included.
    arrived: u64,
    rtt: Rtt,
    rate: RateEstimator,
    window: Window,
    held_up: HoldUp,
    inbound: Inbound,
    probes: Probes,
    /// When an acknowledgement last moved, or the first thing that asks for one was sent.
    progress: Instant,
    /// Bytes put on it before this time say nothing about its round trip: we have slept since.
    awake_since: Instant,
    /// The earliest time of the next acknowledgement, should nothing have queued. This is the
    /// shortest round trip after the oldest entry was handed over, but not before the
    /// acknowledgement that has come.
    due: Instant,
    /// When the first thing that asks for an acknowledgement was sent since none was awaited.
    began: Instant,
    /// Stripe bytes before the first thing that asks for an acknowledgement and was sent when none
    /// was awaited.
    busy_from: u64,
    doubted: bool,
    doubts: u64,
    /// Its data has been put up for sending elsewhere because of that.
    requeued: bool,
    /// Data was there, but it took no more.
    congested: bool,
    congestions: u64,
    limits: Limits,
    /// The pace that was last said in a `StripePace`; zero before the first.
    pace: u64,
}

impl Stripe {
    /// `overhead` is what its pipe adds to each send, in bytes.
    pub(crate) fn new(id: StripeId, overhead: usize, now: Instant) -> Self {
        Stripe {
            id,
            overhead,
            sent: 0,
            written: 0,
            ledger: Ledger::new(),
            arrived: 0,
            rtt: Rtt::default(),
            rate: RateEstimator::new(now),
            window: Window::new(now),
            held_up: HoldUp::default(),
            inbound: Inbound::new(now),
            probes: Probes::new(),
            progress: now,
            awake_since: now,
            due: now,
            began: now,
            busy_from: 0,
            doubted: false,
            doubts: 0,
            requeued: false,
            congested: false,
            congestions: 0,
            limits: Limits::new(now),
            pace: 0,
        }
    }

    pub(crate) fn id(&self) -> StripeId {
        self.id
    }

    pub(crate) fn sent(&self) -> u64 {
        self.sent
    }

    pub(crate) fn ledger(&self) -> &Ledger<Token> {
        &self.ledger
    }

    pub(crate) fn ledger_mut(&mut self) -> &mut Ledger<Token> {
        &mut self.ledger
    }

    pub(crate) fn into_ledger(self) -> Ledger<Token> {
        self.ledger
    }

    pub(crate) fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    pub(crate) fn rate(&self) -> &RateEstimator {
        &self.rate
    }

    pub(crate) fn inbound(&self) -> &Inbound {
        &self.inbound
    }

    pub(crate) fn inbound_mut(&mut self) -> &mut Inbound {
        &mut self.inbound
    }

    pub(crate) fn probes(&self) -> &Probes {
        &self.probes
    }

    pub(crate) fn probes_mut(&mut self) -> &mut Probes {
        &mut self.probes
    }

    /// Stripe bytes that are acknowledged, or have arrived as far as is known.
    fn delivered(&self) -> u64 {
        self.ledger.acknowledged().max(self.arrived)
    }

    /// Handed over and not delivered, in bytes. Bytes that ask for no acknowledgement may lie
    /// around unacknowledged for long. They count only behind something that asks for one.
    pub(crate) fn in_flight(&self) -> u64 {
        if self.ledger.awaits() { self.sent - self.busy_from.max(self.delivered()) } else { 0 }
    }

    /// Handed over and not taken by the operating system, in bytes.
    pub(crate) fn unwritten(&self) -> u64 {
        self.sent - self.written
    }

    /// How much may be unwritten.
    pub(crate) fn allowance(&self) -> u64 {
        sizes::allowance(self.rate.estimate())
    }

    /// How much may be unsent in the operating system.
    pub(crate) fn unsent(&self) -> u64 {
        let srtt = self.rtt.smoothed().filter(|_| self.window.is_rate_based());
        sizes::unsent(self.rate.estimate(), srtt)
    }

    /// The largest piece of data to put on it.
    pub(crate) fn chunk(&self) -> usize {
        sizes::chunk(self.rate.estimate(), self.overhead)
    }

    #[inline]
    pub(crate) fn takes_data(&self, len: usize) -> bool {
        self.unwritten() == 0 || self.unwritten() + len as u64 <= self.allowance()
    }

    /// Whether as much is in flight as keeps it busy, and a piece more if what is to be sent is
    /// `sparse`. Pieces have a size: half of one more is as good as half of one less.
    #[inline]
    pub(crate) fn is_full(&self, sparse: bool) -> bool {
        let (in_flight, chunk) = (self.in_flight(), self.chunk() as u64);
        let beyond = if sparse { chunk * 3 / 2 } else { 0 };
        let bound = self.window.bytes(self.shortest()).saturating_add(beyond);
        in_flight > 0 && (in_flight + chunk / 2 > bound || in_flight > self.clears_soon())
    }

    /// How many bytes in flight the stripe soon clears at its present rate. More would hold up the
    /// flow, as the receiver waits for them.
    #[inline]
    fn clears_soon(&self) -> u64 {
        let known = self.rate.estimate().zip(self.shortest());
        let (highest, grows) = (self.window.rate(), self.window.grows());
        known.map_or(u64::MAX, |(rate, rtt)| sizes::clears_soon(rate, highest, rtt, grows))
    }

    /// The part of `in_flight` that is still on its way, as far as can be told. Acknowledgements
    /// come in batches, but one that comes no more brings nothing.
    #[inline]
    pub(crate) fn on_the_way(&self, now: Instant) -> u64 {
        let since = now.since(self.progress).min(acker::DELAY);
        let arrived = self.rate.estimate().map_or(0, |rate| rate.bytes_in(since));
        self.in_flight().saturating_sub(arrived)
    }

    /// The shortest recent round trip in microseconds.
    fn shortest(&self) -> Option<u64> {
        self.rtt.min().map(micros)
    }

    pub(crate) fn takes_control(&self) -> bool {
        self.unwritten() < self.allowance() + CONTROL_RESERVE
    }

    /// Records what is put on it: `len` more bytes.
    fn put(&mut self, len: usize, token: Token, eliciting: bool, now: Instant) {
        let begins = eliciting && !self.ledger.awaits();
        if begins {
            self.progress = now;
            self.began = now;
            self.due = now + self.rtt.min().unwrap_or(LENIENT_RTT);
            self.busy_from = self.sent;
            self.window.resume();
        }
        let mark = self.rate.mark(begins.then_some(self.sent), now);
        self.sent += len as u64;
        let expected =
            now + self.explained(self.sent - self.busy_from.max(self.ledger.acknowledged()));
        self.ledger.push(Entry { end: self.sent, at: now, expected, eliciting, mark, token });
    }

    /// How long the rate and the shortest round trip, one after the other, explain that so many
    /// bytes take to be acknowledged. A system that begins slowly after a pause needs that much.
    fn explained(&self, bytes: u64) -> Duration {
        let rate = self.rate.estimate().unwrap_or(LENIENT_RATE);
        self.rtt.min().unwrap_or(LENIENT_RTT) + rate.time_for(bytes)
    }

    /// The operating system has taken `total` of the bytes that were handed over.
    pub(crate) fn wrote(&mut self, total: u64) {
        self.written = self.written.max(total);
        if self.takes_data(self.chunk()) && !self.is_full(false) {
            self.congested = false;
        }
    }

    /// So many stripe bytes have arrived, some of them behind a lost packet. If these are at least
    /// half of what the stripe carries in that time, it is neither dead nor slow.
    pub(crate) fn arrived(&mut self, total: u64, now: Instant) {
        let total = total.min(self.written);
        let fresh = total.saturating_sub(self.delivered());
        let rate = self.window.rate();
        if fresh > 0 && rate > Rate::default() && fresh >= rate.bytes_in(now.since(self.due)) / 2 {
            self.arrived = total;
            self.progress = now;
            self.due = self.due.max(now);
        }
    }

    /// Hands over a frame for transmission. Its last token covers the payload, those before it only
    /// the head.
    pub(crate) fn transmit(
        &mut self,
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
            self.put(len, *token, *eliciting, now);
            len = 0;
        }
        out.push(Output::Transmit { stripe: self.id, header, payload });
    }

    /// Notes whether it took all that there was, and what kept it from taking more.
    #[inline]
    pub(crate) fn after_sending(&mut self, demand: Demand, now: Instant) {
        let (waiting, full) = (demand == Demand::Waiting, self.is_full(false));
        let writable = self.takes_data(self.chunk());
        let limit = match demand {
            Demand::Nothing => StripeLimit::Application,
            Demand::NoCredit => StripeLimit::Receiver,
            // Where the operating system takes no more, its own window is the smaller one.
            Demand::Waiting if full && writable && !self.doubted => StripeLimit::Window,
            Demand::Waiting => StripeLimit::Route,
        };
        self.limits.note(limit, now);
        if writable && !full {
            self.rate.app_limited(self.sent);
        } else if waiting && !self.congested {
            self.congested = true;
            self.congestions += 1;
        }
        if waiting && full {
            self.window.limit();
        }
    }

    /// The new value of [`Stripe::unsent`] to say, if it has doubled or halved since.
    #[inline]
    pub(crate) fn new_pace(&mut self) -> Option<u64> {
        let pace = self.unsent();
        let changed = pace >= self.pace * 2 || pace <= self.pace / 2;
        changed.then(|| {
            self.pace = pace;
            pace
        })
    }

    pub(crate) fn forget_pace(&mut self) {
        self.pace = 0;
    }

    pub(crate) fn set_control(&mut self, rate_based: bool) {
        self.window.set_control(rate_based);
    }

    pub(crate) fn doubts(&self) -> u64 {
        self.doubts
    }

    pub(crate) fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// Its acknowledgements are overdue: it is asked whether it still lives.
    pub(crate) fn doubt(&mut self) {
        self.doubted = true;
        self.doubts += 1;
        self.requeued = false;
        self.probes.ask();
    }

    /// Whether what it holds is to be sent again elsewhere because it is in doubt, and was not yet.
    pub(crate) fn needs_resend(&self) -> bool {
        self.doubted && !self.requeued
    }

    /// Its data is being put up for sending elsewhere.
    pub(crate) fn resent(&mut self) {
        self.requeued = true;
    }

    /// Whether a PONG or a PING is owed. A stripe that carries much and awaits no acknowledgement
    /// is pinged, so that its ledger ends.
    #[inline]
    pub(crate) fn owes_probe(&mut self) -> bool {
        if self.ledger.len() > MAX_UNANSWERED && !self.ledger.awaits() {
            self.probes.insist();
        }
        self.probes.owes_ping() || self.probes.owes_pong()
    }

    /// Sends the PONG and the PING that are owed. `nonce` is that of the session's latest PING.
    pub(crate) fn send_probes(&mut self, nonce: &mut u64, now: Instant, out: &mut Vec<Output>) {
        if self.takes_control()
            && let Some(nonce) = self.probes.take_pong()
        {
            let frame = Frame::Pong { nonce };
            self.transmit(&frame, Bytes::new(), &[(Token::Local, false)], now, out);
        }
        if self.owes_probe() && self.probes.owes_ping() && self.takes_control() {
            *nonce += 1;
            self.send_ping(*nonce, now, out);
        }
    }

    pub(crate) fn send_ping(&mut self, nonce: u64, now: Instant, out: &mut Vec<Output>) {
        self.transmit(&Frame::Ping { nonce }, Bytes::new(), &[(Token::Local, true)], now, out);
        self.probes.sent(nonce, self.sent);
    }

    /// Time that we have slept is not held against it.
    pub(crate) fn excuse(&mut self, slept: Duration, now: Instant) {
        self.progress = (self.progress + slept).min(now);
        self.inbound.excuse(slept, now);
        self.due = self.due.max(now);
        self.awake_since = now;
    }

    /// An acknowledgement moved: measures by the latest entry that it covers. Says whether it lets
    /// its queue drain from now on.
    pub(crate) fn measure(&mut self, latest: Option<(Instant, Mark)>, now: Instant) -> bool {
        let latest = latest.filter(|(at, _)| *at >= self.awake_since);
        let took = latest.map(|(at, _)| now.since(at));
        if let Some(took) = took {
            self.rtt.sample(took, now);
        }
        let delivered = self.ledger.acknowledged();
        let overdue = micros(now.since(self.due));
        let ordinary = self.ordinary_delay();
        let brought = delivered.saturating_sub(self.rate.delivered());
        self.held_up.note(overdue, brought, self.window.rate(), now);
        let latest = latest.zip(took).zip(self.rtt.min()).map(|(((at, mark), took), min)| {
            let queued = took > min * 3 / 2 + QUEUED_SLACK;
            Latest { at, mark, beyond: micros(took.saturating_sub(min)), queued }
        });
        if let Some(Latest { mark, beyond, .. }) = latest.filter(|latest| latest.at == self.began) {
            let wait = beyond + micros(acker::DELAY);
            self.rate.unhindered(delivered.saturating_sub(mark.delivered()), wait, now);
        }
        let unusual = overdue.saturating_sub(ordinary);
        let rate = self.rate.acknowledged(delivered, unusual, latest, now);
        let oldest =
            self.ledger.awaited().map(|front| front.at + self.rtt.min().unwrap_or(LENIENT_RTT));
        self.due = oldest.map_or(now, |at| at.max(now));
        self.progress = now;
        self.doubted = false;
        let (Some(took), Some(latest), Some(shortest)) = (took, latest, self.shortest()) else {
            return false;
        };
        let (before, took) = (latest.mark.delivered(), micros(took));
        let (sent, chunk) = (self.sent, self.chunk() as u64);
        let ack = Ack { delivered, before, sent, rate, took, shortest, chunk };
        self.window.acknowledged(&ack, now)
    }

    pub(crate) fn drain_too(&mut self) {
        self.window.drain_too();
    }

    pub(crate) fn stats(&self, now: Instant) -> StripeStats {
        StripeStats {
            stripe: self.id,
            sent: self.sent,
            written: self.written,
            acknowledged: self.ledger.acknowledged(),
            received: self.inbound.received(),
            congestions: self.congestions,
            srtt: self.rtt.smoothed(),
            min_rtt: self.rtt.min(),
            rate: self.rate.estimate(),
            window: Some(self.window.bytes(self.shortest())).filter(|bytes| *bytes < u64::MAX),
            doubted: self.doubted,
            doubts: self.doubts,
            limit: self.limits.now(),
            limited: self.limits.times(now),
        }
    }
}

/// The state that decides how it goes on. See [`crate::Session::fingerprint`].
impl Hash for Stripe {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        assert!(
            self.rate.estimate().is_none(),
            "stripe {} has been measured: time has passed",
            self.id
        );
        (self.id, self.sent, self.written, self.arrived).hash(hasher);
        self.ledger.hash(hasher);
        self.inbound.hash(hasher);
        (self.doubted, self.requeued).hash(hasher);
        self.probes.hash(hasher);
    }
}

#[cfg(test)]
mod tests;
