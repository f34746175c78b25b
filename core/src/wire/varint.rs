//! Unsigned LEB128: seven bits a byte, least significant first, high bit set on all but the last.
//!
//! Bounds: below 2^62, so at most nine bytes; the shortest form only, so that every value has one encoding.

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
