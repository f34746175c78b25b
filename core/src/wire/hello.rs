//! HELLO: the first thing that each side says on a stripe.
//!
//! Eight bytes that never change between versions except the last one, its number; then a length
//! and a body. PROTOCOL.md has it byte by byte.

use crate::error::Violation;
use crate::id::{SessionId, StripeId};
use crate::wire::varint;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// The first bytes of every stripe, in both directions, before the version's byte.
pub const MAGIC: &[u8; 7] = b"striper";

/// The protocol version that this crate speaks.
pub const VERSION: u8 = 1;

/// The longest body of a HELLO in bytes, so that nobody makes us buffer more.
pub(crate) const MAX_HELLO: usize = 16 << 10;

/// The most gone stripes that a HELLO may list.
pub(crate) const MAX_GONE: usize = 512;

/// Option: (stripe, received count) pairs of gone stripes. Bit 0 of a key says that a receiver who
/// doesn't know it must refuse.
const OPTION_GONE: u64 = 2;

/// The wish or the answer of a HELLO's sender.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum HelloKind {
    /// Client: join this session, and make it if it does not exist.
    Create,
    /// Client: join this session, which I know to exist.
    Join,
    /// Server: welcome.
    Accept {
        /// Drawn at random when the server made its state of the session.
        instance: u64,
    },
    /// Server: no. The stripe is closed after this.
    Refuse(Refusal),
}

/// Why a server refuses a stripe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Refusal {
    /// The session to join does not exist (any more): start afresh with a new one.
    UnknownSession,
    /// The stripe's number has been used before in its session.
    StripeUsed,
    /// The server takes no more stripes or sessions.
    TooMany,
    /// The server is shutting down.
    Draining,
    /// The server does not speak the client's version. It says so in the highest that it knows, so
    /// a client that understands this is the older one.
    Version,
    /// The server takes only callers with a key, and this one has begun without. Said in plain
    /// text.
    KeyNeeded,
    /// The server has no key, and the caller has begun TLS. Said in plain text.
    NoKey,
    /// A number that this version doesn't know.
    Other(u64),
}

impl Refusal {
    /// The number on the wire.
    pub fn code(self) -> u64 {
        match self {
            Refusal::UnknownSession => 1,
            Refusal::StripeUsed => 2,
            Refusal::TooMany => 3,
            Refusal::Draining => 4,
            Refusal::Version => 5,
            Refusal::KeyNeeded => 6,
            Refusal::NoKey => 7,
            Refusal::Other(code) => code,
        }
    }

    /// The refusal with this number.
    pub fn from_code(code: u64) -> Self {
        match code {
            1 => Refusal::UnknownSession,
            2 => Refusal::StripeUsed,
            3 => Refusal::TooMany,
            4 => Refusal::Draining,
            5 => Refusal::Version,
            6 => Refusal::KeyNeeded,
            7 => Refusal::NoKey,
            other => Refusal::Other(other),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Refusal::UnknownSession => "the server does not know this session (any more)",
            Refusal::StripeUsed => "this stripe number has been used before",
            Refusal::TooMany => "the server takes no more stripes",
            Refusal::Draining => "the server is shutting down",
            Refusal::Version => {
                return write!(
                    f,
                    "the server speaks protocol version {VERSION} no more: update this side"
                );
            }
            Refusal::KeyNeeded => {
                "the server takes only callers with a key: give this side the server's key: -k FILE"
            }
            Refusal::NoKey => {
                "the server has no key and this side uses one: give the server a key (-k FILE), \
                 or drop it here"
            }
            Refusal::Other(code) => return write!(f, "refused with code {code}"),
        })
    }
}

impl core::error::Error for Refusal {}

/// The first message of a side on a stripe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// Its wish or its answer.
    pub kind: HelloKind,
    /// The session that the stripe belongs to.
    pub session: SessionId,
    /// The stripe's number in it.
    pub stripe: StripeId,
    /// For stripes that the sender has given up: how many of their bytes it has received and
    /// processed. Final.
    pub gone: Vec<(StripeId, u64)>,
}

