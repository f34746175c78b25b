//! One direction of one TCP connection, packet by packet.
//!
//! What is written goes through three places: the outbox (given by the program, not yet taken by the operating system),
//! the unsent part of the system's send buffer (kept small by a low-water mark, as `TCP_NOTSENT_LOWAT` does), and the
//! network: a congestion window, a bottleneck of fixed rate with a drop-tail queue, a fixed delay, random loss.
//!
//! A link does nothing on its own: each call returns what shall happen later, and the world keeps the time.
//!
//! Invariant: bytes come out in order and once, whatever is lost on the way; without silence or a kill all come out.
//!
//! Modelled like Linux: initial window of 10 packets, slow start with HyStart's delay test (RFC 9406, section 4.2), one
//! halving per window with losses, selective acknowledgement, tail loss probe (RFC 8985), retransmission timeout
//! (RFC 6298 with Linux's 200 ms minimum). Growth after slow start is Reno's packet per round trip; CUBIC and BBR recover faster
//! on long fat routes. Not modelled: packet headers (so 1.0 here is 0.965 of a real link's rate), what acknowledgements
//! take of the way back, delayed acknowledgements, Nagle (stripes turn it off). A receive window is the caller's: [`Link::allow`].

use crate::faults::{Kind, Kinds};
use bytes::{Buf, Bytes, BytesMut};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, VecDeque};

/// Payload bytes of a full packet: 1,500 less 52 of IPv4 and TCP headers with timestamps.
pub const MSS: u64 = 1448;

/// The shortest retransmission timeout in microseconds (Linux).
const MIN_TIMEOUT: u64 = 200_000;

/// The timeout before a round trip has been measured, in microseconds (RFC 6298).
const FIRST_TIMEOUT: u64 = 1_000_000;

/// The longest timeout after repeated doubling, in microseconds (Linux).
const MAX_TIMEOUT: u64 = 120_000_000;

/// Samples in a round before HyStart judges it (RFC 9406).
const HYSTART_SAMPLES: u32 = 8;

/// What a direction of a route is like.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkSpec {
    /// Rate of the bottleneck in bit/s of TCP payload.
    pub rate: u64,
    /// One-way delay in microseconds, without queueing.
    pub delay: u64,
    /// Loss probability of a packet in millionths, beside what overflows the queue.
    pub loss: u32,
    /// What the bottleneck's queue takes, in bytes.
    pub queue: u64,
    /// What the operating system holds of unacknowledged and unsent bytes at most.
    pub send_buffer: u64,
    /// Initial congestion window in bytes.
    pub window: u64,
    /// Whether writes are taken in random parts and reads are merged and cut at random places.
    pub choppy: bool,
    /// A packet is late by up to so many microseconds at random; order is kept.
    pub jitter: u64,
    /// Reads come byte by byte at first: every boundary of the head of what has arrived is a cut.
    pub bytewise: bool,
    /// Reads wait up to so many microseconds for more and give all that has come in one piece.
    pub coalesce: u64,
    /// The low-water mark stays at this whatever the session says, as on systems that have none.
    pub low_water: Option<u64>,
}

impl LinkSpec {
    /// A link with a queue of 100 ms, at least 8 packets, as in the lab's network emulator.
    pub fn new(rate: u64, delay: u64) -> Self {
        let queue = (rate / 80).max(8 * MSS);
        LinkSpec {
            rate,
            delay,
            loss: 0,
            queue,
            send_buffer: 4 << 20,
            window: 10 * MSS,
            choppy: false,
            jitter: 0,
            bytewise: false,
            coalesce: 0,
            low_water: None,
        }
    }
}

/// Single bytes that a bytewise link cuts off a read.
const SINGLES: usize = 40;

/// What a link does once the system has taken so many bytes of what was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// The writing program is gone: FIN after them, wherever in a frame that is.
    Cut,
    /// The connection is reset: [`Link::is_doomed`] says when.
    Reset,
}

/// A packet on its way.
#[derive(Clone, Debug)]
pub struct Packet {
    /// Counts transmissions; a packet that is sent again gets a new number.
    tx: u64,
    offset: u64,
    data: Bytes,
    /// The stream ends after this packet.
    fin: bool,
    sent: u64,
}

