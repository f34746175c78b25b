//! A stripe's first bytes and its frames: any cut of them gives the same, and what is read can be
//! said again in the same bytes.

use super::source::Source;
use bytes::Bytes;
use std::mem::discriminant;
use striper_core::wire::deframer::{Deframer, Item};
use striper_core::wire::frame::Frame;
use striper_core::wire::varint;
use striper_core::{Handshake, HandshakeError, Hello, Violation};

/// The bytes that a reader may keep of a HELLO: its 16 KiB, the spare room of a vector that
/// doubles, and 512 gone stripes.
const MAX_HANDSHAKE: usize = 64 << 10;

/// The bytes that a reader may keep of a frame's head: 1 KiB that came in two parts, in a vector
/// that doubles, and 512 counts.
const MAX_DEFRAMER: usize = 32 << 10;

/// The first byte says whether a HELLO comes first, and how many bytes say how to cut. The rest is
/// the stream.
pub fn deframer<A: Fn() -> usize>(data: &[u8], allocated: A) {
    let mut source = Source::new(data);
    let shape = source.byte();
    let cuts = source.bytes(usize::from(shape >> 1) % 32);
    let stream = source.rest();
    let frames = if shape & 1 == 0 {
        0
    } else {
        let whole = greet(&[stream.len()], stream, &allocated);
        same_greeting(&whole, &greet(&[1], stream, &allocated));
        same_greeting(&whole, &greet(&lengths(cuts), stream, &allocated));
        let Ok(Some((_, used))) = whole else { return };
        used
    };
    let frames = &stream[frames..];
    let whole = read(&[frames.len()], frames, &allocated);
    let taken = if whole.2.is_none() { frames.len() } else { whole.1 as usize };
    check_lengths(&frames[..taken]);
    assert_eq!(whole, read(&[1], frames, &allocated), "cut into bytes");
    assert_eq!(whole, read(&lengths(cuts), frames, &allocated), "cut as {cuts:?} say");
}

/// No frame that was taken, or begun, is longer than PROTOCOL.md allows. The limits are written out
/// here, not taken from the engine.
fn check_lengths(mut taken: &[u8]) {
    while let Some(length) = varint::take(&mut taken).expect("a length")
        && let Some(kind) = varint::take(&mut &taken[..]).expect("a type")
    {
        let has_payload = matches!(kind, 0x01 | 0x07);
        let is_known = kind == 0x1a || (kind % 2 == 1 && kind <= 0x19);
        let most = if has_payload || !is_known { 131_072 } else { 1_024 };
        assert!(length <= most, "a frame of type {kind:#x} and {length} bytes was taken");
        taken = &taken[taken.len().min(length as usize)..];
    }
}

fn lengths(cuts: &[u8]) -> Vec<usize> {
    let lengths: Vec<usize> = cuts.iter().map(|cut| Source::new(&[*cut]).length().max(1)).collect();
    if lengths.is_empty() { vec![2] } else { lengths }
}

/// A stream in parts of these lengths, the last one cut short.
fn parts<'a>(lengths: &'a [usize], stream: &'a [u8]) -> impl Iterator<Item = Bytes> + 'a {
    let mut left = stream;
    lengths.iter().cycle().map_while(move |length| {
        let (part, rest) = left.split_at((*length).min(left.len()));
        left = rest;
        (!part.is_empty()).then(|| Bytes::copy_from_slice(part))
    })
}

type Greeting = Result<Option<(Hello, usize)>, HandshakeError>;

/// The HELLO with the number of bytes that it took.
fn greet(lengths: &[usize], stream: &[u8], allocated: &impl Fn() -> usize) -> Greeting {
    let mut handshake = Handshake::new();
    let mut fed = 0;
    for part in parts(lengths, stream) {
        fed += part.len();
        let before = allocated();
        let result = handshake.feed(part);
        let growth = allocated().saturating_sub(before);
        assert!(growth <= MAX_HANDSHAKE, "{growth} bytes kept of a HELLO");
        if let Some((hello, rest)) = result? {
            assert_eq!(stream[fed - rest.len()..fed], rest, "what followed the HELLO");
            let again = Handshake::new().feed(hello.encode());
            assert_eq!(again, Ok(Some((hello.clone(), Bytes::new()))), "a HELLO said again");
            return Ok(Some((hello, fed - rest.len())));
        }
    }
    Ok(None)
}

fn same_greeting(whole: &Greeting, cut: &Greeting) {
    match (whole, cut) {
        // A reader that hears less of a foreign protocol has less to show of it.
        (
            Err(HandshakeError::NotStriper { first: whole }),
            Err(HandshakeError::NotStriper { first: part }),
        ) => {
            assert!(whole.starts_with(part), "{part:?} is not the beginning of {whole:?}")
        }
        (Err(whole), Err(cut)) => assert_eq!(discriminant(whole), discriminant(cut)),
        _ => assert_eq!(whole, cut, "the HELLO depends on how it was cut"),
    }
}

/// The items of a stream, data of neighbours joined; how many bytes were passed on; and why it
/// ended.
type Outcome = (Vec<Item>, u64, Option<Violation>);

fn read(lengths: &[usize], stream: &[u8], allocated: &impl Fn() -> usize) -> Outcome {
    let mut deframer = Deframer::new();
    let mut pieces = Vec::new();
    for mut part in parts(lengths, stream) {
        loop {
            let before = allocated();
            let next = deframer.next(&mut part);
            let growth = allocated().saturating_sub(before);
            assert!(growth <= MAX_DEFRAMER, "{growth} bytes kept of a frame");
            match next {
                Ok(None) => break,
                Ok(Some(piece)) => {
                    check_spelling(&piece, &stream[..deframer.processed() as usize]);
                    join(&mut pieces, piece);
                }
                Err(violation) => return (pieces, deframer.processed(), Some(violation)),
            }
        }
        assert!(part.is_empty(), "{} bytes were left over", part.len());
    }
    (pieces, deframer.processed(), None)
}

/// Each frame has one spelling, so that saying it again gives the bytes that it was read from, the
/// last of `seen`.
fn check_spelling(piece: &Item, seen: &[u8]) {
    match piece {
        Item::Frame(frame) => {
            let said = frame.encode(0);
            let mut body = &said[..];
            varint::take(&mut body).expect("a length").expect("all of it");
            assert!(seen.ends_with(body), "{frame:?} was spelled in another way");
            assert_eq!(alone(&said), *piece);
        }
        Item::Data { flow, offset, data, fin } => {
            assert!(seen.ends_with(data), "payload was changed");
            let mut said =
                Frame::Data { flow: *flow, offset: *offset, fin: *fin }.encode(data.len()).to_vec();
            said.extend_from_slice(data);
            assert_eq!(alone(&said), *piece);
        }
    }
}

fn alone(bytes: &[u8]) -> Item {
    let mut bytes = Bytes::copy_from_slice(bytes);
    let piece =
        Deframer::new().next(&mut bytes).expect("our own frames are good").expect("a whole frame");
    assert!(bytes.is_empty());
    piece
}

fn join(pieces: &mut Vec<Item>, piece: Item) {
    if let (
        Some(Item::Data { flow, offset, data, fin: false }),
        Item::Data { flow: same, offset: next, data: more, fin: end },
    ) = (pieces.last_mut(), &piece)
        && flow == same
        && *offset + data.len() as u64 == *next
    {
        let joined = Bytes::from([&data[..], more].concat());
        let (flow, offset, fin) = (*flow, *offset, *end);
        *pieces.last_mut().expect("there is one") = Item::Data { flow, offset, data: joined, fin };
        return;
    }
    pieces.push(piece);
}
