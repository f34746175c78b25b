//! The target of a flow and the program that it comes from, and their form in the opaque field of
//! an OPEN.
//!
//! The field is a list of options: key, length (both unsigned LEB128), value. Unknown keys are
//! skipped when even and refused when odd, so that later versions can add hints and demands. An
//! empty field is the server's own target.

use crate::addresses::Addresses;
use bytes::Bytes;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use striper_core::limits::MAX_OPAQUE;
use striper_core::wire::varint;

/// Option: a host and a port. Two bytes of port, big-endian, then the host's name or address. Odd:
/// a server that doesn't know it must not connect to its default target instead.
const KEY_HOST: u64 = 1;

/// Option: the addresses of the program's connection to the client, see [`Addresses::to_block`].
const KEY_PROGRAM: u64 = 2;

/// Option: the path of a Unix socket of the server's machine, in UTF-8. Odd for the same reason.
const KEY_UNIX: u64 = 3;

/// Option: an address on which the server is to listen. The listener's number, two bytes of port,
/// then 4 or 16 bytes of address. Odd: see [`KEY_HOST`].
const KEY_LISTEN: u64 = 5;

/// Option: the number of the listener that this connection came to. Odd: see [`KEY_HOST`].
const KEY_LISTENER: u64 = 7;

/// The longest path of a Unix socket, in bytes: `sun_path` of Linux without its last byte.
const MAX_PATH: usize = 107;

/// The longest host name, as in DNS.
const MAX_HOST: usize = 255;

/// A host name or address, and a port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct HostPort {
    /// A DNS name, or an IPv4 or IPv6 address (without brackets).
    pub host: String,
    /// The TCP port.
    pub port: u16,
}

impl HostPort {
    /// From its two parts. Brackets around an IPv6 address are dropped.
    pub fn new(host: &str, port: u16) -> Self {
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        HostPort { host: host.to_owned(), port }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl From<SocketAddr> for HostPort {
    fn from(addr: SocketAddr) -> Self {
        HostPort { host: addr.ip().to_string(), port: addr.port() }
    }
}

/// A text that is no `HOST:PORT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NotHostPort;

impl fmt::Display for NotHostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected HOST:PORT or [IPV6]:PORT")
    }
}

impl std::error::Error for NotHostPort {}

impl FromStr for HostPort {
    type Err = NotHostPort;

    fn from_str(text: &str) -> Result<Self, NotHostPort> {
        let (host, port) = text.rsplit_once(':').ok_or(NotHostPort)?;
        let port = port.parse().map_err(|_| NotHostPort)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        match bare {
            Some(v6) if v6.parse::<Ipv6Addr>().is_err() => Err(NotHostPort),
            None if host.is_empty() || host.contains([':', '[', ']']) => Err(NotHostPort),
            _ => Ok(HostPort::new(host, port)),
        }
    }
}

/// The address that the server is to connect a flow to.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Target {
    /// The target that the server has been set up for.
    #[default]
    Default,
    /// This one, if the other side allows it.
    Host(HostPort),
    /// The Unix socket with this path on the other side's machine, if it allows it.
    Unix(String),
    /// No target: the server is to listen on this address as long as the flow is open, if it allows
    /// that. It says the port (two bytes, big-endian) once it does. For each connection it opens a
    /// flow to [`Target::Listener`] with this number, which is the client's choice.
    Listen {
        /// The number of the listener, of the client's choice.
        number: u32,
        /// Where to listen. Port 0 is any free port.
        address: SocketAddr,
    },
    /// The target that the client has for connections to this listener.
    Listener(u32),
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Default => f.write_str("the default target"),
            Target::Host(host) => host.fmt(f),
            Target::Unix(path) => write!(f, "unix:{path}"),
            Target::Listen { address, .. } => write!(f, "a listener on {address}"),
            Target::Listener(number) => write!(f, "listener {number}"),
        }
    }
}

