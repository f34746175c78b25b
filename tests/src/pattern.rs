//! Data that can be made and checked at any position without keeping it.

use std::io::{Read, Write};
use std::ops::Range;

/// How much is sent or checked at once, a multiple of eight bytes.
const BLOCK: u64 = 64 << 10;

/// A stream of bytes that follow from a seed and their position alone.
#[derive(Clone, Copy, Debug)]
pub struct Pattern(pub u64);

impl Pattern {
    /// These bytes.
    pub fn bytes(self, range: Range<u64>) -> Vec<u8> {
        let mut out = Vec::with_capacity((range.end - range.start) as usize + 16);
        let first = range.start / 8;
        for word in first..range.end.div_ceil(8) {
            out.extend_from_slice(&self.word(word).to_le_bytes());
        }
        out.truncate((range.end - first * 8) as usize);
        out.drain(..(range.start - first * 8) as usize);
        out
    }

    /// Writes these bytes.
    pub fn send(self, to: &mut impl Write, range: Range<u64>) {
        let mut at = range.start;
        while at < range.end {
            let end = range.end.min((at / BLOCK + 1) * BLOCK);
            to.write_all(&self.bytes(at..end))
                .unwrap_or_else(|error| panic!("sending {at} of {range:?}: {error}"));
            at = end;
        }
    }

    /// Reads these bytes, and panics if others come or none.
    pub fn expect(self, from: &mut impl Read, range: Range<u64>) {
        let mut at = range.start;
        let mut block = vec![0; BLOCK as usize];
        while at < range.end {
            let end = range.end.min((at / BLOCK + 1) * BLOCK);
            let got = &mut block[..(end - at) as usize];
            from.read_exact(got)
                .unwrap_or_else(|error| panic!("between {at} and {end} of {range:?}: {error}"));
            self.check(at, got);
            at = end;
        }
    }

    /// Reads these bytes and then the end of the stream.
    pub fn expect_all(self, from: &mut impl Read, range: Range<u64>) {
        let end = range.end;
        self.expect(from, range);
        match from.read(&mut [0; 1]) {
            Ok(0) => {}
            other => panic!("{other:?} instead of the end at {end}"),
        }
    }

    /// Panics unless these bytes are those from a position on.
    pub fn check(self, at: u64, got: &[u8]) {
        let expected = self.bytes(at..at + got.len() as u64);
        // At once, which is what tests that check gigabytes spend their time on.
        if expected == got {
            return;
        }
        if let Some(index) = expected.iter().zip(got).position(|(expected, got)| expected != got) {
            panic!(
                "byte {} is {:#04x}, not {:#04x}",
                at + index as u64,
                got[index],
                expected[index]
            );
        }
    }

    /// Mixes seed and position as SplitMix64 does (Steele, Lea, Flood: Fast splittable pseudorandom
    /// number generators, 2014).
    fn word(self, index: u64) -> u64 {
        let mut word =
            self.0.wrapping_add(index.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_of_the_stream_has_the_same_bytes() {
        let whole = Pattern(1).bytes(0..100);
        for start in 0..40 {
            for end in start..100 {
                assert_eq!(Pattern(1).bytes(start..end), whole[start as usize..end as usize]);
            }
        }
        assert_ne!(whole, Pattern(2).bytes(0..100));
    }

    #[test]
    fn what_is_sent_is_expected() {
        let mut sent = Vec::new();
        Pattern(3).send(&mut sent, 5..200_000);
        Pattern(3).expect_all(&mut &sent[..], 5..200_000);
    }

    #[test]
    #[should_panic(expected = "byte 100000 is")]
    fn a_changed_byte_is_found() {
        let mut sent = Pattern(3).bytes(0..200_000);
        sent[100_000] ^= 1;
        Pattern(3).expect(&mut &sent[..], 0..200_000);
    }

    #[test]
    #[should_panic(expected = "instead of the end at 10")]
    fn a_byte_too_many_is_found() {
        Pattern(3).expect_all(&mut &Pattern(3).bytes(0..11)[..], 0..10);
    }
}
