//! Where a request of plain HTTP ends. Later bytes on the same connection may be a request for
//! another target, and must not reach this one.

use super::WayError;

/// The most bytes of a line of chunked coding, with its extensions or a trailer field.
const MAX_LINE: usize = 4096;

/// The bytes behind a handshake that belong to the target.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Body {
    /// All of them.
    Endless,
    /// So many.
    Length(u64),
    /// Those of a chunked body (RFC 9112, section 7.1), trailer included.
    Chunked(Chunks),
}

impl Body {
    /// How many of these next bytes belong to the target. If they are fewer than all, the body ends
    /// there.
    ///
    /// # Errors
    /// The coding of chunks is malformed.
    pub fn passes(&mut self, bytes: &[u8]) -> Result<usize, WayError> {
        match self {
            Body::Endless => Ok(bytes.len()),
            Body::Length(left) => {
                let part = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= part as u64;
                Ok(part)
            }
            Body::Chunked(chunks) => chunks.passes(bytes),
        }
    }
}

/// The state of a chunked body.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Chunks(State);

#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    /// In the line with a chunk's size: its bytes so far.
    Size(Vec<u8>),
    /// In a chunk's data.
    Data(u64),
    /// Behind a chunk's data: an empty line, of which so many bytes have come.
    Behind(u8),
    /// In a line of the trailer, of so many bytes so far, and whether its last one was CR.
    Trailer {
        bytes: usize,
        cr: bool,
    },
    Over,
}

impl Default for State {
    fn default() -> Self {
        State::Size(Vec::new())
    }
}

impl Chunks {
    fn passes(&mut self, bytes: &[u8]) -> Result<usize, WayError> {
        let mut at = 0;
        while at < bytes.len() && self.0 != State::Over {
            at += self.step(&bytes[at..])?;
        }
        Ok(at)
    }

    /// Takes one byte or some of a chunk's data.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, WayError> {
        const MALFORMED: WayError = WayError::Malformed("its body is not in chunks as it says");
        let byte = bytes[0];
        self.0 = match &mut self.0 {
            State::Size(line) if byte == b'\n' => match size(line).ok_or(MALFORMED)? {
                0 => State::Trailer { bytes: 0, cr: false },
                size => State::Data(size),
            },
            State::Size(line) => {
                line.push(byte);
                if line.len() > MAX_LINE {
                    return Err(MALFORMED);
                }
                return Ok(1);
            }
            State::Data(left) => {
                let part = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= part as u64;
                if *left == 0 {
                    self.0 = State::Behind(0);
                }
                return Ok(part);
            }
            State::Behind(0) if byte == b'\r' => State::Behind(1),
            State::Behind(1) if byte == b'\n' => State::default(),
            State::Behind(_) => return Err(MALFORMED),
            State::Trailer { bytes: 0, cr: true } if byte == b'\n' => State::Over,
            State::Trailer { cr: true, .. } if byte == b'\n' => {
                State::Trailer { bytes: 0, cr: false }
            }
            State::Trailer { cr, .. } if *cr || byte == b'\n' => return Err(MALFORMED),
            State::Trailer { bytes, .. } if byte == b'\r' => {
                State::Trailer { bytes: *bytes, cr: true }
            }
            State::Trailer { bytes, .. } if *bytes < MAX_LINE => {
                State::Trailer { bytes: *bytes + 1, cr: false }
            }
            State::Trailer { .. } => return Err(MALFORMED),
            State::Over => return Ok(0),
        };
        Ok(1)
    }
}

/// The size of a chunk, of a line without its LF. A size of 16 digits or more is none.
fn size(line: &[u8]) -> Option<u64> {
    let line = std::str::from_utf8(line.strip_suffix(b"\r")?).ok()?;
    let digits = line.split(';').next()?;
    let is_clean = (1..=15).contains(&digits.len()) && !line.contains('\r');
    let is_number = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    (is_clean && is_number).then(|| u64::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"5;x=y\r\nhello\r\n0010\r\n0123456789abcdef\r\n0\r\nA: b\r\n\r\n";

    #[test]
    fn a_chunked_body_ends_where_it_says_however_it_is_cut() {
        let whole = [BODY, b"GET http://b/ HTTP/1.1\r\n"].concat();
        for cut in 0..=whole.len() {
            let mut body = Body::Chunked(Chunks::default());
            let first = body.passes(&whole[..cut]).unwrap();
            assert_eq!(first, cut.min(BODY.len()));
            let second = body.passes(&whole[cut..]).unwrap();
            assert_eq!(first + second, BODY.len(), "{cut}");
        }
        let mut body = Body::Chunked(Chunks::default());
        let passed = whole.iter().map(|byte| body.passes(&[*byte]).unwrap()).sum::<usize>();
        assert_eq!(passed, BODY.len());
    }

    #[test]
    fn a_malformed_chunk_is_an_error() {
        for body in [
            &b"x\r\n"[..],
            b"\r\n",
            b"5\nhello\r\n",
            b" 5\r\nhello\r\n",
            b"+5\r\nhello\r\n",
            b"5\rx\r\n",
            b"5\r\nhelloX",
            b"5\r\nhello\n",
            b"0000000000000001\r\n",
            b"0\r\nA: b\n",
            b"0\r\n\rX",
        ] {
            let mut chunks = Body::Chunked(Chunks::default());
            assert!(chunks.passes(body).is_err(), "{}", body.escape_ascii());
        }
        let mut chunks = Body::Chunked(Chunks::default());
        assert!(chunks.passes(&[b'1'; MAX_LINE + 1]).is_err());
        let mut trailer = Body::Chunked(Chunks::default());
        assert!(trailer.passes(&[b"0\r\n", &[b'a'; MAX_LINE + 2][..]].concat()).is_err());
    }

    #[test]
    fn a_body_of_a_length_ends_after_it() {
        let mut body = Body::Length(3);
        assert_eq!(
            [body.passes(b"ab"), body.passes(b"cd"), body.passes(b"e")],
            [Ok(2), Ok(1), Ok(0)]
        );
        assert_eq!(Body::Endless.passes(b"abc"), Ok(3));
    }
}
