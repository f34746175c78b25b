//! One TLS connection without I/O: ciphertext in, plaintext out, and the other way round.
//!
//! What the other end may make us hold is bounded: before the handshake is done, its first
//! [`HANDSHAKE_LIMIT`] bytes; after that one record, beside what came in one call.

use super::error::TlsError;
use super::settings::{ALPN, Accepted, ClientTls, ServerTls};
use crate::pipe::{Peer, buffers};
use bytes::Bytes;
use rustls::Error;
use rustls::client::{ClientConnectionData, UnbufferedClientConnection};
use rustls::server::{ServerConnectionData, UnbufferedServerConnection};
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus,
};
use std::collections::VecDeque;

/// The most bytes that the other end may send before the handshake is done. An honest client needs
/// less than a thousand.
pub const HANDSHAKE_LIMIT: usize = 16 << 10;

/// What a record costs beside its payload, in bytes: header, type and tag (RFC 8446, section 5.2).
pub const OVERHEAD: usize = 22;

/// What a connection's own state takes, in bytes; measured with 5,000 of them.
const STATE: usize = 8 << 10;

/// The size of an alert in bytes (RFC 8446, section 6).
const ALERT: usize = 2;

/// The most payload of a record in bytes (RFC 8446, section 5.1).
pub const MAX_RECORD: usize = 16 << 10;

/// Either end of a connection.
enum Connection {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

/// A connection.
pub struct Engine {
    connection: Connection,
    accepted: Accepted,
    /// Who is at the other end, once the handshake is done.
    peer: Option<Peer>,
    /// It is of no more use.
    failed: bool,
    /// How many bytes have come in before the handshake was done.
    shaken: usize,
    /// The other end has said that no more follows.
    ended: bool,
    incoming: Incoming,
    plain: VecDeque<Bytes>,
    out: Outgoing,
}

/// What rustls has to say after a look at what has come in.
enum Step {
    /// Something was done; there may be more.
    Again,
    /// The handshake needs more from the other end.
    Wait,
    /// The handshake is done, and nothing is left to be done.
    Open,
}

impl Engine {
    /// The end that has dialled. Its first bytes are ready to be sent.
    pub fn client(tls: &ClientTls) -> Result<Engine, TlsError> {
        Ok(Self::new(Connection::Client(Box::new(tls.connection()?)), tls.accepted()))
    }

    /// The end that has accepted.
    pub fn server(tls: &ServerTls) -> Result<Engine, TlsError> {
        Ok(Self::new(Connection::Server(Box::new(tls.connection()?)), tls.accepted()))
    }

    fn new(connection: Connection, accepted: Accepted) -> Engine {
        Engine {
            connection,
            accepted,
            shaken: 0,
            peer: None,
            failed: false,
            ended: false,
            incoming: Incoming::default(),
            plain: VecDeque::new(),
            out: Outgoing::default(),
        }
    }

    /// Whether the handshake is done: each end has shown the other a key that it accepts.
    pub fn is_open(&self) -> bool {
        self.peer.is_some()
    }

    /// Whether the other end has said that no more follows what was received.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes what came in. After an error the connection is of no more use, but to send what is in
    /// [`Engine::out`].
    pub fn receive(&mut self, chunk: &[u8]) -> Result<(), TlsError> {
        if !self.is_open() {
            if self.shaken > HANDSHAKE_LIMIT {
                return Err(TlsError::TooLong);
            }
            self.shaken += chunk.len();
        }
        self.incoming.append(chunk);
        let advanced = self.advance();
        self.incoming.shrink();
        advanced
    }

    /// Goes on as far as it can with what has come in.
    pub fn advance(&mut self) -> Result<(), TlsError> {
        if self.failed {
            return Err(TlsError::Other("it has failed before".into()));
        }
        let mut plain = Plain::default();
        let result = loop {
            match self.step(&mut plain) {
                Ok(Step::Again) => {}
                Ok(Step::Wait) => break Ok(()),
                Ok(Step::Open) => break self.opened(),
                Err(error) => {
                    // What tells the other end why is fetched now. Nothing more of what has come in
                    // is looked at.
                    while self.wants_write() && self.step(&mut plain).is_ok() {}
                    break Err(error.into());
                }
            }
        };
        self.failed = result.is_err();
        self.plain.extend(plain.finish());
        result
    }

