//! TLS over any pipe. Only a peer with an accepted key gets through. An attacker in between learns
//! nothing and changes nothing.
//!
//! The handshake happens within the first receives and sends. An end without close_notify is an
//! error, as is every byte that was changed. Sent bytes are held until the pipe below takes them,
//! at most some records at a time; `held` counts their payload, and a record counts until its last
//! byte has gone.

use super::engine::Engine;
use super::error::TlsError;
use super::records::{MAX_RECORD, OVERHEAD};
use super::settings::{ClientTls, ServerTls};
use crate::pipe::{Pipe, PipeInfo, Received, buffers, poll_send_part};
use bytes::{Buf, Bytes};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker, ready};
use striper_core::Config;

/// How much is received at once during the handshake, in bytes.
const HANDSHAKE_CHUNK: usize = 4 << 10;

/// A record takes parts of the data until it has so many bytes, about a full packet: a frame with
/// data has a record to itself, and small frames share one. Nothing of a record can be used before
/// its last byte has come, so it must not wait for a second frame on a slow route.
const ENOUGH: usize = 1448;

/// The bytes of a record beside its payload: header, type and tag (RFC 8446, section 5.2).
const RECORD_OVERHEAD: u64 = OVERHEAD as u64;

/// Settings of a session whose stripes are encrypted.
pub(crate) fn with_records(session: Config) -> Config {
    Config { record_overhead: RECORD_OVERHEAD, ..session }
}

/// The first byte that a TLS client or server may say: handshake or alert (RFC 8446, section 5.1).
const TLS_FIRST: [u8; 2] = [0x16, 0x15];

/// How many bytes of something else are kept to be shown.
const SHOWN: usize = 64;

/// The most bytes received and forgotten after a failed handshake, so that the peer hears why.
const DRAIN_LIMIT: usize = 64 << 10;

/// One end of a TLS connection over `below`.
pub struct TlsPipe<P> {
    below: P,
    engine: Engine,
    stage: Stage,
    /// The first bytes, while it is not known whether they are TLS.
    first: Vec<u8>,
    plain: Option<PlainSpeech>,
    /// Whom to tell of a whole ClientHello.
    spoken: Option<Arc<AtomicBool>>,
    /// Payload gathered from several parts.
    gathered: Vec<u8>,
    finishing: bool,
    wakers: Arc<Wakers>,
}

/// How it goes for the other end when it speaks our protocol without TLS.
#[derive(Clone, Debug)]
pub struct PlainSpeech {
    /// The first bytes that it sends.
    pub magic: &'static [u8],
    /// The answer that it gets.
    pub answer: Bytes,
}

#[derive(Debug)]
enum Stage {
    Handshake,
    Open,
    /// The handshake has failed: the error waits until the other end has had the time to hear why.
    Failed {
        error: TlsError,
        finished: bool,
        heard: usize,
    },
    Broken(io::ErrorKind),
}

impl<P> fmt::Debug for TlsPipe<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsPipe").field("stage", &self.stage).finish_non_exhaustive()
    }
}

#[derive(Clone, Copy)]
enum Way {
    Receiving,
    Sending,
}

impl<P: Pipe> TlsPipe<P> {
    /// The end that has dialled.
    pub fn client(below: P, tls: &ClientTls) -> Result<Self, TlsError> {
        Ok(Self::new(below, Engine::client(tls)?))
    }

    /// The end that has accepted.
    pub fn server(below: P, tls: &ServerTls) -> Result<Self, TlsError> {
        Ok(Self::new(below, Engine::server(tls)?))
    }

    fn new(below: P, engine: Engine) -> Self {
        TlsPipe {
            below,
            engine,
            stage: Stage::Handshake,
            first: Vec::new(),
            plain: None,
            spoken: None,
            gathered: Vec::new(),
            finishing: false,
            wakers: Arc::default(),
        }
    }

    /// Has it tell those who do without TLS that they need it.
    pub fn answering(self, plain: PlainSpeech) -> Self {
        TlsPipe { plain: Some(plain), ..self }
    }

