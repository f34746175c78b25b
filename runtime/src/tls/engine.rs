//! One TLS connection without I/O: ciphertext in, plaintext out, and the other way round.
//!
//! The bytes that the other end may make us hold are bounded. Before the handshake is done they are
//! its first [`HANDSHAKE_LIMIT`] bytes; after that one record, beside the bytes of one call.

use super::error::TlsError;
use super::records::{Incoming, OVERHEAD, Outgoing, Plain};
use super::settings::{ALPN, Accepted, ClientTls, ServerTls};
use crate::pipe::Peer;
use bytes::Bytes;
use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{CommonState, Error};
use std::collections::VecDeque;

/// The most bytes of the other end before the handshake is done. Honest ones are below 1,000.
pub(super) const HANDSHAKE_LIMIT: usize = 16 << 10;

/// The memory of a connection's own state in bytes, measured with 5,000 of them.
const STATE: usize = 8 << 10;

/// The size of an alert in bytes (RFC 8446, section 6).
const ALERT: usize = 2;

enum Connection {
    Client(Box<UnbufferedClientConnection>),
    Server(Box<UnbufferedServerConnection>),
}

pub(super) struct Engine {
    connection: Connection,
    accepted: Accepted,
    /// The peer, once the handshake is done.
    peer: Option<Peer>,
    failed: bool,
    /// How many bytes have come in before the handshake was done.
    handshake_bytes: usize,
    /// The other end has said that no more follows.
    ended: bool,
    incoming: Incoming,
    plain: VecDeque<Bytes>,
    out: Outgoing,
}

/// The answer of rustls to the bytes that have come in.
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
    pub(super) fn client(tls: &ClientTls) -> Result<Engine, TlsError> {
        Ok(Self::new(Connection::Client(Box::new(tls.connection()?)), tls.accepted()))
    }

    /// The end that has accepted.
    pub(super) fn server(tls: &ServerTls) -> Result<Engine, TlsError> {
        Ok(Self::new(Connection::Server(Box::new(tls.connection()?)), tls.accepted()))
    }

    fn new(connection: Connection, accepted: Accepted) -> Engine {
        Engine {
            connection,
            accepted,
            handshake_bytes: 0,
            peer: None,
            failed: false,
            ended: false,
            incoming: Incoming::default(),
            plain: VecDeque::new(),
            out: Outgoing::default(),
        }
    }

    /// Whether the handshake is done: each end has shown the other a key that it accepts.
    pub(super) fn is_open(&self) -> bool {
        self.peer.is_some()
    }

    /// Whether the other end has said that no more follows what was received.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Takes what came in. After an error the connection can only send what is in [`Engine::out`].
    pub(super) fn receive(&mut self, chunk: &[u8]) -> Result<(), TlsError> {
        if !self.is_open() {
            if self.handshake_bytes > HANDSHAKE_LIMIT {
                return Err(TlsError::TooLong);
            }
            self.handshake_bytes += chunk.len();
        }
        self.incoming.append(chunk);
        let advanced = self.advance();
        self.incoming.shrink();
        advanced
    }

    pub(super) fn advance(&mut self) -> Result<(), TlsError> {
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
                    // The alert for the other end is fetched now. Later bytes are ignored.
                    while self.common().wants_write() && self.step(&mut plain).is_ok() {}
                    break Err(error.into());
                }
            }
        };
        self.failed = result.is_err();
        self.plain.extend(plain.finish());
        result
    }

    fn common(&self) -> &CommonState {
        match &self.connection {
            Connection::Client(connection) => connection,
            Connection::Server(connection) => connection,
        }
    }

    fn step(&mut self, plain: &mut Plain) -> Result<Step, Error> {
        let (incoming, out, ended) = (self.incoming.rest(), &mut self.out, &mut self.ended);
        let (discard, step) = match &mut self.connection {
            Connection::Client(connection) => {
                digest(connection.process_tls_records(incoming), plain, out, ended)
            }
            Connection::Server(connection) => {
                digest(connection.process_tls_records(incoming), plain, out, ended)
            }
        };
        self.incoming.discard(discard);
        step
    }

    /// The handshake may be done. ALPN is not left to TLS: that lets a side pass that lacks it.
    fn opened(&mut self) -> Result<(), TlsError> {
        if self.is_open() {
            return Ok(());
        }
        let common = self.common();
        if common.alpn_protocol() != Some(ALPN) {
            return Err(TlsError::NoCommonProtocol);
        }
        let shown = common.peer_certificates().and_then(|shown| shown.first());
        self.peer = shown.and_then(|shown| self.accepted.find(shown));
        if self.is_open() { Ok(()) } else { Err(TlsError::UnknownKey) }
    }

    pub(super) fn peer(&self) -> Option<&Peer> {
        self.peer.as_ref()
    }

    /// Whether nothing waits to be sent, not even what TLS itself has to say.
    pub(super) fn is_empty(&self) -> bool {
        self.out.rest().is_empty()
    }

    pub(super) fn take_plain(&mut self, max: usize) -> Option<Bytes> {
        let front = self.plain.front_mut()?;
        if front.len() > max {
            return Some(front.split_to(max));
        }
        self.plain.pop_front()
    }

    /// Makes a record of at most [`MAX_RECORD`](super::records::MAX_RECORD) bytes, once open.
    pub(super) fn encrypt(&mut self, plain: &[u8]) -> Result<(), TlsError> {
        self.write(&Job::Encrypt(plain), plain.len())
    }

    /// Says that no more follows. To be called once [`Engine::is_open`].
    pub(super) fn finish(&mut self) -> Result<(), TlsError> {
        self.write(&Job::Finish, 0)
    }

    fn write(&mut self, job: &Job<'_>, payload: usize) -> Result<(), TlsError> {
        let mut size = payload + OVERHEAD + ALERT;
        let mut plain = Plain::default();
        // To find that new keys come first, to find how much room is needed, to do it.
        for _ in 0..4 {
            let (incoming, out, ended) = (self.incoming.rest(), &mut self.out, &mut self.ended);
            let (discard, written) = match &mut self.connection {
                Connection::Client(connection) => attempt(
                    connection.process_tls_records(incoming),
                    job,
                    size,
                    &mut plain,
                    out,
                    ended,
                ),
                Connection::Server(connection) => attempt(
                    connection.process_tls_records(incoming),
                    job,
                    size,
                    &mut plain,
                    out,
                    ended,
                ),
            };
            self.incoming.discard(discard);
            match written? {
                Some(Ok(())) => {
                    self.out.record(payload);
                    self.plain.extend(plain.finish());
                    return Ok(());
                }
                Some(Err(EncryptError::InsufficientSize(error))) => size = error.required_size,
                Some(Err(EncryptError::EncryptExhausted)) => break,
                None => {}
            }
        }
        Err(TlsError::Other("nothing more can be encrypted".into()))
    }

    pub(super) fn held(&self) -> usize {
        self.out.held()
    }

    pub(super) fn memory(&self) -> usize {
        let plain: usize = self.plain.iter().map(Bytes::len).sum();
        STATE + self.incoming.memory() + plain + self.out.memory()
    }

    pub(super) fn out(&mut self) -> &mut Outgoing {
        &mut self.out
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
                Err(EncodeError::InsufficientSize(error)) => error.required_size,
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

#[cfg(test)]
mod entry;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod keyed_peer;
#[cfg(test)]
mod talk;