    /// Whether rustls has something to be fetched.
    fn wants_write(&self) -> bool {
        match &self.connection {
            Connection::Client(connection) => connection.wants_write(),
            Connection::Server(connection) => connection.wants_write(),
        }
    }

    fn step(&mut self, plain: &mut Plain) -> Result<Step, Error> {
        let (incoming, out, ended) = (self.incoming.rest(), &mut self.out, &mut self.ended);
        let (discard, step) = match &mut self.connection {
            Connection::Client(connection) => {
                digest(connection.process(incoming), plain, out, ended)
            }
            Connection::Server(connection) => {
                digest(connection.process(incoming), plain, out, ended)
            }
        };
        self.incoming.discard(discard);
        step
    }

    /// The handshake may just have been done. ALPN is not left to TLS: it lets a side pass that
    /// doesn't speak it.
    fn opened(&mut self) -> Result<(), TlsError> {
        if self.is_open() {
            return Ok(());
        }
        let (protocol, shown) = match &self.connection {
            Connection::Client(connection) => {
                (connection.alpn_protocol(), connection.peer_certificates())
            }
            Connection::Server(connection) => {
                (connection.alpn_protocol(), connection.peer_certificates())
            }
        };
        if protocol != Some(ALPN) {
            return Err(TlsError::NoCommonProtocol);
        }
        self.peer = shown.and_then(|shown| self.accepted.find(shown.first()?));
        if self.is_open() { Ok(()) } else { Err(TlsError::UnknownKey) }
    }

    /// Who is at the other end, once [`Engine::is_open`].
    pub fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// The next plaintext, at most `max` bytes.
    pub fn take_plain(&mut self, max: usize) -> Option<Bytes> {
        let front = self.plain.front_mut()?;
        if front.len() > max {
            return Some(front.split_to(max));
        }
        self.plain.pop_front()
    }

    /// Makes a record of `plain`, at most [`MAX_RECORD`] bytes. To be called once
    /// [`Engine::is_open`].
    pub fn encrypt(&mut self, plain: &[u8]) -> Result<(), TlsError> {
        self.write(&Job::Encrypt(plain), plain.len())
    }

    /// Says that no more follows. To be called once [`Engine::is_open`].
    pub fn finish(&mut self) -> Result<(), TlsError> {
        self.write(&Job::Finish, 0)
    }

    fn write(&mut self, job: &Job<'_>, payload: usize) -> Result<(), TlsError> {
        let mut size = payload + OVERHEAD + ALERT;
        let mut plain = Plain::default();
        // Once to find that new keys are to be announced first, once to find how much room that
        // takes, and once to do it.
        for _ in 0..4 {
            let (incoming, out, ended) = (self.incoming.rest(), &mut self.out, &mut self.ended);
            let (discard, written) = match &mut self.connection {
                Connection::Client(connection) => {
                    attempt(connection.process(incoming), job, size, &mut plain, out, ended)
                }
                Connection::Server(connection) => {
                    attempt(connection.process(incoming), job, size, &mut plain, out, ended)
                }
            };
            self.incoming.discard(discard);
            match written? {
                Some(Ok(())) => {
                    self.out.record(payload);
                    self.plain.extend(plain.finish());
                    return Ok(());
                }
                Some(Err(EncryptError::InsufficientSize(InsufficientSizeError {
                    required_size,
                }))) => {
                    size = required_size;
                }
                Some(Err(EncryptError::EncryptExhausted)) => break,
                None => {}
            }
        }
        Err(TlsError::Other("nothing more can be encrypted".into()))
    }

    /// How many bytes of data are in records that have not been sent whole.
    pub fn held(&self) -> usize {
        self.out.held
    }

    /// Memory that it takes, in bytes.
    pub fn memory(&self) -> usize {
        let plain: usize = self.plain.iter().map(Bytes::len).sum();
        STATE + self.incoming.buffer.len() + plain + self.out.buffer.len()
    }