/// Why an opaque field names no target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum TargetError {
    /// It is cut short, or a number in it is malformed.
    Malformed,
    /// It has an option that this version doesn't know but must not skip.
    UnknownOption,
    /// The host is empty, too long, or not printable.
    BadHost,
    /// The path of a Unix socket is not absolute, too long, or not printable.
    BadPath,
    /// The address to listen on, or the number of a listener, has a wrong length or is too high.
    BadListener,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TargetError::Malformed => "malformed target",
            TargetError::UnknownOption => "a target option that this version doesn't know",
            TargetError::BadHost => "a bad host name",
            TargetError::BadPath => "a bad path of a Unix socket",
            TargetError::BadListener => "a bad address or number of a listener",
        })
    }
}

impl std::error::Error for TargetError {}

impl Target {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Target::Default => {}
            Target::Host(HostPort { host, port }) => {
                assert!(host.len() <= MAX_HOST, "host name too long");
                put(out, KEY_HOST, &[&port.to_be_bytes(), host.as_bytes()]);
            }
            Target::Unix(path) => {
                assert!(path.len() <= MAX_PATH, "path too long");
                put(out, KEY_UNIX, &[path.as_bytes()]);
            }
            Target::Listen { number, address } => {
                let ip = match address.ip() {
                    IpAddr::V4(ip) => ip.octets().to_vec(),
                    IpAddr::V6(ip) => ip.octets().to_vec(),
                };
                let port = address.port().to_be_bytes();
                put(out, KEY_LISTEN, &[&numbered(*number), &port, &ip]);
            }
            Target::Listener(number) => put(out, KEY_LISTENER, &[&numbered(*number)]),
        }
    }

    fn host(value: &[u8]) -> Result<Target, TargetError> {
        let (port, host) = value.split_first_chunk::<2>().ok_or(TargetError::Malformed)?;
        let host = std::str::from_utf8(host).map_err(|_| TargetError::BadHost)?;
        let (host, port) = (host.to_owned(), u16::from_be_bytes(*port));
        let target = Target::Host(HostPort { host, port });
        target.check().map(|()| target)
    }

    fn unix(value: &[u8]) -> Result<Target, TargetError> {
        let path = std::str::from_utf8(value).map_err(|_| TargetError::BadPath)?;
        let target = Target::Unix(path.to_owned());
        target.check().map(|()| target)
    }

    fn listen(value: &[u8]) -> Option<Target> {
        let (number, rest) = number(value)?;
        let (port, ip) = rest.split_first_chunk::<2>()?;
        let ip = match ip.len() {
            4 => Ipv4Addr::from(<[u8; 4]>::try_from(ip).ok()?).into(),
            16 => IpAddr::from(Ipv6Addr::from(<[u8; 16]>::try_from(ip).ok()?)),
            _ => return None,
        };
        Some(Target::Listen { number, address: SocketAddr::new(ip, u16::from_be_bytes(*port)) })
    }

    fn listener(value: &[u8]) -> Option<Target> {
        let (number, rest) = number(value)?;
        rest.is_empty().then_some(Target::Listener(number))
    }

    pub(crate) fn is_of_listener(&self) -> bool {
        matches!(self, Target::Listener(_))
    }

    /// Whether this can travel: a host of 1–255 bytes, or an absolute path of at most 107, without
    /// blanks or control characters.
    pub fn check(&self) -> Result<(), TargetError> {
        match self {
            Target::Default | Target::Listen { .. } | Target::Listener(_) => Ok(()),
            Target::Unix(path) => {
                let clean = !path.chars().any(|c| c.is_control() || c.is_whitespace());
                let fits = path.starts_with('/') && path.len() <= MAX_PATH;
                if fits && clean { Ok(()) } else { Err(TargetError::BadPath) }
            }
            Target::Host(HostPort { host, .. }) => {
                let clean = !host.chars().any(|c| c.is_control() || c.is_whitespace());
                if (1..=MAX_HOST).contains(&host.len()) && clean {
                    Ok(())
                } else {
                    Err(TargetError::BadHost)
                }
            }
        }
    }
}

