//! The writing program's end: its outbox, and the operating system's send buffer.
//!
//! The system takes from the outbox while its unsent part is below a low-water mark, as with
//! `TCP_NOTSENT_LOWAT`. It looks at the mark only when it begins a buffer ([`LinkSpec::batch`]), so
//! it takes more than that. The send buffer holds all bytes of the system, sent or not.
//!
//! Invariant: bytes leave in order and once, and the count of bytes taken never falls.

use super::{Breakage, Later, LinkEvent, LinkSpec, MSS};
use crate::base::{Kind, Kinds};
use bytes::{Bytes, BytesMut};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;

/// A record takes writes until its payload has so many bytes, and has at most [`MAX_RECORD`].
const ENOUGH: u64 = 1_448;
const MAX_RECORD: u64 = 16 << 10;
/// The bytes that stand for the header, the type and the tag of a record (RFC 8446, section 5.2).
pub(super) const SEAL: [u8; 22] = [0; 22];

#[derive(Clone, Debug, Default)]
pub(super) struct SendBuffer {
    outbox: VecDeque<Bytes>,
    outbox_len: u64,
    pub closing: bool,
    fin_sent: bool,
    pub taken: u64,
    /// Bytes for the wire: as many as were taken, and the overhead of records.
    entered: u64,
    pub acknowledged: u64,
    /// Payload of the records that no reader has opened.
    pub sealed: VecDeque<usize>,
    unsent: VecDeque<Bytes>,
    pub unsent_len: u64,
    pub low_water: u64,
    /// From the low-water mark on false, until the unsent part falls below half of it (Linux).
    writable: bool,
    pub asleep: bool,
    pub frozen: bool,
    breakage: Option<(u64, Breakage)>,
}

impl SendBuffer {
    pub fn new(low_water: u64) -> Self {
        SendBuffer { low_water, writable: true, ..SendBuffer::default() }
    }

    /// The bytes for the wire that are unsent or not acknowledged, even selectively.
    pub fn missing(&self) -> u64 {
        self.entered - self.acknowledged
    }

    pub fn is_empty(&self) -> bool {
        self.outbox_len == 0 && self.unsent_len == 0
    }

    pub fn break_after(&mut self, bytes: u64, breakage: Breakage) {
        if self.breakage.is_none() && !self.closing {
            self.breakage = Some((self.taken + bytes, breakage));
        }
    }

    pub fn cancel_break(&mut self) {
        if !self.is_cut() {
            self.breakage = None;
        }
    }

    pub fn reset_is_due(&self) -> bool {
        matches!(self.breakage, Some((at, Breakage::Reset)) if self.taken >= at)
    }

    fn is_cut(&self) -> bool {
        matches!(self.breakage, Some((at, Breakage::Cut)) if self.taken >= at)
    }

    pub fn room(&mut self, spec: &LinkSpec) -> u64 {
        self.look();
        let room = self.space(spec, self.outbox_len);
        self.writable &= room > 0;
        if self.writable { room } else { 0 }
    }

    /// The bytes that fit beside all that the system holds and so many bytes more.
    fn space(&self, spec: &LinkSpec, more: u64) -> u64 {
        let held = self.missing() + more;
        let unsent = self.unsent_len + more;
        let most = self.low_water.next_multiple_of(spec.batch);
        most.saturating_sub(unsent).min(spec.send_buffer.saturating_sub(held))
    }

    /// Whether the program waits for room, and not the system for the program.
    pub fn is_full(&self) -> bool {
        !self.writable
    }

    /// Whether the program writes something now.
    pub fn may_take(&mut self) -> bool {
        self.look();
        self.writable && !self.asleep && !self.frozen && self.outbox_len > 0
    }

    fn look(&mut self) {
        self.writable |= self.unsent_len * 2 < self.low_water;
    }

    /// After a cut there is no program that writes.
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