/// What shall happen to a link later, told by [`Link`] to whoever keeps the time.
#[derive(Clone, Debug)]
pub enum LinkEvent {
    /// Call [`Link::arrive`].
    Arrive(Packet),
    /// Call [`Link::acknowledge`].
    Acknowledge(u64),
    /// Call [`Link::timer`].
    Timer,
    /// Call [`Link::write`]: the operating system takes more.
    Wake,
    /// Call [`Link::read`].
    Read,
}

/// Events of one link with the time of each.
pub type Later = Vec<(u64, LinkEvent)>;

/// One direction of a TCP connection.
#[derive(Clone, Debug)]
pub struct Link {
    spec: LinkSpec,
    rng: ChaCha8Rng,

    outbox: VecDeque<Bytes>,
    outbox_len: u64,
    /// The program closes after what is in the outbox.
    closing: bool,
    /// Cumulative bytes that the operating system has taken.
    taken: u64,
    /// Those of them that the far end has acknowledged.
    acknowledged: u64,
    unsent: VecDeque<Bytes>,
    unsent_len: u64,
    low_water: u64,
    /// False from when the unsent part has reached the low-water mark until it falls below half of it (Linux).
    writable: bool,
    /// A choppy link takes nothing until its `Wake`.
    asleep: bool,
    /// The writing program is stopped: nothing is taken from it.
    frozen: bool,
    /// What happens once so many bytes are taken.
    fate: Option<(u64, Fate)>,
    /// Packets that leave before this time arrive after it.
    clogged_until: u64,
    last_arrival: u64,
    /// What has really happened to what was sent here.
    felt: Kinds,
    /// New bytes are sent up to this offset: the reader has room for no more.
    limit: u64,

    next_offset: u64,
    fin_sent: bool,
    next_tx: u64,
    flying: BTreeMap<u64, Packet>,
    resend: VecDeque<Packet>,
    /// Bytes in `flying`.
    in_flight: u64,
    window: u64,
    threshold: u64,
    /// Losses of transmissions before this one belong to a halving that has been made.
    recovery_until: u64,
    /// The window was full when this transmission was the next one: acknowledgements of those before it let it grow.
    full_until: u64,
    round: Round,
    min_rtt: u64,
    /// Smoothed round trip and its variation; zero before the first sample.
    srtt: u64,
    rttvar: u64,
    timer_at: Option<u64>,
    /// A `Timer` event is under way.
    timer_set: bool,
    probed: bool,
    backoff: u32,

    /// When the bottleneck will have sent what it holds, in nanoseconds: at 1 Gbit/s a packet takes 11.6 µs, and
    /// whole microseconds would cost 3 % of the rate.
    free_at: u64,

    received: u64,
    early: BTreeMap<u64, Packet>,
    inbox: VecDeque<Bytes>,
    fin_received: bool,
    read_set: bool,
}

/// One round trip of HyStart.
#[derive(Clone, Debug)]
struct Round {
    ends: u64,
    samples: u32,
    min: u64,
}

impl Link {
    /// An idle link. `rng` decides losses and cuts.
    pub fn new(spec: LinkSpec, rng: ChaCha8Rng) -> Self {
        let spec_low_water = spec.low_water.unwrap_or(64 << 10);
        Link {
            window: spec.window,
            spec,
            rng,
            outbox: VecDeque::new(),
            outbox_len: 0,
            closing: false,
            taken: 0,
            acknowledged: 0,
            unsent: VecDeque::new(),
            unsent_len: 0,
            low_water: spec_low_water,
            writable: true,
            asleep: false,
            frozen: false,
            fate: None,
            clogged_until: 0,
            last_arrival: 0,
            felt: Kinds::default(),
            limit: u64::MAX,
            next_offset: 0,
            fin_sent: false,
            next_tx: 0,
            flying: BTreeMap::new(),
            resend: VecDeque::new(),
            in_flight: 0,
            threshold: u64::MAX,
            recovery_until: 0,
            full_until: 0,
            round: Round { ends: 0, samples: 0, min: u64::MAX },
            min_rtt: u64::MAX,
            srtt: 0,
            rttvar: 0,
            timer_at: None,
            timer_set: false,
            probed: false,
            backoff: 0,
            free_at: 0,
            received: 0,
            early: BTreeMap::new(),
            inbox: VecDeque::new(),
            fin_received: false,
            read_set: false,
        }
    }

