//! Cuts a stripe's byte stream into frames, whatever the chunks it arrives in.
//!
//! Payload is passed on as it comes, by reference, so nothing is copied and a frame's first bytes
//! need not wait for its last. Only a head that is split between chunks is collected, at most
//! `MAX_HEAD` bytes.

use crate::error::Violation;
use crate::id::FlowId;
use crate::wire::frame::{Frame, MAX_HEAD, Parsed, parse};
use crate::wire::varint;
use alloc::vec::Vec;
use bytes::{Buf, Bytes};

/// The next item of a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Item {
    /// A frame other than DATA. The payload of an OPEN follows as `Data`.
    Frame(Frame),
    /// Some bytes of a flow.
    Data {
        /// The flow.
        flow: FlowId,
        /// Of the first byte, counted from the start of the flow's direction.
        offset: u64,
        /// Empty only together with `fin`.
        data: Bytes,
        /// The direction ends after them.
        fin: bool,
    },
}

#[derive(Clone, Hash, Debug)]
enum State {
    /// At a frame's border, with the first bytes of its head.
    Head(Vec<u8>),
    /// Inside a payload.
    Payload { flow: FlowId, offset: u64, left: u64, fin: bool },
    /// Inside a frame that is skipped.
    Skip { left: u64 },
}

/// The receiving end of one stripe's framing.
#[derive(Clone, Hash, Debug)]
pub struct Deframer {
    state: State,
    processed: u64,
    skipped: u64,
}

impl Default for Deframer {
    fn default() -> Self {
        Self::new()
    }
}

impl Deframer {
    /// At the start of a stream.
    pub fn new() -> Self {
        Deframer { state: State::Head(Vec::new()), processed: 0, skipped: 0 }
    }

    /// How many bytes of the stream have been passed on or skipped. A head that is not complete yet
    /// doesn't count.
    pub fn processed(&self) -> u64 {
        self.processed
    }

    /// How many of these belong to frames that were skipped.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    /// Takes the next piece from the front of `input`; `None` if it is used up. After a violation
    /// the stream is of no more use.
    pub fn next(&mut self, input: &mut Bytes) -> Result<Option<Item>, Violation> {
        while !input.is_empty() {
            match &mut self.state {
                State::Head(seen) => match take_head(seen, input)? {
                    Parsed::More => break,
                    Parsed::Skip { head, rest } => {
                        self.processed += head as u64;
                        self.skipped += head as u64;
                        self.state = if rest == 0 {
                            State::Head(Vec::new())
                        } else {
                            State::Skip { left: rest }
                        };
                    }
                    Parsed::Frame { frame, head, payload } => {
                        self.processed += head as u64;
                        if let Some(piece) = self.begin(frame, payload)? {
                            return Ok(Some(piece));
                        }
                    }
                },
                State::Payload { flow, offset, left, fin } => {
                    let data = input
                        .split_to(input.len().min(usize::try_from(*left).unwrap_or(usize::MAX)));
                    let len = data.len() as u64;
                    let fin = *fin && len == *left;
                    let piece = Item::Data { flow: *flow, offset: *offset, data, fin };
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
                    self.skipped += len;
                    if *left == 0 {
                        self.state = State::Head(Vec::new());
                    }
                }
            }
        }
        Ok(None)
    }

    /// Takes over after a head. `None` for a DATA whose payload comes next.
    fn begin(&mut self, frame: Frame, payload: u64) -> Result<Option<Item>, Violation> {
        let (flow, offset, fin) = match frame {
            Frame::Data { flow, offset, fin } => (flow, offset, fin),
            Frame::Open { flow, .. } => (flow, 0, false),
            _ => return Ok(Some(Item::Frame(frame))),
        };
        if offset + payload > varint::MAX {
            return Err(Violation::OffsetTooLarge);
        }
        if payload > 0 {
            self.state = State::Payload { flow, offset, left: payload, fin };
        }
        Ok(match frame {
            Frame::Data { .. } if payload > 0 => None,
            Frame::Data { .. } => Some(Item::Data { flow, offset, data: Bytes::new(), fin }),
            _ => Some(Item::Frame(frame)),
        })
    }
}

