//! A connection to the server: valid TLS at the caller's end, and a wire on which ciphertext waits
//! until it is delivered.

use super::super::ends::{Heard, end, say};
use bytes::Bytes;
use std::task::{Context, Poll, Waker};
use striper_core::wire::deframer::Deframer;
use striper_core::{Handshake, HelloKind, StripeId};
use striper_runtime::{MemoryPipe, Pipe, TlsPipe, memory_pipe};

/// The most records of one thing said, and the most pieces of what is under way.
const MOST_PARTS: usize = 256;

pub struct Caller {
    tls: TlsPipe<Box<dyn Pipe>>,
    /// The wire at the caller's side.
    near: MemoryPipe,
    /// The wire at the server's side; none when the connection is broken.
    line: Option<MemoryPipe>,
    /// Ciphertext that is under way to the server, and the end after it.
    flight: Heard,
    heard: Heard,
    back: Heard,
    greeting: Option<Handshake>,
    reader: Deframer,
    /// The most payload of one record in bytes.
    pub record: usize,
    /// How much of what is under way comes at once; all if zero.
    pub piece: usize,
    /// Bytes under way wait until they are delivered on purpose.
    pub holds: bool,
    pub stripe: StripeId,
    pub greeted: bool,
    /// The connection was not left as TLS has made it.
    pub tampered: bool,
    /// Ciphertext that the server has been given and has given, in bytes.
    pub delivered: usize,
    pub answered: usize,
}

impl Caller {
    pub fn new(stripe: StripeId, piece: usize) -> (Caller, Box<dyn Pipe>) {
        let ((below, near), (line, server)) = (memory_pipe(), memory_pipe());
        let caller = Caller {
            tls: end(below, false),
            near,
            line: Some(line),
            flight: Heard::default(),
            heard: Heard::default(),
            back: Heard::default(),
            greeting: Some(Handshake::new()),
            reader: Deframer::new(),
            record: 16 << 10,
            piece,
            holds: false,
            stripe,
            greeted: false,
            tampered: false,
            delivered: 0,
            answered: 0,
        };
        (caller, Box::new(server))
    }

    pub fn is_open(&self) -> bool {
        self.tls.info().peer.is_some()
    }

    pub fn say(&mut self, said: &[u8]) {
        // No more than some hundreds, or it takes too long.
        for part in said.chunks(self.record.max(said.len() / MOST_PARTS + 1)) {
            say(&mut self.tls, Bytes::copy_from_slice(part));
            self.flight.listen(&mut self.near);
        }
    }

    pub fn flight(&mut self) -> &mut Vec<u8> {
        self.flight.listen(&mut self.near);
        &mut self.flight.bytes
    }

    /// Gives the server the next piece, unless it is held. Whether something has happened.
    pub fn deliver_piece(&mut self) -> bool {
        let waiting = self.flight().len();
        let most = if self.piece == 0 { waiting } else { self.piece.max(waiting / MOST_PARTS) };
        !self.holds && self.deliver(most)
    }

    /// Gives the server at most so many bytes. Whether something has happened.
    pub fn deliver(&mut self, most: usize) -> bool {
        self.flight.listen(&mut self.near);
        let Some(line) = &mut self.line else { return false };
        let count = self.flight.bytes.len().min(most);
        let mut part = Bytes::copy_from_slice(&self.flight.bytes[..count]);
        let mut cx = Context::from_waker(Waker::noop());
        if !part.is_empty()
            && let Poll::Ready(Ok(taken)) = line.poll_send(&mut cx, &mut part)
        {
            self.flight.bytes.drain(..taken);
            self.delivered += taken;
            return taken > 0;
        }
        false
    }

    /// Hears what the server has said, which keeps to the protocol. Whether that was something.
    pub fn hear(&mut self) -> bool {
        let Some(line) = &mut self.line else { return false };
        let before = self.back.fin || self.back.broken;
        self.back.listen(line);
        let came = std::mem::take(&mut self.back.bytes);
        self.answered += came.len();
        let happened = !came.is_empty() || (self.back.fin || self.back.broken) != before;
        say(&mut self.near, came.into());
        self.heard.listen(&mut self.tls);
        let heard = Bytes::from(std::mem::take(&mut self.heard.bytes));
        self.read(heard);
        happened
    }

    fn read(&mut self, mut heard: Bytes) {
        if let Some(greeting) = &mut self.greeting {
            match greeting.feed(heard).expect("the server says HELLO") {
                None => return,
                Some((hello, rest)) => {
                    let answers =
                        matches!(hello.kind, HelloKind::Accept { .. } | HelloKind::Refuse(_));
                    assert!(answers, "the server says {hello:?}");
                    (self.greeting, self.stripe, heard) = (None, hello.stripe, rest);
                }
            }
        }
        while self.reader.next(&mut heard).expect("the server keeps to the protocol").is_some() {}
    }

    /// This stripe, and how many frame bytes have come on it.
    pub fn heard_of(&self) -> (StripeId, u64) {
        (self.stripe, self.reader.processed())
    }

    pub fn notify(&mut self) {
        let _ = self.tls.poll_finish(&mut Context::from_waker(Waker::noop()));
        self.flight.listen(&mut self.near);
    }

    /// TCP's FIN, after all that was delivered.
    pub fn cut_off(&mut self) {
        self.tampered = true;
        if let Some(line) = &mut self.line {
            let _ = line.poll_finish(&mut Context::from_waker(Waker::noop()));
        }
    }

    pub fn break_off(&mut self) {
        self.tampered = true;
        self.line = None;
    }

    /// Whether the server has ended it, and we have heard that.
    pub fn is_over(&self) -> bool {
        self.line.is_none() || self.back.fin || self.back.broken
    }
}
