//! Handshakes by which a local program names its target: SOCKS5, SOCKS4, SOCKS4a, HTTP CONNECT and
//! plain HTTP requests for a proxy. All of them come to one port, and the first byte tells them
//! apart.
//!
//! A [`Handshake`] does no I/O. It is given the bytes that have come from the program, and says
//! what to do next. The bytes are hostile: no input panics, and no name that it lets through can
//! garble a log or a head of HTTP.
//!
//! [`proxy_protocol`] has the header by which another proxy says whose connection it is.

mod body;
mod failure;
mod http;
pub mod proxy_protocol;
mod socks4;
mod socks5;
#[cfg(test)]
mod testing;
mod users;

pub use body::{Body, Chunks};
pub use failure::Failure;
pub use users::{Users, UsersError};

use crate::target::{HostPort, Target};
use std::fmt;
use std::net::Ipv6Addr;
use std::sync::Arc;

/// The most bytes of a handshake that are kept until it is complete. A longer one is refused.
pub const MAX_HANDSHAKE: usize = 16 << 10;

const BLANK: &[u8] = b"\r\n";

/// The handshake of one connection.
pub struct Handshake {
    users: Option<Arc<Users>>,
    stage: Stage,
}

enum Stage {
    First,
    Socks5(socks5::Stage),
    Socks4,
    Http(http::Reader),
    Over,
}

/// The next task of the owner of a [`Handshake`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// More bytes are needed.
    More,
    /// An answer for the program, after which the handshake goes on.
    Say {
        /// So many bytes of the input are done.
        used: usize,
        /// The answer.
        bytes: Vec<u8>,
    },
    /// The program has named its target. The handshake is over.
    Request {
        /// So many bytes of the input are done. The others are data for the target.
        used: usize,
        /// The target, and how to answer.
        request: Request,
    },
    /// The handshake has failed and is over.
    Fail {
        /// The last answer for the program. Then its connection is closed.
        bytes: Vec<u8>,
        /// The cause, for a log.
        error: WayError,
    },
}

impl Step {
    fn endless(used: usize, target: HostPort, dialect: Dialect) -> Step {
        let request = Request { target, dialect, first: Vec::new(), body: Body::Endless };
        Step::Request { used, request }
    }
}

/// The wish of a program.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// The host and port that it wants to talk to.
    pub target: HostPort,
    /// The language that it speaks.
    pub dialect: Dialect,
    /// Bytes for the target before all others: the new head of a plain HTTP request.
    pub first: Vec<u8>,
    /// How many of the bytes that follow are for the target.
    pub body: Body,
}

/// The language of a handshake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Dialect {
    /// SOCKS version 5, RFC 1928.
    Socks5,
    /// SOCKS version 4 or 4a.
    Socks4,
    /// The method CONNECT of HTTP, RFC 9110.
    HttpConnect,
    /// Any other method of HTTP, with an absolute URI.
    HttpPlain,
}

impl Dialect {
    /// The answer for the program once its target has been reached. It is empty for
    /// [`Dialect::HttpPlain`], where the target answers.
    pub fn accepted(self) -> Vec<u8> {
        match self {
            Dialect::Socks5 => socks5::accepted(),
            Dialect::Socks4 => socks4::accepted(),
            Dialect::HttpConnect => http::accepted(),
            Dialect::HttpPlain => Vec::new(),
        }
    }

    /// The answer for the program if its target has not been reached. Then its connection is
    /// closed.
    pub fn refused(self, failure: Failure) -> Vec<u8> {
        match self {
            Dialect::Socks5 => socks5::refused(failure),
            Dialect::Socks4 => socks4::refused(),
            Dialect::HttpConnect | Dialect::HttpPlain => http::refused(failure),
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dialect::Socks5 => "SOCKS5",
            Dialect::Socks4 => "SOCKS4",
            Dialect::HttpConnect => "HTTP CONNECT",
            Dialect::HttpPlain => "HTTP",
        })
    }
}

