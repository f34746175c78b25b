//! Datagrams in a byte stream: the payload's length, then the payload.
//!
//! The length is an unsigned LEB128 number of at most four bytes: seven bits a byte, least
//! significant first. The high bit is set on all bytes but the last. [`header`] writes the shortest
//! form; a [`Decoder`] also takes longer ones of up to four bytes. PROTOCOL.md has examples.
//!
//! Invariant: nothing is allocated for what a length merely announces; a decoder holds at most the
//! payload bytes it was fed of one datagram.

use bytes::{Buf, Bytes, BytesMut};
use core::fmt;

/// The largest payload by default: 512 KiB.
pub const DEFAULT_LIMIT: usize = 512 << 10;

/// The largest payload that four bytes can announce: 2^28 − 1.
pub const MAX_LIMIT: usize = (1 << 28) - 1;

/// The most bytes of a length.
pub const MAX_HEADER: usize = 4;

/// How much of a stream's beginning is kept to say what it looked like.
const PREVIEW: usize = 16;

/// The header of a payload of `len` bytes.
///
/// # Panics
/// If `len` exceeds [`MAX_LIMIT`].
pub fn header(len: usize) -> Bytes {
    assert!(len <= MAX_LIMIT, "a datagram of {len} bytes, at most {MAX_LIMIT}");
    let mut out = BytesMut::with_capacity(MAX_HEADER);
    let mut rest = len;
    while rest >= 0x80 {
        out.extend_from_slice(&[rest as u8 | 0x80]);
        rest >>= 7;
    }
    out.extend_from_slice(&[rest as u8]);
    out.freeze()
}

/// Why a stream holds no datagrams, or no more of them.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum DatagramError {
    /// The length has more than four bytes.
    Overlong {
        /// How the stream began.
        began: Preview,
    },
    /// The length exceeds the limit.
    TooLarge {
        /// Bytes of payload announced.
        announced: usize,
        /// The most that is taken.
        limit: usize,
        /// How the stream began.
        began: Preview,
    },
    /// The stream ended inside a datagram.
    Truncated {
        /// Bytes of payload that had come.
        received: usize,
        /// Bytes announced; `None` if the end came inside the length.
        announced: Option<usize>,
        /// How the stream began.
        began: Preview,
    },
}

impl fmt::Display for DatagramError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (DatagramError::Overlong { began }
        | DatagramError::TooLarge { began, .. }
        | DatagramError::Truncated { began, .. }) = self;
        match self {
            DatagramError::Overlong { .. } => {
                f.write_str("the length of a datagram has more than 4 bytes")
            }
            DatagramError::TooLarge { announced, limit, .. } => write!(
                f,
                "a datagram of {announced} bytes is announced, but at most {limit} are taken"
            ),
            DatagramError::Truncated { received, announced: Some(announced), .. } => {
                write!(
                    f,
                    "the stream ended inside a datagram, after {received} of {announced} bytes"
                )
            }
            DatagramError::Truncated { .. } => {
                f.write_str("the stream ended inside the length of a datagram")
            }
        }?;
        write!(f, "; it began with {began}")
    }
}

impl core::error::Error for DatagramError {}

/// The first bytes of a stream, shown as text with escapes: a plain program that talks to a
/// datagram port is recognised by them.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub struct Preview {
    bytes: [u8; PREVIEW],
    len: usize,
}

impl Preview {
    fn see(&mut self, data: &[u8]) {
        let count = data.len().min(PREVIEW - self.len);
        self.bytes[self.len..self.len + count].copy_from_slice(&data[..count]);
        self.len += count;
    }

    /// The bytes, at most 16.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl fmt::Display for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{}\"", self.bytes().escape_ascii())
    }
}

impl fmt::Debug for Preview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Takes datagrams out of a stream, however that is cut. After an error it is of no more use.
#[derive(Clone, Debug)]
pub struct Decoder {
    limit: usize,
    began: Preview,
    /// How much of what comes next has been looked at for `began` already, because it was left
    /// over.
    ahead: usize,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Inside a length, of which so many bytes have come.
    Length { value: usize, count: usize },
    /// Inside a payload that came in parts.
    Payload { announced: usize, parts: BytesMut },
}

const BETWEEN: State = State::Length { value: 0, count: 0 };

impl Decoder {
    /// Takes payloads of at most `limit` bytes, at most [`MAX_LIMIT`].
    pub fn new(limit: usize) -> Self {
        Decoder { limit: limit.min(MAX_LIMIT), began: Preview::default(), ahead: 0, state: BETWEEN }
    }

    /// Takes the next datagram from the front of `data`, which may be empty. `None` if it is not
    /// all there yet: then `data` has been used up.
    pub fn next(&mut self, data: &mut Bytes) -> Result<Option<Bytes>, DatagramError> {
        self.began.see(data.get(self.ahead..).unwrap_or_default());
        let taken = self.take(data);
        self.ahead = data.len();
        taken
    }

    /// Whether the stream may end here, between two datagrams.
    pub fn finish(&self) -> Result<(), DatagramError> {
        let (received, announced) = match &self.state {
            State::Length { count: 0, .. } => return Ok(()),
            State::Length { .. } => (0, None),
            State::Payload { announced, parts } => (parts.len(), Some(*announced)),
        };
        Err(DatagramError::Truncated { received, announced, began: self.began })
    }