/// The words of a client that opens a flow. A [`Target`] alone is one of an unknown program.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub struct Opening {
    /// Where the other side is to connect the flow to.
    pub target: Target,
    /// The addresses of the connection that a local program made to the client. None if it is no
    /// TCP connection.
    pub program: Option<Addresses>,
    /// The user's name for the flow in a [`FlowStatus`](crate::FlowStatus). The other side never
    /// learns it.
    pub label: Option<u64>,
}

impl From<Target> for Opening {
    fn from(target: Target) -> Self {
        Opening { target, program: None, label: None }
    }
}

impl Opening {
    /// The same for a program whose connection to the client has these addresses.
    pub fn of_program(self, program: Addresses) -> Self {
        Opening { program: Some(program), ..self }
    }

    /// The same with this label.
    pub fn labelled(self, label: u64) -> Self {
        Opening { label: Some(label), ..self }
    }

    /// The opaque field that says this, but for the label.
    ///
    /// # Panics
    /// If the host is over 255 bytes or the path over 107, see [`Target::check`].
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        self.target.put(&mut out);
        if let Some(program) = self.program {
            put(&mut out, KEY_PROGRAM, &[&program.to_block()]);
        }
        Bytes::from(out)
    }

    /// Reads an opaque field.
    pub fn decode(mut field: &[u8]) -> Result<Opening, TargetError> {
        let mut opening = Opening::default();
        let field = &mut field;
        if field.len() > MAX_OPAQUE {
            return Err(TargetError::Malformed);
        }
        while !field.is_empty() {
            let key = varint::take_whole(field).map_err(|_| TargetError::Malformed)?;
            let len = varint::take_whole(field).map_err(|_| TargetError::Malformed)?;
            let len = usize::try_from(len)
                .ok()
                .filter(|len| *len <= field.len())
                .ok_or(TargetError::Malformed)?;
            let (value, rest) = field.split_at(len);
            *field = rest;
            match key {
                KEY_HOST => opening.target = Target::host(value)?,
                KEY_UNIX => opening.target = Target::unix(value)?,
                KEY_LISTEN => {
                    opening.target = Target::listen(value).ok_or(TargetError::BadListener)?;
                }
                KEY_LISTENER => {
                    opening.target = Target::listener(value).ok_or(TargetError::BadListener)?;
                }
                KEY_PROGRAM => {
                    let program = Addresses::from_block(value).ok_or(TargetError::Malformed)?;
                    opening.program = Some(program);
                }
                key if key % 2 == 1 => return Err(TargetError::UnknownOption),
                _ => {}
            }
        }
        Ok(opening)
    }
}

/// The number of a listener, as a varint.
fn numbered(number: u32) -> Vec<u8> {
    let mut out = Vec::new();
    varint::put(&mut out, u64::from(number));
    out
}

/// Reads the number of a listener, and gives what is behind it.
fn number(mut value: &[u8]) -> Option<(u32, &[u8])> {
    let number = varint::take_whole(&mut value).ok()?;
    Some((u32::try_from(number).ok()?, value))
}