impl Hello {
    /// The bytes to send: preamble, length, body.
    pub fn encode(&self) -> Bytes {
        let mut body = Vec::with_capacity(64);
        let (kind, detail) = match self.kind {
            HelloKind::Create => (0, None),
            HelloKind::Join => (1, None),
            HelloKind::Accept { .. } => (2, None),
            HelloKind::Refuse(refusal) => (3, Some(refusal.code())),
        };
        varint::put(&mut body, kind);
        body.extend_from_slice(&self.session.0);
        varint::put(&mut body, self.stripe.0);
        if let HelloKind::Accept { instance } = self.kind {
            body.extend_from_slice(&instance.to_be_bytes());
        }
        if let Some(code) = detail {
            varint::put(&mut body, code);
        }
        if !self.gone.is_empty() {
            let mut value = Vec::new();
            for (stripe, received) in self.gone.iter().take(MAX_GONE) {
                varint::put(&mut value, stripe.0);
                varint::put(&mut value, *received);
            }
            varint::put(&mut body, OPTION_GONE);
            varint::put(&mut body, value.len() as u64);
            body.extend_from_slice(&value);
        }
        let mut out = Vec::with_capacity(12 + body.len());
        out.extend_from_slice(MAGIC);
        out.push(VERSION);
        varint::put(&mut out, body.len() as u64);
        out.extend_from_slice(&body);
        Bytes::from(out)
    }

    /// Reads a body, that is, what follows the preamble and the length. `Ok(None)` says that it has
    /// an option that we don't know and must not skip.
    pub fn decode(mut body: &[u8]) -> Result<Option<Hello>, Violation> {
        let body = &mut body;
        let kind = varint::take_whole(body)?;
        let session = SessionId(take_array(body)?);
        let stripe = StripeId(varint::take_whole(body)?);
        let kind = match kind {
            0 => HelloKind::Create,
            1 => HelloKind::Join,
            2 => HelloKind::Accept { instance: u64::from_be_bytes(take_array(body)?) },
            3 => HelloKind::Refuse(Refusal::from_code(varint::take_whole(body)?)),
            _ => return Err(Violation::MalformedFrame),
        };
        let mut gone = Vec::new();
        while !body.is_empty() {
            let key = varint::take_whole(body)?;
            let len = varint::take_whole(body)?;
            let len = usize::try_from(len)
                .ok()
                .filter(|len| *len <= body.len())
                .ok_or(Violation::MalformedFrame)?;
            let (mut value, rest) = body.split_at(len);
            *body = rest;
            match key {
                OPTION_GONE => {
                    while !value.is_empty() {
                        gone.push((
                            StripeId(varint::take_whole(&mut value)?),
                            varint::take_whole(&mut value)?,
                        ));
                    }
                    if gone.len() > MAX_GONE {
                        return Err(Violation::TooManyGoneStripes);
                    }
                }
                key if key % 2 == 1 => return Ok(None),
                _ => {}
            }
        }
        Ok(Some(Hello { kind, session, stripe, gone }))
    }
}