    fn take(&mut self, data: &mut Bytes) -> Result<Option<Bytes>, DatagramError> {
        loop {
            match &mut self.state {
                State::Length { value, count } => {
                    if !data.has_remaining() {
                        return Ok(None);
                    }
                    let byte = data.get_u8();
                    *value |= usize::from(byte & 0x7f) << (7 * *count);
                    *count += 1;
                    if byte & 0x80 == 0 {
                        let announced = *value;
                        if announced > self.limit {
                            return Err(DatagramError::TooLarge {
                                announced,
                                limit: self.limit,
                                began: self.began,
                            });
                        }
                        self.state = State::Payload { announced, parts: BytesMut::new() };
                    } else if *count == MAX_HEADER {
                        return Err(DatagramError::Overlong { began: self.began });
                    }
                }
                State::Payload { announced, parts } => {
                    if parts.is_empty() && data.len() >= *announced {
                        let whole = data.split_to(*announced);
                        self.state = BETWEEN;
                        return Ok(Some(whole));
                    }
                    let part = data.split_to(data.len().min(*announced - parts.len()));
                    parts.extend_from_slice(&part);
                    if parts.len() < *announced {
                        return Ok(None);
                    }
                    let whole = core::mem::take(parts).freeze();
                    self.state = BETWEEN;
                    return Ok(Some(whole));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec;
    use alloc::vec::Vec;
    use quickcheck::quickcheck;

    fn encoded(datagrams: &[Vec<u8>]) -> Vec<u8> {
        let encode = |datagram: &Vec<u8>| [&header(datagram.len())[..], datagram].concat();
        datagrams.iter().flat_map(encode).collect()
    }

    /// All datagrams of a stream that comes in these parts.
    fn decode(parts: &[&[u8]], limit: usize) -> Result<Vec<Vec<u8>>, DatagramError> {
        let mut decoder = Decoder::new(limit);
        let mut datagrams = Vec::new();
        for part in parts {
            let mut data = Bytes::copy_from_slice(part);
            while let Some(datagram) = decoder.next(&mut data)? {
                datagrams.push(datagram.to_vec());
            }
            assert!(data.is_empty());
        }
        decoder.finish().map(|()| datagrams)
    }

    quickcheck! {
        fn datagrams_come_out_as_they_went_in_however_the_stream_is_cut(
            datagrams: Vec<Vec<u8>>, step: u8
        ) -> bool {
            let stream = encoded(&datagrams);
            let parts: Vec<&[u8]> = stream.chunks(usize::from(step).max(1)).collect();
            decode(&parts, DEFAULT_LIMIT) == Ok(datagrams)
        }

        fn no_stream_makes_a_decoder_panic_or_hold_more_than_it_was_given(
            stream: Vec<u8>, limit: u16
        ) -> bool {
            let mut decoder = Decoder::new(usize::from(limit));
            for byte in &stream {
                match decoder.next(&mut Bytes::copy_from_slice(&[*byte])) {
                    Ok(_) => {}
                    Err(_) => break,
                }
                if let State::Payload { parts, .. } = &decoder.state {
                    assert!(parts.len() <= stream.len() && parts.len() <= usize::from(limit));
                }
            }
            true
        }
    }

    #[test]
    fn a_stream_that_ends_inside_a_datagram_is_truncated_at_every_place() {
        let stream = encoded(&[vec![7; 3], vec![8; 200]]);
        let between = [0, 4, stream.len()];
        for cut in 0..=stream.len() {
            let result = decode(&[&stream[..cut]], DEFAULT_LIMIT);
            assert_eq!(result.is_ok(), between.contains(&cut), "cut at {cut}");
        }
    }

    #[test]
    fn a_length_over_a_limit_is_refused_before_the_payload() {
        let began = |bytes: &[u8]| {
            let mut preview = Preview::default();
            preview.see(bytes);
            preview
        };
        let over = [0x81, 0x80, 0x20];
        let (announced, limit, began_with) = (524_289, 524_288, began(&over));
        let too_large = DatagramError::TooLarge { announced, limit, began: began_with };
        assert_eq!(decode(&[&over], DEFAULT_LIMIT), Err(too_large));
        let long = [0x81, 0x80, 0x80, 0x80, 0x00];
        let overlong = DatagramError::Overlong { began: began(&long) };
        assert_eq!(decode(&[&long], MAX_LIMIT), Err(overlong));
    }

    #[test]
    fn a_length_need_not_be_in_its_shortest_form() {
        for (stream, datagram) in
            [(&[0x83, 0x80, 0x80, 0x00, 1, 2, 3][..], vec![1, 2, 3]), (&[0x80, 0x00], vec![])]
        {
            assert_eq!(decode(&[stream], DEFAULT_LIMIT), Ok(vec![datagram]));
        }
    }

    #[test]
    fn an_announced_length_reserves_nothing() {
        let mut decoder = Decoder::new(MAX_LIMIT);
        assert_eq!(decoder.next(&mut Bytes::from_static(&[0xff, 0xff, 0xff, 0x7f, 1])), Ok(None));
        let State::Payload { parts, .. } = &decoder.state else { panic!() };
        assert!(parts.capacity() < 1024);
    }

    #[test]
    fn an_error_shows_how_the_stream_began() {
        let error = decode(&[b"SSH-2.0-OpenSSH_9.2p1 Debian\r\n"], DEFAULT_LIMIT).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the stream ended inside a datagram, after 29 of 83 bytes; \
             it began with \"SSH-2.0-OpenSSH_\""
        );
    }

    #[test]
    fn an_error_shows_each_byte_of_the_beginning_once_however_it_came() {
        for step in 1..=6 {
            let stream = b"\x01a\x00\x02bc\x85";
            let parts: Vec<&[u8]> = stream.chunks(step).collect();
            let error = decode(&parts, DEFAULT_LIMIT).unwrap_err();
            let began = "it began with \"\\x01a\\x00\\x02bc\\x85\"";
            assert!(error.to_string().ends_with(began), "{error}");
        }
    }
}
