//! The target of a flow, and its form in the opaque field of an OPEN.
//!
//! The field is a list of options: key, length (both unsigned LEB128), value. Unknown keys are
//! skipped when even and refused when odd, so that later versions can add hints and demands. An
//! empty field is the server's own target.

use bytes::Bytes;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use striper_core::limits::MAX_OPAQUE;
use striper_core::wire::varint;

/// Option: a host and a port. Two bytes of port, big-endian, then the host's name or address. Odd:
/// a server that doesn't know it must not connect to its default target instead.
const KEY_HOST: u64 = 1;

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
    /// The opaque field that says this.
    ///
    /// # Panics
    /// If the host is over 255 bytes or the path over 107, see [`Target::check`].
    pub fn encode(&self) -> Bytes {
        let (key, value) = match self {
            Target::Default => return Bytes::new(),
            Target::Host(HostPort { host, port }) => {
                assert!(host.len() <= MAX_HOST, "host name too long");
                (KEY_HOST, [&port.to_be_bytes(), host.as_bytes()].concat())
            }
            Target::Unix(path) => {
                assert!(path.len() <= MAX_PATH, "path too long");
                (KEY_UNIX, path.clone().into_bytes())
            }
            Target::Listen { number, address } => {
                let mut value = Vec::new();
                varint::put(&mut value, u64::from(*number));
                value.extend(address.port().to_be_bytes());
                match address.ip() {
                    IpAddr::V4(ip) => value.extend(ip.octets()),
                    IpAddr::V6(ip) => value.extend(ip.octets()),
                }
                (KEY_LISTEN, value)
            }
            Target::Listener(number) => {
                let mut value = Vec::new();
                varint::put(&mut value, u64::from(*number));
                (KEY_LISTENER, value)
            }
        };
        let mut out = Vec::new();
        varint::put(&mut out, key);
        varint::put(&mut out, value.len() as u64);
        out.extend(value);
        Bytes::from(out)
    }

    /// Reads an opaque field.
    pub fn decode(mut field: &[u8]) -> Result<Target, TargetError> {
        let mut target = Target::Default;
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
                KEY_HOST => {
                    let (port, host) =
                        value.split_first_chunk::<2>().ok_or(TargetError::Malformed)?;
                    let host = std::str::from_utf8(host).map_err(|_| TargetError::BadHost)?;
                    let (host, port) = (host.to_owned(), u16::from_be_bytes(*port));
                    target = Target::Host(HostPort { host, port });
                    target.check()?;
                }
                KEY_UNIX => {
                    let path = std::str::from_utf8(value).map_err(|_| TargetError::BadPath)?;
                    target = Target::Unix(path.to_owned());
                    target.check()?;
                }
                KEY_LISTEN => target = listen(value).ok_or(TargetError::BadListener)?,
                KEY_LISTENER => {
                    let (number, []) = number(value).ok_or(TargetError::BadListener)? else {
                        return Err(TargetError::BadListener);
                    };
                    target = Target::Listener(number);
                }
                key if key % 2 == 1 => return Err(TargetError::UnknownOption),
                _ => {}
            }
        }
        Ok(target)
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

/// Reads the value of [`KEY_LISTEN`].
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

/// Reads the number of a listener, and gives what is behind it.
fn number(mut value: &[u8]) -> Option<(u32, &[u8])> {
    let number = varint::take_whole(&mut value).ok()?;
    Some((u32::try_from(number).ok()?, value))
}

#[cfg(test)]
mod tests {
    use super::*;

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
            let field = target.encode();
            assert!(field.len() <= MAX_OPAQUE);
            assert_eq!(Target::decode(&field), Ok(target));
        }
    }

    #[test]
    fn unknown_options_are_skipped_when_even_and_refused_when_odd() {
        let mut field = vec![64, 3, b'a', b'b', b'c'];
        field.extend_from_slice(&Target::Host(HostPort::new("a", 1)).encode());
        assert_eq!(Target::decode(&field), Ok(Target::Host(HostPort::new("a", 1))));
        assert_eq!(Target::decode(&[65, 0]), Err(TargetError::UnknownOption));
    }

    #[test]
    fn every_cut_of_a_field_is_refused_without_panic() {
        let field = Target::Host(HostPort::new("example.org", 443)).encode();
        for cut in 1..field.len() {
            assert_eq!(Target::decode(&field[..cut]), Err(TargetError::Malformed));
        }
    }

    #[test]
    fn a_listener_has_a_number_a_port_and_an_address() {
        let whole = [5, 7, 9, 0, 80, 127, 0, 0, 1];
        let address = "127.0.0.1:80".parse().unwrap();
        assert_eq!(Target::decode(&whole), Ok(Target::Listen { number: 9, address }));
        for length in 0..7 {
            let field = [&[5, length], &whole[2..2 + usize::from(length)]].concat();
            assert_eq!(Target::decode(&field), Err(TargetError::BadListener), "{length}");
        }
        for field in [&[5, 8, 9, 0, 80, 127, 0, 0, 1, 1][..], &[7, 0], &[7, 2, 9, 0]] {
            assert_eq!(Target::decode(field), Err(TargetError::BadListener), "{field:?}");
        }
        let above = [7, 5, 0x80, 0x80, 0x80, 0x80, 0x10];
        assert_eq!(Target::decode(&above), Err(TargetError::BadListener));
    }

    #[test]
    fn hosts_that_would_garble_a_log_are_refused() {
        for host in ["", "a b", "a\nb", "\x1b[2J"] {
            let mut field = vec![1, 2 + host.len() as u8, 0, 80];
            field.extend_from_slice(host.as_bytes());
            assert_eq!(Target::decode(&field), Err(TargetError::BadHost), "{host:?}");
        }
        assert_eq!(Target::decode(&[1, 3, 0, 80, 0xff]), Err(TargetError::BadHost));
        for path in ["", "x", "/a b", "/a\n", &format!("/{}", "x".repeat(MAX_PATH))] {
            let field = [&[3, path.len() as u8], path.as_bytes()].concat();
            assert_eq!(Target::decode(&field), Err(TargetError::BadPath), "{path:?}");
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
