//! Data that can be made and checked at any position without keeping it.

use bytes::Bytes;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::thread;
use striper_core::testing;

/// The most that is sent or checked at once, a multiple of eight bytes.
const BLOCK: u64 = 64 << 10;

/// A stream of bytes that follow from a seed and their position.
#[derive(Clone, Copy, Debug)]
pub struct Pattern(pub u64);

/// The bytes that a local program sends.
pub const UP: Pattern = Pattern(1);

/// The bytes that a target sends.
pub const DOWN: Pattern = Pattern(2);

impl Pattern {
    pub fn bytes(self, range: Range<u64>) -> Bytes {
        testing::Pattern(self.0).bytes(range.start, (range.end - range.start) as usize)
    }

    pub fn send(self, to: &mut impl Write, range: Range<u64>) {
        for part in blocks(range.clone()) {
            to.write_all(&self.bytes(part.clone()))
                .unwrap_or_else(|error| panic!("sending {part:?} of {range:?}: {error}"));
        }
    }

    /// Reads these bytes, and panics if others come or none.
    pub fn expect(self, from: &mut impl Read, range: Range<u64>) {
        let mut block = vec![0; BLOCK as usize];
        for part in blocks(range.clone()) {
            let got = &mut block[..(part.end - part.start) as usize];
            from.read_exact(got)
                .unwrap_or_else(|error| panic!("in {part:?} of {range:?}: {error}"));
            self.check(part.start, got);
        }
    }

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
        testing::Pattern(self.0).check(at, got);
    }
}

fn blocks(range: Range<u64>) -> impl Iterator<Item = Range<u64>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        let end = range.end.min((at / BLOCK + 1) * BLOCK);
        let part = std::mem::replace(&mut at, end)..end;
        (!part.is_empty()).then_some(part)
    })
}

/// Moves these bytes both ways at once between a local program and a target.
pub fn exchange(local: &TcpStream, target: &TcpStream, range: Range<u64>) {
    thread::scope(|scope| {
        for (mut stream, sends, expects) in [(local, UP, DOWN), (target, DOWN, UP)] {
            let (sent, expected) = (range.clone(), range.clone());
            scope.spawn(move || sends.send(&mut stream, sent));
            scope.spawn(move || expects.expect(&mut stream, expected));
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic(expected = "byte 100000 is")]
    fn a_changed_byte_is_found() {
        let mut sent = Pattern(3).bytes(0..200_000).to_vec();
        sent[100_000] ^= 1;
        Pattern(3).expect(&mut &sent[..], 0..200_000);
    }

    #[test]
    #[should_panic(expected = "instead of the end at 10")]
    fn a_byte_too_many_is_found() {
        Pattern(3).expect_all(&mut &Pattern(3).bytes(0..11)[..], 0..10);
    }
}
