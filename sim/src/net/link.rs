//! One direction of one TCP connection, packet by packet.
//!
//! This file keeps the packets in flight, the lost ones that have to be sent again, and the timer.
//! A link does nothing on its own: each call returns the events that shall happen later, and the
//! world keeps the time.
//!
//! Invariant: bytes come out in order and once, whatever is lost on the way. Without silence or a
//! kill all come out.
//!
//! Modelled like Linux:
//! - an initial window of 10 packets, slow start with HyStart's delay test (RFC 9406, section 4.2);
//! - one halving per window with losses, selective acknowledgement;
//! - tail loss probe (RFC 8985), retransmission timeout (RFC 6298 with Linux's 200 ms minimum).
//!
//! Growth after slow start is Reno's packet per round trip; CUBIC and BBR recover faster on long
//! fat routes. Not modelled:
//! - packet headers, so 1.0 here is 0.965 of a real link's rate;
//! - the room that acknowledgements take on the way back, and delayed acknowledgements;
//! - Nagle, which stripes turn off.
//!
//! The caller sets the receive window: [`Link::limit`].

mod bottleneck;
mod congestion;
mod receiver;
mod send_buffer;
mod spec;
mod timeout;

use crate::base::Kinds;
use bottleneck::Bottleneck;
use bytes::Bytes;
use congestion::Congestion;
use rand_chacha::ChaCha8Rng;
use receiver::Receiver;
pub use receiver::random_piece;
use send_buffer::SendBuffer;
pub use send_buffer::take_front;
pub use spec::LinkSpec;
use std::collections::{BTreeMap, VecDeque};
use timeout::{Expired, Timeout};

/// Payload bytes of a full packet: 1,500 less 52 of IPv4 and TCP headers with timestamps.
pub const MSS: u64 = 1448;
/// The low-water mark until the session sets one, in bytes.
const LOW_WATER: u64 = 64 << 10;

/// The end of a link once the system has taken so many bytes that were written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breakage {
    /// The writing program is gone: FIN after them, also in the middle of a frame.
    Cut,
    /// The connection is reset: [`Link::reset_is_due`] says when.
    Reset,
}

#[derive(Clone, Debug)]
pub struct Packet {
    /// Counts transmissions; a packet that is sent again gets a new number.
    tx: u64,
    offset: u64,
    data: Bytes,
    fin: bool,
    sent: u64,
}

#[derive(Clone, Debug)]
pub enum LinkEvent {
    Arrive(Packet),
    Acknowledge(u64),
    Timer,
    Wake,
    Read,
}

pub type Later = Vec<(u64, LinkEvent)>;

/// One direction of a TCP connection.
#[derive(Clone, Debug)]
pub struct Link {
    /// After a change, packets that the bottleneck has already queued leave at the old rate.
    pub spec: LinkSpec,
    rng: ChaCha8Rng,
    pub felt: Kinds,
    buffer: SendBuffer,
    /// The reader has room up to this offset. Call [`Link::write`] after a change.
    pub limit: u64,
    next_tx: u64,
    /// Transmitted and not acknowledged, by number of the transmission.
    flying: BTreeMap<u64, Packet>,
    in_flight: u64,
    resend: VecDeque<Packet>,
    congestion: Congestion,
    timeout: Timeout,
    timer_at: Option<u64>,
    timer_set: bool,
    bottleneck: Bottleneck,
    receiver: Receiver,
}

impl Link {
    pub fn new(spec: LinkSpec, rng: ChaCha8Rng) -> Self {
        Link {
            buffer: SendBuffer::new(spec.low_water.unwrap_or(LOW_WATER)),
            congestion: Congestion::new(spec.window),
            spec,
            rng,
            felt: Kinds::default(),
            limit: u64::MAX,
            next_tx: 0,
            flying: BTreeMap::new(),
            in_flight: 0,
            resend: VecDeque::new(),
            timeout: Timeout::default(),
            timer_at: None,
            timer_set: false,
            bottleneck: Bottleneck::default(),
            receiver: Receiver::default(),
        }
    }