    /// TCP's own handshake took so many microseconds: its first round trip sample.
    pub fn shook_hands(&mut self, round_trip: u64) {
        self.srtt = round_trip.max(1);
        self.rttvar = self.srtt / 2;
        self.min_rtt = self.srtt;
    }

    /// Cumulative bytes that the operating system has taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Sets the low-water mark (`TCP_NOTSENT_LOWAT`) in bytes.
    pub fn pace(&mut self, unsent: u64) {
        self.low_water = self.spec.low_water.unwrap_or(unsent);
    }

    /// What has really happened to what was sent here.
    pub fn felt(&self) -> Kinds {
        self.felt
    }

    /// The writing program is stopped, or goes on. Call [`Link::write`] when it goes on.
    pub fn freeze(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// What leaves before `until` arrives after it, late but whole.
    pub fn clog(&mut self, until: u64) {
        self.clogged_until = self.clogged_until.max(until);
    }

    /// Something happens once the system has taken `bytes` more. Call [`Link::write`] next.
    pub fn doom(&mut self, bytes: u64, fate: Fate) {
        if self.fate.is_none() && !self.closing {
            self.fate = Some((self.taken + bytes, fate));
        }
    }

    /// What was going to happen does not, unless it has begun.
    pub fn spare(&mut self) {
        if !self.is_cut() {
            self.fate = None;
        }
    }

    /// Whether a [`Fate::Reset`] is due.
    pub fn is_doomed(&self) -> bool {
        matches!(self.fate, Some((at, Fate::Reset)) if self.taken >= at)
    }

    /// Whether bytes have arrived that nobody has read.
    pub fn has_unread(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// How many bytes the operating system would take now. The caller pushes no more than that, or asks again later.
    pub fn room(&mut self) -> u64 {
        self.writable |= self.unsent_len * 2 < self.low_water;
        let held = self.taken + self.outbox_len - self.acknowledged;
        let unsent = self.unsent_len + self.outbox_len;
        let room = self.low_water.saturating_sub(unsent).min(self.spec.send_buffer.saturating_sub(held));
        self.writable &= room > 0;
        if self.writable { room } else { 0 }
    }

    /// Bytes that the operating system has taken and not sent yet.
    pub fn unsent(&self) -> u64 {
        self.unsent_len
    }

    /// The reader has room up to this offset. Call [`Link::write`] next. Without a call there is no end to it.
    pub fn allow(&mut self, offset: u64) {
        self.limit = offset;
    }

    /// When a packet without payload that is sent now would arrive.
    pub fn passes_at(&self, now: u64) -> u64 {
        now.max(self.free_at.div_ceil(1_000)) + self.spec.delay
    }

    /// Changes rate, delay or loss. What the bottleneck has already queued leaves at the old rate.
    pub fn respec(&mut self, spec: LinkSpec) {
        self.spec = spec;
    }

    /// The program has more to write. Call [`Link::write`] after the last piece.
    pub fn push(&mut self, data: Bytes) {
        if self.is_cut() {
            return;
        }
        debug_assert!(!self.closing, "a write after the close");
        if !data.is_empty() {
            self.outbox_len += data.len() as u64;
            self.outbox.push_back(data);
        }
    }

    /// The program closes its side once all is written. Call [`Link::write`] next.
    pub fn close(&mut self) {
        self.closing = true;
    }

    fn is_cut(&self) -> bool {
        matches!(self.fate, Some((at, Fate::Cut)) if self.taken >= at)
    }

    /// The operating system takes what it can and sends what it may.
    pub fn write(&mut self, now: u64, silent: bool, later: &mut Later) {
        loop {
            let before = (self.taken, self.next_tx);
            self.send(now, silent, later);
            self.take(now, later);
            if before == (self.taken, self.next_tx) {
                break;
            }
        }
        self.arm(now, later);
    }

    /// Moves bytes from the outbox into the send buffer.
    fn take(&mut self, now: u64, later: &mut Later) {
        self.writable |= self.unsent_len * 2 < self.low_water;
        while self.writable && !self.asleep && !self.frozen {
            let held = self.taken - self.acknowledged;
            let room = self
                .low_water
                .saturating_sub(self.unsent_len)
                .min(self.spec.send_buffer.saturating_sub(held));
            let Some(front) = self.outbox.front_mut() else { break };
            let mut n = room.min(front.len() as u64);
            if let Some((at, _)) = self.fate {
                n = n.min(at - self.taken);
            }
            if self.spec.choppy && n > 0 && self.rng.random_range(0..8) == 0 {
                self.felt.add(Kind::ShortWrite);
                n = self.rng.random_range(1..=n);
                self.asleep = true;
                later.push((now + self.rng.random_range(1..300), LinkEvent::Wake));
            }
            if n == 0 {
                self.writable = false;
                break;
            }
            let piece = front.split_to(n as usize);
            if front.is_empty() {
                self.outbox.pop_front();
            }
            self.outbox_len -= n;
            self.taken += n;
            self.unsent_len += n;
            self.unsent.push_back(piece);
        }
        if self.is_cut() && !self.closing {
            if self.outbox_len > 0 {
                self.felt.add(Kind::Cut);
            }
            self.outbox.clear();
            self.outbox_len = 0;
            self.closing = true;
        }
    }

    /// The end of a choppy link's pause.
    pub fn wake(&mut self, now: u64, silent: bool, later: &mut Later) {
        self.asleep = false;
        self.write(now, silent, later);
    }

    /// Sends what the congestion window allows.
    fn send(&mut self, now: u64, silent: bool, later: &mut Later) {
        loop {
            let len = match self.resend.front() {
                Some(packet) => packet.data.len() as u64,
                None if self.unsent_len > 0 && self.next_offset < self.limit => {
                    self.unsent_len.min(MSS).min(self.limit - self.next_offset)
                }
                None if self.unsent_len > 0 => break,
                None if self.closing && self.outbox_len == 0 && !self.fin_sent => 0,
                None => break,
            };
            if self.in_flight > 0 && self.in_flight + len > self.window {
                self.full_until = self.next_tx;
                break;
            }
            let packet = self.resend.pop_front().unwrap_or_else(|| self.cut(len));
            self.transmit(now, packet, silent, later);
        }
    }

    /// The next new packet.
    fn cut(&mut self, len: u64) -> Packet {
        let offset = self.next_offset;
        self.next_offset += len;
        self.unsent_len -= len;
        let fin = self.closing && self.outbox_len == 0 && self.unsent_len == 0;
        self.fin_sent |= fin;
        let data = if self.unsent.front().is_some_and(|front| front.len() as u64 >= len) {
            self.unsent[0].split_to(len as usize)
        } else {
            let mut data = BytesMut::with_capacity(len as usize);
            while (data.len() as u64) < len {
                let missing = len as usize - data.len();
                let front = &mut self.unsent[0];
                let n = missing.min(front.len());
                data.extend_from_slice(&front[..n]);
                front.advance(n);
                if front.is_empty() {
                    self.unsent.pop_front();
                }
            }
            data.freeze()
        };
        if self.unsent.front().is_some_and(Bytes::is_empty) {
            self.unsent.pop_front();
        }
        Packet { tx: 0, offset, data, fin, sent: 0 }
    }

    /// Puts a packet through the bottleneck.
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
        // In u128, because a queue may hold minutes and a rate go to 100 Gbit/s.
        let wait = u128::from(self.free_at.saturating_sub(now * 1_000));
        let queued = wait * u128::from(self.spec.rate) / 8_000_000_000;
        if queued + u128::from(len) > u128::from(self.spec.queue.max(MSS)) {
            self.felt.add(Kind::Overflow);
            return;
        }
        self.free_at = self.free_at.max(now * 1_000) + (len * 8_000_000_000).div_ceil(self.spec.rate);
        if self.spec.loss > 0 && self.rng.random_range(0..1_000_000) < self.spec.loss {
            self.felt.add(Kind::Loss);
            return;
        }
        let mut arrival = self.free_at.div_ceil(1_000) + self.spec.delay;
        if self.spec.jitter > 0 {
            arrival += self.rng.random_range(0..=self.spec.jitter);
            self.felt.add(Kind::Jitter);
        }
        if arrival < self.clogged_until {
            arrival = self.clogged_until;
            self.felt.add(Kind::Stall);
        }
        // A route that gets shorter, or less jittery, does not let packets overtake each other.
        self.last_arrival = self.last_arrival.max(arrival);
        later.push((self.last_arrival, LinkEvent::Arrive(packet)));
    }

    /// A packet reaches the far end. The number of the transmission is to be given to [`Link::acknowledge`] after the
    /// way back; bytes that became readable are announced by a `Read`.
    pub fn arrive(&mut self, now: u64, packet: Packet, later: &mut Later) -> u64 {
        let tx = packet.tx;
        if packet.offset > self.received {
            self.early.insert(packet.offset, packet);
            return tx;
        }
        self.accept(packet);
        while let Some(entry) = self.early.first_entry()
            && *entry.key() <= self.received
        {
            let packet = entry.remove();
            self.accept(packet);
        }
        if !self.read_set && (!self.inbox.is_empty() || self.fin_received) {
            self.read_set = true;
            let most = self.spec.coalesce.max(if self.spec.choppy { 400 } else { 0 });
            let wait = if most > 0 { self.rng.random_range(0..most) } else { 0 };
            later.push((now + wait, LinkEvent::Read));
        }
        tx
    }

    fn accept(&mut self, mut packet: Packet) {
        let end = packet.offset + packet.data.len() as u64;
        self.fin_received |= packet.fin && end >= self.received;
        if end > self.received {
            packet.data.advance((self.received - packet.offset) as usize);
            self.received = end;
            self.inbox.push_back(packet.data);
        }
    }

    /// Takes what can be read, and whether the stream ends there.
    pub fn read(&mut self) -> (Vec<Bytes>, bool) {
        self.read_set = false;
        let pieces: Vec<Bytes> = self.inbox.drain(..).collect();
        if self.spec.coalesce > 0 && pieces.len() > 1 {
            self.felt.add(Kind::Coalesced);
        } else if !self.spec.choppy && !self.spec.bytewise {
            return (pieces, self.fin_received);
        }
        let mut all = Bytes::from(pieces.concat());
        let mut cuts = Vec::new();
        if self.spec.bytewise {
            self.felt.add(Kind::ByteRead);
            while !all.is_empty() && cuts.len() < SINGLES {
                cuts.push(all.split_to(1));
            }
        }
        if !self.spec.choppy {
            cuts.extend((!all.is_empty()).then_some(all));
            return (cuts, self.fin_received);
        }
        while !all.is_empty() {
            let most = match self.rng.random_range(0..4) {
                0 => 1,
                1 => 24,
                2 => MSS as usize,
                _ => all.len(),
            };
            let n = self.rng.random_range(1..=most.min(all.len()));
            cuts.push(all.split_to(n));
        }
        (cuts, self.fin_received)
    }

    /// An acknowledgement comes back. Links are first in, first out, so whatever was transmitted before and is not
    /// acknowledged is lost.
    pub fn acknowledge(&mut self, now: u64, tx: u64, silent: bool, later: &mut Later) {
        let Some(packet) = self.flying.remove(&tx) else { return };
        let len = packet.data.len() as u64;
        self.in_flight -= len;
        self.acknowledged += len;
        self.measure(now, &packet);
        if self.flying.first_key_value().is_some_and(|(first, _)| *first < tx) {
            let newer = self.flying.split_off(&tx);
            let lost = std::mem::replace(&mut self.flying, newer);
            let last = lost.keys().next_back().copied();
            self.lose(lost.into_values());
            if last >= Some(self.recovery_until) {
                self.halve();
            }
        } else if tx < self.full_until && tx >= self.recovery_until {
            self.grow(len);
        }
        self.probed = false;
        self.backoff = 0;
        self.timer_at = None;
        self.write(now, silent, later);
    }

    fn lose(&mut self, lost: impl Iterator<Item = Packet>) {
        for packet in lost {
            self.in_flight -= packet.data.len() as u64;
            let at = self.resend.partition_point(|other| other.offset < packet.offset);
            self.resend.insert(at, packet);
        }
    }

    fn halve(&mut self) {
        self.threshold = (self.window / 2).max(2 * MSS);
        self.window = self.threshold;
        self.recovery_until = self.next_tx;
    }

    fn grow(&mut self, acknowledged: u64) {
        if self.window < self.threshold {
            self.window += acknowledged;
        } else {
            self.window += (MSS * acknowledged / self.window).max(1);
        }
    }

    /// Round trip estimates, and the end of slow start when the delay rises.
    fn measure(&mut self, now: u64, packet: &Packet) {
        let rtt = (now - packet.sent).max(1);
        self.min_rtt = self.min_rtt.min(rtt);
        if self.srtt == 0 {
            self.srtt = rtt;
            self.rttvar = rtt / 2;
        } else {
            self.rttvar = (3 * self.rttvar + self.srtt.abs_diff(rtt)) / 4;
            self.srtt = (7 * self.srtt + rtt) / 8;
        }
        if packet.tx >= self.round.ends {
            self.round = Round { ends: self.next_tx, samples: 0, min: u64::MAX };
        }
        self.round.samples += 1;
        self.round.min = self.round.min.min(rtt);
        let rise = (self.min_rtt / 8).clamp(4_000, 16_000);
        if self.window < self.threshold
            && self.round.samples >= HYSTART_SAMPLES
            && self.round.min >= self.min_rtt + rise
        {
            self.threshold = self.window;
        }
    }

    /// Keeps one timer event under way while packets are.
    fn arm(&mut self, now: u64, later: &mut Later) {
        if self.flying.is_empty() {
            self.timer_at = None;
            return;
        }
        if self.timer_at.is_none() {
            let timeout = self.timeout();
            let wait =
                if self.probed || self.srtt == 0 { timeout } else { timeout.min(2 * self.srtt + 10_000) };
            self.timer_at = Some(now + wait);
        }
        if let Some(at) = self.timer_at
            && !self.timer_set
        {
            self.timer_set = true;
            later.push((at, LinkEvent::Timer));
        }
    }

    fn timeout(&self) -> u64 {
        let base =
            if self.srtt == 0 { FIRST_TIMEOUT } else { self.srtt + (4 * self.rttvar).max(MIN_TIMEOUT) };
        (base << self.backoff.min(16)).min(MAX_TIMEOUT)
    }

    /// The timer event: first a tail loss probe, later all again.
    pub fn timer(&mut self, now: u64, silent: bool, later: &mut Later) {
        self.timer_set = false;
        match self.timer_at {
            Some(at) if at <= now => {}
            _ => return self.arm(now, later),
        }
        self.timer_at = None;
        if self.probed || self.srtt == 0 {
            let all = std::mem::take(&mut self.flying);
            self.lose(all.into_values());
            self.halve();
            self.window = MSS;
            self.backoff += 1;
        } else if let Some((_, packet)) = self.flying.pop_last() {
            self.probed = true;
            self.in_flight -= packet.data.len() as u64;
            self.transmit(now, packet, silent, later);
        }
        self.write(now, silent, later);
    }

    /// Whether all that was pushed has reached the other end.
    pub fn is_idle(&self) -> bool {
        self.outbox_len == 0 && self.unsent_len == 0 && self.flying.is_empty() && self.resend.is_empty()
    }

    /// Forgets all bytes: those of the program and those that the operating system held.
    pub fn kill(&mut self) {
        let spec = self.spec.clone();
        let rng = self.rng.clone();
        let (taken, low_water, felt, frozen) = (self.taken, self.low_water, self.felt, self.frozen);
        *self = Link::new(spec, rng);
        (self.taken, self.acknowledged, self.low_water) = (taken, taken, low_water);
        (self.felt, self.frozen) = (felt, frozen);
        // A stale event of the time before finds nothing, since transmissions are never numbered so.
        self.next_tx = u64::MAX / 2;
        self.received = u64::MAX / 2;
    }
}

#[cfg(test)]
mod tests;