    /// Ciphertext to be sent.
    pub fn out(&mut self) -> &mut Outgoing {
        &mut self.out
    }
}

/// rustls has the same method at either end, but no name for both.
trait Process {
    type Data;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data>;
}

impl Process for UnbufferedClientConnection {
    type Data = ClientConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

impl Process for UnbufferedServerConnection {
    type Data = ServerConnectionData;

    fn process<'c, 'i>(
        &'c mut self,
        incoming: &'i mut [u8],
    ) -> UnbufferedStatus<'c, 'i, Self::Data> {
        self.process_tls_records(incoming)
    }
}

/// Does what rustls asks for. Gives how many bytes of what has come in are done with.
fn digest<D>(
    status: UnbufferedStatus<'_, '_, D>,
    plain: &mut Plain,
    out: &mut Outgoing,
    ended: &mut bool,
) -> (usize, Result<Step, Error>) {
    let mut discard = status.discard;
    let step = match status.state {
        Err(error) => Err(error),
        Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
            match traffic.next_record() {
                Some(Ok(record)) => {
                    discard += record.discard;
                    plain.append(record.payload);
                }
                Some(Err(error)) => break Err(error),
                None => break Ok(Step::Again),
            }
        },
        Ok(ConnectionState::EncodeTlsData(mut data)) => {
            let size = match data.encode(&mut []) {
                Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) => {
                    required_size
                }
                _ => 0,
            };
            match out.fill(size, |room| data.encode(room)) {
                Ok(()) => Ok(Step::Again),
                Err(error) => Err(Error::General(error.to_string())),
            }
        }
        Ok(ConnectionState::TransmitTlsData(data)) => {
            // It is in the queue, in its order: that is as good as sent.
            data.done();
            Ok(Step::Again)
        }
        Ok(ConnectionState::PeerClosed) => {
            *ended = true;
            Ok(Step::Again)
        }
        Ok(ConnectionState::BlockedHandshake) => Ok(Step::Wait),
        Ok(ConnectionState::WriteTraffic(_) | ConnectionState::Closed) => Ok(Step::Open),
        // Early data, which is never agreed on, and what later versions of rustls may think of.
        Ok(_) => Err(Error::General("unexpected state".into())),
    };
    (discard, step)
}

/// What is to be written.
enum Job<'a> {
    Encrypt(&'a [u8]),
    Finish,
}

/// Writes, if nothing else has to be done first; else does that.
fn attempt<D>(
    status: UnbufferedStatus<'_, '_, D>,
    job: &Job<'_>,
    size: usize,
    plain: &mut Plain,
    out: &mut Outgoing,
    ended: &mut bool,
) -> (usize, Result<Option<Result<(), EncryptError>>, TlsError>) {
    let UnbufferedStatus { discard, state } = status;
    match state {
        Ok(ConnectionState::WriteTraffic(mut traffic)) => {
            let written = out.fill(size, |room| match job {
                Job::Encrypt(plain) => traffic.encrypt(plain, room),
                Job::Finish => traffic.queue_close_notify(room),
            });
            (discard, Ok(Some(written)))
        }
        state => {
            let (discard, step) = digest(UnbufferedStatus { discard, state }, plain, out, ended);
            (discard, step.map(|_| None).map_err(TlsError::from))
        }
    }
}

/// Ciphertext that has come in and is not done with: between calls less than a record, and little
/// memory.
#[derive(Default)]
struct Incoming {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Incoming {
    fn append(&mut self, chunk: &[u8]) {
        let len = self.end - self.start;
        if len + chunk.len() > self.buffer.len() || self.start > 0 {
            let needed = len + chunk.len();
            let mut buffer =
                if needed <= buffers::SIZE { buffers::take() } else { vec![0; needed] };
            buffer[..len].copy_from_slice(&self.buffer[self.start..self.end]);
            self.replace(buffer);
            (self.start, self.end) = (0, len);
        }
        self.buffer[self.end..self.end + chunk.len()].copy_from_slice(chunk);
        self.end += chunk.len();
    }

    /// What is not done with.
    fn rest(&mut self) -> &mut [u8] {
        &mut self.buffer[self.start..self.end]
    }

    fn discard(&mut self, count: usize) {
        self.start += count;
    }

