//! One stripe as a session sees it: what was put on it, what came from it, how fast it is.

pub(crate) mod acker;
pub(crate) mod estimator;
pub(crate) mod ledger;
pub(crate) mod rtt;
pub(crate) mod table;
pub(crate) mod window;

use crate::config::{MAX_CHUNK, MIN_CHUNK};
use crate::id::{FlowId, StripeId};
use crate::intents::Intent;
use crate::io::Output;
use crate::stats::StripeStats;
use crate::time::Instant;
use crate::wire::deframer::Deframer;
use crate::wire::frame::Frame;
use acker::Acker;
use alloc::vec::Vec;
use bytes::Bytes;
use core::hash::{Hash, Hasher};
use core::time::Duration;
use estimator::{Latest, Mark, RateEstimator};
use ledger::{Entry, Ledger};
use rtt::Rtt;
use window::{Ack, Window};

/// Bytes that a stripe may have handed over and not written while its rate is unknown.
const UNKNOWN_ALLOWANCE: u64 = 8 << 10;
/// Largest piece of data for a stripe of unknown rate.
const UNKNOWN_CHUNK: usize = 8 << 10;
/// Bounds of the allowance.
const ALLOWANCE: core::ops::RangeInclusive<u64> = (8 << 10)..=(512 << 10);
/// The allowance is this much of a stripe's time.
const ALLOWANCE_TIME: Duration = Duration::from_millis(5);
/// Unsent data in the operating system is this much of a stripe's time: late enough to choose well,
/// early enough never to run dry. Linux wakes a writer when half of it is left.
const UNSENT_TIME: Duration = Duration::from_millis(10);
/// One piece of data is this much of a stripe's time.
const CHUNK_TIME: Duration = Duration::from_millis(4);
/// Payload of a packet on an Ethernet path: 1,500 bytes less 52 of IPv4 and TCP headers with
/// timestamps.
const PACKET: usize = 1448;
/// A usual head of a DATA frame.
const HEAD: usize = 12;
/// An acknowledgement that takes half a round trip and this much longer than the shortest has met a
/// queue; less may be the timer of the acknowledging side.
const QUEUED_SLACK: Duration = Duration::from_millis(10);
/// How long data takes on a stripe of which nothing is known, for the question whether it is late.
const UNKNOWN_RTT: Duration = Duration::from_millis(100);
/// How fast a stripe is taken to be for the same question, in bytes per second; as in the choice.
const UNKNOWN_RATE: u64 = 1_250_000;
/// Data is late only by this much.
const LATE_SLACK: Duration = Duration::from_millis(10);
/// An acknowledgement is overdue only by this much and a piece's time: others may be in front of it
/// on the stripe that brings it, and timers are late.
const OVERDUE: Duration = Duration::from_millis(25);
/// A stripe on which something came in within the last fourth of the limit is given up only after
/// four times the limit.
const HEARD: u32 = 4;
/// A stripe that carries more entries than this without anything that asks for an acknowledgement
/// gets a PING, so that its ledger ends.
const MAX_UNANSWERED: usize = 4096;
/// Control may exceed the allowance by this many bytes.
const CONTROL_RESERVE: u64 = 16 << 10;

/// What an entry of a stripe's ledger stands for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Token {
    /// Bytes of a flow; `requeued` once they have been put up for sending elsewhere.
    Data { flow: FlowId, offset: u64, len: u64, fin: bool, requeued: bool },
    /// Control that is owed again if the stripe dies.
    Control(Intent),
    /// Acknowledgements of whatever stripes; if they are lost, all are owed again.
    Acknowledgements,
    /// Of no use elsewhere: PING, PONG.
    Local,
}

impl Token {
    /// Whether it stands for bytes of a flow, or its FIN.
    pub fn is_data(&self) -> bool {
        matches!(self, Token::Data { .. })
    }
}