    pub fn handshake_took(&mut self, round_trip: u64) {
        let round_trip = round_trip.max(1);
        self.timeout.sample(round_trip);
        self.congestion.handshake_took(round_trip);
    }

    pub fn taken(&self) -> u64 {
        self.buffer.taken
    }

    pub fn unsent(&self) -> u64 {
        self.buffer.unsent_len
    }

    /// The caller pushes no more than that, or asks again later.
    pub fn room(&mut self) -> u64 {
        self.buffer.room(&self.spec)
    }

    pub fn is_idle(&self) -> bool {
        self.buffer.is_empty() && self.flying.is_empty() && self.resend.is_empty()
    }

    pub fn has_unread(&self) -> bool {
        self.receiver.has_unread()
    }

    pub fn reset_is_due(&self) -> bool {
        self.buffer.reset_is_due()
    }

    pub fn passes_at(&self, now: u64) -> u64 {
        self.bottleneck.passes_at(now, &self.spec)
    }

    /// Sets the low-water mark (`TCP_NOTSENT_LOWAT`) in bytes, unless the route has its own.
    pub fn pace(&mut self, unsent: u64) {
        self.buffer.low_water = self.spec.low_water.unwrap_or(unsent);
    }

    /// The writing program is stopped, or goes on. Call [`Link::write`] when it goes on.
    pub fn freeze(&mut self, frozen: bool) {
        self.buffer.frozen = frozen;
    }

    pub fn clog(&mut self, until: u64) {
        self.bottleneck.clog(until);
    }

    /// Breaks the link once the system has taken `bytes` more. Call [`Link::write`] next.
    pub fn break_after(&mut self, bytes: u64, breakage: Breakage) {
        self.buffer.break_after(bytes, breakage);
    }

    pub fn cancel_break(&mut self) {
        self.buffer.cancel_break();
    }

    /// The program has more to write. Call [`Link::write`] after the last piece.
    pub fn push(&mut self, data: Bytes) {
        self.buffer.push(data);
    }

    pub fn close(&mut self) {
        self.buffer.closing = true;
    }

    pub fn write(&mut self, now: u64, silent: bool, later: &mut Later) {
        loop {
            let before = (self.taken(), self.next_tx);
            self.send(now, silent, later);
            self.buffer.take(now, &self.spec, &mut self.rng, &mut self.felt, later);
            if before == (self.taken(), self.next_tx) {
                break;
            }
        }
        self.arm(now, later);
    }

    /// An acknowledgement is back at `back`, or never. Returns the bytes that the reader takes, and
    /// whether the stream ends there.
    pub fn happen(
        &mut self,
        now: u64,
        event: LinkEvent,
        silent: bool,
        back: Option<u64>,
        later: &mut Later,
    ) -> Option<(Vec<Bytes>, bool)> {
        match event {
            LinkEvent::Arrive(packet) => {
                let tx = packet.tx;
                if let Some(wait) = self.receiver.arrive(packet, &self.spec, &mut self.rng) {
                    later.push((now + wait, LinkEvent::Read));
                }
                later.extend(back.map(|at| (at, LinkEvent::Acknowledge(tx))));
            }
            LinkEvent::Acknowledge(tx) => self.acknowledge(now, tx, silent, later),
            LinkEvent::Timer => self.timer(now, silent, later),
            LinkEvent::Wake => {
                self.buffer.asleep = false;
                self.write(now, silent, later);
            }
            LinkEvent::Read => {
                return Some(self.receiver.read(&self.spec, &mut self.rng, &mut self.felt));
            }
        }
        None
    }