/// Parses a head from what was seen before and the front of `input`, of which it takes what belongs
/// to the head.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::MAX_FRAME;
    use crate::wire::frame::tests::golden;
    use quickcheck::quickcheck;

    /// The items of a stream: frames, and the bytes of flows with neighbours joined.
    type Outcome = (Vec<Item>, u64, Option<Violation>);

    fn run(chunks: &[&[u8]]) -> Outcome {
        let mut deframer = Deframer::new();
        let mut pieces = Vec::new();
        for chunk in chunks {
            let mut input = Bytes::copy_from_slice(chunk);
            loop {
                match deframer.next(&mut input) {
                    Ok(Some(piece)) => join(&mut pieces, piece),
                    Ok(None) => break,
                    Err(violation) => return (pieces, deframer.processed(), Some(violation)),
                }
            }
            assert!(input.is_empty(), "it takes all of a chunk");
        }
        (pieces, deframer.processed(), None)
    }

    fn join(pieces: &mut Vec<Item>, piece: Item) {
        match (pieces.last_mut(), &piece) {
            (
                Some(Item::Data { flow, offset, data, fin: last_fin }),
                Item::Data { flow: next_flow, offset: next, data: more, fin },
            ) if flow == next_flow && *offset + data.len() as u64 == *next && !*last_fin => {
                *data = [&data[..], more].concat().into();
                *last_fin = *fin;
            }
            _ => pieces.push(piece),
        }
    }

    /// One frame of each type and skippable ones between them.
    fn stream() -> Vec<u8> {
        let mut bytes = Vec::new();
        for (index, (_, head, payload)) in golden().into_iter().enumerate() {
            bytes.extend_from_slice(head);
            bytes.extend_from_slice(payload);
            if index % 4 == 0 {
                bytes.extend_from_slice(b"\x06\x80\x01skip");
            }
        }
        bytes
    }

    #[test]
    fn a_stream_is_cut_into_the_frames_that_were_sent() {
        let (pieces, processed, violation) = run(&[&stream()]);
        let mut expected = Vec::new();
        for (frame, _, payload) in golden() {
            let payload = Bytes::from_static(payload);
            match frame {
                Frame::Data { flow, offset, fin } => {
                    join(&mut expected, Item::Data { flow, offset, data: payload, fin });
                }
                Frame::Open { flow, .. } => {
                    expected.push(Item::Frame(frame));
                    if !payload.is_empty() {
                        expected.push(Item::Data { flow, offset: 0, data: payload, fin: false });
                    }
                }
                _ => expected.push(Item::Frame(frame)),
            }
        }
        assert_eq!(pieces, expected);
        assert_eq!((processed, violation), (stream().len() as u64, None));
    }

    #[test]
    fn every_pair_of_cuts_gives_the_same() {
        let stream = stream();
        let whole = run(&[&stream]);
        for first in 0..stream.len() {
            for second in first..stream.len() {
                let cuts = [&stream[..first], &stream[first..second], &stream[second..]];
                assert!(run(&cuts) == whole, "cut at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert!(run(&bytes) == whole, "byte by byte");
    }

    #[test]
    fn no_value_of_any_byte_panics() {
        let stream = stream();
        for at in 0..stream.len() {
            for value in 0..=255 {
                let mut changed = stream.clone();
                changed[at] = value;
                let whole = run(&[&changed]);
                assert!(whole.1 <= changed.len() as u64);
                assert!(run(&[&changed[..at], &changed[at..]]) == whole, "{value:#x} at {at}");
            }
        }
    }

    quickcheck! {
        fn any_cut_of_any_bytes_has_the_same_effect(bytes: Vec<u8>, cuts: Vec<u8>) -> bool {
            let mut chunks = Vec::new();
            let mut rest = &bytes[..];
            for cut in cuts {
                let (chunk, after) = rest.split_at(usize::from(cut % 8).min(rest.len()));
                chunks.push(chunk);
                rest = after;
            }
            chunks.push(rest);
            run(&chunks) == run(&[&bytes])
        }
    }

    #[test]
    fn payload_is_passed_on_before_the_frame_is_complete_and_without_a_copy() {
        let mut deframer = Deframer::new();
        let frame = Frame::Data { flow: FlowId(1), offset: 10, fin: true }.encode(100);
        assert_eq!(deframer.next(&mut frame.clone()), Ok(None));
        assert_eq!(deframer.processed(), frame.len() as u64);
        for (len, fin) in [(40, false), (60, true)] {
            let offset = 10 + deframer.processed() - frame.len() as u64;
            let mut input = Bytes::from(alloc::vec![7; len]);
            let start = input.as_ptr();
            let Ok(Some(Item::Data { data, .. })) = &deframer.clone().next(&mut input.clone())
            else {
                panic!("data");
            };
            assert_eq!(data.as_ptr(), start);
            let piece = Item::Data { flow: FlowId(1), offset, data: input.clone(), fin };
            assert_eq!(deframer.next(&mut input), Ok(Some(piece)));
        }
    }

    #[test]
    fn a_head_that_is_not_complete_does_not_count_as_processed() {
        let mut deframer = Deframer::new();
        let frame = Frame::Reset { flow: FlowId(1), reason: 0, final_offset: 1 << 40 }.encode(0);
        for byte in 0..frame.len() - 1 {
            assert_eq!(deframer.next(&mut frame.slice(byte..byte + 1)), Ok(None));
            assert_eq!(deframer.processed(), 0);
        }
        assert!(matches!(deframer.next(&mut frame.slice(frame.len() - 1..)), Ok(Some(_))));
        assert_eq!(deframer.processed(), frame.len() as u64);
    }

    #[test]
    fn no_more_is_collected_behind_a_split_head_than_a_head_can_have() {
        let mut deframer = Deframer::new();
        let ping = Frame::Ping { nonce: 1 }.encode(0);
        assert_eq!(deframer.next(&mut ping.slice(..1)), Ok(None));
        let mut rest = Bytes::from([&ping[1..], &[0; 60_000]].concat());
        assert_eq!(deframer.next(&mut rest), Ok(Some(Item::Frame(Frame::Ping { nonce: 1 }))));
        assert_eq!(rest.len(), 60_000);
        let State::Head(seen) = &deframer.state else { panic!("at a border") };
        // The first byte, and as many as a length of 128 KiB and a frame without payload take.
        assert!(seen.is_empty() && seen.capacity() <= 1 + 3 + 1024, "{} bytes", seen.capacity());
    }

    #[test]
    fn a_skipped_frame_as_long_as_allowed_keeps_nothing() {
        let mut deframer = Deframer::new();
        let mut length = Vec::new();
        varint::put(&mut length, MAX_FRAME);
        length.push(0x40);
        assert_eq!(deframer.next(&mut Bytes::from(length)), Ok(None));
        let mut rest = Bytes::from(alloc::vec![0xff; MAX_FRAME as usize - 1]);
        assert_eq!(deframer.next(&mut rest), Ok(None));
        let mut ping = Frame::Ping { nonce: 1 }.encode(0);
        assert_eq!(deframer.next(&mut ping), Ok(Some(Item::Frame(Frame::Ping { nonce: 1 }))));
    }
}