/// A live stripe.
#[derive(Clone, Debug)]
pub(crate) struct Stripe {
    id: StripeId,
    /// What its pipe adds to each send, in bytes.
    overhead: usize,
    /// Frame bytes handed over for transmission.
    sent: u64,
    /// Frame bytes that the operating system has taken.
    written: u64,
    ledger: Ledger<Token>,
    rtt: Rtt,
    rate: RateEstimator,
    window: Window,
    deframer: Deframer,
    acker: Acker,
    /// The head of the DATA that is coming in, as long as nothing of it was new.
    idle_head: u64,
    /// When anything last came in.
    heard: Instant,
    /// When an acknowledgement last moved, or the first thing that asks for one was sent.
    progress: Instant,
    /// What was put on it before this time says nothing about its round trip: we have slept since.
    awake_since: Instant,
    /// When the next acknowledgement was to come at the earliest, should nothing have queued: the
    /// shortest round trip after the oldest entry was handed over, but not before the one that has
    /// come.
    due: Instant,
    /// When the first thing that asks for an acknowledgement was sent since none was awaited.
    began: Instant,
    /// Stripe bytes before the first thing that asks for an acknowledgement and was sent when none
    /// was awaited.
    busy_from: u64,
    /// Acknowledgements are overdue.
    doubted: bool,
    /// What it holds has been put up for sending elsewhere because of that.
    requeued: bool,
    /// The PING that is on its way: nonce and end of its bytes.
    ping: Option<(u64, u64)>,
    /// A PING is to be sent.
    ping_owed: bool,
    /// A PONG is to be sent.
    pong_owed: Option<u64>,
    /// Data was there, but it took no more.
    congested: bool,
    congestions: u64,
    /// What was last said in a `StripePace`; zero before the first.
    pace: u64,
}

impl Stripe {
    /// `overhead` is what its pipe adds to each send, in bytes.
    pub fn new(id: StripeId, overhead: usize, now: Instant) -> Self {
        Stripe {
            id,
            overhead,
            sent: 0,
            written: 0,
            ledger: Ledger::new(),
            rtt: Rtt::default(),
            rate: RateEstimator::new(now),
            window: Window::new(now, id.0),
            deframer: Deframer::new(),
            acker: Acker::default(),
            idle_head: 0,
            heard: now,
            progress: now,
            awake_since: now,
            due: now,
            began: now,
            busy_from: 0,
            doubted: false,
            requeued: false,
            ping: None,
            ping_owed: true,
            pong_owed: None,
            congested: false,
            congestions: 0,
            pace: 0,
        }
    }

    /// Its number.
    pub fn id(&self) -> StripeId {
        self.id
    }

    /// Frame bytes handed over for transmission.
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// What it carries and the peer has not acknowledged.
    pub fn ledger(&self) -> &Ledger<Token> {
        &self.ledger
    }

    /// See [`Stripe::ledger`].
    pub fn ledger_mut(&mut self) -> &mut Ledger<Token> {
        &mut self.ledger
    }

    /// What is left of it when it is gone.
    pub fn into_ledger(self) -> Ledger<Token> {
        self.ledger
    }

    /// Its round trips.
    pub fn rtt(&self) -> &Rtt {
        &self.rtt
    }

    /// Its delivery rate.
    pub fn rate(&self) -> &RateEstimator {
        &self.rate
    }

    /// Frame bytes received and processed.
    pub fn received(&self) -> u64 {
        self.deframer.processed()
    }

    /// What it owes the peer of acknowledgements.
    pub fn acker(&self) -> &Acker {
        &self.acker
    }

    /// See [`Stripe::acker`].
    pub fn acker_mut(&mut self) -> &mut Acker {
        &mut self.acker
    }

    /// Handed over and not acknowledged, in bytes. What asks for no acknowledgement may lie around
    /// unacknowledged for long and counts only behind something that does.
    pub fn in_flight(&self) -> u64 {
        if self.ledger.awaits() {
            self.sent - self.busy_from.max(self.ledger.acknowledged())
        } else {
            0
        }
    }

    /// Handed over and not taken by the operating system, in bytes.
    pub fn unwritten(&self) -> u64 {
        self.sent - self.written
    }

    /// How much may be unwritten.
    pub fn allowance(&self) -> u64 {
        self.rate.estimate().map_or(UNKNOWN_ALLOWANCE, |rate| {
            over(rate, ALLOWANCE_TIME).clamp(*ALLOWANCE.start(), *ALLOWANCE.end())
        })
    }

    /// How much may be unsent in the operating system.
    pub fn unsent(&self) -> u64 {
        self.rate.estimate().map_or(UNKNOWN_ALLOWANCE, |rate| {
            over(rate, UNSENT_TIME).clamp(*ALLOWANCE.start(), *ALLOWANCE.end())
        })
    }

    /// The largest piece of data to put on it.
    pub fn chunk(&self) -> usize {
        self.rate.estimate().map_or(UNKNOWN_CHUNK, |rate| {
            whole_packets(over(rate, CHUNK_TIME) as usize).clamp(MIN_CHUNK, MAX_CHUNK)
                - self.overhead
        })
    }

