//! The handshakes by which a local program names its target, and the body of a plain HTTP request.
//! The header by which another proxy says whose connection it is.
//!
//! The first byte chooses whether there are users, and whether there is a header. The rest is what
//! the program says. It says the same twice, at once and byte by byte, and both must end alike.

use std::sync::Arc;
use striper_runtime::ways::proxy_protocol::{self, Found, Version};
use striper_runtime::ways::{Handshake, MAX_HANDSHAKE, Request, Step, Users};
use striper_runtime::{Opening, Target};

/// The most bytes of an answer in a handshake: an HTTP error with its line.
const MAX_ANSWER: usize = 1024;

pub fn ways(input: &[u8], _allocated: impl Fn() -> usize) {
    let Some((choice, said)) = input.split_first() else { return };
    if choice & 2 == 2 {
        return header(said);
    }
    let users = (choice & 1 == 1).then(|| Arc::new(Users::parse("ann:secret").expect("a user")));
    let at_once = talk(users.clone(), said.chunks(said.len().max(1)));
    let bytewise = talk(users, said.chunks(1));
    assert_eq!(at_once, bytewise, "it depends on how the bytes are cut");
}

/// The most bytes of a header of the PROXY protocol.
const MAX_HEADER: usize = 16 + 2048;

fn header(said: &[u8]) {
    let at_once = proxy_protocol::read(said);
    let (mut len, mut found) = (0, proxy_protocol::read(&[]));
    // As a receiver that takes no byte behind the header.
    while let Ok(Found::Part { missing }) = found {
        assert!(missing > 0 && len + missing <= MAX_HEADER, "it asks for {missing} after {len}");
        len += missing;
        let Some(next) = said.get(..len) else { return assert!(len > said.len()) };
        found = proxy_protocol::read(next);
    }
    if let Ok(Found::Whole { used, addresses }) = found {
        assert_eq!((used, at_once), (len, found), "it depends on how the bytes are cut");
        for version in [Version::V1, Version::V2] {
            let written = proxy_protocol::write(version, addresses);
            let whole = Found::Whole { used: written.len(), addresses };
            assert_eq!(proxy_protocol::read(&written), Ok(whole), "it travels unchanged");
        }
    } else {
        assert!(at_once.is_err(), "it depends on how the bytes are cut");
    }
}

/// The end of a handshake: the bytes that the program got, and the request with the number of bytes
/// that are its own. None if more bytes are needed.
#[derive(PartialEq, Eq, Debug, Default)]
struct End {
    answered: Vec<u8>,
    failed: bool,
    request: Option<(Request, usize)>,
}

fn talk<'a>(users: Option<Arc<Users>>, pieces: impl Iterator<Item = &'a [u8]>) -> End {
    let (mut handshake, mut input, mut end) = (Handshake::new(users), Vec::new(), End::default());
    let mut pieces = pieces;
    loop {
        match handshake.step(&input) {
            Step::More => {
                assert!(input.len() < MAX_HANDSHAKE, "it keeps more than it may");
                let Some(piece) = pieces.next() else { return end };
                input.extend_from_slice(piece);
            }
            Step::Say { used, bytes } => {
                assert!(used > 0 && bytes.len() <= MAX_ANSWER);
                input.drain(..used);
                end.answered.extend(bytes);
            }
            Step::Request { used, request } => {
                let rest = [&input[used..], &pieces.collect::<Vec<_>>().concat()].concat();
                end.request = Some(passed(request, &rest));
                return end;
            }
            Step::Fail { bytes, .. } => {
                assert!(bytes.len() <= MAX_ANSWER);
                end.answered.extend(bytes);
                end.failed = true;
                return end;
            }
        }
    }
}

/// The request, and how many of these next bytes belong to it, however they are cut.
fn passed(request: Request, rest: &[u8]) -> (Request, usize) {
    let target = Target::Host(request.target.clone());
    assert_eq!(target.check(), Ok(()));
    let opening = Opening::from(target);
    assert_eq!(Opening::decode(&opening.encode()), Ok(opening), "it travels unchanged");
    assert!(request.target.port > 0);
    let at_once = request.body.clone().passes(rest);
    let (mut body, mut bytewise) = (request.body.clone(), Ok(0));
    for byte in rest {
        match (body.passes(&[*byte]), &mut bytewise) {
            (Ok(1), Ok(count)) => *count += 1,
            (Ok(_), _) => break,
            (Err(error), _) => {
                bytewise = Err(error);
                break;
            }
        }
    }
    assert_eq!(at_once, bytewise, "the body depends on how its bytes are cut");
    (request, at_once.unwrap_or(usize::MAX))
}