/// Why a handshake has failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum WayError {
    /// The program speaks something else. This is its first byte.
    Unknown(u8),
    /// The request has more than [`MAX_HANDSHAKE`] bytes, or too many lines.
    TooLong,
    /// The request breaks the rules of its dialect.
    Malformed(&'static str),
    /// The request is well-formed, and asks for what this proxy doesn't do.
    Unsupported(&'static str),
    /// The request names no possible target.
    BadTarget(&'static str),
    /// The program has given no user name and password, or can't.
    NoPassword,
    /// The program has given a wrong user name or password.
    WrongPassword,
    /// The handshake was over before this step.
    Over,
}

impl fmt::Display for WayError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // The first byte of version 2, and of an empty line.
            WayError::Unknown(b'\r') => f.write_str(
                "neither SOCKS nor HTTP, but maybe a header of the PROXY protocol, which is not \
                 accepted from this address",
            ),
            // The first byte of a TLS record with a ClientHello, RFC 8446, 5.1.
            WayError::Unknown(0x16) => {
                f.write_str("TLS instead of SOCKS or HTTP: set http:// as the proxy's scheme")
            }
            WayError::Unknown(first) => {
                write!(f, "neither SOCKS nor HTTP: the first byte is {first:#04x}")
            }
            WayError::TooLong => {
                write!(f, "a request of over {MAX_HANDSHAKE} bytes or {} fields", http::MAX_FIELDS)
            }
            WayError::Malformed(what) => write!(f, "malformed request: {what}"),
            WayError::Unsupported(what) => write!(f, "not supported: {what}"),
            WayError::BadTarget(what) => write!(f, "bad target: {what}"),
            WayError::NoPassword => f.write_str("a user name and a password are needed"),
            WayError::WrongPassword => f.write_str("wrong user name or password"),
            WayError::Over => f.write_str("the handshake is over"),
        }
    }
}

impl std::error::Error for WayError {}

impl Handshake {
    /// A new one. With `users`, the program must be one of them.
    pub fn new(users: Option<Arc<Users>>) -> Self {
        Handshake { users, stage: Stage::First }
    }

    /// The next step, from all bytes that have come and were not used yet. An input that is longer
    /// by a few bytes than the last one costs little.
    pub fn step(&mut self, input: &[u8]) -> Step {
        if matches!(self.stage, Stage::First) {
            // Some programs put an empty line before a request (RFC 9112, 2.2).
            let blank = if input.starts_with(BLANK) { BLANK.len() } else { 0 };
            let Some(first) = input.get(blank).filter(|_| input != b"\r") else {
                return Step::More;
            };
            self.stage = match first {
                &socks5::VERSION if blank == 0 => Stage::Socks5(socks5::Stage::Methods),
                &socks4::VERSION if blank == 0 => Stage::Socks4,
                letter if letter.is_ascii_alphabetic() => Stage::Http(http::Reader::default()),
                other => {
                    self.stage = Stage::Over;
                    return Step::Fail { bytes: Vec::new(), error: WayError::Unknown(*other) };
                }
            };
        }
        let users = self.users.as_deref();
        let step = match &mut self.stage {
            Stage::Socks5(stage) => stage.step(input, users),
            Stage::Socks4 => socks4::step(input, users),
            Stage::Http(reader) => reader.step(input, users),
            Stage::First | Stage::Over => Step::Fail { bytes: Vec::new(), error: WayError::Over },
        };
        if matches!(step, Step::Request { .. } | Step::Fail { .. }) {
            self.stage = Stage::Over;
        }
        step
    }

    /// The last answer for a program whose handshake has taken too long. It is empty if the
    /// program's protocol has none.
    pub fn late(&self) -> Vec<u8> {
        match self.stage {
            Stage::Http(_) => http::late(),
            _ => Vec::new(),
        }
    }
}

/// The target with this name or address, if it is one. A dot at the end is kept: it says that the
/// name is absolute, and only the resolver may know better.
fn target(host: &[u8], port: u16) -> Result<HostPort, WayError> {
    const BAD_NAME: WayError =
        WayError::BadTarget("its host is not 1 to 255 bytes of printable UTF-8 without blanks");
    if port == 0 {
        return Err(WayError::BadTarget("its port is 0"));
    }
    let host = std::str::from_utf8(host).map_err(|_| BAD_NAME)?;
    // Otherwise the text of the target would not read back as the same one.
    if host.contains([':', '[', ']']) && host.parse::<Ipv6Addr>().is_err() {
        return Err(WayError::BadTarget("its host has a colon or brackets and is no IPv6 address"));
    }
    let target = HostPort { host: host.to_owned(), port };
    Target::Host(target.clone()).check().map_err(|_| BAD_NAME)?;
    Ok(target)
}

#[cfg(test)]
mod tests {
    use super::testing::{Outcome, damage, examples, fail, request, run, users};
    use super::*;
    use quickcheck::quickcheck;

    #[test]
    fn a_first_byte_of_another_protocol_ends_the_handshake_without_an_answer() {
        for first in
            (0..=u8::MAX).filter(|byte| !byte.is_ascii_alphabetic() && ![4, 5].contains(byte))
        {
            let mut handshake = Handshake::new(None);
            assert_eq!(handshake.step(&[]), Step::More);
            let error = WayError::Unknown(first);
            // The second byte matters if the first may begin an empty line.
            assert_eq!(handshake.step(&[first, first]), Step::Fail { bytes: Vec::new(), error });
            assert!(handshake.late().is_empty());
        }
        assert!(WayError::Unknown(0x16).to_string().starts_with("TLS"));
        assert!(WayError::Unknown(0).to_string().ends_with("0x00"));
    }

