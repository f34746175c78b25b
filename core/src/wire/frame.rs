//! Frames: what stripes carry after their HELLOs. PROTOCOL.md has them byte by byte.
//!
//! `length` (of what follows), `type`, fields. Bit 0 of a type marks it as critical: a receiver
//! that doesn't know it must end the session; others are skipped.

use crate::error::Violation;
use crate::id::{FlowId, StripeId};
use crate::wire::varint;
use alloc::vec::Vec;
use bytes::Bytes;

use crate::config::MAX_OPAQUE;

/// The most bytes that may follow a length. Bounds what a skipped frame can cost.
pub const MAX_FRAME: u64 = 128 << 10;

/// The most bytes that may follow the length of a frame without payload, all of which is buffered.
pub const MAX_CONTROL: u64 = 1 << 10;

/// The most stripes acknowledged in one ACK.
pub const MAX_ACKS: usize = 48;

/// A frame without its payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// Opens a flow. Payload: its first bytes, from offset 0.
    Open {
        /// The new flow.
        flow: FlowId,
        /// Early credit that the opener takes for it, on top of the floor.
        early: u64,
        /// Credit that the opener gives for the other direction.
        credit: u64,
        /// For the acceptor's local side.
        opaque: Bytes,
    },
    /// The acceptor has reached the target.
    Accept {
        /// The flow.
        flow: FlowId,
    },
    /// The acceptor will not carry this flow.
    Refuse {
        /// The flow.
        flow: FlowId,
        /// See [`crate::Reason`].
        reason: u64,
    },
    /// Payload: bytes of a flow from `offset` on.
    Data {
        /// The flow.
        flow: FlowId,
        /// Of the first payload byte, counted from the start of the flow's direction.
        offset: u64,
        /// The direction ends after the payload.
        fin: bool,
    },
    /// Both directions end; the sender's own after `final_offset` bytes.
    Reset {
        /// The flow.
        flow: FlowId,
        /// See [`crate::Reason`].
        reason: u64,
        /// How many bytes the sender has sent or will send.
        final_offset: u64,
    },
    /// The receiver may send its direction of a flow up to this offset.
    Credit {
        /// The flow.
        flow: FlowId,
        /// Cumulative.
        limit: u64,
    },
    /// The sender has used all its credit for a flow. A hint that lets the window grow; skippable.
    Blocked {
        /// The flow.
        flow: FlowId,
        /// The credit that is used up, as an offset.
        limit: u64,
    },
    /// The receiver may open more flows.
    Grant {
        /// How many in all.
        flows: u64,
        /// How much early credit its OPENs may take in all.
        early: u64,
    },
    /// Bytes processed on stripes, counted after their HELLOs.
    Ack {
        /// Stripe and cumulative count.
        counts: Vec<(StripeId, u64)>,
    },
    /// The sender has given up a stripe.
    StripeGone {
        /// The stripe.
        stripe: StripeId,
        /// How many of its bytes the sender has processed. Final.
        received: u64,
    },
    /// Asks for a PONG on the same stripe.
    Ping {
        /// Comes back.
        nonce: u64,
    },
    /// Everything before the PING on this stripe has been processed.
    Pong {
        /// From the PING.
        nonce: u64,
    },
    /// No more flows will be opened or taken; the session ends when the last one has.
    Drain,
    /// The session is over.
    Close {
        /// 0 done, 1 stopped, 2 protocol violation by the receiver of this frame.
        code: u64,
    },
}

/// Type numbers. All of version 1 are critical but BLOCKED.
mod kind {
    pub(super) const OPEN: u64 = 0x01;
    pub(super) const ACCEPT: u64 = 0x03;
    pub(super) const REFUSE: u64 = 0x05;
    pub(super) const DATA: u64 = 0x07;
    pub(super) const RESET: u64 = 0x09;
    pub(super) const CREDIT: u64 = 0x0b;
    pub(super) const GRANT: u64 = 0x0d;
    pub(super) const ACK: u64 = 0x0f;
    pub(super) const STRIPE_GONE: u64 = 0x11;
    pub(super) const PING: u64 = 0x13;
    pub(super) const PONG: u64 = 0x15;
    pub(super) const DRAIN: u64 = 0x17;
    pub(super) const CLOSE: u64 = 0x19;
    pub(super) const BLOCKED: u64 = 0x1a;
}

