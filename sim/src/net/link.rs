//! One direction of one TCP connection, packet by packet.
//!
//! This file keeps the packets in flight, the lost ones that have to be sent again, and the timer.
//! A link does nothing on its own: each call returns the events that shall happen later, and the
//! world keeps the time.
//!
//! Invariant: bytes come out in order and once, whatever is lost on the way. Without silence or a
//! kill all come out.
//!
//! Modelled like Linux 6:
//! - an initial window of 10 packets, and CUBIC with HyStart, or BBR version 1 with its pace;
//! - a window that is not filled does not grow, and shrinks after idle time;
//! - selective acknowledgement, one cut per window with losses, proportional rate reduction;
//! - tail loss probe (RFC 8985), retransmission timeout (RFC 6298 with Linux's 200 ms minimum).
//!
//! Not modelled:
//! - packet headers, so 1.0 here is 0.965 of a real link's rate;
//! - the room that acknowledgements take on the way back, their losses, and their delay at the
//!   receiver;
//! - packets that overtake each other, and what Linux does about them;
//! - Nagle, which stripes turn off.
//!
//! The caller sets the receive window: [`Link::limit`].

mod acks;
mod bottleneck;
mod congestion;
mod delivery;
mod pacer;
mod receiver;
mod send_buffer;
mod spec;
mod timeout;

use crate::base::Kinds;
use acks::{Acks, Answer, DELAY};
use bottleneck::Bottleneck;
pub use bottleneck::Shared;
use bytes::Bytes;
use congestion::{Ack, Congestion, Outstanding};
use delivery::{Sample, Stamp};
use pacer::Pacer;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use receiver::Receiver;
pub use receiver::random_piece;
use send_buffer::SendBuffer;
pub use send_buffer::take_front;
pub use spec::{Control, LinkSpec};
use std::collections::{BTreeMap, VecDeque};
use timeout::{Expired, Timeout};

/// Payload bytes of a full packet: 1,500 less 52 of IPv4 and TCP headers with timestamps.
pub const MSS: u64 = 1448;
/// The bytes of a TLS record beside its payload.
pub const RECORD_OVERHEAD: u64 = send_buffer::SEAL.len() as u64;
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
    /// Its number in the stream, which it keeps.
    place: u64,
    offset: u64,
    data: Bytes,
    fin: bool,
    /// Whether it was taken for lost.
    again: bool,
}

#[derive(Clone, Debug)]
pub enum LinkEvent {
    Arrive(Packet),
    /// One transmission, and perhaps another one before it.
    Acknowledge(u64, Option<u64>),
    /// The reader's system acknowledges this one at last.
    Delayed(u64),
    Timer,
    Pace,
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
    next_place: u64,
    /// Transmitted and not acknowledged, by number of the transmission.
    flying: BTreeMap<u64, (Packet, Stamp)>,
    resend: VecDeque<Packet>,
    /// Packets that were taken for lost and are not acknowledged.
    lost_out: u64,
    congestion: Congestion,
    pacer: Pacer,
    timeout: Timeout,
    timer_at: Option<u64>,
    timer_set: bool,
    bottleneck: Bottleneck,
    receiver: Receiver,
    acks: Acks,
}

impl Link {
    pub fn new(spec: LinkSpec, mut rng: ChaCha8Rng) -> Self {
        Link {
            buffer: SendBuffer::new(spec.low_water.unwrap_or(LOW_WATER)),
            congestion: Congestion::new(spec.congestion, spec.window, rng.next_u64()),
            pacer: Pacer::default(),
            spec,
            rng,
            felt: Kinds::default(),
            limit: u64::MAX,
            next_tx: 0,
            next_place: 0,
            flying: BTreeMap::new(),
            resend: VecDeque::new(),
            lost_out: 0,
            timeout: Timeout::default(),
            timer_at: None,
            timer_set: false,
            bottleneck: Bottleneck::default(),
            receiver: Receiver::default(),
            acks: Acks::default(),
        }
    }

