//! HELLO: the first thing that each side says on a stripe.
//!
//! Eight bytes that never change between versions except the last one, its number; then a length and a body.
//! PROTOCOL.md has it byte by byte.

use crate::error::Violation;
use crate::id::{SessionId, StripeId};
use crate::wire::varint;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// What every stripe begins with, in both directions, before the version's byte.
pub const MAGIC: &[u8; 7] = b"striper";

/// The protocol version that this crate speaks.
pub const VERSION: u8 = 1;

/// The longest body of a HELLO in bytes, so that nobody makes us buffer more.
pub const MAX_HELLO: usize = 16 << 10;

/// The most gone stripes that a HELLO may list.
pub const MAX_GONE: usize = 512;

/// Option: (stripe, received count) pairs of gone stripes. Bit 0 of a key says that a receiver who doesn't know it must refuse.
const OPTION_GONE: u64 = 2;

/// What the sender of a HELLO wants or says.
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
pub enum Refusal {
    /// The session to join does not exist (any more): start afresh with a new one.
    UnknownSession,
    /// The stripe's number has been used before in its session.
    StripeUsed,
    /// The server takes no more stripes or sessions.
    TooMany,
    /// The server is shutting down.
    Draining,
    /// The server does not speak the client's version.
    Version,
    /// A number that this version doesn't know.
    Other(u64),
}

impl Refusal {
    fn code(self) -> u64 {
        match self {
            Refusal::UnknownSession => 1,
            Refusal::StripeUsed => 2,
            Refusal::TooMany => 3,
            Refusal::Draining => 4,
            Refusal::Version => 5,
            Refusal::Other(code) => code,
        }
    }

    fn from_code(code: u64) -> Self {
        match code {
            1 => Refusal::UnknownSession,
            2 => Refusal::StripeUsed,
            3 => Refusal::TooMany,
            4 => Refusal::Draining,
            5 => Refusal::Version,
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
            Refusal::Version => "the server does not speak this protocol version",
            Refusal::Other(code) => return write!(f, "refused with code {code}"),
        })
    }
}

/// What a side says first on a stripe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hello {
    /// What it wants or says.
    pub kind: HelloKind,
    /// The session that the stripe belongs to.
    pub session: SessionId,
    /// The stripe's number in it.
    pub stripe: StripeId,
    /// For stripes that the sender has given up: how many of their bytes it has received and processed. Final.
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

    /// Reads a body, that is, what follows the preamble and the length. `Ok(None)` says that it has an option that
    /// we don't know and must not skip.
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
