//! SOCKS5, RFC 1928, with user names and passwords as in RFC 1929.

use super::{Dialect, Failure, Step, Users, WayError, target};
use std::net::{Ipv4Addr, Ipv6Addr};

pub(super) const VERSION: u8 = 5;

/// Methods of authentication (RFC 1928, 3).
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NO_METHOD: u8 = 0xff;

/// The version of the messages with a password, and their status (RFC 1929, 2).
const PASSWORD_VERSION: u8 = 1;
const RIGHT: u8 = 0;
const WRONG: u8 = 1;

/// Commands and types of addresses (RFC 1928, 4 and 5).
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Replies (RFC 1928, 6).
const SUCCEEDED: u8 = 0;
const GENERAL_FAILURE: u8 = 1;
const NOT_ALLOWED: u8 = 2;
const NETWORK_UNREACHABLE: u8 = 3;
const HOST_UNREACHABLE: u8 = 4;
const CONNECTION_REFUSED: u8 = 5;
const TTL_EXPIRED: u8 = 6;
const COMMAND_NOT_SUPPORTED: u8 = 7;
const ADDRESS_TYPE_NOT_SUPPORTED: u8 = 8;

/// The message that is due.
pub(super) enum Stage {
    Methods,
    Password,
    Request,
}

impl Stage {
    pub(super) fn step(&mut self, input: &[u8], users: Option<&Users>) -> Step {
        let (step, next) = match (&self, users) {
            (Stage::Methods, Some(_)) => (methods(input, USER_AND_PASSWORD), Stage::Password),
            (Stage::Methods, None) => (methods(input, NO_AUTHENTICATION), Stage::Request),
            (Stage::Password, Some(users)) => (password(input, users), Stage::Request),
            (Stage::Password, None) | (Stage::Request, _) => (request(input), Stage::Request),
        };
        if matches!(step, Step::Say { .. }) {
            *self = next;
        }
        step
    }
}

pub(super) fn accepted() -> Vec<u8> {
    reply(SUCCEEDED)
}

pub(super) fn refused(failure: Failure) -> Vec<u8> {
    reply(match failure {
        Failure::Refused => CONNECTION_REFUSED,
        Failure::Unreachable => NETWORK_UNREACHABLE,
        Failure::NotAllowed => NOT_ALLOWED,
        Failure::UnknownHost => HOST_UNREACHABLE,
        // RFC 1928 has no time-out. Programs show this one so, and tell it from an unknown name.
        Failure::TimedOut => TTL_EXPIRED,
        Failure::NoServer | Failure::WrongKey | Failure::Draining | Failure::Other => {
            GENERAL_FAILURE
        }
    })
}

/// A reply. The address that the server has bound is not known here, so it is 0.0.0.0:0.
fn reply(code: u8) -> Vec<u8> {
    vec![VERSION, code, 0, IPV4, 0, 0, 0, 0, 0, 0]
}

/// The program offers methods of authentication; this one is needed.
fn methods(input: &[u8], needed: u8) -> Step {
    let [_version, count, rest @ ..] = input else { return Step::More };
    let Some(offered) = rest.get(..usize::from(*count)) else { return Step::More };
    if offered.contains(&needed) {
        return Step::Say { used: 2 + offered.len(), bytes: vec![VERSION, needed] };
    }
    let error = if needed == USER_AND_PASSWORD {
        WayError::NoPassword
    } else {
        WayError::Unsupported("a login, as this proxy has no users: remove it from the program")
    };
    Step::Fail { bytes: vec![VERSION, NO_METHOD], error }
}

/// The program gives a user name and a password.
fn password(input: &[u8], users: &Users) -> Step {
    let wrong = |error| Step::Fail { bytes: vec![PASSWORD_VERSION, WRONG], error };
    if input.first().is_some_and(|version| *version != PASSWORD_VERSION) {
        return wrong(WayError::Malformed("not a password of RFC 1929"));
    }
    let Some((user, rest)) = input.get(1..).and_then(counted) else { return Step::More };
    let Some((password, rest)) = counted(rest) else { return Step::More };
    if users.admit(user, password) {
        let used = input.len() - rest.len();
        Step::Say { used, bytes: vec![PASSWORD_VERSION, RIGHT] }
    } else {
        wrong(WayError::WrongPassword)
    }
}

/// The program names its target.
fn request(input: &[u8]) -> Step {
    let fail = |code, error| Step::Fail { bytes: reply(code), error };
    let [version, command, _reserved, kind, rest @ ..] = input else { return Step::More };
    if *version != VERSION {
        return fail(GENERAL_FAILURE, WayError::Malformed("not a request of SOCKS5"));
    }
    if *command != CONNECT {
        let error = WayError::Unsupported("a command of SOCKS5 other than CONNECT");
        return fail(COMMAND_NOT_SUPPORTED, error);
    }
    let host = match *kind {
        IPV4 => rest
            .split_first_chunk::<4>()
            .map(|(octets, rest)| (Ipv4Addr::from(*octets).to_string().into_bytes(), rest)),
        IPV6 => rest
            .split_first_chunk::<16>()
            .map(|(octets, rest)| (Ipv6Addr::from(*octets).to_string().into_bytes(), rest)),
        NAME => counted(rest).map(|(name, rest)| (name.to_vec(), rest)),
        _ => {
            let error = WayError::Unsupported("an unknown type of address in SOCKS5");
            return fail(ADDRESS_TYPE_NOT_SUPPORTED, error);
        }
    };
    let Some((host, rest)) = host else { return Step::More };
    let Some((port, rest)) = rest.split_first_chunk::<2>() else { return Step::More };
    match target(&host, u16::from_be_bytes(*port)) {
        Ok(target) => Step::endless(input.len() - rest.len(), target, Dialect::Socks5),
        Err(error) => fail(GENERAL_FAILURE, error),
    }
}