    /// Has it note when the other end has said a whole ClientHello, which is then answered.
    pub(crate) fn noting(self, spoken: Arc<AtomicBool>) -> Self {
        TlsPipe { spoken: Some(spoken), ..self }
    }

    /// Waits for the handshake. Either direction carries it on, so each is woken for both.
    fn poll_open(&mut self, cx: &mut Context<'_>, way: Way) -> Poll<io::Result<()>> {
        match self.stage {
            Stage::Open => return Poll::Ready(Ok(())),
            Stage::Broken(kind) => return Poll::Ready(Err(kind.into())),
            Stage::Handshake | Stage::Failed { .. } => {}
        }
        self.wakers.set(way, cx.waker());
        let both = Waker::from(self.wakers.clone());
        let polled = self.poll_shake(&mut Context::from_waker(&both));
        if polled.is_ready() {
            both.wake();
        }
        polled
    }

    fn poll_shake(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.first.is_empty()
            && let Err(error) = self.engine.advance()
        {
            self.leave(error);
        }
        loop {
            if let Stage::Failed { .. } = self.stage {
                return self.poll_leave(cx);
            }
            // The last flight of a handshake goes with the first data, and is no packet of its own.
            if self.engine.is_open() {
                self.stage = Stage::Open;
                return Poll::Ready(Ok(()));
            }
            if let Some(spoken) = self.spoken.take_if(|_| !self.engine.out().rest().is_empty()) {
                spoken.store(true, Ordering::Relaxed);
            }
            if let Poll::Ready(Err(error)) = self.poll_out(cx) {
                return Poll::Ready(Err(error));
            }
            match ready!(self.below.poll_recv(cx, HANDSHAKE_CHUNK)) {
                Ok(Received::Chunk(chunk)) => {
                    if let Err(error) = self.hear(&chunk) {
                        self.leave(error);
                    }
                }
                Ok(Received::Fin) => return self.broken(io::ErrorKind::UnexpectedEof.into()),
                Err(error) => return self.broken(error),
            }
        }
    }

    /// Looks at the first bytes before TLS does.
    fn hear(&mut self, chunk: &[u8]) -> Result<(), TlsError> {
        if self.first.first().is_some_and(|byte| TLS_FIRST.contains(byte)) {
            return self.engine.receive(chunk);
        }
        self.first.extend_from_slice(chunk);
        let magic = self.plain.as_ref().map_or(&b""[..], |plain| plain.magic);
        let known = self.first.len().min(magic.len());
        match self.first.first() {
            None => Ok(()),
            Some(byte) if TLS_FIRST.contains(byte) => {
                let first = self.first.clone();
                self.first.truncate(1);
                self.engine.receive(&first)
            }
            _ if known > 0 && self.first[..known] == magic[..known] => {
                if known < magic.len() {
                    Ok(())
                } else {
                    Err(TlsError::Plain)
                }
            }
            _ => {
                self.first.truncate(SHOWN);
                Err(TlsError::NotTls { first: std::mem::take(&mut self.first) })
            }
        }
    }

    fn leave(&mut self, error: TlsError) {
        if let TlsError::Plain | TlsError::NotTls { .. } = error {
            self.engine.out().clear();
        }
        if let (TlsError::Plain, Some(plain)) = (&error, &self.plain) {
            self.engine.out().push(&plain.answer);
        }
        self.stage = Stage::Failed { error, finished: false, heard: 0 };
    }