    pub fn handshake_took(&mut self, now: u64, round_trip: u64) {
        let round_trip = round_trip.max(1);
        self.timeout.sample(round_trip);
        self.congestion.handshake_took(now, round_trip);
    }

    /// Its packets pass through a bottleneck together with those of other links.
    pub fn share(&mut self, shared: Shared) {
        self.bottleneck.shared = Some(shared);
    }

    pub fn taken(&self) -> u64 {
        self.buffer.taken
    }

    /// How many of the bytes taken have arrived, if some did behind a lost packet. As a driver
    /// knows it: records count as if they added nothing.
    pub fn arrived(&self) -> Option<u64> {
        let lost = !self.resend.is_empty() || self.lost_out > 0;
        lost.then(|| self.buffer.taken.saturating_sub(self.buffer.missing()))
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
        self.send(now, silent, later);
        self.look_for_lack();
        loop {
            let before = (self.taken(), self.next_tx);
            self.buffer.take(now, &self.spec, &mut self.rng, &mut self.felt, later);
            self.send(now, silent, later);
            if before == (self.taken(), self.next_tx) {
                break;
            }
        }
        self.arm(now, later);
    }

    /// Linux's `tcp_rate_check_app_limited`, made when a program begins to write.
    fn look_for_lack(&mut self) {
        let in_flight = self.flying.len() as u64;
        if self.buffer.may_take()
            && self.buffer.unsent_len < MSS
            && in_flight < self.congestion.window()
            && self.resend.is_empty()
        {
            self.congestion.limited_by_program(in_flight);
        }
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
                let (tx, small) = (packet.tx, packet.data.len() < MSS as usize);
                let in_order = !packet.again && self.receiver.is_next(packet.offset);
                let answer = self.acks.arrive(tx, in_order && !small && !packet.fin);
                if let Some(wait) = self.receiver.arrive(packet, &self.spec, &mut self.rng) {
                    later.push((now + wait, LinkEvent::Read));
                }
                match answer {
                    Answer::Now(before) => {
                        later.extend(back.map(|at| (at, LinkEvent::Acknowledge(tx, before))));
                    }
                    Answer::Later => later.push((now + DELAY, LinkEvent::Delayed(tx))),
                }
            }
            LinkEvent::Delayed(tx) if self.acks.is_due(tx) => {
                later.extend(back.map(|at| (at, LinkEvent::Acknowledge(tx, None))));
            }
            LinkEvent::Delayed(_) => {}
            LinkEvent::Acknowledge(tx, before) => {
                for tx in before.into_iter().chain([tx]) {
                    self.acknowledge(now, tx);
                }
                self.write(now, silent, later);
            }
            LinkEvent::Timer => self.timer(now, silent, later),
            LinkEvent::Pace => {
                self.pacer.is_set = false;
                self.write(now, silent, later);
            }
            LinkEvent::Wake => {
                self.buffer.asleep = false;
                self.write(now, silent, later);
            }
            LinkEvent::Read => {
                let sealed = &mut self.buffer.sealed;
                return Some(self.receiver.read(sealed, &self.spec, &mut self.rng, &mut self.felt));
            }
        }
        None
    }

    /// Links are first in, first out: a packet that was sent before and not acknowledged is lost.
    fn acknowledge(&mut self, now: u64, tx: u64) {
        let prior_in_flight = self.flying.len() as u64;
        let Some((packet, stamp)) = self.flying.remove(&tx) else { return };
        self.lost_out -= u64::from(packet.again);
        self.buffer.acknowledged += packet.data.len() as u64;
        let rtt = (now - stamp.sent).max(1);
        self.timeout.sample(rtt);
        self.timeout.answered();
        self.timer_at = None;
        let mut losses = 0;
        if self.flying.first_key_value().is_some_and(|(first, _)| *first < tx) {
            let newer = self.flying.split_off(&tx);
            let lost = std::mem::replace(&mut self.flying, newer);
            losses = lost.len() as u64;
            self.lose(lost);
        }
        let ack = Ack {
            now,
            rtt,
            tx,
            next_tx: self.next_tx,
            place: packet.place,
            again: packet.again,
            losses,
            lost_out: self.lost_out,
            prior_in_flight,
            in_flight: self.flying.len() as u64,
            paced_for: self.pacer.wait(now),
            sample: Sample::default(),
        };
        self.congestion.acknowledged(ack, &stamp, self.outstanding());
    }

    fn outstanding(&self) -> Outstanding {
        Outstanding {
            packets: (self.flying.len() + self.resend.len()) as u64,
            next_tx: self.next_tx,
            next_place: self.next_place,
        }
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
                let lost = all.len() as u64;
                self.lose(all);
                self.congestion.timed_out(now, lost, self.outstanding());
            }
            Expired::Probe => {
                let (_, (packet, _)) = self.flying.pop_last().expect("a packet that is waited for");
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

    /// Sends as much as the congestion window and the pace allow, lost packets first.
    fn send(&mut self, now: u64, silent: bool, later: &mut Later) {
        let before = self.next_tx;
        let mut is_full = false;
        while let Some(len) = self.next_len() {
            if self.flying.is_empty() && self.resend.is_empty() {
                self.congestion.restart_after_idle(now, self.timeout.timeout());
            }
            let room = self.congestion.window().saturating_sub(self.flying.len() as u64);
            is_full = room == 0;
            if is_full {
                break;
            }
            let Some((pace, batch)) = self.congestion.pace() else {
                self.transmit_next(now, len, silent, later);
                continue;
            };
            let wait = self.pacer.wait(now);
            if wait > 0 {
                if !std::mem::replace(&mut self.pacer.is_set, true) {
                    later.push((now + wait, LinkEvent::Pace));
                }
                break;
            }
            let (mut packets, mut bytes) = (0, 0);
            while packets < batch.min(room)
                && let Some(len) = self.next_len()
            {
                self.transmit_next(now, len, silent, later);
                (packets, bytes) = (packets + 1, bytes + len);
            }
            self.pacer.sent(now, packets, bytes, pace);
        }
        if is_full || self.next_tx > before {
            is_full |= self.flying.len() as u64 >= self.congestion.window();
            let (timeout, waits) = (self.timeout.timeout(), self.buffer.is_full());
            self.congestion.sent(now, self.outstanding(), is_full, timeout, waits);
        }
    }

    /// Payload of the packet that is to leave next.
    fn next_len(&self) -> Option<u64> {
        let lost = self.resend.front().map(|packet| packet.data.len() as u64);
        lost.or_else(|| self.buffer.next_len(self.limit))
    }

    fn transmit_next(&mut self, now: u64, len: u64, silent: bool, later: &mut Later) {
        let packet = self.resend.pop_front().unwrap_or_else(|| self.cut(len));
        self.transmit(now, packet, silent, later);
    }

    fn cut(&mut self, len: u64) -> Packet {
        let offset = self.buffer.sent();
        let (data, fin) = self.buffer.cut(len);
        self.next_place += 1;
        Packet { tx: 0, place: self.next_place - 1, offset, data, fin, again: false }
    }

    /// Puts a packet on its way; in silence nothing comes of it.
    fn transmit(&mut self, now: u64, mut packet: Packet, silent: bool, later: &mut Later) {
        let len = packet.data.len() as u64;
        packet.tx = self.next_tx;
        self.next_tx += 1;
        let stamp = self.congestion.send(now, self.flying.len() as u64);
        self.flying.insert(packet.tx, (packet.clone(), stamp));
        if silent {
            return;
        }
        if let Some(at) = self.bottleneck.pass(now, len, &self.spec, &mut self.rng, &mut self.felt)
        {
            later.push((at, LinkEvent::Arrive(packet)));
        }
    }

    fn lose(&mut self, lost: BTreeMap<u64, (Packet, Stamp)>) {
        for (mut packet, _) in lost.into_values() {
            self.lost_out += u64::from(!packet.again);
            packet.again = true;
            let at = self.resend.partition_point(|other| other.place < packet.place);
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