    #[test]
    fn one_empty_line_before_a_request_is_skipped_and_no_other() {
        let connect = b"CONNECT a:1 HTTP/1.1\r\n\r\n";
        let (_, expected, _) = request(&None, connect);
        let behind = |blank: &[u8]| [blank, connect, b"data"].concat();
        let (_, got, rest) = request(&None, &behind(b"\r\n"));
        assert_eq!((got, &rest[..]), (expected, &b"data"[..]));
        for (blank, first) in [(&b"\r\n\r\n"[..], b'\r'), (b"\n", b'\n'), (b"\rx", b'\r')] {
            assert_eq!(fail(&None, &behind(blank)).2, WayError::Unknown(first), "{blank:?}");
        }
        // SOCKS has no lines.
        assert_eq!(fail(&None, b"\r\n\x05\x01\x00").2, WayError::Unknown(5));
        assert_eq!(fail(&None, b"\r\n\x04\x01").2, WayError::Unknown(4));
    }

    #[test]
    fn a_header_of_the_proxy_protocol_is_named_as_the_cause() {
        for version in [proxy_protocol::Version::V1, proxy_protocol::Version::V2] {
            let header = proxy_protocol::write(version, None);
            let whole = [&header[..], b"CONNECT a:1 HTTP/1.1\r\n\r\n"].concat();
            let (_, _, error) = fail(&None, &whole);
            assert!(error.to_string().contains("PROXY protocol"), "{error}");
        }
    }

    #[test]
    fn a_handshake_that_is_over_stays_over() {
        for (with_users, whole) in examples() {
            let mut handshake = Handshake::new(with_users.then(users));
            let mut input = &whole[..];
            loop {
                match handshake.step(input) {
                    Step::More => panic!("{whole:?} is complete"),
                    Step::Say { used, .. } => input = &input[used..],
                    Step::Request { .. } | Step::Fail { .. } => break,
                }
            }
            let over = Step::Fail { bytes: Vec::new(), error: WayError::Over };
            assert_eq!(handshake.step(&whole), over);
            assert_eq!(handshake.step(&[]), over);
        }
    }

    #[test]
    fn every_handshake_cut_anywhere_ends_as_the_whole_one() {
        for (with_users, whole) in examples() {
            let users = with_users.then(users);
            let expected = run(&users, &[&whole]);
            let Outcome::Request { rest, .. } = &expected else { panic!("{expected:?}") };
            let data = rest.len();
            for at in 0..whole.len() {
                let (one, two) = whole.split_at(at);
                assert_eq!(run(&users, &[one, two]), expected, "cut at {at}");
                let is_more = matches!(run(&users, &[one]), Outcome::More { .. });
                assert_eq!(is_more, at < whole.len() - data, "cut at {at}");
            }
            let bytes: Vec<&[u8]> = whole.chunks(1).collect();
            assert_eq!(run(&users, &bytes), expected);
        }
    }

    /// `run` checks each result.
    #[test]
    fn damaged_handshakes_never_panic_or_name_an_invalid_target() {
        for (with_users, whole) in examples() {
            damage(&with_users.then(users), &whole);
        }
    }

    quickcheck! {
        fn arbitrary_bytes_after_any_beginning_never_panic(which: usize, at: usize, tail: Vec<u8>)
        -> bool {
            let examples = examples();
            let (with_users, whole) = &examples[which % examples.len()];
            let bytes = [&whole[..at % (whole.len() + 1)], &tail].concat();
            let users = with_users.then(users);
            run(&users, &[&bytes]);
            run(&users, &bytes.chunks(7).collect::<Vec<_>>());
            true
        }
    }

    #[test]
    fn names_have_1_to_255_printable_bytes_and_ports_are_not_0() {
        for host in ["a", "example.org.", "x_y", "::1", "::ffff:1.2.3.4", "bücher.example"] {
            assert_eq!(target(host.as_bytes(), 80), Ok(HostPort::new(host, 80)));
        }
        assert!(target(&[b'a'; 255], u16::MAX).is_ok());
        assert!(target(&[b'a'; 256], 1).is_err());
        assert_eq!(target(b"a", 0), Err(WayError::BadTarget("its port is 0")));
        for host in ["", "a b", "a\0", "a\r", "a\n", "\x7f", "[::1]", "a:1", "::1%eth0", "[a]", "]"]
        {
            assert!(matches!(target(host.as_bytes(), 80), Err(WayError::BadTarget(_))), "{host:?}");
        }
        assert!(target(b"\xff", 80).is_err());
    }
}