    /// Tells the other end why, and waits for its end: closing with bytes unread could cut it.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut over = false;
        match self.poll_out(cx) {
            Poll::Ready(Ok(())) => {
                let done = self.below.poll_finish(cx);
                if let Stage::Failed { finished, .. } = &mut self.stage {
                    *finished = done.is_ready();
                }
                over |= matches!(done, Poll::Ready(Err(_)));
            }
            Poll::Ready(Err(_)) => over = true,
            Poll::Pending => {}
        }
        while !over {
            match self.below.poll_recv(cx, HANDSHAKE_CHUNK) {
                Poll::Ready(Ok(Received::Chunk(chunk))) => {
                    if let Stage::Failed { heard, .. } = &mut self.stage {
                        *heard += chunk.len().max(1);
                        over = *heard > DRAIN_LIMIT;
                    }
                }
                Poll::Ready(_) => over = true,
                Poll::Pending => return Poll::Pending,
            }
        }
        let Stage::Failed { error, .. } =
            std::mem::replace(&mut self.stage, Stage::Broken(io::ErrorKind::InvalidData))
        else {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        };
        Poll::Ready(Err(error.into()))
    }

    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.engine.out().rest().is_empty() {
            match poll_send_part(&mut self.below, cx, &mut self.engine.out().rest()) {
                Poll::Ready(Ok(sent)) => self.engine.out().sent(sent),
                Poll::Ready(Err(error)) => return self.broken(error),
                Poll::Pending => {
                    self.engine.out().wait();
                    return Poll::Pending;
                }
            }
        }
        self.below.poll_flush(cx)
    }

    fn broken<T>(&mut self, error: io::Error) -> Poll<io::Result<T>> {
        self.stage = Stage::Broken(error.kind());
        Poll::Ready(Err(error))
    }

    /// Takes payload for one record from the front of `data`.
    fn encrypt(&mut self, data: &mut dyn Buf) -> Result<usize, TlsError> {
        let first = data.chunk().len().min(MAX_RECORD);
        if first >= ENOUGH || first == data.remaining() {
            self.engine.encrypt(&data.chunk()[..first])?;
            data.advance(first);
            return Ok(first);
        }
        self.gathered.clear();
        while data.has_remaining() && self.gathered.len() < ENOUGH {
            let len = data.chunk().len().min(MAX_RECORD - self.gathered.len());
            self.gathered.extend_from_slice(&data.chunk()[..len]);
            data.advance(len);
        }
        self.engine.encrypt(&self.gathered)?;
        Ok(self.gathered.len())
    }
}

impl<P: Pipe> Pipe for TlsPipe<P> {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        ready!(self.poll_open(cx, Way::Receiving))?;
        loop {
            if let Some(chunk) = self.engine.take_plain(max) {
                return Poll::Ready(Ok(Received::Chunk(chunk)));
            }
            if self.engine.has_ended() {
                return Poll::Ready(Ok(Received::Fin));
            }
            // The end of our handshake, or an answer of TLS: nothing else may come to send it.
            if self.engine.held() == 0 && !self.engine.out().rest().is_empty() {
                let _ = self.poll_out(cx)?;
            }
            match ready!(self.below.poll_recv(cx, max.clamp(HANDSHAKE_CHUNK, buffers::SIZE))) {
                Ok(Received::Chunk(chunk)) => {
                    if let Err(error) = self.engine.receive(&chunk) {
                        // Says why, if it can be said at once.
                        let _ = self.poll_out(cx);
                        return self.broken(error.into());
                    }
                }
                Ok(Received::Fin) => return self.broken(TlsError::Truncated.into()),
                Err(error) => return self.broken(error),
            }
        }
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        ready!(self.poll_open(cx, Way::Sending))?;
        if self.finishing {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if self.engine.held() > 0 {
            ready!(self.poll_out(cx))?;
        }
        let mut taken = 0;
        while data.has_remaining() {
            while data.has_remaining() && self.engine.out().has_room() {
                match self.encrypt(data) {
                    Ok(len) => taken += len,
                    Err(error) => return self.broken(error.into()),
                }
            }
            if self.poll_out(cx)?.is_pending() {
                break;
            }
        }
        self.gathered.clear();
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx, Way::Sending))?;
        self.poll_out(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_open(cx, Way::Sending))?;
        if !self.finishing {
            self.finishing = true;
            if let Err(error) = self.engine.finish() {
                return self.broken(error.into());
            }
        }
        ready!(self.poll_out(cx))?;
        self.below.poll_finish(cx)
    }

    fn abort(&mut self) {
        self.stage = Stage::Broken(io::ErrorKind::NotConnected);
        self.engine.out().clear();
        self.below.abort();
    }

    fn check(&mut self) -> io::Result<()> {
        match &self.stage {
            Stage::Broken(kind) => Err((*kind).into()),
            Stage::Failed { error, .. } => Err(error.clone().into()),
            _ => self.below.check(),
        }
    }

    fn info(&self) -> PipeInfo<'_> {
        let below = self.below.info();
        PipeInfo {
            held: self.engine.held() + below.held,
            memory: self.engine.memory() + self.gathered.capacity() + below.memory,
            is_empty: self.engine.is_empty() && below.is_empty,
            is_datagram: false,
            send_limit: usize::MAX,
            peer: self.engine.peer(),
            ..below
        }
    }
}

