//! Data whose every byte follows from a key and its offset.

use bytes::{Bytes, BytesMut};

/// A stream of bytes that can be made and checked at any offset. It never depends on how the
/// stream is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pattern(
    /// Its key.
    pub u64,
);

impl Pattern {
    /// The eight bytes from an offset on that is a multiple of eight: SplitMix64 (Steele, Lea,
    /// Flood: Fast splittable pseudorandom number generators, 2014).
    fn word(self, offset: u64) -> [u8; 8] {
        let mut z = self.0.wrapping_add((offset / 8).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)).to_le_bytes()
    }

    /// The bytes from an offset on.
    pub fn bytes(self, offset: u64, len: usize) -> Bytes {
        let skip = (offset % 8) as usize;
        let mut data = BytesMut::with_capacity(skip + len + 8);
        let mut at = offset - skip as u64;
        while data.len() < skip + len {
            data.extend_from_slice(&self.word(at));
            at += 8;
        }
        data.freeze().slice(skip..skip + len)
    }

    /// Whether these are the bytes from an offset on.
    pub fn matches(self, offset: u64, data: &[u8]) -> bool {
        let skip = (offset % 8) as usize;
        let head = data.len().min((8 - skip) % 8);
        let (head, rest) = data.split_at(head);
        let first = self.word(offset - skip as u64);
        head == &first[skip % 8..][..head.len()]
            && rest
                .chunks(8)
                .zip((offset + head.len() as u64..).step_by(8))
                .all(|(chunk, at)| chunk == &self.word(at)[..chunk.len()])
    }

    /// Panics unless these are the bytes from an offset on, and names the first that differs.
    pub fn check(self, offset: u64, data: &[u8]) {
        if self.matches(offset, data) {
            return;
        }
        let expected = self.bytes(offset, data.len());
        for ((at, got), expected) in (offset..).zip(data).zip(expected) {
            assert!(*got == expected, "byte {at} is {got:#04x}, not {expected:#04x}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_piece_of_the_pattern_matches_at_its_place_only() {
        let whole = Pattern(5).bytes(0, 64);
        for from in 0..24 {
            for len in 1..24 {
                let piece = Pattern(5).bytes(from, len);
                assert_eq!(piece, whole.slice(from as usize..from as usize + len));
                Pattern(5).check(from, &piece);
                if len >= 4 {
                    let elsewhere = [(5, from + 1), (6, from)];
                    assert!(!elsewhere.iter().any(|(key, at)| Pattern(*key).matches(*at, &piece)));
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "byte 1007 is ")]
    fn the_first_byte_that_differs_is_named() {
        let mut data = Pattern(5).bytes(1000, 20).to_vec();
        data[7] ^= 1;
        data[9] ^= 1;
        Pattern(5).check(1000, &data);
    }
}
