//! SOCKS4, as in Ying-Da Lee's memo "SOCKS: A protocol for TCP proxy across firewalls", and its
//! extension SOCKS4a, by which the server looks the name up.
//!
//! The user id of a request is ignored: it proves nothing. A proxy with users refuses SOCKS4.

use super::{Dialect, Step, Users, WayError, target};
use std::net::Ipv4Addr;

pub(super) const VERSION: u8 = 4;
const CONNECT: u8 = 1;
const GRANTED: u8 = 0x5a;
const REJECTED: u8 = 0x5b;

/// The longest user id or name in bytes. The memo has no bound; names of DNS have this one.
const MAX_TEXT: usize = 255;

pub(super) fn accepted() -> Vec<u8> {
    reply(GRANTED)
}

pub(super) fn refused() -> Vec<u8> {
    reply(REJECTED)
}

/// A reply. The version is that of the reply, 0; the port and address matter for BIND only.
fn reply(code: u8) -> Vec<u8> {
    vec![0, code, 0, 0, 0, 0, 0, 0]
}

pub(super) fn step(input: &[u8], users: Option<&Users>) -> Step {
    match read(input, users) {
        Ok(step) => step,
        Err(error) => Step::Fail { bytes: refused(), error },
    }
}

fn read(input: &[u8], users: Option<&Users>) -> Result<Step, WayError> {
    if users.is_some() {
        return Err(WayError::Unsupported("SOCKS4 has no passwords: use SOCKS5 or HTTP"));
    }
    if input.get(1).is_some_and(|command| *command != CONNECT) {
        return Err(WayError::Unsupported("a command of SOCKS4 other than CONNECT"));
    }
    let Some((&[_, _, high, low, a, b, c, d], rest)) = input.split_first_chunk::<8>() else {
        return Ok(Step::More);
    };
    let port = u16::from_be_bytes([high, low]);
    let Some((_user, mut rest)) = text(rest)? else { return Ok(Step::More) };
    // An address that no host can have says that a name follows: this is SOCKS4a.
    let target = if [a, b, c] == [0; 3] && d != 0 {
        let Some((name, after)) = text(rest)? else { return Ok(Step::More) };
        rest = after;
        target(name, port)?
    } else {
        target(Ipv4Addr::new(a, b, c, d).to_string().as_bytes(), port)?
    };
    Ok(Step::endless(input.len() - rest.len(), target, Dialect::Socks4))
}

/// The text before a NUL, and the bytes after it. `None` if more bytes are needed.
type Text<'a> = Option<(&'a [u8], &'a [u8])>;

/// The text before the next NUL.
fn text(input: &[u8]) -> Result<Text<'_>, WayError> {
    match input.iter().take(MAX_TEXT + 1).position(|byte| *byte == 0) {
        Some(end) => Ok(Some((&input[..end], &input[end + 1..]))),
        None if input.len() > MAX_TEXT => {
            Err(WayError::Malformed("a user id or name of SOCKS4 has over 255 bytes"))
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{fail, request, users};
    use super::super::{Body, Failure, failure};
    use super::*;
    use crate::target::HostPort;

    const BAD: [u8; 8] = [0, 0x5b, 0, 0, 0, 0, 0, 0];

    #[test]
    fn an_address_of_socks4_is_the_target_and_data_follows() {
        let (said, request, rest) = request(&None, b"\x04\x01\x00\x50\x0a\x00\x00\x01me\0data");
        assert_eq!(said, b"");
        assert_eq!(request.target, HostPort::new("10.0.0.1", 80));
        assert_eq!((request.dialect, request.body), (Dialect::Socks4, Body::Endless));
        assert_eq!((&request.first[..], &rest[..]), (&b""[..], &b"data"[..]));
    }

    #[test]
    fn a_name_of_socks4a_is_the_target_and_data_follows() {
        let whole = b"\x04\x01\x01\xbb\x00\x00\x00\x01\0example.org\0\0data";
        let (_, request, rest) = request(&None, whole);
        assert_eq!(request.target, HostPort::new("example.org", 443));
        assert_eq!(rest, b"\0data");
    }

    #[test]
    fn names_and_user_ids_of_socks4_have_at_most_255_bytes() {
        let whole = |user: usize, name: usize| {
            let (user, name) = (vec![b'u'; user], vec![b'n'; name]);
            [&b"\x04\x01\x01\xbb\x00\x00\x00\x01"[..], &user, b"\0", &name, b"\0"].concat()
        };
        assert_eq!(request(&None, &whole(255, 255)).1.target.host, "n".repeat(255));
        let malformed = WayError::Malformed("a user id or name of SOCKS4 has over 255 bytes");
        assert_eq!(fail(&None, &whole(256, 1)), (vec![], BAD.to_vec(), malformed));
        assert_eq!(fail(&None, &whole(0, 256)), (vec![], BAD.to_vec(), malformed));
        // Refused before the NUL comes.
        assert_eq!(fail(&None, &whole(0, 256)[..9 + 256]).2, malformed);
        assert!(matches!(fail(&None, &whole(0, 0)).2, WayError::BadTarget(_)));
    }

    #[test]
    fn bad_names_ports_and_commands_of_socks4_are_refused() {
        for bad in [
            &b"\x04\x01\x00\x50\x00\x00\x00\x01\0a\nb\0"[..],
            b"\x04\x01\x00\x50\x00\x00\x00\x01\0a\rb\0",
            b"\x04\x01\x00\x50\x00\x00\x00\x01\0a b\0",
            b"\x04\x01\x00\x50\x00\x00\x00\x01\0a:1\0",
            b"\x04\x01\x00\x50\x00\x00\x00\x01\0\xff\0",
            b"\x04\x01\x00\x00\x0a\x00\x00\x01\0",
        ] {
            let (_, bytes, error) = fail(&None, bad);
            assert_eq!(bytes, BAD, "{bad:?}");
            assert!(matches!(error, WayError::BadTarget(_)), "{bad:?}: {error}");
        }
        let (_, bytes, error) = fail(&None, b"\x04\x02");
        assert_eq!(bytes, BAD);
        assert!(matches!(error, WayError::Unsupported(_)), "{error}");
    }

    #[test]
    fn a_proxy_with_users_refuses_socks4() {
        let (_, bytes, error) = fail(&Some(users()), b"\x04\x01\x00\x50\x0a\x00\x00\x01ann\0");
        assert_eq!(bytes, BAD);
        assert!(error.to_string().contains("SOCKS4 has no passwords"), "{error}");
    }

    #[test]
    fn replies_of_socks4_have_eight_bytes() {
        assert_eq!(Dialect::Socks4.accepted(), [0, 0x5a, 0, 0, 0, 0, 0, 0]);
        for failure in failure::tests::ALL {
            assert_eq!(Dialect::Socks4.refused(failure), BAD);
        }
        assert_eq!(Dialect::Socks4.refused(Failure::Other), BAD);
    }
}
