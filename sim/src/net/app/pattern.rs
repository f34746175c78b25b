//! The bytes of a flow: each follows from (flow, direction, offset), so that any piece can be
//! checked on the spot.
//!
//! Invariant: the byte at an offset never depends on how the bytes are cut.

use crate::base::Digest;
use bytes::{Bytes, BytesMut};

/// The name of a direction: by the flow's number and that of the side that sends.
pub fn key(flow: usize, from: usize) -> u64 {
    let mut digest = Digest::new();
    digest.number(flow as u64);
    digest.number(from as u64);
    digest.value()
}

/// The eight bytes from an offset on that is a multiple of eight (SplitMix64's finish).
fn word(key: u64, offset: u64) -> [u8; 8] {
    let mut z = key.wrapping_add((offset / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)).to_le_bytes()
}

/// The bytes from `offset` on.
pub fn bytes(key: u64, offset: u64, len: usize) -> Bytes {
    let skip = (offset % 8) as usize;
    let mut data = BytesMut::with_capacity(skip + len + 8);
    let mut at = offset - skip as u64;
    while data.len() < skip + len {
        data.extend_from_slice(&word(key, at));
        at += 8;
    }
    data.freeze().slice(skip..skip + len)
}

/// Whether these are the bytes from `offset` on.
pub fn matches(key: u64, offset: u64, data: &[u8]) -> bool {
    let skip = (offset % 8) as usize;
    let head = data.len().min((8 - skip) % 8);
    let (head, rest) = data.split_at(head);
    let first = word(key, offset - skip as u64);
    head == &first[skip % 8..][..head.len()]
        && rest
            .chunks(8)
            .zip((offset + head.len() as u64..).step_by(8))
            .all(|(chunk, at)| chunk == &word(key, at)[..chunk.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_piece_of_the_pattern_matches_at_its_place_only() {
        let whole = bytes(5, 0, 64);
        for from in 0..24 {
            for len in 1..24 {
                let piece = bytes(5, from, len);
                assert_eq!(piece, whole.slice(from as usize..from as usize + len));
                assert!(matches(5, from, &piece));
                if len >= 4 {
                    assert!(!matches(5, from + 1, &piece) && !matches(6, from, &piece));
                }
            }
        }
    }
}