    /// Links are first in, first out: a packet that was sent before and not acknowledged is lost.
    fn acknowledge(&mut self, now: u64, tx: u64, silent: bool, later: &mut Later) {
        let Some(packet) = self.flying.remove(&tx) else { return };
        let len = packet.data.len() as u64;
        self.in_flight -= len;
        self.buffer.acknowledged += len;
        let rtt = (now - packet.sent).max(1);
        self.timeout.sample(rtt);
        self.timeout.answered();
        self.timer_at = None;
        self.congestion.sample(rtt, tx, self.next_tx);
        if self.flying.first_key_value().is_some_and(|(first, _)| *first < tx) {
            let newer = self.flying.split_off(&tx);
            let lost = std::mem::replace(&mut self.flying, newer);
            let (last, _) = lost.last_key_value().expect("one before this");
            self.congestion.lost(*last, self.next_tx);
            self.lose(lost.into_values());
        } else {
            self.congestion.acknowledged(tx, len);
        }
        self.write(now, silent, later);
    }

    fn timer(&mut self, now: u64, silent: bool, later: &mut Later) {
        self.timer_set = false;
        match self.timer_at {
            Some(at) if at <= now => {}
            _ => return self.arm(now, later),
        }
        self.timer_at = None;
        match self.timeout.expire() {
            Expired::All => {
                let all = std::mem::take(&mut self.flying);
                self.lose(all.into_values());
                self.congestion.timed_out(self.next_tx);
            }
            Expired::Probe => {
                let (_, packet) = self.flying.pop_last().expect("a packet that is waited for");
                self.in_flight -= packet.data.len() as u64;
                self.transmit(now, packet, silent, later);
            }
        }
        self.write(now, silent, later);
    }

    pub fn kill(&mut self) {
        self.buffer.forget();
        let dead = Link::new(self.spec.clone(), self.rng.clone());
        *self = Link {
            buffer: std::mem::replace(&mut self.buffer, SendBuffer::new(0)),
            felt: self.felt,
            // A stale event of the time before finds nothing, since no transmission has such a
            // number.
            next_tx: u64::MAX / 2,
            receiver: Receiver::closed(),
            ..dead
        };
    }

    /// Sends as much as the congestion window allows, lost packets first.
    fn send(&mut self, now: u64, silent: bool, later: &mut Later) {
        loop {
            let lost = self.resend.front().map(|packet| packet.data.len() as u64);
            let Some(len) = lost.or_else(|| self.buffer.next_len(self.limit)) else { break };
            if self.in_flight > 0 && self.in_flight + len > self.congestion.window {
                self.congestion.full_until = self.next_tx;
                break;
            }
            let packet = self.resend.pop_front().unwrap_or_else(|| self.cut(len));
            self.transmit(now, packet, silent, later);
        }
    }

    fn cut(&mut self, len: u64) -> Packet {
        let offset = self.buffer.sent();
        let (data, fin) = self.buffer.cut(len);
        Packet { tx: 0, offset, data, fin, sent: 0 }
    }

    /// Puts a packet on its way; in silence nothing comes of it.
    fn transmit(&mut self, now: u64, mut packet: Packet, silent: bool, later: &mut Later) {
        let len = packet.data.len() as u64;
        packet.tx = self.next_tx;
        packet.sent = now;
        self.next_tx += 1;
        self.in_flight += len;
        self.flying.insert(packet.tx, packet.clone());
        if silent {
            return;
        }
        if let Some(at) = self.bottleneck.pass(now, len, &self.spec, &mut self.rng, &mut self.felt)
        {
            later.push((at, LinkEvent::Arrive(packet)));
        }
    }

    fn lose(&mut self, lost: impl Iterator<Item = Packet>) {
        for packet in lost {
            self.in_flight -= packet.data.len() as u64;
            let at = self.resend.partition_point(|other| other.offset < packet.offset);
            self.resend.insert(at, packet);
        }
    }

    fn arm(&mut self, now: u64, later: &mut Later) {
        if self.flying.is_empty() {
            self.timer_at = None;
            return;
        }
        let at = *self.timer_at.get_or_insert_with(|| now + self.timeout.wait());
        if !std::mem::replace(&mut self.timer_set, true) {
            later.push((at, LinkEvent::Timer));
        }
    }
}

#[cfg(test)]
mod tests;
