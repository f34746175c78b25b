//! Unsigned LEB128: seven bits a byte, least significant first, high bit set on all but the last.
//!
//! Bounds: below 2^62, so at most nine bytes; the shortest form only, so that every value has one
//! encoding.

use crate::error::Violation;
use alloc::vec::Vec;

/// The largest value that travels: 2^62 − 1.
pub const MAX: u64 = (1 << 62) - 1;

/// Appends `value`, which must not exceed [`MAX`].
pub fn put(out: &mut Vec<u8>, mut value: u64) {
    assert!(value <= MAX, "varint out of range");
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// How many bytes [`put`] appends.
pub fn len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// Takes a value from the front of `input`; `None` if it is not all there yet.
pub fn take(input: &mut &[u8]) -> Result<Option<u64>, Violation> {
    let mut value = 0u64;
    for (i, &byte) in input.iter().enumerate().take(9) {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte & 0x80 == 0 {
            if value > MAX || (byte == 0 && i > 0) {
                return Err(Violation::BadVarint);
            }
            *input = &input[i + 1..];
            return Ok(Some(value));
        }
    }
    if input.len() >= 9 { Err(Violation::BadVarint) } else { Ok(None) }
}

/// Takes a value that must be there in full.
pub fn take_whole(input: &mut &[u8]) -> Result<u64, Violation> {
    take(input)?.ok_or(Violation::MalformedFrame)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use alloc::vec;
    use quickcheck::{Arbitrary, Gen, quickcheck};

    /// A value of any length.
    pub(crate) fn number(g: &mut Gen) -> u64 {
        (u64::arbitrary(g) & MAX) >> (u32::arbitrary(g) % 62)
    }

    fn encoded(value: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put(&mut out, value);
        out
    }

    quickcheck! {
        fn values_survive_and_truncations_ask_for_more(value: u64, shift: u8) -> bool {
            let value = (value & MAX) >> (shift % 62);
            let bytes = encoded(value);
            assert_eq!(bytes.len(), len(value));
            for cut in 0..bytes.len() {
                assert_eq!(take(&mut &bytes[..cut]), Ok(None));
            }
            let mut input = &[&bytes[..], &[0xff]].concat()[..];
            assert_eq!(take(&mut input), Ok(Some(value)));
            input == [0xff]
        }

        fn a_number_that_is_taken_has_one_encoding(bytes: Vec<u8>) -> bool {
            let mut rest = &bytes[..];
            match take(&mut rest) {
                Ok(Some(value)) => value <= MAX && [&encoded(value)[..], rest].concat() == bytes,
                _ => rest == bytes,
            }
        }
    }

    #[test]
    fn known_values_have_known_bytes() {
        for (value, bytes) in [
            (0, vec![0]),
            (127, vec![0x7f]),
            (128, vec![0x80, 0x01]),
            (300, vec![0xac, 0x02]),
            (16_384, vec![0x80, 0x80, 0x01]),
            (MAX, vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f]),
        ] {
            assert_eq!(encoded(value), bytes);
            assert_eq!(take(&mut &bytes[..]), Ok(Some(value)));
        }
    }

    #[test]
    fn too_large_too_long_and_longer_than_needed_are_refused() {
        for bytes in [
            vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x40],
            vec![0xff; 9],
            vec![0x80; 9],
            vec![0x80, 0x00],
            vec![0xff, 0x80, 0x00],
        ] {
            assert_eq!(take(&mut &bytes[..]), Err(Violation::BadVarint), "{bytes:x?}");
        }
    }

    #[test]
    fn a_value_that_must_be_whole_is_malformed_when_cut_short() {
        assert_eq!(take_whole(&mut &[0x80][..]), Err(Violation::MalformedFrame));
        assert_eq!(take_whole(&mut &[][..]), Err(Violation::MalformedFrame));
    }
}
