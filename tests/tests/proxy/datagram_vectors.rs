//! The datagram format against `golden/datagrams.txt`, which was made by hand from the format's
//! definition and not by this code.

use bytes::Bytes;
use striper_core::datagram::{DatagramError, Decoder, header};

const FILE: &str = include_str!("../../golden/datagrams.txt");

/// Streams are cut in two at each place this close to their beginning and their end.
const EDGE: usize = 300;

#[derive(Default)]
struct Vector {
    name: &'static str,
    limit: usize,
    stream: Vec<u8>,
    datagrams: Vec<Vec<u8>>,
    error: Option<&'static str>,
    longer: bool,
}

fn vectors() -> Vec<Vector> {
    let mut vectors = Vec::new();
    for line in FILE.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = line.split_once(' ').unwrap_or((line, ""));
        if key == "vector" {
            vectors.push(Vector { name: value, ..Vector::default() });
            continue;
        }
        let vector = vectors.last_mut().expect("a vector");
        match key {
            "limit" => vector.limit = value.parse().expect("a number"),
            "stream" => vector.stream = value.split_whitespace().flat_map(run).collect(),
            "gives" => vector.datagrams = value.split_whitespace().map(run).collect(),
            "fails" => vector.error = Some(value),
            "longer" => vector.longer = true,
            _ => panic!("what is {line:?}?"),
        }
    }
    vectors
}

/// `61` is a byte, `61*3` three of them, `-` none.
fn run(word: &str) -> Vec<u8> {
    let (byte, count) = word.split_once('*').unwrap_or((word, if word == "-" { "0" } else { "1" }));
    let byte =
        if byte == "-" { 0 } else { u8::from_str_radix(byte, 16).expect("a byte in hexadecimal") };
    vec![byte; count.parse().expect("a number")]
}

/// The datagrams of a stream that comes in these parts, and the error of its rest.
fn decode<'a>(parts: impl Iterator<Item = &'a [u8]>, limit: usize) -> (Vec<Bytes>, Option<String>) {
    let mut decoder = Decoder::new(limit);
    let mut datagrams = Vec::new();
    for part in parts {
        let mut data = Bytes::copy_from_slice(part);
        loop {
            match decoder.next(&mut data) {
                Ok(Some(datagram)) => datagrams.push(datagram),
                Ok(None) => break,
                Err(error) => return (datagrams, Some(word(&error))),
            }
        }
    }
    (datagrams, decoder.finish().err().map(|error| word(&error)))
}

fn word(error: &DatagramError) -> String {
    match error {
        DatagramError::Overlong { .. } => "overlong".into(),
        DatagramError::TooLarge { announced, .. } => format!("too-large {announced}"),
        DatagramError::Truncated { announced: None, .. } => "ends-in-length".into(),
        DatagramError::Truncated { received, announced: Some(announced), .. } => {
            format!("ends-in-payload {received} of {announced}")
        }
        other => panic!("no word for {other:?}"),
    }
}

impl Vector {
    fn check<'a>(&self, how: &str, parts: impl Iterator<Item = &'a [u8]>) {
        let (datagrams, error) = decode(parts, self.limit);
        let lengths: Vec<usize> = datagrams.iter().map(Bytes::len).collect();
        assert_eq!(error.as_deref(), self.error, "{}, {how}, after {lengths:?}", self.name);
        assert!(datagrams == self.datagrams, "{}, {how}: {lengths:?}", self.name);
    }
}

#[test]
fn every_vector_is_decoded_alike_in_one_piece_in_two_and_byte_by_byte() {
    for vector in vectors() {
        let (stream, len) = (&vector.stream[..], vector.stream.len());
        vector.check("whole", [stream].into_iter());
        vector.check("byte by byte", stream.chunks(1));
        for cut in (0..=len).filter(|cut| *cut < EDGE || len - cut < EDGE / 10) {
            let (one, other) = stream.split_at(cut);
            // An empty part changes nothing.
            vector.check(&format!("cut at {cut}"), [one, &[], other].into_iter());
        }
    }
}

#[test]
fn datagrams_are_written_as_in_the_vectors() {
    let mut written = 0;
    for vector in vectors().into_iter().filter(|vector| !vector.longer && vector.error.is_none()) {
        let whole = |datagram: &Vec<u8>| [&header(datagram.len())[..], datagram].concat();
        let stream: Vec<u8> = vector.datagrams.iter().flat_map(whole).collect();
        assert!(stream == vector.stream, "{}", vector.name);
        written += vector.datagrams.len();
    }
    assert!(written >= 20, "only {written} datagrams in the vectors");
}