impl Frame {
    /// The frame that these bytes begin with, without its payload; `None` if they don't begin with
    /// a whole head. With the feature `testing`, for simulators and tests.
    #[cfg(any(test, feature = "testing"))]
    pub fn decode(head: &[u8]) -> Option<Frame> {
        match parse(head) {
            Ok(Parsed::Frame { frame, .. }) => Some(frame),
            _ => None,
        }
    }

    /// The bytes to send before `payload` bytes of payload (only OPEN and DATA have one).
    pub fn encode(&self, payload: usize) -> Bytes {
        let mut body = Vec::with_capacity(32);
        match self {
            Frame::Open { flow, early, credit, opaque } => {
                put(&mut body, &[kind::OPEN, flow.0, *early, *credit, opaque.len() as u64]);
                body.extend_from_slice(opaque);
            }
            Frame::Accept { flow } => put(&mut body, &[kind::ACCEPT, flow.0]),
            Frame::Refuse { flow, reason } => put(&mut body, &[kind::REFUSE, flow.0, *reason]),
            Frame::Data { flow, offset, fin } => {
                put(&mut body, &[kind::DATA, flow.0, *offset, u64::from(*fin)]);
            }
            Frame::Reset { flow, reason, final_offset } => {
                put(&mut body, &[kind::RESET, flow.0, *reason, *final_offset]);
            }
            Frame::Credit { flow, limit } => put(&mut body, &[kind::CREDIT, flow.0, *limit]),
            Frame::Blocked { flow, limit } => put(&mut body, &[kind::BLOCKED, flow.0, *limit]),
            Frame::Grant { flows, early } => put(&mut body, &[kind::GRANT, *flows, *early]),
            Frame::Ack { counts } => {
                put(&mut body, &[kind::ACK]);
                counts.iter().for_each(|(stripe, count)| put(&mut body, &[stripe.0, *count]));
            }
            Frame::StripeGone { stripe, received } => {
                put(&mut body, &[kind::STRIPE_GONE, stripe.0, *received])
            }
            Frame::Ping { nonce } => put(&mut body, &[kind::PING, *nonce]),
            Frame::Pong { nonce } => put(&mut body, &[kind::PONG, *nonce]),
            Frame::Drain => put(&mut body, &[kind::DRAIN]),
            Frame::Close { code } => put(&mut body, &[kind::CLOSE, *code]),
        }
        let length = (body.len() + payload) as u64;
        let mut out = Vec::with_capacity(varint::len(length) + body.len());
        varint::put(&mut out, length);
        out.extend_from_slice(&body);
        Bytes::from(out)
    }
}

fn put(out: &mut Vec<u8>, values: &[u64]) {
    values.iter().for_each(|value| varint::put(out, *value));
}

/// The front of a byte stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// Not enough to tell.
    More,
    /// A frame in the first `head` bytes, with `payload` bytes of payload behind it.
    Frame { frame: Frame, head: usize, payload: u64 },
    /// A frame of an unknown, skippable type; `rest` bytes follow its first `head` bytes.
    Skip { head: usize, rest: u64 },
}

/// The longest head that [`parse`] may answer with [`Parsed::More`].
pub(crate) const MAX_HEAD: usize = 3 + MAX_CONTROL as usize;

/// Looks at the front of `input`, which begins at a frame's border.
pub(crate) fn parse(input: &[u8]) -> Result<Parsed, Violation> {
    let mut rest = input;
    let Some(length) = varint::take(&mut rest)? else { return Ok(Parsed::More) };
    if length > MAX_FRAME {
        return Err(Violation::FrameTooLong);
    }
    let length = length as usize;
    let whole = rest.len() >= length;
    let mut fields = Fields { input: &rest[..rest.len().min(length)], whole };
    let available = fields.input.len();
    let prefix = input.len() - rest.len();
    match fields.frame(length) {
        Ok(Some(frame)) => {
            let used = available - fields.input.len();
            Ok(Parsed::Frame { frame, head: prefix + used, payload: (length - used) as u64 })
        }
        Ok(None) => {
            let used = available - fields.input.len();
            Ok(Parsed::Skip { head: prefix + used, rest: (length - used) as u64 })
        }
        Err(Stop::More) => Ok(Parsed::More),
        Err(Stop::Bad(violation)) => Err(violation),
    }
}

enum Stop {
    More,
    Bad(Violation),
}