/// The bytes that a byte with their number precedes, and the bytes after them. `None` if more bytes
/// are needed.
fn counted(input: &[u8]) -> Option<(&[u8], &[u8])> {
    let (count, rest) = input.split_first()?;
    rest.split_at_checked(usize::from(*count))
}

#[cfg(test)]
mod tests {
    use super::super::Body;
    use super::super::testing::{fail, request, users};
    use super::*;
    use crate::target::HostPort;

    fn named(name: &[u8], port: u16) -> Vec<u8> {
        let head = [5, 1, 0, 5, 1, 0, 3, name.len() as u8];
        [&head[..], name, &port.to_be_bytes()].concat()
    }

    fn bad(code: u8) -> Vec<u8> {
        vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0]
    }

    #[test]
    fn names_and_addresses_of_socks5_are_targets_and_data_follows() {
        let v6 = b"\x05\x01\x00\x05\x01\x00\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x16";
        let mapped =
            b"\x05\x01\x00\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\xff\xff\x01\x02\x03\x04\0\x01";
        for (whole, expected) in [
            (&b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50"[..], "127.0.0.1:80"),
            (b"\x05\x03\x01\x02\x00\x05\x01\x00\x03\x0bexample.org\x01\xbb", "example.org:443"),
            (v6, "[2001:db8::1]:22"),
            (mapped, "[::ffff:1.2.3.4]:1"),
            (&named(b"::1", 1), "[::1]:1"),
            (&named(b"example.org.", 1), "example.org.:1"),
            (&named(b"127.0.0.1", 1), "127.0.0.1:1"),
        ] {
            let (said, request, rest) = request(&None, &[whole, b"data"].concat());
            assert_eq!(said, [5, 0]);
            assert_eq!(request.target.to_string(), expected);
            assert_eq!((request.dialect, request.body), (Dialect::Socks5, Body::Endless));
            assert_eq!((&request.first[..], &rest[..]), (&b""[..], &b"data"[..]));
        }
    }

    #[test]
    fn a_user_with_the_right_password_is_served() {
        let whole = b"\x05\x02\x00\x02\x01\x03ann\x06secret\x05\x01\x00\x03\x01a\x00\x50data";
        let (said, request, rest) = request(&Some(users()), whole);
        assert_eq!(said, [5, 2, 1, 0]);
        assert_eq!(request.target, HostPort::new("a", 80));
        assert_eq!(rest, b"data");
    }

    #[test]
    fn a_wrong_password_or_none_ends_the_handshake() {
        let some = Some(users());
        for wrong in [&b"\x03ann\x06secreT"[..], b"\x03bob\x06secret", b"\x03ann\x00", b"\x00\x00"]
        {
            let whole = [&b"\x05\x01\x02\x01"[..], wrong].concat();
            let expected = (vec![5, 2], vec![1, 1], WayError::WrongPassword);
            assert_eq!(fail(&some, &whole), expected, "{wrong:?}");
        }
        let expected = (vec![], vec![5, 0xff], WayError::NoPassword);
        assert_eq!(fail(&some, b"\x05\x01\x00"), expected);
        assert_eq!(fail(&some, b"\x05\x00"), expected);
        let (said, bytes, error) = fail(&some, b"\x05\x01\x02\x05");
        assert_eq!((said, bytes), (vec![5, 2], vec![1, 1]));
        assert!(matches!(error, WayError::Malformed(_)), "{error}");
    }

    #[test]
    fn a_program_that_must_log_in_is_refused_if_there_are_no_users() {
        let (said, bytes, error) = fail(&None, b"\x05\x01\x02");
        assert_eq!((said, bytes), (vec![], vec![5, 0xff]));
        assert!(matches!(error, WayError::Unsupported(_)), "{error}");
    }

    #[test]
    fn names_of_socks5_have_1_to_255_printable_bytes() {
        assert_eq!(request(&None, &named(&[b'n'; 255], 1)).1.target.host, "n".repeat(255));
        for name in
            [&b""[..], b"a\0b", b"a\rb", b"a\nb", b"a b", b"\x1b[2J", b"\xff", b"a:1", b"[::1]"]
        {
            let (_, bytes, error) = fail(&None, &named(name, 1));
            assert_eq!(bytes, bad(1), "{name:?}");
            assert!(matches!(error, WayError::BadTarget(_)), "{name:?}: {error}");
        }
        assert_eq!(fail(&None, &named(b"a", 0)).1, bad(1));
    }

    #[test]
    fn other_commands_addresses_and_versions_have_their_codes() {
        for (whole, code) in [
            (b"\x05\x01\x00\x05\x02\x00\x01", 7),
            (b"\x05\x01\x00\x05\x03\x00\x01", 7),
            (b"\x05\x01\x00\x05\x01\x00\x02", 8),
            (b"\x05\x01\x00\x04\x01\x00\x01", 1),
        ] {
            let (said, bytes, _) = fail(&None, whole);
            assert_eq!((said, bytes), (vec![5, 0], bad(code)), "{whole:?}");
        }
    }

    #[test]
    fn each_failure_has_its_reply_in_socks5() {
        assert_eq!(Dialect::Socks5.accepted(), bad(0));
        for (failure, code) in [
            (Failure::Refused, 5),
            (Failure::Unreachable, 3),
            (Failure::NotAllowed, 2),
            (Failure::UnknownHost, 4),
            (Failure::TimedOut, 6),
            (Failure::NoServer, 1),
            (Failure::WrongKey, 1),
            (Failure::Draining, 1),
            (Failure::Other, 1),
        ] {
            assert_eq!(Dialect::Socks5.refused(failure), bad(code), "{failure:?}");
        }
    }
}
