//! The reading program's end: puts packets in order, and cuts pieces in the manner of the link.
//!
//! Invariant: bytes come out in order and once, and their cuts never depend on the bytes.

use super::send_buffer::{SEAL, take_front};
use super::{LinkSpec, MSS, Packet};
use crate::base::{Kind, Kinds, micros};
use bytes::{Buf, Bytes};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use std::collections::{BTreeMap, VecDeque};

/// Single bytes that a bytewise link cuts off a read.
const SINGLES: usize = 40;
/// A choppy link's reader is late by up to so many microseconds.
const CHOPPY_WAIT: u64 = 400;

#[derive(Clone, Debug, Default)]
pub(super) struct Receiver {
    received: u64,
    early: BTreeMap<u64, Packet>,
    inbox: VecDeque<Bytes>,
    inbox_len: usize,
    fin: bool,
    /// The reader has been called and has not come yet.
    called: bool,
}

impl Receiver {
    pub fn closed() -> Self {
        Receiver { received: u64::MAX / 2, ..Receiver::default() }
    }

    pub fn has_unread(&self) -> bool {
        !self.inbox.is_empty()
    }

    /// Whether a packet from there on has no gap before it, nor behind it.
    pub fn is_next(&self, offset: u64) -> bool {
        offset == self.received && self.early.is_empty()
    }

    /// A packet arrives. If the reader is to be called for it: in how many microseconds.
    pub fn arrive(&mut self, packet: Packet, spec: &LinkSpec, rng: &mut ChaCha8Rng) -> Option<u64> {
        if packet.offset > self.received {
            self.early.insert(packet.offset, packet);
            return None;
        }
        self.accept(packet);
        while let Some(entry) = self.early.first_entry()
            && *entry.key() <= self.received
        {
            let packet = entry.remove();
            self.accept(packet);
        }
        if self.called || (self.inbox.is_empty() && !self.fin) {
            return None;
        }
        self.called = true;
        let most = micros(spec.coalesce).max(if spec.choppy { CHOPPY_WAIT } else { 0 });
        Some(if most > 0 { rng.random_range(0..most) } else { 0 })
    }

    /// A packet without a gap before it. Bytes that have come before are cut off.
    fn accept(&mut self, mut packet: Packet) {
        let end = packet.offset + packet.data.len() as u64;
        self.fin |= packet.fin && end >= self.received;
        if end > self.received {
            packet.data.advance((self.received - packet.offset) as usize);
            self.received = end;
            self.inbox_len += packet.data.len();
            self.inbox.push_back(packet.data);
        }
    }

    /// Takes the records out that are whole; `sealed` has the payload of each.
    fn open(&mut self, sealed: &mut VecDeque<usize>) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        while let Some(len) = sealed.front()
            && self.inbox_len >= len + SEAL.len()
        {
            pieces.push(take_front(&mut self.inbox, *len));
            take_front(&mut self.inbox, SEAL.len());
            self.inbox_len -= len + SEAL.len();
            sealed.pop_front();
        }
        pieces
    }

    pub fn read(
        &mut self,
        sealed: &mut VecDeque<usize>,
        spec: &LinkSpec,
        rng: &mut ChaCha8Rng,
        felt: &mut Kinds,
    ) -> (Vec<Bytes>, bool) {
        self.called = false;
        let pieces: Vec<Bytes> = if spec.keyed {
            self.open(sealed)
        } else {
            self.inbox_len = 0;
            self.inbox.drain(..).collect()
        };
        if !spec.coalesce.is_zero() && pieces.len() > 1 {
            felt.add(Kind::Coalesced);
        } else if !spec.choppy && !spec.bytewise {
            return (pieces, self.fin);
        }
        if spec.bytewise {
            felt.add(Kind::ByteRead);
        }
        (cut(Bytes::from(pieces.concat()), spec, rng), self.fin)
    }
}

fn cut(mut all: Bytes, spec: &LinkSpec, rng: &mut ChaCha8Rng) -> Vec<Bytes> {
    let mut cuts = Vec::new();
    while spec.bytewise && !all.is_empty() && cuts.len() < SINGLES {
        cuts.push(all.split_to(1));
    }
    while !all.is_empty() {
        let n = if spec.choppy { random_piece(rng, all.len()) } else { all.len() };
        cuts.push(all.split_to(n));
    }
    cuts
}

