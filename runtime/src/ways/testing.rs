//! Drives handshakes in tests, and checks each request that they yield.

use super::{Dialect, Handshake, MAX_HANDSHAKE, Request, Step, Users, WayError};
use crate::target::{HostPort, Target};
use std::sync::Arc;

/// How a handshake ended, and what the program was told meanwhile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    More { said: Vec<u8> },
    Request { said: Vec<u8>, request: Request, rest: Vec<u8> },
    Fail { said: Vec<u8>, bytes: Vec<u8>, error: WayError },
}

/// The one user `ann`, whose password is `secret`.
pub(super) fn users() -> Arc<Users> {
    Arc::new(Users::parse("ann:secret").unwrap())
}

/// Runs a handshake whose bytes come in these pieces. `rest` has those of all later pieces too.
pub(super) fn run(users: &Option<Arc<Users>>, pieces: &[&[u8]]) -> Outcome {
    let mut handshake = Handshake::new(users.clone());
    let (mut said, mut input) = (Vec::new(), Vec::new());
    for (number, piece) in pieces.iter().enumerate() {
        input.extend_from_slice(piece);
        loop {
            match handshake.step(&input) {
                Step::More => break assert!(input.len() < MAX_HANDSHAKE),
                Step::Say { used, bytes } => {
                    assert!(used > 0 && !bytes.is_empty());
                    input.drain(..used);
                    said.extend_from_slice(&bytes);
                }
                Step::Request { used, request } => {
                    check(&request);
                    let rest = [&input[used..], &pieces[number + 1..].concat()].concat();
                    return Outcome::Request { said, request, rest };
                }
                Step::Fail { bytes, error } => {
                    assert!(!error.to_string().is_empty());
                    return Outcome::Fail { said, bytes, error };
                }
            }
        }
    }
    Outcome::More { said }
}

/// A target can travel and reads back as it prints, and a new head has one meaning.
fn check(request: &Request) {
    let target = &request.target;
    assert!(target.port != 0, "{target}");
    assert_eq!(Target::Host(target.clone()).check(), Ok(()), "{target}");
    assert_eq!(target.to_string().parse::<HostPort>().as_ref(), Ok(target));
    if request.dialect != Dialect::HttpPlain {
        return assert_eq!(request.first, b"");
    }
    let mut fields = [httparse::EMPTY_HEADER; 128];
    let mut head = httparse::Request::new(&mut fields);
    let parsed = head.parse(&request.first);
    assert_eq!(parsed, Ok(httparse::Status::Complete(request.first.len())));
    assert!(head.path.is_some_and(|path| path.starts_with('/') || path == "*"));
    let count = |name| head.headers.iter().filter(|f| f.name.eq_ignore_ascii_case(name)).count();
    assert_eq!((count("host"), count("connection")), (1, 1));
    assert!(count("content-length") + count("transfer-encoding") <= 1);
    assert_eq!(count("proxy-authorization") + count("upgrade") + count("keep-alive"), 0);
}

/// The request of a handshake that succeeds.
#[track_caller]
pub(super) fn request(users: &Option<Arc<Users>>, whole: &[u8]) -> (Vec<u8>, Request, Vec<u8>) {
    match run(users, &[whole]) {
        Outcome::Request { said, request, rest } => (said, request, rest),
        other => panic!("{other:?}"),
    }
}

/// The end of a handshake that fails.
#[track_caller]
pub(super) fn fail(users: &Option<Arc<Users>>, whole: &[u8]) -> (Vec<u8>, Vec<u8>, WayError) {
    match run(users, &[whole]) {
        Outcome::Fail { said, bytes, error } => (said, bytes, error),
        other => panic!("{other:?}"),
    }
}

/// Good handshakes, some with data behind them, and whether the proxy has users.
pub(super) fn examples() -> Vec<(bool, Vec<u8>)> {
    let login = &b"\r\nProxy-Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n"[..];
    [
        (false, &b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50data"[..]),
        (false, b"\x05\x02\x01\x00\x05\x01\x00\x03\x0bexample.org\x01\xbb"),
        (false, b"\x05\x01\x00\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x16data"),
        (true, b"\x05\x02\x00\x02\x01\x03ann\x06secret\x05\x01\x00\x03\x01a\x00\x50data"),
        (false, b"\x04\x01\x00\x50\x0a\x00\x00\x01me\0data"),
        (false, b"\x04\x01\x01\xbb\x00\x00\x00\x01\0example.org\0data"),
        (false, b"CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\ndata"),
        (false, b"CONNECT [2001:db8::1]:443 HTTP/1.0\n\n"),
        (true, &[b"CONNECT example.org:443 HTTP/1.1", login, b"data"].concat()),
        (true, &[b"GET http://example.org HTTP/1.1", login].concat()),
        (false, b"\r\nCONNECT example.org:443 HTTP/1.1\r\n\r\ndata"),
        (
            false,
            b"POST http://a.b:81/c?d HTTP/1.1\r\nHost: a.b\r\nConnection: x, TE\r\nX: 1\r\n\
                  TE: trailers\r\nContent-Length: 3\r\n\r\nabc",
        ),
        (false, b"PUT http://[::1]/ HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ]
    .map(|(with_users, whole)| (with_users, whole.to_vec()))
    .into()
}

/// Runs a handshake with each byte removed, doubled, replaced by and followed by bad ones. The end
/// is the same if its bytes come one by one.
pub(super) fn damage(users: &Option<Arc<Users>>, whole: &[u8]) {
    const BAD: [u8; 24] = *b"\0\x01\x02\x03\x04\x05\t\n\r #%/0:@A[]\\\x7f\x80\xc3\xff";
    for (at, byte) in whole.iter().enumerate() {
        let with = |middle: &[u8]| {
            let bytes = [&whole[..at], middle, &whole[at + 1..]].concat();
            let one_by_one: Vec<&[u8]> = bytes.chunks(1).collect();
            assert_eq!(run(users, &[&bytes]), run(users, &one_by_one), "{bytes:?}");
        };
        with(&[]);
        with(&[*byte, *byte]);
        for bad in BAD {
            with(&[bad]);
            with(&[*byte, bad]);
        }
    }
}
