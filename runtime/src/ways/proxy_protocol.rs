//! The header of the PROXY protocol, versions 1 and 2, as in HAProxy's `doc/proxy-protocol.txt` of
//! 2020/03/05. A proxy puts it before all bytes of a connection to say whose connection it is.
//!
//! A receiver must know beforehand whether there is one: the text of a program may look like it.
//! Fields of version 2 behind the addresses (TLVs) are skipped, CRC32C included.

use crate::addresses::Addresses;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

/// The first bytes of version 2.
const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";
/// The first bytes of version 1.
const WORD: &[u8] = b"PROXY ";
const UNKNOWN: &[u8] = b"UNKNOWN";

/// The bytes of the shortest and of the longest line, section 2.1.
const MIN_LINE: usize = 15;
const MAX_LINE: usize = 107;

/// The bytes of version 2 before its addresses.
const HEAD: usize = 16;
/// The most bytes of addresses and further fields that are taken. A sender should keep all within
/// a segment of 536 bytes, but certificates (PP2_TYPE_SSL) may take more.
const MAX_BLOCK: usize = 2048;

/// The version in the high bits, and the command PROXY in the low ones. LOCAL is 0.
const VERSION_2: u8 = 0x20;
const PROXIED: u8 = 1;
const UNSPECIFIED: u8 = 0;
const TCP_OVER_IPV4: u8 = 0x11;
const TCP_OVER_IPV6: u8 = 0x21;

/// The version of a header.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Version {
    /// A line of text.
    V1,
    /// Bytes.
    V2,
}

/// The meaning of the first bytes of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// The beginning of a header. At least so many bytes more belong to it, so a receiver of no
    /// more than these never takes a byte that is behind it.
    Part {
        /// At least 1.
        missing: usize,
    },
    /// A header.
    Whole {
        /// Its length. The other bytes belong to the connection.
        used: usize,
        /// The addresses that it names. None: those of the connection itself count.
        addresses: Option<Addresses>,
    },
}

/// Why the first bytes of a connection are no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum HeaderError {
    /// They are something else.
    Missing,
    /// The line has more than 107 bytes, or the fields of version 2 more than 2048.
    TooLong,
    /// It breaks the rules of its version.
    Malformed(&'static str),
}

impl fmt::Display for HeaderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HeaderError::Missing => f.write_str("it does not begin with a PROXY header"),
            HeaderError::TooLong => write!(
                f,
                "its PROXY header is too long: a line of over {MAX_LINE} bytes, or fields of over \
                 {MAX_BLOCK}"
            ),
            HeaderError::Malformed(what) => write!(f, "its PROXY header is malformed: {what}"),
        }
    }
}

impl std::error::Error for HeaderError {}

/// The header for a connection with these addresses. Without, it says that they are unknown.
pub fn write(version: Version, addresses: Option<Addresses>) -> Vec<u8> {
    match version {
        Version::V1 => line(addresses).into_bytes(),
        Version::V2 => {
            let block = addresses.map(Addresses::to_block).unwrap_or_default();
            let family = match addresses.map(|addresses| addresses.source()) {
                None => UNSPECIFIED,
                Some(SocketAddr::V4(_)) => TCP_OVER_IPV4,
                Some(SocketAddr::V6(_)) => TCP_OVER_IPV6,
            };
            // A block has at most 36 bytes.
            [&SIGNATURE[..], &[VERSION_2 | PROXIED, family, 0, block.len() as u8], &block].concat()
        }
    }
}

fn line(addresses: Option<Addresses>) -> String {
    let Some(addresses) = addresses else { return "PROXY UNKNOWN\r\n".to_owned() };
    let (source, destination) = (addresses.source(), addresses.destination());
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.ip(), destination.ip());
    format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
}

/// Reads the first bytes of a connection that must begin with a header.
pub fn read(input: &[u8]) -> Result<Found, HeaderError> {
    let begins = |known: &[u8]| input.iter().zip(known).all(|(byte, known)| byte == known);
    match input {
        [] => Ok(Found::Part { missing: MIN_LINE }),
        _ if begins(WORD) => read_line(input),
        _ if begins(&SIGNATURE) => read_block(input),
        _ => Err(HeaderError::Missing),
    }
}