    /// Keeps no more memory than is needed.
    fn shrink(&mut self) {
        let rest = self.rest().to_vec();
        (self.start, self.end) = (0, rest.len());
        self.replace(rest);
    }

    fn replace(&mut self, buffer: Vec<u8>) {
        let old = std::mem::replace(&mut self.buffer, buffer);
        if old.len() == buffers::SIZE {
            buffers::give_back(old);
        }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.replace(Vec::new());
    }
}

/// Plaintext in the making.
#[derive(Default)]
struct Plain {
    chunks: Vec<Bytes>,
    buffer: Option<Vec<u8>>,
    len: usize,
}

impl Plain {
    fn append(&mut self, payload: &[u8]) {
        if self.len + payload.len() > buffers::SIZE {
            self.close();
        }
        let buffer = self.buffer.get_or_insert_with(buffers::take);
        buffer[self.len..self.len + payload.len()].copy_from_slice(payload);
        self.len += payload.len();
    }

    fn close(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            let chunk = buffers::share(buffer, std::mem::take(&mut self.len));
            if !chunk.is_empty() {
                self.chunks.push(chunk);
            }
        }
    }

    fn finish(mut self) -> Vec<Bytes> {
        self.close();
        self.chunks
    }
}

/// Ciphertext to be sent, and how much plaintext each record stands for.
#[derive(Default)]
pub struct Outgoing {
    /// One of those that are used again, unless it has to wait.
    buffer: Vec<u8>,
    /// How much of it is in use.
    len: usize,
    /// How much of that has been sent.
    sent: usize,
    /// For each record of data that has not been sent whole: where it ends, and its payload.
    records: VecDeque<(usize, usize)>,
    /// Payload of all these.
    held: usize,
}

impl Outgoing {
    /// What is to be sent.
    pub fn rest(&self) -> &[u8] {
        &self.buffer[self.sent..self.len]
    }

    /// Whether a whole record fits in beside what is there, at no cost.
    pub fn has_room(&self) -> bool {
        self.len + MAX_RECORD + OVERHEAD <= buffers::SIZE
    }

    /// So many bytes of [`Outgoing::rest`] have been sent.
    pub fn sent(&mut self, count: usize) {
        self.sent += count;
        while let Some((end, payload)) = self.records.front().copied()
            && end <= self.sent
        {
            self.records.pop_front();
            self.held -= payload;
        }
        if self.sent == self.len {
            self.clear();
        }
    }

    /// The rest has to wait: it is to cost no more memory than it needs.
    pub fn wait(&mut self) {
        if self.buffer.len() == buffers::SIZE {
            let rest = self.rest().to_vec();
            self.records.iter_mut().for_each(|(end, _)| *end -= self.sent);
            (self.sent, self.len) = (0, rest.len());
            self.replace(rest);
        }
    }

    /// Appends bytes that need no encryption, for whom does not speak TLS.
    pub fn push(&mut self, bytes: &[u8]) {
        self.make_room(bytes.len());
        self.buffer[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.replace(Vec::new());
        self.records.clear();
        (self.len, self.sent, self.held) = (0, 0, 0);
    }

    /// Appends what `fill` writes into room for `size` bytes; it says how much that was.
    fn fill<E>(
        &mut self,
        size: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize, E>,
    ) -> Result<(), E> {
        self.make_room(size);
        self.len += fill(&mut self.buffer[self.len..self.len + size])?;
        Ok(())
    }

    /// What was appended last ends a record of so many bytes of data.
    fn record(&mut self, payload: usize) {
        if payload > 0 {
            self.records.push_back((self.len, payload));
            self.held += payload;
        }
    }

    fn make_room(&mut self, size: usize) {
        let needed = self.len + size;
        if needed > self.buffer.len() {
            let mut buffer =
                if needed <= buffers::SIZE { buffers::take() } else { vec![0; needed] };
            buffer[..self.len].copy_from_slice(&self.buffer[..self.len]);
            self.replace(buffer);
        }
    }

    fn replace(&mut self, buffer: Vec<u8>) {
        let old = std::mem::replace(&mut self.buffer, buffer);
        if old.len() == buffers::SIZE {
            buffers::give_back(old);
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.replace(Vec::new());
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod hostile;
