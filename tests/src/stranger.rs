//! A caller of the stripe port that may send any bytes, written after PROTOCOL.md and without the
//! engine.

use crate::socket::{connect, reset};
use sha2::{Digest, Sha256};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The types of frames that tests send, with their fields.
pub mod frame {
    // Flow, early, credit, length of the opaque field; then that and the first bytes.
    pub const OPEN: u64 = 0x01;
    pub const ACCEPT: u64 = 0x03; // flow
    pub const DATA: u64 = 0x07; // flow, offset, flags; then the bytes
    pub const RESET: u64 = 0x09; // flow, reason, where the sender's own direction ends
    pub const CREDIT: u64 = 0x0b; // flow, limit
    pub const GRANT: u64 = 0x0d; // flows, early credit
    pub const ACK: u64 = 0x0f; // stripe, count
    pub const STRIPE_GONE: u64 = 0x11; // stripe, received
    pub const PING: u64 = 0x13; // nonce
    pub const PONG: u64 = 0x15; // nonce
    pub const BLOCKED: u64 = 0x1a; // flow, limit
}

/// The early credit before the first GRANT, and the most of one OPEN, in bytes.
pub const FIRST_EARLY: u64 = 245_760;

/// A connection to a stripe port.
pub struct Stranger {
    stream: TcpStream,
}

impl Stranger {
    pub fn call(port: SocketAddr) -> Stranger {
        Stranger { stream: connect(port) }
    }

    /// Calls, and becomes the first stripe of a new session of this number.
    pub fn join(port: SocketAddr, session: u32) -> Stranger {
        Stranger::ask(port, session).expect("an accepted session")
    }

    /// Calls, and becomes the first stripe of a new session of this number, unless the server has
    /// too many.
    pub fn ask(port: SocketAddr, session: u32) -> Option<Stranger> {
        let mut stranger = Stranger::call(port);
        stranger.say(&hello(1, &create(session, 0)));
        let answer = stranger.answer();
        assert_eq!(answer[1..17], id(session), "the session that was asked for");
        match (answer[0], answer.last()) {
            (2, _) => Some(stranger),
            (3, Some(3)) => None,
            _ => panic!("{answer:x?} is no answer to this"),
        }
    }

    pub fn say(&mut self, bytes: &[u8]) {
        match self.stream.write_all(bytes) {
            Err(error)
                if !matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) =>
            {
                panic!("{error}");
            }
            _ => {}
        }
    }

    /// The body of the server's HELLO.
    pub fn answer(&mut self) -> Vec<u8> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).unwrap_or_else(|error| panic!("no HELLO: {error}"));
        assert!(head.starts_with(b"striper\x01") && head[8] < 0x80, "a short HELLO of version 1");
        let mut body = vec![0; usize::from(head[8])];
        self.stream.read_exact(&mut body).unwrap_or_else(|error| panic!("half a HELLO: {error}"));
        body
    }

    /// All the early credit that it has been granted, after an answer to its PING.
    pub fn early_credit(&mut self) -> u64 {
        self.say(&frame(frame::PING, &[1], b""));
        let mut early = FIRST_EARLY;
        loop {
            let mut body = vec![0; self.number() as usize];
            self.stream
                .read_exact(&mut body)
                .unwrap_or_else(|error| panic!("half a frame: {error}"));
            match take(&mut &body[..]) {
                frame::GRANT => {
                    let mut fields = &body[1..];
                    let _flows = take(&mut fields);
                    early = early.max(take(&mut fields));
                }
                frame::PONG => return early,
                _ => {}
            }
        }
    }

    fn number(&mut self) -> u64 {
        let mut number = Vec::new();
        while number.last().is_none_or(|byte| byte & 0x80 != 0) {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).unwrap_or_else(|error| panic!("no frame: {error}"));
            number.extend(byte);
        }
        take(&mut &number[..])
    }

    /// Waits until the other end has closed the connection or broken it, and returns earlier bytes.
    pub fn dismissed(&mut self) -> Vec<u8> {
        let mut got = Vec::new();
        match self.stream.read_to_end(&mut got) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => {
                panic!("not dismissed: {error}")
            }
            _ => got,
        }
    }

    /// The connection, to be read from or ended in a way of its own.
    pub fn stream(&mut self) -> &mut TcpStream {
        &mut self.stream
    }

    pub fn vanish(self) {
        reset(self.stream);
    }

    pub fn name(&self) -> String {
        self.stream.local_addr().expect("a connection").to_string()
    }
}

pub fn hello(version: u8, body: &[u8]) -> Vec<u8> {
    [b"striper", &[version][..], &varint(body.len() as u64), body].concat()
}

/// The body of a HELLO that makes or joins a session.
pub fn create(session: u32, stripe: u64) -> Vec<u8> {
    [&[0], &id(session)[..], &varint(stripe)].concat()
}

/// The body of a HELLO that joins a session.
pub fn join(session: u32, stripe: u64) -> Vec<u8> {
    [&[1], &id(session)[..], &varint(stripe)].concat()
}

/// The name of a session in the log: the first bytes of its id's SHA-256.
pub fn session(number: u32) -> String {
    Sha256::digest(id(number)).iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

fn id(session: u32) -> [u8; 16] {
    let mut id = [0; 16];
    id[..4].copy_from_slice(&session.to_be_bytes());
    id
}

pub fn frame(kind: u64, fields: &[u64], payload: &[u8]) -> Vec<u8> {
    let fields: Vec<u8> = [kind].iter().chain(fields).flat_map(|field| varint(*field)).collect();
    [&varint((fields.len() + payload.len()) as u64)[..], &fields, payload].concat()
}

pub fn varint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// Takes an unsigned LEB128 off the front.
fn take(from: &mut &[u8]) -> u64 {
    let len = from.iter().position(|byte| byte & 0x80 == 0).expect("a whole number") + 1;
    let (number, rest) = from.split_at(len);
    *from = rest;
    number.iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f))
}