    pub fn take(
        &mut self,
        now: u64,
        spec: &LinkSpec,
        rng: &mut ChaCha8Rng,
        felt: &mut Kinds,
        later: &mut Later,
    ) {
        self.look();
        while self.writable && !self.asleep && !self.frozen {
            let room = self.space(spec, 0);
            let Some(front) = self.outbox.front() else { break };
            let whole = if spec.keyed { self.record_len() } else { front.len() as u64 };
            let mut n = if spec.keyed && room > 0 { whole } else { whole.min(room) };
            if let Some((at, _)) = self.breakage {
                n = n.min(at - self.taken);
            }
            if spec.choppy && n > 0 && rng.random_range(0..8) == 0 {
                felt.add(Kind::ShortWrite);
                n = rng.random_range(1..=n);
                self.asleep = true;
                later.push((now + rng.random_range(1..300), LinkEvent::Wake));
            }
            if n == 0 {
                self.writable = false;
                break;
            }
            self.take_in(n, spec.keyed);
        }
        self.cut_if_due(felt);
    }

    /// The payload of the next record, as the runtime's `TlsPipe` cuts it.
    fn record_len(&self) -> u64 {
        let mut len = 0;
        for part in &self.outbox {
            len += part.len() as u64;
            if len >= ENOUGH {
                break;
            }
        }
        len.min(MAX_RECORD)
    }

    fn take_in(&mut self, count: u64, keyed: bool) {
        let piece = take_front(&mut self.outbox, count as usize);
        self.outbox_len -= count;
        self.taken += count;
        self.unsent.push_back(piece);
        let mut bytes = count;
        if keyed {
            self.unsent.push_back(Bytes::from_static(&SEAL));
            self.sealed.push_back(count as usize);
            bytes += SEAL.len() as u64;
        }
        self.entered += bytes;
        self.unsent_len += bytes;
    }

    /// Bytes that a program had not written when it went away are gone with it.
    fn cut_if_due(&mut self, felt: &mut Kinds) {
        if self.is_cut() && !self.closing {
            if self.outbox_len > 0 {
                felt.add(Kind::Cut);
            }
            self.outbox.clear();
            self.outbox_len = 0;
            self.closing = true;
        }
    }

    /// Payload of the next new packet, zero for a FIN alone; `None` if none fits before `limit`.
    pub fn next_len(&self, limit: u64) -> Option<u64> {
        if self.unsent_len > 0 {
            let room = limit.saturating_sub(self.sent());
            (room > 0).then(|| self.unsent_len.min(MSS).min(room))
        } else {
            (self.closing && self.outbox_len == 0 && !self.fin_sent).then_some(0)
        }
    }

    pub fn sent(&self) -> u64 {
        self.entered - self.unsent_len
    }

    /// Cuts a packet off the unsent part, and says whether the stream ends with it.
    pub fn cut(&mut self, len: u64) -> (Bytes, bool) {
        self.unsent_len -= len;
        let fin = self.closing && self.is_empty();
        self.fin_sent |= fin;
        (take_front(&mut self.unsent, len as usize), fin)
    }

    /// The connection is gone: all bytes are forgotten, and those that were taken count as settled.
    pub fn forget(&mut self) {
        let Self { taken, entered, low_water, frozen, .. } = *self;
        let rest = SendBuffer { frozen, ..SendBuffer::new(low_water) };
        *self = SendBuffer { taken, entered, acknowledged: entered, ..rest };
    }
}

/// Takes so many bytes, which are there, off a queue. Only bytes of several pieces are copied.
pub fn take_front(queue: &mut VecDeque<Bytes>, count: usize) -> Bytes {
    let mut all = BytesMut::new();
    while let Some(front) = queue.front_mut() {
        let part = front.split_to(front.len().min(count - all.len()));
        if front.is_empty() {
            queue.pop_front();
        }
        if part.len() == count {
            return part;
        }
        all.reserve(count - all.len());
        all.extend_from_slice(&part);
        if all.len() == count {
            break;
        }
    }
    all.freeze()
}

#[cfg(test)]
mod tests {
    use super::super::spec::BATCH;
    use super::*;
    use crate::base::{Rate, seed};
    use std::time::Duration;

    fn take(buffer: &mut SendBuffer, spec: &LinkSpec) -> Kinds {
        let mut felt = Kinds::default();
        buffer.take(0, spec, &mut seed::stream(1, "link", 0), &mut felt, &mut Later::new());
        felt
    }

    fn spec() -> LinkSpec {
        LinkSpec::new(Rate::mbit(10), Duration::from_millis(1))
    }

