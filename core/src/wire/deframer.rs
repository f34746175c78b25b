//! Cuts a stripe's byte stream into frames, whatever the chunks it arrives in.
//!
//! Payload is passed on as it comes, by reference, so nothing is copied and a frame's first bytes need not wait
//! for its last. Only a head that is split between chunks is collected, at most [`MAX_HEAD`] bytes.

use crate::error::Violation;
use crate::id::FlowId;
use crate::wire::frame::{Frame, MAX_HEAD, Parsed, parse};
use crate::wire::varint;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};

/// What the stream held next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Piece {
    /// A frame other than DATA. The payload of an OPEN follows as `Data`.
    Frame(Frame),
    /// Some bytes of a flow; `fin` if its direction ends after them. Empty only together with `fin`.
    Data { flow: FlowId, offset: u64, data: Bytes, fin: bool },
}

#[derive(Clone, Debug)]
enum State {
    /// At a frame's border, with the first bytes of its head.
    Head(Vec<u8>),
    /// Inside a payload.
    Payload { flow: FlowId, offset: u64, left: u64, fin: bool },
    /// Inside a frame that is skipped.
    Skip { left: u64 },
}

/// The receiving end of one stripe's framing.
#[derive(Clone, Debug)]
pub(crate) struct Deframer {
    state: State,
    processed: u64,
}

impl Deframer {
    /// At the start of a stream.
    pub fn new() -> Self {
        Deframer { state: State::Head(Vec::new()), processed: 0 }
    }

    /// How many bytes of the stream have been passed on or skipped. A head that is not complete yet doesn't count.
    pub fn processed(&self) -> u64 {
        self.processed
    }

    /// Takes the next piece from the front of `input`; `None` if it is used up.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Piece>, Violation> {
        while !input.is_empty() {
            match &mut self.state {
                State::Head(seen) => match take_head(seen, input)? {
                    Parsed::More => break,
                    Parsed::Skip { head, rest } => {
                        self.processed += head as u64;
                        self.state =
                            if rest == 0 { State::Head(Vec::new()) } else { State::Skip { left: rest } };
                    }
                    Parsed::Frame { frame, head, payload } => {
                        self.processed += head as u64;
                        if let Some(piece) = self.begin(frame, payload)? {
                            return Ok(Some(piece));
                        }
                    }
                },
                State::Payload { flow, offset, left, fin } => {
                    let data = input.split_to(input.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
                    let len = data.len() as u64;
                    let piece = Piece::Data { flow: *flow, offset: *offset, data, fin: *fin && len == *left };
                    *offset += len;
                    *left -= len;
                    self.processed += len;
                    if *left == 0 {
                        self.state = State::Head(Vec::new());
                    }
                    return Ok(Some(piece));
                }
                State::Skip { left } => {
                    let len = (input.len() as u64).min(*left);
                    input.advance(len as usize);
                    *left -= len;
                    self.processed += len;
                    if *left == 0 {
                        self.state = State::Head(Vec::new());
                    }
                }
            }
        }
        Ok(None)
    }

    /// Takes over after a head. `None` for a DATA whose payload comes next.
    fn begin(&mut self, frame: Frame, payload: u64) -> Result<Option<Piece>, Violation> {
        let (flow, offset, fin) = match frame {
            Frame::Data { flow, offset, fin } => (flow, offset, fin),
            Frame::Open { flow, .. } => (flow, 0, false),
            _ => return Ok(Some(Piece::Frame(frame))),
        };
        if offset + payload > varint::MAX {
            return Err(Violation::OffsetTooLarge);
        }
        if payload > 0 {
            self.state = State::Payload { flow, offset, left: payload, fin };
        }
        Ok(match frame {
            Frame::Data { .. } if payload > 0 => None,
            Frame::Data { .. } => Some(Piece::Data { flow, offset, data: Bytes::new(), fin }),
            _ => Some(Piece::Frame(frame)),
        })
    }
}

/// Parses a head from what was seen before and the front of `input`, of which it takes what belongs to the head.
fn take_head(seen: &mut Vec<u8>, input: &mut Bytes) -> Result<Parsed, Violation> {
    let before = seen.len();
    let parsed = if before == 0 {
        parse(input)?
    } else {
        seen.extend_from_slice(&input[..input.len().min(MAX_HEAD)]);
        parse(seen)?
    };
    match parsed {
        Parsed::More => {
            if before == 0 {
                seen.extend_from_slice(input);
            }
            input.clear();
        }
        Parsed::Frame { head, .. } | Parsed::Skip { head, .. } => {
            input.advance(head - before);
            seen.clear();
        }
    }
    Ok(parsed)
}