/// Writes an option whose value has these parts.
fn put(out: &mut Vec<u8>, key: u64, parts: &[&[u8]]) {
    varint::put(out, key);
    varint::put(out, parts.iter().map(|part| part.len() as u64).sum());
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn v6() -> Addresses {
        Addresses::new("[2001:db8::1]:50000".parse().unwrap(), "[::1]:80".parse().unwrap())
    }

    #[test]
    fn targets_survive_the_wire() {
        for target in [
            Target::Default,
            Target::Host(HostPort::new("example.org", 443)),
            Target::Host(HostPort::new("[::1]", 22)),
            Target::Host(HostPort::new(&"x".repeat(MAX_HOST), u16::MAX)),
            Target::Unix("/run/x.sock".into()),
            Target::Unix(format!("/{}", "x".repeat(MAX_PATH - 1))),
            Target::Listen { number: 0, address: "127.0.0.1:80".parse().unwrap() },
            Target::Listen { number: u32::MAX, address: "[2001:db8::1]:0".parse().unwrap() },
            Target::Listener(300),
        ] {
            let opening = Opening::from(target);
            for opening in [opening.clone(), opening.of_program(v6())] {
                let field = opening.encode();
                assert!(field.len() <= MAX_OPAQUE);
                assert_eq!(Opening::decode(&field), Ok(opening));
            }
        }
    }

    #[test]
    fn unknown_options_are_skipped_when_even_and_refused_when_odd() {
        let mut field = vec![64, 3, b'a', b'b', b'c'];
        let opening = Opening::from(Target::Host(HostPort::new("a", 1)));
        field.extend_from_slice(&opening.encode());
        assert_eq!(Opening::decode(&field), Ok(opening));
        assert_eq!(Opening::decode(&[65, 0]), Err(TargetError::UnknownOption));
    }

    #[test]
    fn every_cut_of_a_field_is_refused_without_panic() {
        let target = Opening::from(Target::Host(HostPort::new("example.org", 443)));
        let field = target.clone().of_program(v6()).encode();
        let behind_target = target.encode().len();
        for cut in 1..field.len() {
            let expected =
                if cut == behind_target { Ok(target.clone()) } else { Err(TargetError::Malformed) };
            assert_eq!(Opening::decode(&field[..cut]), expected);
        }
    }

    #[test]
    fn the_addresses_of_a_program_have_12_or_36_bytes() {
        let program =
            Addresses::new("192.0.2.1:50000".parse().unwrap(), "127.0.0.1:80".parse().unwrap());
        let field = Opening::from(Target::Default).of_program(program).encode();
        assert_eq!(field[..], [2, 12, 192, 0, 2, 1, 127, 0, 0, 1, 0xc3, 0x50, 0, 80]);
        for len in (0..60).filter(|len| ![12, 36].contains(len)) {
            let field = [&[2, len], &[0; 60][..usize::from(len)]].concat();
            assert_eq!(Opening::decode(&field), Err(TargetError::Malformed), "{len}");
        }
    }

    #[test]
    fn a_listener_has_a_number_a_port_and_an_address() {
        let decode = |field: &[u8]| Opening::decode(field).map(|opening| opening.target);
        let whole = [5, 7, 9, 0, 80, 127, 0, 0, 1];
        let address = "127.0.0.1:80".parse().unwrap();
        assert_eq!(decode(&whole), Ok(Target::Listen { number: 9, address }));
        for length in 0..7 {
            let field = [&[5, length], &whole[2..2 + usize::from(length)]].concat();
            assert_eq!(decode(&field), Err(TargetError::BadListener), "{length}");
        }
        for field in [&[5, 8, 9, 0, 80, 127, 0, 0, 1, 1][..], &[7, 0], &[7, 2, 9, 0]] {
            assert_eq!(decode(field), Err(TargetError::BadListener), "{field:?}");
        }
        let above = [7, 5, 0x80, 0x80, 0x80, 0x80, 0x10];
        assert_eq!(decode(&above), Err(TargetError::BadListener));
    }

    #[test]
    fn hosts_that_would_garble_a_log_are_refused() {
        for host in ["", "a b", "a\nb", "\x1b[2J"] {
            let mut field = vec![1, 2 + host.len() as u8, 0, 80];
            field.extend_from_slice(host.as_bytes());
            assert_eq!(Opening::decode(&field), Err(TargetError::BadHost), "{host:?}");
        }
        assert_eq!(Opening::decode(&[1, 3, 0, 80, 0xff]), Err(TargetError::BadHost));
        for path in ["", "x", "/a b", "/a\n", &format!("/{}", "x".repeat(MAX_PATH))] {
            let field = [&[3, path.len() as u8], path.as_bytes()].concat();
            assert_eq!(Opening::decode(&field), Err(TargetError::BadPath), "{path:?}");
        }
    }

    #[test]
    fn host_ports_read_back_what_they_print() {
        for text in ["example.org:80", "127.0.0.1:1", "[::1]:65535"] {
            assert_eq!(text.parse::<HostPort>().unwrap().to_string(), text);
        }
        for text in ["", "80", ":80", "a:b", "a:70000", "::1:80", "[::1:80", "[a]:80"] {
            assert_eq!(text.parse::<HostPort>(), Err(NotHostPort), "{text}");
        }
    }
}