    /// Whether it takes `len` more bytes of data now.
    pub fn takes_data(&self, len: usize) -> bool {
        self.unwritten() == 0 || self.unwritten() + len as u64 <= self.allowance()
    }

    /// Whether as much is in flight as keeps it busy, and a piece more if what is to be sent is
    /// `sparse`. Pieces have a size: half of one more is as good as half of one less.
    pub fn is_full(&self, sparse: bool) -> bool {
        let (in_flight, chunk) = (self.in_flight(), self.chunk() as u64);
        let beyond = if sparse { chunk * 3 / 2 } else { 0 };
        in_flight > 0
            && in_flight + chunk / 2 > self.window.bytes(self.shortest()).saturating_add(beyond)
    }

    /// What of `in_flight` is still on its way, as far as can be told: acknowledgements come in
    /// batches, but one that comes no more brings nothing.
    pub fn on_the_way(&self, now: Instant) -> u64 {
        let since = now.since(self.progress).min(acker::DELAY);
        let arrived = self.rate.estimate().map_or(0, |rate| over(rate, since));
        self.in_flight().saturating_sub(arrived)
    }

    /// The shortest recent round trip in microseconds.
    fn shortest(&self) -> Option<u64> {
        self.rtt.min().map(micros)
    }

    /// Whether it takes control now.
    pub fn takes_control(&self) -> bool {
        self.unwritten() < self.allowance() + CONTROL_RESERVE
    }