impl From<Violation> for Stop {
    fn from(violation: Violation) -> Self {
        Stop::Bad(violation)
    }
}

/// The fields of one frame, as far as they are there.
struct Fields<'a> {
    input: &'a [u8],
    /// The frame ends where `input` ends.
    whole: bool,
}

impl Fields<'_> {
    fn short(&self) -> Stop {
        if self.whole { Stop::Bad(Violation::MalformedFrame) } else { Stop::More }
    }

    fn varint(&mut self) -> Result<u64, Stop> {
        varint::take(&mut self.input)?.ok_or_else(|| self.short())
    }

    fn flow(&mut self) -> Result<FlowId, Stop> {
        self.varint().map(FlowId)
    }

    fn stripe(&mut self) -> Result<StripeId, Stop> {
        self.varint().map(StripeId)
    }

    fn bytes(&mut self, len: usize) -> Result<Bytes, Stop> {
        if self.input.len() < len {
            return Err(self.short());
        }
        let (bytes, rest) = self.input.split_at(len);
        self.input = rest;
        Ok(Bytes::copy_from_slice(bytes))
    }

    /// The frame, or `None` for one to be skipped.
    fn frame(&mut self, length: usize) -> Result<Option<Frame>, Stop> {
        let frame = match self.varint()? {
            kind::OPEN => return self.open().map(Some),
            kind::DATA => return self.data(length).map(Some),
            known if known == kind::BLOCKED || known <= kind::CLOSE && known % 2 == 1 => {
                self.control(known, length)?
            }
            unknown if unknown % 2 == 1 => return Err(Violation::UnknownCriticalFrame.into()),
            _ => return Ok(None),
        };
        if self.input.is_empty() { Ok(Some(frame)) } else { Err(Violation::MalformedFrame.into()) }
    }

    fn open(&mut self) -> Result<Frame, Stop> {
        let (flow, early, credit) = (self.flow()?, self.varint()?, self.varint()?);
        let len = self.varint()?;
        if len > MAX_OPAQUE as u64 {
            return Err(Violation::OpaqueTooLong.into());
        }
        Ok(Frame::Open { flow, early, credit, opaque: self.bytes(len as usize)? })
    }

    fn data(&mut self, length: usize) -> Result<Frame, Stop> {
        let before = self.input.len();
        let (flow, offset, flags) = (self.flow()?, self.varint()?, self.varint()?);
        // The type took one byte before `before` was taken.
        let payload = length - 1 - (before - self.input.len());
        match flags {
            0 if payload > 0 => Ok(Frame::Data { flow, offset, fin: false }),
            1 => Ok(Frame::Data { flow, offset, fin: true }),
            _ => Err(Violation::MalformedFrame.into()),
        }
    }

    /// A frame without payload: parsed when all of it is there.
    fn control(&mut self, kind: u64, length: usize) -> Result<Frame, Stop> {
        if length as u64 > MAX_CONTROL {
            return Err(Violation::FrameTooLong.into());
        }
        if !self.whole {
            return Err(Stop::More);
        }
        Ok(match kind {
            kind::ACCEPT => Frame::Accept { flow: self.flow()? },
            kind::REFUSE => Frame::Refuse { flow: self.flow()?, reason: self.varint()? },
            kind::RESET => Frame::Reset {
                flow: self.flow()?,
                reason: self.varint()?,
                final_offset: self.varint()?,
            },
            kind::CREDIT => Frame::Credit { flow: self.flow()?, limit: self.varint()? },
            kind::BLOCKED => Frame::Blocked { flow: self.flow()?, limit: self.varint()? },
            kind::GRANT => Frame::Grant { flows: self.varint()?, early: self.varint()? },
            kind::ACK => {
                let mut counts = Vec::new();
                while !self.input.is_empty() {
                    counts.push((self.stripe()?, self.varint()?));
                }
                if counts.is_empty() {
                    return Err(Violation::MalformedFrame.into());
                }
                Frame::Ack { counts }
            }
            kind::STRIPE_GONE => {
                Frame::StripeGone { stripe: self.stripe()?, received: self.varint()? }
            }
            kind::PING => Frame::Ping { nonce: self.varint()? },
            kind::PONG => Frame::Pong { nonce: self.varint()? },
            kind::DRAIN => Frame::Drain,
            kind::CLOSE => Frame::Close { code: self.varint()? },
            _ => unreachable!("the caller knows the odd types up to CLOSE"),
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;