/// The length of a piece of at most `max` bytes: often tiny, or shorter than a packet.
pub fn random_piece(rng: &mut ChaCha8Rng, max: usize) -> usize {
    let most = match rng.random_range(0..4) {
        0 => 1,
        1 => 24,
        2 => MSS as usize,
        _ => max,
    };
    rng.random_range(1..=most.min(max).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{Rate, seed};
    use std::time::Duration;

    fn packet(offset: u64, data: &[u8], fin: bool) -> Packet {
        Packet { tx: 0, place: 0, offset, data: Bytes::copy_from_slice(data), fin, again: false }
    }

    fn spec() -> LinkSpec {
        LinkSpec::new(Rate::mbit(10), Duration::from_millis(1))
    }

    fn arrive(receiver: &mut Receiver, packet: Packet) -> Option<u64> {
        receiver.arrive(packet, &spec(), &mut seed::stream(1, "link", 0))
    }

    fn read(receiver: &mut Receiver, spec: &LinkSpec) -> (Vec<usize>, Vec<u8>, bool) {
        let (sealed, rng) = (&mut VecDeque::new(), &mut seed::stream(1, "link", 0));
        let (pieces, fin) = receiver.read(sealed, spec, rng, &mut Kinds::default());
        (pieces.iter().map(Bytes::len).collect(), pieces.concat(), fin)
    }

    #[test]
    fn a_packet_that_overtakes_waits_for_the_missing_one() {
        let mut receiver = Receiver::default();
        assert_eq!(arrive(&mut receiver, packet(3, b"def", true)), None);
        assert!(!receiver.has_unread());
        assert_eq!(arrive(&mut receiver, packet(0, b"abc", false)), Some(0));
        assert_eq!(read(&mut receiver, &spec()), (vec![3, 3], b"abcdef".to_vec(), true));
    }

    #[test]
    fn the_reader_is_called_once_until_it_comes() {
        let mut receiver = Receiver::default();
        assert_eq!(arrive(&mut receiver, packet(0, b"abc", false)), Some(0));
        assert_eq!(arrive(&mut receiver, packet(3, b"def", false)), None);
        read(&mut receiver, &spec());
        assert_eq!(arrive(&mut receiver, packet(6, b"g", false)), Some(0));
    }

    #[test]
    fn bytes_that_come_twice_are_read_once() {
        let mut receiver = Receiver::default();
        arrive(&mut receiver, packet(0, b"abc", false));
        arrive(&mut receiver, packet(0, b"abc", false));
        arrive(&mut receiver, packet(1, b"bcd", false));
        assert_eq!(read(&mut receiver, &spec()).1, b"abcd");
    }

    #[test]
    fn a_bytewise_read_begins_with_single_bytes() {
        let spec = LinkSpec { bytewise: true, ..spec() };
        let mut receiver = Receiver::default();
        arrive(&mut receiver, packet(0, &[7; 100], false));
        let (pieces, _, _) = read(&mut receiver, &spec);
        assert_eq!(pieces, [vec![1; 40], vec![60]].concat());
    }

    #[test]
    fn a_coalesced_read_gives_all_in_one_piece() {
        let spec = LinkSpec { coalesce: Duration::from_millis(1), ..spec() };
        let mut receiver = Receiver::default();
        arrive(&mut receiver, packet(0, b"abc", false));
        arrive(&mut receiver, packet(3, b"def", false));
        assert_eq!(read(&mut receiver, &spec), (vec![6], b"abcdef".to_vec(), false));
    }

    #[test]
    fn a_record_is_read_when_its_last_byte_has_come() {
        let spec = LinkSpec { keyed: true, ..spec() };
        let mut receiver = Receiver::default();
        let mut sealed = VecDeque::from([3, 2]);
        let mut read = |receiver: &mut Receiver| {
            let rng = &mut seed::stream(1, "link", 0);
            receiver.read(&mut sealed, &spec, rng, &mut Kinds::default()).0.concat()
        };
        arrive(&mut receiver, packet(0, &[b"abc", &SEAL[1..]].concat(), false));
        assert_eq!(read(&mut receiver), b"");
        arrive(&mut receiver, packet(24, &[&SEAL[..1], b"d"].concat(), false));
        assert_eq!(read(&mut receiver), b"abc");
        arrive(&mut receiver, packet(26, &[b"e", &SEAL[..]].concat(), false));
        assert_eq!(read(&mut receiver), b"de");
    }

    #[test]
    fn the_deaf_call_nobody() {
        let mut receiver = Receiver::closed();
        assert_eq!(arrive(&mut receiver, packet(0, b"abc", true)), None);
        assert!(!receiver.has_unread());
    }
}