/// Version 1, section 2.1.
fn read_line(input: &[u8]) -> Result<Found, HeaderError> {
    let most = &input[..input.len().min(MAX_LINE)];
    let Some(end) = most.iter().position(|byte| *byte == b'\n') else {
        let end = if most.ends_with(b"\r") { 1 } else { 2 };
        let missing = MIN_LINE.saturating_sub(most.len()).max(end);
        let fits = most.len() + missing <= MAX_LINE;
        return if fits { Ok(Found::Part { missing }) } else { Err(HeaderError::TooLong) };
    };
    const NO_END: HeaderError = HeaderError::Malformed("its line does not end with CR and LF");
    let line = most[..end].strip_suffix(b"\r").ok_or(NO_END)?;
    let rest = line.strip_prefix(WORD).ok_or(HeaderError::Missing)?;
    // The words behind this one mean nothing.
    let is_unknown =
        rest.strip_prefix(UNKNOWN).is_some_and(|rest| rest.is_empty() || rest.starts_with(b" "));
    let addresses = if is_unknown { None } else { Some(words(rest)?) };
    Ok(Found::Whole { used: end + 1, addresses })
}

/// The addresses of a line, from its second word on.
fn words(rest: &[u8]) -> Result<Addresses, HeaderError> {
    const NOT_SIX: HeaderError = HeaderError::Malformed("expected six words with a blank between");
    const BAD_FAMILY: HeaderError =
        HeaderError::Malformed("its protocol is neither TCP4 nor TCP6 nor UNKNOWN");
    let text = std::str::from_utf8(rest).map_err(|_| NOT_SIX)?;
    let mut words = text.split(' ');
    let mut next = || words.next().ok_or(NOT_SIX);
    let [family, source, destination, from, to] = [next()?, next()?, next()?, next()?, next()?];
    if words.next().is_some() {
        return Err(NOT_SIX);
    }
    let [source, destination] = match family {
        "TCP4" => [ip::<Ipv4Addr>(source)?, ip::<Ipv4Addr>(destination)?],
        "TCP6" => [ip::<Ipv6Addr>(source)?, ip::<Ipv6Addr>(destination)?],
        _ => return Err(BAD_FAMILY),
    };
    let source = SocketAddr::new(source, port(from)?);
    Ok(Addresses::new(source, SocketAddr::new(destination, port(to)?)))
}

fn ip<A: FromStr + Into<IpAddr>>(word: &str) -> Result<IpAddr, HeaderError> {
    let address = word.parse::<A>().map(Into::into);
    address.map_err(|_| HeaderError::Malformed("an address is not one of its protocol"))
}

fn port(word: &str) -> Result<u16, HeaderError> {
    const BAD: HeaderError =
        HeaderError::Malformed("a port is not a number from 0 to 65535 without leading zeros");
    let is_plain = word.bytes().all(|byte| byte.is_ascii_digit()) && !word.starts_with('0');
    if is_plain || word == "0" { word.parse().map_err(|_| BAD) } else { Err(BAD) }
}

/// Version 2, section 2.2.
fn read_block(input: &[u8]) -> Result<Found, HeaderError> {
    let Some((&[.., command, family, high, low], rest)) = input.split_first_chunk::<HEAD>() else {
        return Ok(Found::Part { missing: HEAD - input.len() });
    };
    if command & 0xf0 != VERSION_2 {
        return Err(HeaderError::Malformed("its version is neither 1 nor 2"));
    }
    let size = match (command & 0x0f, family >> 4, family & 0x0f) {
        // A check of the proxy itself. Its addresses mean nothing.
        (0, ..) => None,
        // Unknown addresses, those of Unix sockets and those of datagrams are skipped.
        (PROXIED, 0..=3, 0..=2) => match family {
            TCP_OVER_IPV4 => Some(12),
            TCP_OVER_IPV6 => Some(36),
            _ => None,
        },
        (PROXIED, ..) => {
            return Err(HeaderError::Malformed("its address family or transport has no meaning"));
        }
        _ => return Err(HeaderError::Malformed("its command is neither LOCAL nor PROXY")),
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if length > MAX_BLOCK {
        return Err(HeaderError::TooLong);
    }
    if size.is_some_and(|size| size > length) {
        return Err(HeaderError::Malformed("its length is too short for its addresses"));
    }
    let Some(block) = rest.get(..length) else {
        return Ok(Found::Part { missing: length - rest.len() });
    };
    let addresses = size.and_then(|size| Addresses::from_block(&block[..size]));
    Ok(Found::Whole { used: HEAD + length, addresses })
}

#[cfg(test)]
mod tests;
