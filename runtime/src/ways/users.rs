//! The users of a proxy, with their passwords.

use ring::digest::{SHA256, digest};
use std::fmt;

/// The longest name or password in bytes, as in RFC 1929.
const MAX_PART: usize = 255;

/// User names and passwords. Only digests of them are kept.
#[derive(PartialEq, Eq)]
pub struct Users {
    /// The SHA-256 of the credentials of each, in the form of RFC 7617.
    digests: Vec<[u8; 32]>,
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Users").field("count", &self.digests.len()).finish_non_exhaustive()
    }
}

/// Why a text is no list of users. Lines count from 1.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum UsersError {
    /// The line has no colon.
    NoColon(usize),
    /// The name or the password in this line is empty or has over 255 bytes.
    BadLength(usize),
    /// The line has a control character.
    Control(usize),
    /// No line has a user, so nobody could use the proxy.
    Nobody,
}

impl fmt::Display for UsersError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UsersError::NoColon(line) => write!(f, "line {line}: expected USER:PASSWORD"),
            UsersError::BadLength(line) => write!(
                f,
                "line {line}: the name and the password must have 1 to {MAX_PART} bytes each"
            ),
            UsersError::Control(line) => write!(f, "line {line}: remove the control character"),
            UsersError::Nobody => f.write_str("it names no user"),
        }
    }
}

impl std::error::Error for UsersError {}

impl Users {
    /// Reads a list: one `USER:PASSWORD` a line. A password may have colons and blanks. Blank lines
    /// and those that begin with `#` are skipped. A user in two lines has two passwords.
    pub fn parse(text: &str) -> Result<Users, UsersError> {
        let mut digests = Vec::new();
        for (line, number) in text.lines().zip(1..) {
            if line.trim().is_empty() || line.trim_start().starts_with('#') {
                continue;
            }
            if line.contains(char::is_control) {
                return Err(UsersError::Control(number));
            }
            let (user, password) = line.split_once(':').ok_or(UsersError::NoColon(number))?;
            if ![user, password].iter().all(|part| (1..=MAX_PART).contains(&part.len())) {
                return Err(UsersError::BadLength(number));
            }
            digests.push(sha256(&credentials(user.as_bytes(), password.as_bytes())));
        }
        if digests.is_empty() { Err(UsersError::Nobody) } else { Ok(Users { digests }) }
    }

    /// How many there are. A user with two passwords counts twice.
    pub fn count(&self) -> usize {
        self.digests.len()
    }

    /// Whether this is a user and its password.
    pub fn admit(&self, user: &[u8], password: &[u8]) -> bool {
        // No listed name has a colon: with one, another user's password could begin in the name.
        self.admit_credentials(&credentials(user, password)) & !user.contains(&b':')
    }

    /// The same, for the Base64 form that HTTP uses.
    ///
    /// Digests have one length and all are compared to their ends, so the time tells neither how
    /// much of a password is right nor whether a name exists.
    pub(super) fn admit_credentials(&self, said: &[u8]) -> bool {
        let said = sha256(said);
        self.digests.iter().fold(false, |admitted, known| {
            let pairs = known.iter().zip(said);
            admitted | (pairs.fold(0, |difference, (a, b)| difference | (a ^ b)) == 0)
        })
    }
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().first_chunk().copied().unwrap_or_default()
}

/// `user:password` in Base64 with padding (RFC 7617, 2; RFC 4648, 4). Each text has one such form,
/// so nothing that a program sends has to be decoded.
pub(super) fn credentials(user: &[u8], password: &[u8]) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let plain = [user, b":", password].concat();
    let mut out = Vec::new();
    for three in plain.chunks(3) {
        let byte = |place| u32::from(three.get(place).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for place in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * place) & 63) as usize];
            out.push(if place <= three.len() { digit } else { b'=' });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_those_of_the_rfc() {
        let rfc7617 = b"QWxhZGRpbjpvcGVuIHNlc2FtZQ==";
        assert_eq!(credentials(b"Aladdin", b"open sesame"), rfc7617);
        assert_eq!(credentials(b"test", "123\u{a3}".as_bytes()), b"dGVzdDoxMjPCow==");
        assert_eq!(credentials(b"a", b"b"), b"YTpi");
        assert_eq!(credentials(b"a", b"bcd"), b"YTpiY2Q=");
    }

    #[test]
    fn a_list_skips_comments_and_blank_lines_and_keeps_colons_and_blanks_of_passwords() {
        let users = Users::parse("# two\n\n  # more\nann:a:b c \r\nbob:#1\nbob:2\n").unwrap();
        for (user, password, expected) in [
            ("ann", "a:b c ", true),
            ("bob", "#1", true),
            ("bob", "2", true),
            ("bob", "a:b c ", false),
            ("ann", "a:b c", false),
            ("ann:a", "b c ", false),
            ("Ann", "a:b c ", false),
            ("ann", "", false),
            ("", "", false),
        ] {
            let admitted = users.admit(user.as_bytes(), password.as_bytes());
            assert_eq!(admitted, expected, "{user} {password}");
        }
        assert_eq!(format!("{users:?}"), "Users { count: 3, .. }");
    }

    #[test]
    fn an_error_in_a_list_names_its_line() {
        let long = format!("a:{}", "x".repeat(256));
        for (text, expected) in [
            ("", UsersError::Nobody),
            ("# none\n", UsersError::Nobody),
            ("a:b\n\nab\n", UsersError::NoColon(3)),
            (":b", UsersError::BadLength(1)),
            ("a:b\na:", UsersError::BadLength(2)),
            (&long, UsersError::BadLength(1)),
            ("a:b\0", UsersError::Control(1)),
        ] {
            assert_eq!(Users::parse(text).unwrap_err(), expected, "{text:?}");
        }
        assert_eq!(UsersError::NoColon(3).to_string(), "line 3: expected USER:PASSWORD");
        assert!(Users::parse(&long[..257]).is_ok());
    }
}
