//! The start of a stripe: both sides say HELLO.

use crate::pipe::{Pipe, Received, poll_send_part};
use bytes::{Buf, Bytes};
use std::future::poll_fn;
use std::io;
use striper_core::{Handshake, HandshakeError, Hello};

/// How much is received at once: a HELLO, and some data that may follow.
const CHUNK: usize = 32 << 10;

/// Why no HELLO came.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum HearError {
    /// Something else came.
    Handshake(HandshakeError),
    /// The other end closed the connection.
    Closed,
    /// The connection broke.
    Broken(io::ErrorKind),
}

/// Receives the other side's HELLO, and maybe some of what follows it.
pub async fn hear(pipe: &mut dyn Pipe) -> Result<(Hello, Bytes), HearError> {
    let mut handshake = Handshake::new();
    loop {
        match poll_fn(|cx| pipe.poll_recv(cx, CHUNK)).await {
            Ok(Received::Chunk(chunk)) => match handshake.feed(chunk) {
                Ok(Some(heard)) => return Ok(heard),
                Ok(None) => {}
                Err(error) => return Err(HearError::Handshake(error)),
            },
            Ok(Received::Fin) => return Err(HearError::Closed),
            Err(error) => return Err(HearError::Broken(error.kind())),
        }
    }
}

/// Sends a HELLO.
pub async fn say(pipe: &mut dyn Pipe, hello: &Hello) -> io::Result<()> {
    let mut bytes = hello.encode();
    while bytes.has_remaining() {
        poll_fn(|cx| poll_send_part(pipe, cx, &mut bytes)).await?;
    }
    poll_fn(|cx| pipe.poll_flush(cx)).await
}
