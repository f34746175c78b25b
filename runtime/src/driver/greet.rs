//! The start of a stripe: both sides say HELLO.

use crate::pipe::{Pipe, Received, poll_send_part};
use crate::tls::TlsError;
use bytes::{Buf, Bytes};
use smol::future::yield_now;
use std::future::poll_fn;
use std::io;
use striper_core::{Handshake, HandshakeError, Hello};

/// How much is received at once: a HELLO, and some data that may follow.
const CHUNK: usize = 32 << 10;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum HearError {
    Handshake(HandshakeError),
    /// Neither side's key was good enough for the other, or TLS broke in another way.
    Tls(TlsError),
    Closed,
    Broken(io::ErrorKind),
}

impl From<io::Error> for HearError {
    fn from(error: io::Error) -> Self {
        match TlsError::of(&error) {
            Some(TlsError::Truncated) => HearError::Closed,
            Some(cause) => HearError::Tls(cause.clone()),
            None => HearError::Broken(error.kind()),
        }
    }
}

/// Receives the other side's HELLO, and maybe some of what follows it.
pub(crate) async fn hear(pipe: &mut dyn Pipe) -> Result<(Hello, Bytes), HearError> {
    let mut handshake = Handshake::new();
    loop {
        match poll_fn(|cx| pipe.poll_recv(cx, CHUNK)).await {
            Ok(Received::Chunk(chunk)) => match handshake.feed(chunk) {
                Ok(Some(heard)) => return Ok(heard),
                // Chunks of which nothing comes may be empty, without end: only time bounds them.
                Ok(None) => yield_now().await,
                Err(error) => return Err(HearError::Handshake(error)),
            },
            Ok(Received::Fin) => return Err(HearError::Closed),
            Err(error) => return Err(HearError::from(error)),
        }
    }
}

pub(crate) async fn say(pipe: &mut dyn Pipe, hello: &Hello) -> io::Result<()> {
    let mut bytes = hello.encode();
    while bytes.has_remaining() {
        poll_fn(|cx| poll_send_part(pipe, cx, &mut bytes)).await?;
    }
    poll_fn(|cx| pipe.poll_flush(cx)).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::testing::flood;
    use std::task::{Context, Waker};

    #[test]
    fn a_caller_that_says_nothing_without_end_leaves_the_others_their_turns() {
        let mut pipe = flood(Bytes::new());
        let mut hearing = std::pin::pin!(hear(&mut pipe));
        assert!(hearing.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
}
