//! A connection in memory: what was written on it arrives, in order, until it breaks.

use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use striper_core::Handshake;

#[derive(Default)]
pub(super) struct Queue(VecDeque<Bytes>);

impl Queue {
    pub fn push(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.0.push_back(bytes);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first bytes, at most so many, in one piece.
    pub fn take(&mut self, count: usize) -> Bytes {
        let mut taken = BytesMut::new();
        while let Some(first) = self.0.front_mut()
            && taken.len() < count
        {
            let part = first.split_to(first.len().min(count - taken.len()));
            if first.is_empty() {
                self.0.pop_front();
            }
            if taken.is_empty() && (part.len() == count || self.0.is_empty()) {
                return part;
            }
            taken.extend_from_slice(&part);
        }
        taken.freeze()
    }
}

#[derive(Default)]
pub(super) struct Way {
    /// Given out by the session, not taken by the operating system.
    pub unwritten: Queue,
    /// Taken, not arrived.
    pub wire: Queue,
    /// How much was taken, the HELLO not counted.
    pub written: u64,
    /// So much of the HELLO is still to be taken.
    pub hello: usize,
    pub closing: bool,
    pub silent: bool,
}

impl Way {
    pub fn silence(&mut self) {
        self.silent = true;
        self.wire = Queue::default();
    }

    /// The operating system takes at most so many bytes; whether it took any of a frame.
    pub fn write(&mut self, count: usize) -> bool {
        let bytes = self.unwritten.take(count);
        let greeting = self.hello.min(bytes.len());
        self.hello -= greeting;
        self.written += (bytes.len() - greeting) as u64;
        let framed = bytes.len() > greeting;
        if !self.silent {
            self.wire.push(bytes);
        }
        framed
    }

    /// Whether only the FIN is left to arrive.
    pub fn is_at_end(&self) -> bool {
        self.closing && !self.silent && self.unwritten.is_empty() && self.wire.is_empty()
    }
}

pub(super) enum End {
    Greeting(Handshake),
    Up,
    Gone,
}

/// A connection. Its number is the stripe's.
pub(super) struct Conn {
    /// By the side that writes.
    pub ways: [Way; 2],
    pub ends: [End; 2],
}

impl Conn {
    pub fn new() -> Self {
        let end = || End::Greeting(Handshake::new());
        Conn { ways: [Way::default(), Way::default()], ends: [end(), end()] }
    }

    pub fn say_hello(&mut self, side: usize, hello: Bytes) {
        self.ways[side].hello = hello.len();
        self.ways[side].unwritten.push(hello);
    }
}