    #[test]
    fn after_the_mark_was_reached_half_of_it_must_leave_first() {
        // Two buffers, because the first alone is below the mark.
        let mut buffer = SendBuffer::new(100_000);
        buffer.push(Bytes::from(vec![0; 200_000]));
        take(&mut buffer, &spec());
        assert_eq!((buffer.taken, buffer.room(&spec())), (2 * BATCH, 0));
        buffer.cut(2 * BATCH - 50_000);
        take(&mut buffer, &spec());
        assert_eq!(buffer.taken, 2 * BATCH, "half is not below half");
        buffer.cut(1);
        take(&mut buffer, &spec());
        assert_eq!(buffer.taken, 200_000);
    }

    #[test]
    fn unacknowledged_bytes_fill_the_send_buffer() {
        let spec = LinkSpec { send_buffer: 1_500, ..spec() };
        let mut buffer = SendBuffer::new(1_000);
        buffer.push(Bytes::from(vec![0; 5_000]));
        take(&mut buffer, &spec);
        buffer.cut(1_000);
        take(&mut buffer, &spec);
        assert_eq!(buffer.taken, 1_500);
        buffer.acknowledged += 1_000;
        buffer.cut(1);
        take(&mut buffer, &spec);
        assert_eq!(buffer.taken, 2_500);
    }

    #[test]
    fn records_gather_writes_and_add_their_overhead() {
        let spec = LinkSpec { keyed: true, ..spec() };
        let mut buffer = SendBuffer::new(64 << 10);
        [12, 9_000, 12, 1_435, 12, 1_436, 12, 20_000, 12]
            .iter()
            .for_each(|len| buffer.push(Bytes::from(vec![1; *len])));
        take(&mut buffer, &spec);
        let max = 16 << 10;
        assert_eq!(buffer.sealed, [9_012, 12 + 1_435 + 12, 1_436 + 12, max, 20_000 - max, 12]);
        assert_eq!((buffer.taken, buffer.unsent_len), (31_931, 31_931 + 6 * 22));
    }

    #[test]
    fn a_packet_gathers_small_writes_and_the_last_one_ends_the_stream() {
        let mut buffer = SendBuffer::new(64 << 10);
        ["ab", "c", "def"].iter().for_each(|data| buffer.push(Bytes::from_static(data.as_bytes())));
        buffer.closing = true;
        assert_eq!(buffer.next_len(u64::MAX), None, "nothing is taken yet");
        take(&mut buffer, &spec());
        assert_eq!((buffer.next_len(4), buffer.next_len(u64::MAX)), (Some(4), Some(6)));
        assert_eq!(buffer.cut(4), (Bytes::from_static(b"abcd"), false));
        assert_eq!((buffer.sent(), buffer.next_len(4)), (4, None));
        assert_eq!(buffer.cut(2), (Bytes::from_static(b"ef"), true));
        assert_eq!(buffer.next_len(u64::MAX), None, "one FIN");
    }

    #[test]
    fn a_program_that_is_gone_ends_the_stream_where_it_was() {
        let mut buffer = SendBuffer::new(64 << 10);
        buffer.break_after(3, Breakage::Cut);
        buffer.push(Bytes::from_static(b"abcdef"));
        assert!(take(&mut buffer, &spec()).has(Kind::Cut));
        buffer.push(Bytes::from_static(b"more"));
        assert_eq!(buffer.cut(3), (Bytes::from_static(b"abc"), true));
        assert!(buffer.is_empty());
    }

    #[test]
    fn a_stopped_program_writes_nothing() {
        let mut buffer = SendBuffer::new(64 << 10);
        buffer.frozen = true;
        buffer.push(Bytes::from_static(b"abc"));
        take(&mut buffer, &spec());
        assert_eq!(buffer.taken, 0);
        buffer.frozen = false;
        take(&mut buffer, &spec());
        assert_eq!(buffer.taken, 3);
    }

    #[test]
    fn a_gone_connection_keeps_only_the_count_of_bytes_taken() {
        let spec = LinkSpec { send_buffer: 4, ..spec() };
        let mut buffer = SendBuffer::new(4);
        buffer.push(Bytes::from_static(b"abcdef"));
        take(&mut buffer, &spec);
        buffer.forget();
        assert_eq!((buffer.taken, buffer.unsent_len, buffer.room(&spec)), (4, 0, 4));
        assert!(buffer.is_empty());
    }
}