fn take_array<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], Violation> {
    let (array, rest) = input.split_first_chunk::<N>().ok_or(Violation::MalformedFrame)?;
    *input = rest;
    Ok(*array)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::wire::varint::tests::number;
    use alloc::string::ToString;
    use alloc::vec;
    use quickcheck::{Arbitrary, Gen, quickcheck};

    impl Arbitrary for Hello {
        fn arbitrary(g: &mut Gen) -> Self {
            let kind = match u8::arbitrary(g) % 4 {
                0 => HelloKind::Create,
                1 => HelloKind::Join,
                2 => HelloKind::Accept { instance: u64::arbitrary(g) },
                _ => HelloKind::Refuse(Refusal::from_code(number(g) >> (u32::arbitrary(g) % 62))),
            };
            let gone = usize::arbitrary(g) % 20;
            Hello {
                kind,
                session: SessionId([0; 16].map(|_: u8| u8::arbitrary(g))),
                stripe: StripeId(number(g)),
                gone: (0..gone).map(|_| (StripeId(number(g)), number(g))).collect(),
            }
        }
    }

    /// The body of a HELLO, with its length taken off.
    fn body(hello: &Hello) -> Vec<u8> {
        let bytes = hello.encode();
        let mut body = &bytes[MAGIC.len() + 1..];
        assert_eq!(varint::take(&mut body), Ok(Some(body.len() as u64)));
        body.to_vec()
    }

    pub(crate) fn plain() -> Hello {
        Hello {
            kind: HelloKind::Create,
            session: SessionId([5; 16]),
            stripe: StripeId(3),
            gone: vec![],
        }
    }

    quickcheck! {
        fn hellos_survive(hello: Hello) -> bool {
            Hello::decode(&body(&hello)) == Ok(Some(hello))
        }

        fn no_body_panics(body: Vec<u8>) -> bool {
            Hello::decode(&body).ok().flatten().is_none_or(|hello| hello.gone.len() <= MAX_GONE)
        }
    }

    #[test]
    fn a_hello_has_its_known_bytes() {
        let session = SessionId(*b"0123456789abcdef");
        let gone = vec![(StripeId(1), 300)];
        for (kind, gone, head, tail) in [
            (HelloKind::Create, vec![], &b"\x12\x00"[..], &b""[..]),
            (HelloKind::Join, gone, b"\x17\x01", b"\x02\x03\x01\xac\x02"),
            (HelloKind::Accept { instance: 0x0102 }, vec![], b"\x1a\x02", b""),
            (HelloKind::Refuse(Refusal::Draining), vec![], b"\x13\x03", b"\x04"),
        ] {
            let instance: &[u8] =
                if let HelloKind::Accept { .. } = kind { b"\0\0\0\0\0\0\x01\x02" } else { b"" };
            let hello = Hello { kind, session, stripe: StripeId(2), gone };
            let parts = [b"striper\x01", head, b"0123456789abcdef\x02", instance, tail];
            assert_eq!(hello.encode(), parts.concat());
        }
    }

    #[test]
    fn unknown_options_are_skipped_when_even_and_refused_when_odd() {
        let known = Hello { gone: vec![(StripeId(1), 9)], ..plain() };
        let mut even = body(&plain());
        even.extend_from_slice(b"\x40\x03abc\x42\x00");
        even.extend_from_slice(&body(&known)[18..]);
        assert_eq!(Hello::decode(&even), Ok(Some(known)));
        let odd = [&body(&plain())[..], b"\x41\x03abc"].concat();
        assert_eq!(Hello::decode(&odd), Ok(None));
    }

    #[test]
    fn malformed_bodies_are_refused() {
        for tail in [&b"\x40"[..], b"\x40\x03ab", b"\x02\x01\x01", b"\x02\x02\x01\x80"] {
            let bytes = [&body(&plain())[..], tail].concat();
            assert_eq!(Hello::decode(&bytes), Err(Violation::MalformedFrame), "{tail:x?}");
        }
        let mut unknown_kind = body(&plain());
        unknown_kind[0] = 4;
        assert_eq!(Hello::decode(&unknown_kind), Err(Violation::MalformedFrame));
    }

    #[test]
    fn no_more_gone_stripes_are_listed_or_taken_than_allowed() {
        let many = (0..1000).map(|stripe| (StripeId(stripe), 1)).collect();
        let decoded = Hello::decode(&body(&Hello { gone: many, ..plain() })).unwrap().unwrap();
        assert_eq!(decoded.gone.len(), MAX_GONE);
        let mut twice = body(&decoded);
        twice.extend_from_slice(&body(&Hello { gone: vec![(StripeId(0), 1)], ..plain() })[18..]);
        assert_eq!(Hello::decode(&twice), Err(Violation::TooManyGoneStripes));
    }

    #[test]
    fn every_refusal_has_its_own_code_and_words() {
        let mut words = vec![];
        for code in 1..9 {
            let refusal = Refusal::from_code(code);
            assert_eq!(refusal.code(), code);
            assert_eq!(matches!(refusal, Refusal::Other(_)), code == 8);
            assert!(!words.contains(&refusal.to_string()), "{refusal}");
            words.push(refusal.to_string());
        }
    }

    #[test]
    fn a_refusal_for_want_of_a_key_says_which_side_needs_it() {
        for (refusal, cure) in [
            (Refusal::KeyNeeded, "give this side the server's key: -k FILE"),
            (Refusal::NoKey, "give the server a key (-k FILE), or drop it here"),
        ] {
            assert!(refusal.to_string().contains(cure), "{refusal}");
        }
    }

    #[test]
    fn the_longest_hello_fits() {
        let gone = vec![(StripeId(varint::MAX), varint::MAX); MAX_GONE];
        assert!(body(&Hello { gone, ..plain() }).len() <= MAX_HELLO);
    }
}