/// Wakes whoever waits for the handshake.
#[derive(Default)]
struct Wakers(Mutex<[Option<Waker>; 2]>);

impl Wakers {
    fn set(&self, way: Way, waker: &Waker) {
        let mut wakers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        wakers[way as usize] = Some(waker.clone());
    }
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        let wakers = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        wakers.into_iter().flatten().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::memory::memory_pipe;
    use crate::pipe::queue::OutQueue;
    use crate::tls::keys::{Key, KeyKind, Keys};

    #[test]
    fn that_a_caller_has_spoken_is_noted_when_its_client_hello_is_whole() {
        let keys = Keys::shared("site", Key::generate(KeyKind::Shared).unwrap()).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let (mut wire, above) = memory_pipe();
        let mut client = TlsPipe::client(above, &ClientTls::new(&keys)).unwrap();
        assert!(client.poll_recv(&mut cx, 1).is_pending());
        let Poll::Ready(Ok(Received::Chunk(hello))) = wire.poll_recv(&mut cx, 1 << 16) else {
            panic!("no ClientHello");
        };
        let spoken = Arc::<AtomicBool>::default();
        let (mut wire, above) = memory_pipe();
        let mut server =
            TlsPipe::server(above, &ServerTls::new(&keys)).unwrap().noting(spoken.clone());
        for (index, byte) in hello.iter().enumerate() {
            assert!(!spoken.load(Ordering::Relaxed), "after {index} bytes of {}", hello.len());
            assert!(wire.poll_send(&mut cx, &mut &[*byte][..]).is_ready());
            let before = server.info().memory;
            assert!(server.poll_recv(&mut cx, 1).is_pending());
            let whole = index + 1 == hello.len();
            let memory = server.info().memory;
            assert!(whole || memory == before + 1, "what is not whole is kept, and counts");
        }
        assert!(spoken.load(Ordering::Relaxed));
    }

    /// Everything that has come.
    fn come(wire: &mut impl Pipe) -> Vec<u8> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Ok(Received::Chunk(chunk))) = wire.poll_recv(&mut cx, 1 << 16) {
            all.extend_from_slice(&chunk);
        }
        all
    }

    #[test]
    fn a_frame_with_data_has_a_record_to_itself_and_small_frames_share_one() {
        let keys = Keys::shared("site", Key::generate(KeyKind::Shared).unwrap()).unwrap();
        let mut cx = Context::from_waker(Waker::noop());
        let [(mut near, above), (mut far, below)] = [memory_pipe(), memory_pipe()];
        let mut client = TlsPipe::client(above, &ClientTls::new(&keys)).unwrap();
        let mut server = TlsPipe::server(below, &ServerTls::new(&keys)).unwrap();
        for _ in 0..4 {
            let _ = (client.poll_recv(&mut cx, 1), server.poll_recv(&mut cx, 1));
            assert!(far.poll_send(&mut cx, &mut &come(&mut near)[..]).is_ready());
            assert!(near.poll_send(&mut cx, &mut &come(&mut far)[..]).is_ready());
        }
        let mut data = OutQueue::default();
        for len in [12, 4_310, 30, 12, 2_862, 12, 40_000, 30] {
            data.push(Bytes::from(vec![7; len]));
        }
        assert!(client.poll_send(&mut cx, &mut data).is_ready());
        let wire = come(&mut near);
        let (mut records, mut rest) = (Vec::new(), &wire[..]);
        while let [_, _, _, high, low, ..] = rest {
            let len = 5 + usize::from(u16::from_be_bytes([*high, *low]));
            records.push(len - OVERHEAD);
            rest = &rest[len..];
        }
        let most = MAX_RECORD;
        assert_eq!(records, [4_322, 2_904, most, most, 40_012 - 2 * most, 30]);
    }
}
