//! The start of a stripe: bytes in; the peer's [`Hello`] and what followed it out, or a typed refusal.

use crate::wire::hello::{Hello, MAGIC, MAX_HELLO, VERSION};
use crate::wire::varint;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// How many bytes of a foreign protocol are kept to be shown.
const SHOWN: usize = 64;

/// Collects bytes until the peer's HELLO is complete.
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    seen: Vec<u8>,
}

/// Why the peer's first bytes are no HELLO for us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HandshakeError {
    /// The other end speaks another protocol.
    NotStriper {
        /// Its first bytes, at most 64.
        first: Vec<u8>,
    },
    /// The other end is a striper of another protocol version.
    Version {
        /// The version that it speaks.
        theirs: u8,
    },
    /// A HELLO over the size limit.
    TooLong,
    /// A HELLO whose fields make no sense.
    Malformed,
    /// A HELLO with an option that this version doesn't know but must not skip.
    UnknownOption,
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HandshakeError::NotStriper { first } => {
                write!(f, "the other end is no striper: it said \"{}\"", first.escape_ascii())
            }
            HandshakeError::Version { theirs } => write!(
                f,
                "the other end speaks protocol version {theirs}, this one {VERSION}: install the same version on both sides"
            ),
            HandshakeError::TooLong => f.write_str("HELLO over the size limit"),
            HandshakeError::Malformed => f.write_str("malformed HELLO"),
            HandshakeError::UnknownOption => f.write_str(
                "HELLO with an option that this version does not know: install the newer version here",
            ),
        }
    }
}

impl Handshake {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes have come so far.
    pub fn received(&self) -> usize {
        self.seen.len()
    }

    /// Takes what came in. `None` asks for more; otherwise the HELLO and what followed it in `data`.
    pub fn feed(&mut self, data: Bytes) -> Result<Option<(Hello, Bytes)>, HandshakeError> {
        let before = self.seen.len();
        let room = MAGIC.len() + 1 + varint::len(MAX_HELLO as u64) + MAX_HELLO - before;
        self.seen.extend_from_slice(&data[..data.len().min(room)]);
        let magic = self.seen.len().min(MAGIC.len());
        if self.seen[..magic] != MAGIC[..magic] {
            self.seen.truncate(SHOWN);
            return Err(HandshakeError::NotStriper { first: core::mem::take(&mut self.seen) });
        }
        match self.seen.get(MAGIC.len()) {
            None => return Ok(None),
            Some(&VERSION) => {}
            Some(&theirs) => return Err(HandshakeError::Version { theirs }),
        }
        let mut rest = &self.seen[MAGIC.len() + 1..];
        let Some(len) = varint::take(&mut rest).map_err(|_| HandshakeError::Malformed)? else {
            return Ok(None);
        };
        let len = usize::try_from(len).ok().filter(|len| *len <= MAX_HELLO).ok_or(HandshakeError::TooLong)?;
        if rest.len() < len {
            return Ok(None);
        }
        let hello = Hello::decode(&rest[..len])
            .map_err(|_| HandshakeError::Malformed)?
            .ok_or(HandshakeError::UnknownOption)?;
        let used = self.seen.len() - rest.len() + len;
        Ok(Some((hello, data.slice(used - before..))))
    }
}
