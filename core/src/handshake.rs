//! The start of a stripe: bytes in; the peer's [`Hello`] and what followed it out, or a typed
//! refusal.

use crate::wire::hello::{Hello, MAGIC, MAX_HELLO, VERSION};
use crate::wire::varint;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// How many bytes of a foreign protocol are kept to be shown.
const SHOWN: usize = 64;

/// The first bytes of a TLS connection: a record of type handshake, and the major version that all
/// have (RFC 8446, section 5.1).
const TLS: &[u8; 2] = &[0x16, 0x03];

/// Collects bytes until the peer's HELLO is complete.
#[derive(Clone, Debug, Default)]
pub struct Handshake {
    seen: Vec<u8>,
}

/// Why the peer's first bytes are no HELLO for us.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The other end speaks another protocol.
    NotStriper {
        /// Its first bytes, at most 64.
        first: Vec<u8>,
    },
    /// The other end has begun TLS, as a striper with a key does.
    Tls,
    /// The other end is a striper of another protocol version. The older of the two is the one to
    /// update.
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
            HandshakeError::Tls => f.write_str(
                "the other end uses a key and this side has none (give both sides the same \
                 key, -k FILE), or it is another program that speaks TLS",
            ),
            HandshakeError::Version { theirs } => {
                let older = if *theirs > VERSION { "this side" } else { "the other side" };
                write!(
                    f,
                    "the other end speaks protocol version {theirs}, this one {VERSION}: \
                     update {older}"
                )
            }
            HandshakeError::TooLong => f.write_str("HELLO over the size limit"),
            HandshakeError::Malformed => f.write_str("malformed HELLO"),
            HandshakeError::UnknownOption => f.write_str(
                "HELLO with an option that this version does not know: update this side",
            ),
        }
    }
}

impl core::error::Error for HandshakeError {}

impl Handshake {
    /// Nothing seen yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes have come so far.
    pub fn received(&self) -> usize {
        self.seen.len()
    }

