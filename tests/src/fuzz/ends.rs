//! Ends of pipes, with TLS and without, and what is said and heard there. Nobody waits: what can't
//! be done at once is done at the next call.

use bytes::Bytes;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};
use striper_runtime::keys::{Key, Keys};
use striper_runtime::{ClientTls, Pipe, Received, ServerTls, TlsPipe};

pub(super) fn keys() -> &'static (Keys, ClientTls, ServerTls) {
    static KEYS: OnceLock<(Keys, ClientTls, ServerTls)> = OnceLock::new();
    KEYS.get_or_init(|| {
        let key: Key = format!("striper-shared-key:{}", "5a".repeat(32)).parse().expect("a key");
        let keys = Keys::shared("fuzz", key).expect("keys");
        let (client, server) = (ClientTls::new(&keys), ServerTls::new(&keys));
        (keys, client, server)
    })
}

pub(super) fn end(below: impl Pipe + 'static, server: bool) -> TlsPipe<Box<dyn Pipe>> {
    let (_, client_tls, server_tls) = keys();
    let below: Box<dyn Pipe> = Box::new(below);
    let pipe = if server {
        TlsPipe::server(below, server_tls)
    } else {
        TlsPipe::client(below, client_tls)
    };
    pipe.expect("a connection")
}

#[derive(Default)]
pub(super) struct Heard {
    pub bytes: Vec<u8>,
    pub fin: bool,
    pub broken: bool,
}

impl Heard {
    /// Receives what there is. A pipe gives its bytes in finitely many calls.
    pub fn listen(&mut self, pipe: &mut impl Pipe) {
        let mut cx = Context::from_waker(Waker::noop());
        let mut calls = 0;
        while !self.fin && !self.broken {
            calls += 1;
            assert!(calls < 10_000, "it gives without end");
            match pipe.poll_recv(&mut cx, 1 << 16) {
                Poll::Ready(Ok(Received::Chunk(chunk))) => self.bytes.extend_from_slice(&chunk),
                Poll::Ready(Ok(Received::Fin)) => self.fin = true,
                Poll::Ready(Err(_)) => self.broken = true,
                Poll::Pending => return,
            }
        }
    }
}

pub(super) fn say(pipe: &mut impl Pipe, mut data: Bytes) {
    let mut cx = Context::from_waker(Waker::noop());
    while !data.is_empty() && matches!(pipe.poll_send(&mut cx, &mut data), Poll::Ready(Ok(_))) {}
    let _ = pipe.poll_flush(&mut cx);
}