    /// Records what is put on it: `len` more bytes.
    fn put(&mut self, len: usize, token: Token, eliciting: bool, now: Instant) {
        let begins = eliciting && !self.ledger.awaits();
        if begins {
            self.progress = now;
            self.began = now;
            self.due = now + self.rtt.min().unwrap_or(UNKNOWN_RTT);
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
        let rate = self.rate.estimate().unwrap_or(UNKNOWN_RATE).max(1);
        let queued = Duration::from_micros(bytes.saturating_mul(1_000_000) / rate);
        self.rtt.min().unwrap_or(UNKNOWN_RTT) + queued
    }

    /// When the oldest of what is on it has taken half as long again as was expected when it was
    /// put there, or an acknowledgement is overdue.
    pub fn late_at(&self) -> Option<Instant> {
        Some(late(self.ledger.awaited()?).min(self.due + self.overdue()))
    }

    /// An acknowledgement that is so much behind the earliest time at which it could come shows
    /// that the stripe has become slower or stands.
    fn overdue(&self) -> Duration {
        let piece =
            self.rate.estimate().map_or(0, |rate| self.chunk() as u64 * 1_000_000 / rate.max(1));
        OVERDUE + Duration::from_micros(piece)
    }

    /// Its rate in bytes per second as it shows now: that of the time since the oldest data on it
    /// was handed over, if that is late; and not more than one piece in the time for which an
    /// acknowledgement is overdue.
    pub fn rate_now(&self, now: Instant) -> Option<u64> {
        let late = self.late_at().is_some_and(|at| at <= now);
        match self.ledger.awaited().filter(|_| late) {
            None => self.rate.hopeful(now),
            Some(front) => {
                let brought = self.ledger.acknowledged().saturating_sub(front.mark.delivered());
                let over = |bytes: u64, since: Instant| {
                    bytes.saturating_mul(1_000_000) / micros(now.since(since)).max(1)
                };
                let mut rate = over(brought, front.at);
                if now.since(self.due) >= self.overdue() {
                    rate = rate.min(over(self.chunk() as u64, self.due));
                }
                Some(rate.min(self.rate.estimate().unwrap_or(u64::MAX)).max(1))
            }
        }
    }

    /// The operating system has taken `total` of the bytes that were handed over.
    pub fn wrote(&mut self, total: u64) {
        self.written = self.written.max(total);
        if self.takes_data(self.chunk()) && !self.is_full(false) {
            self.congested = false;
        }
    }

    /// Hands over a frame for transmission. Its last token covers the payload, those before it only
    /// the head.
    pub fn transmit(
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

    /// Notes whether it took all that there was, while more data is `waiting` or not.
    pub fn after_sending(&mut self, waiting: bool) {
        let full = self.is_full(false);
        if self.takes_data(self.chunk()) && !full {
            self.rate.app_limited(self.sent);
        } else if waiting && !self.congested {
            self.congested = true;
            self.congestions += 1;
        }
        if waiting && full {
            self.window.limit();
        }
    }

    /// What it should say anew of [`Stripe::unsent`], if that has doubled or halved since.
    pub fn new_pace(&mut self) -> Option<u64> {
        let pace = self.unsent();
        let changed = pace >= self.pace * 2 || pace <= self.pace / 2;
        changed.then(|| {
            self.pace = pace;
            pace
        })
    }

    /// Its pace will be said again.
    pub fn forget_pace(&mut self) {
        self.pace = 0;
    }

    /// Bytes have come in: its deframer, taken out while what it finds changes everything else, the
    /// stripe included.
    pub fn begin_receiving(&mut self, now: Instant) -> Deframer {
        self.heard = now;
        core::mem::take(&mut self.deframer)
    }

    /// All that came in has been processed.
    pub fn end_receiving(&mut self, deframer: Deframer, now: Instant) {
        self.acker.processed(deframer.processed(), false, now);
        self.deframer = deframer;
    }

    /// The head of a DATA frame has come, of which nothing is new so far. Gives the length of the
    /// one before it if that has brought nothing.
    pub fn replace_idle_head(&mut self, head: u64) -> u64 {
        core::mem::replace(&mut self.idle_head, head)
    }

    /// When anything last came in.
    pub fn heard(&self) -> Instant {
        self.heard
    }

    /// Whether its acknowledgements are overdue.
    pub fn is_doubted(&self) -> bool {
        self.doubted
    }

    /// Its acknowledgements are overdue: it is asked whether it still lives.
    pub fn doubt(&mut self) {
        self.doubted = true;
        self.requeued = false;
        self.ask();
    }

    /// Whether what it holds is to be sent again elsewhere because it is in doubt, and was not yet.
    pub fn needs_resend(&self) -> bool {
        self.doubted && !self.requeued
    }

    /// What it holds is being put up for sending elsewhere.
    pub fn resent(&mut self) {
        self.requeued = true;
    }

    /// A PING is to be sent, unless one is on its way.
    pub fn ask(&mut self) {
        self.ping_owed = self.ping.is_none();
    }

    /// Whether a PING is owed or on its way.
    pub fn is_asked(&self) -> bool {
        self.ping_owed || self.ping.is_some()
    }

    /// A PONG has come: the end of the bytes that it acknowledges, if it answers our PING. The
    /// stripe keeps order, so what went before the PING has been processed.
    pub fn answered(&mut self, nonce: u64) -> Option<u64> {
        let (_, end) = self.ping.take_if(|(expected, _)| *expected == nonce)?;
        Some(end)
    }

    /// A PING has come.
    pub fn owe_pong(&mut self, nonce: u64) {
        self.pong_owed = Some(nonce);
    }

    /// The nonce of the PONG that is owed, which is then owed no more.
    pub fn take_pong(&mut self) -> Option<u64> {
        self.pong_owed.take()
    }

    /// Whether a PONG or a PING is owed. A stripe that carries much and awaits no acknowledgement
    /// is pinged, so that its ledger ends.
    #[inline]
    pub fn owes_probe(&mut self) -> bool {
        self.ping_owed |= self.ledger.len() > MAX_UNANSWERED && !self.ledger.awaits();
        self.ping_owed || self.pong_owed.is_some()
    }

    /// Sends the PONG and the PING that are owed, each of which goes on its own stripe. `nonce` is
    /// that of the latest PING of the session.
    pub fn send_probes(&mut self, nonce: &mut u64, now: Instant, out: &mut Vec<Output>) {
        if self.takes_control()
            && let Some(nonce) = self.take_pong()
        {
            let frame = Frame::Pong { nonce };
            self.transmit(&frame, Bytes::new(), &[(Token::Local, false)], now, out);
        }
        if self.owes_probe() && self.ping_owed && self.takes_control() {
            *nonce += 1;
            self.send_ping(*nonce, now, out);
        }
    }

    /// Sends a PING.
    pub fn send_ping(&mut self, nonce: u64, now: Instant, out: &mut Vec<Output>) {
        self.ping_owed = false;
        self.transmit(&Frame::Ping { nonce }, Bytes::new(), &[(Token::Local, true)], now, out);
        self.ping = Some((nonce, self.sent));
    }

    /// When to doubt it if nothing is acknowledged until then.
    pub fn doubt_at(&self) -> Option<Instant> {
        self.ledger.awaits().then(|| self.progress + self.rtt.patience())
    }

    /// When to give it up if it is in doubt and nothing is acknowledged until then. While something
    /// comes in, an answer may stand behind it: then up to [`HEARD`] times as long.
    pub fn stall_at(&self, limit: Duration) -> Instant {
        let limit = limit.max(self.rtt.patience() * 2);
        let behind = (self.heard + limit / HEARD).min(self.progress + limit * HEARD);
        (self.progress + limit).max(behind)
    }

    /// Time that we have slept is not held against it.
    pub fn excuse(&mut self, slept: Duration, now: Instant) {
        self.progress = (self.progress + slept).min(now);
        self.heard = (self.heard + slept).min(now);
        self.due = self.due.max(now);
        self.awake_since = now;
    }

    /// An acknowledgement moved: measures by the latest entry that it covers.
    pub fn measure(&mut self, latest: Option<(Instant, Mark)>, now: Instant) {
        let latest = latest.filter(|(at, _)| *at >= self.awake_since);
        let took = latest.map(|(at, _)| now.since(at));
        if let Some(took) = took {
            self.rtt.sample(took, now);
        }
        let delivered = self.ledger.acknowledged();
        let overdue = micros(now.since(self.due));
        let latest = latest.zip(took).zip(self.rtt.min()).map(|(((at, mark), took), min)| {
            let queued = took > min * 3 / 2 + QUEUED_SLACK;
            Latest { at, mark, beyond: micros(took.saturating_sub(min)), queued }
        });
        if let Some(Latest { mark, beyond, .. }) = latest.filter(|latest| latest.at == self.began) {
            let wait = beyond + micros(acker::DELAY);
            self.rate.unhindered(delivered.saturating_sub(mark.delivered()), wait, now);
        }
        let rate = self.rate.acknowledged(delivered, overdue, latest, now);
        let oldest =
            self.ledger.awaited().map(|front| front.at + self.rtt.min().unwrap_or(UNKNOWN_RTT));
        self.due = oldest.map_or(now, |at| at.max(now));
        if let (Some(took), Some(latest), Some(shortest)) = (took, latest, self.shortest()) {
            let (before, took) = (latest.mark.delivered(), micros(took));
            let (sent, chunk) = (self.sent, self.chunk() as u64);
            self.window
                .acknowledged(&Ack { delivered, before, sent, rate, took, shortest, chunk }, now);
        }
        self.progress = now;
        self.doubted = false;
    }

    /// All that decides what it does, see [`crate::Session::fingerprint`].
    pub fn fingerprint(&self, hasher: &mut impl Hasher) {
        assert!(
            self.rate.estimate().is_none(),
            "stripe {} has been measured: time has passed",
            self.id
        );
        (self.id, self.sent, self.written).hash(hasher);
        self.ledger.fingerprint(hasher);
        self.deframer.hash(hasher);
        self.acker.fingerprint(hasher);
        (self.doubted, self.requeued, self.ping, self.ping_owed, self.pong_owed).hash(hasher);
    }

    pub fn stats(&self) -> StripeStats {
        StripeStats {
            stripe: self.id,
            sent: self.sent,
            written: self.written,
            acknowledged: self.ledger.acknowledged(),
            received: self.deframer.processed(),
            congestions: self.congestions,
            srtt: self.rtt.smoothed(),
            min_rtt: self.rtt.min(),
            rate: self.rate.estimate(),
            window: Some(self.window.bytes(self.shortest())).filter(|bytes| *bytes < u64::MAX),
            doubted: self.doubted,
        }
    }
}

/// When an entry has taken half as long again as was expected.
pub(crate) fn late<T>(entry: &Entry<T>) -> Instant {
    entry.at + entry.expected.since(entry.at) * 3 / 2 + LATE_SLACK
}

/// So many bytes, or less, that fill whole packets with the head of their frame.
fn whole_packets(len: usize) -> usize {
    (len / PACKET * PACKET).saturating_sub(HEAD)
}

/// A time in microseconds.
fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Bytes that `rate` bytes per second make in `time`.
fn over(rate: u64, time: Duration) -> u64 {
    rate.saturating_mul(time.as_micros() as u64) / 1_000_000
}

/// For tests of a session, in which nothing is measured.
#[cfg(test)]
impl Stripe {
    pub fn rate_mut(&mut self) -> &mut RateEstimator {
        &mut self.rate
    }

    pub fn rtt_mut(&mut self) -> &mut Rtt {
        &mut self.rtt
    }

    pub fn window_mut(&mut self) -> &mut Window {
        &mut self.window
    }

    /// The PING that is on its way: its nonce, and the end of its bytes.
    pub fn ping(&self) -> Option<(u64, u64)> {
        self.ping
    }
}

#[cfg(test)]
mod tests;