    /// Takes what came in. `None` asks for more; otherwise the HELLO and what followed it in
    /// `data`.
    pub fn feed(&mut self, data: Bytes) -> Result<Option<(Hello, Bytes)>, HandshakeError> {
        let before = self.seen.len();
        let room = MAGIC.len() + 1 + varint::len(MAX_HELLO as u64) + MAX_HELLO - before;
        self.seen.extend_from_slice(&data[..data.len().min(room)]);
        if self.seen.starts_with(TLS) {
            return Err(HandshakeError::Tls);
        }
        if self.seen == TLS[..1] {
            return Ok(None);
        }
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
        let len = usize::try_from(len)
            .ok()
            .filter(|len| *len <= MAX_HELLO)
            .ok_or(HandshakeError::TooLong)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::hello::Refusal;
    use crate::wire::hello::tests::plain;
    use alloc::string::ToString;
    use quickcheck::quickcheck;

    fn feed(bytes: &[u8]) -> Result<Option<(Hello, Bytes)>, HandshakeError> {
        Handshake::new().feed(Bytes::copy_from_slice(bytes))
    }

    quickcheck! {
        fn a_hello_is_heard_in_any_two_cuts_and_the_rest_is_left(
            hello: Hello, rest: Vec<u8>, first: usize, second: usize
        ) -> bool {
            let encoded = hello.encode();
            let bytes = Bytes::from([&encoded[..], &rest].concat());
            let (first, second) = (first % encoded.len(), second % encoded.len());
            let (first, second) = (first.min(second), first.max(second));
            let mut handshake = Handshake::new();
            assert_eq!(handshake.feed(bytes.slice(..first)), Ok(None));
            assert_eq!(handshake.feed(bytes.slice(first..second)), Ok(None));
            assert_eq!(handshake.received(), second);
            handshake.feed(bytes.slice(second..)) == Ok(Some((hello, Bytes::from(rest))))
        }

        fn no_bytes_panic(bytes: Vec<u8>, magic: bool) -> bool {
            let start: &[u8] = if magic { b"striper\x01" } else { b"" };
            let bytes = [start, &bytes].concat();
            let mut handshake = Handshake::new();
            let result = bytes.iter().try_for_each(|byte| {
                match handshake.feed(Bytes::copy_from_slice(&[*byte])) {
                    Ok(None) => Ok(()),
                    other => Err(other),
                }
            });
            let whole = feed(&bytes);
            match (result, whole) {
                (Ok(()), whole) => whole == Ok(None),
                (Err(Ok(Some((hello, _)))), Ok(Some((whole, _)))) => hello == whole,
                (Err(Err(HandshakeError::NotStriper { .. })), whole) => {
                    matches!(whole, Err(HandshakeError::NotStriper { .. }))
                }
                (Err(other), whole) => other == whole,
            }
        }
    }

    #[test]
    fn bytes_behind_a_hello_are_passed_on_without_a_copy() {
        let bytes = Bytes::from([&plain().encode()[..], &[7; 1000]].concat());
        let (_, rest) = Handshake::new().feed(bytes.clone()).unwrap().unwrap();
        assert_eq!(rest.as_ptr(), bytes[bytes.len() - 1000..].as_ptr());
    }

    #[test]
    fn other_protocols_are_recognised_by_their_first_byte_and_shown() {
        for (foreign, shown) in [
            ("GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "GET / HTTP/1.1"),
            ("SSH-2.0-OpenSSH_9.9\r\n", "SSH-2.0-OpenSSH_9.9"),
            ("\x15\x03\x01", "\\x15\\x03\\x01"),
            ("\x1b[2J\r\n", "\\x1b[2J\\r\\n"),
            (&"x".repeat(5000), "xxx"),
        ] {
            let error = feed(foreign.as_bytes()).unwrap_err();
            let first = foreign.as_bytes()[..foreign.len().min(64)].to_vec();
            assert_eq!(error, HandshakeError::NotStriper { first });
            assert!(error.to_string().contains(shown), "{error}");
            assert!(feed(&foreign.as_bytes()[..1]).is_err());
        }
        let first = b"stripes".to_vec();
        assert_eq!(feed(b"stripes"), Err(HandshakeError::NotStriper { first }));
    }

    #[test]
    fn tls_is_recognised_by_its_first_two_bytes() {
        for tls in [&b"\x16\x03"[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
            assert_eq!(feed(tls), Err(HandshakeError::Tls));
        }
        let mut handshake = Handshake::new();
        assert_eq!(handshake.feed(Bytes::from_static(b"\x16")), Ok(None));
        assert_eq!(handshake.feed(Bytes::from_static(b"\x03\x01")), Err(HandshakeError::Tls));
        let other = HandshakeError::NotStriper { first: b"\x16\x02".to_vec() };
        assert_eq!(feed(b"\x16\x02"), Err(other));
        let cure = HandshakeError::Tls.to_string();
        assert!(cure.contains("give both sides the same key, -k FILE"), "{cure}");
    }

    #[test]
    fn of_two_versions_the_older_side_is_told_to_update() {
        for theirs in [0, 2, 255] {
            let error = feed(&[&MAGIC[..], &[theirs]].concat()).unwrap_err();
            assert_eq!(error, HandshakeError::Version { theirs });
            let cure = if theirs > VERSION { "update this side" } else { "update the other side" };
            let text = error.to_string();
            assert!(text.ends_with(cure) && text.contains(&theirs.to_string()), "{text}");
        }
        assert!(HandshakeError::UnknownOption.to_string().ends_with("update this side"));
        assert!(Refusal::Version.to_string().ends_with("update this side"));
    }

    #[test]
    fn a_hello_over_the_limit_is_refused_by_its_length_alone() {
        let start = |len: usize| {
            let mut bytes = [&MAGIC[..], &[VERSION]].concat();
            varint::put(&mut bytes, len as u64);
            bytes
        };
        assert_eq!(feed(&start(MAX_HELLO)), Ok(None));
        assert_eq!(feed(&start(MAX_HELLO + 1)), Err(HandshakeError::TooLong));
        let mut handshake = Handshake::new();
        assert_eq!(handshake.feed(Bytes::from(start(MAX_HELLO))), Ok(None));
        assert!(handshake.feed(Bytes::from(alloc::vec![0xff; 1 << 20])).is_err());
        assert!(handshake.received() <= 11 + MAX_HELLO, "no more is kept than a HELLO needs");
    }

    #[test]
    fn malformed_hellos_and_unknown_critical_options_are_told_apart() {
        let with = |tail: &[u8]| {
            let body = [&[0][..], &[5; 16], &[3], tail].concat();
            let head = [&MAGIC[..], &[VERSION, body.len() as u8]].concat();
            feed(&[head, body].concat())
        };
        assert_eq!(with(b""), Ok(Some((plain(), Bytes::new()))));
        assert_eq!(with(b"\x40\x01x"), Ok(Some((plain(), Bytes::new()))));
        assert_eq!(with(b"\x41\x01x"), Err(HandshakeError::UnknownOption));
        assert_eq!(with(b"\x40"), Err(HandshakeError::Malformed));
    }
}
