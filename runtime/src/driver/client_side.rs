//! The client's side of a session: dials, keys, and what it knows of its server.

use super::agenda::{Agenda, Kind};
use super::attempt::{Attempt, CONNECT_LIMIT, Greeted};
use super::base::Base;
use super::dialler::{Dialler, Plan};
use super::engine::Engine;
use super::ready::Token;
use super::stripes::Stripes;
use crate::pipe::Pipe;
use crate::ports::{self, Dial, DialError};
use crate::report::{Event, OpenError};
use crate::target::HostPort;
use crate::tls::keys::Keys;
use crate::tls::{Accepted, ClientTls, PlainSpeech, TlsError, TlsPipe};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use striper_core::wire::MAGIC;
use striper_core::{HandshakeError, HelloKind, Input, Instant, Refusal, SessionId, StripeId};

pub(crate) struct Dialling {
    pub dial: Rc<dyn Dial>,
    pub servers: Vec<HostPort>,
    /// How long a flow waits for a first stripe.
    pub connect_timeout: Duration,
    pub entropy: Rc<dyn Fn() -> u64>,
    pub tls: Option<ClientTls>,
}

/// A failed dial: to which of the server's addresses, when it began, and what went wrong.
pub(super) type Failed = (usize, Instant, DialError);

/// The part of a pump that only a client has.
pub(crate) struct ClientSide {
    dial: Rc<dyn Dial>,
    pub(crate) dialler: Dialler,
    attempts: BTreeMap<Token, Box<Attempt>>,
    next_stripe: u64,
    connect_timeout: Duration,
    entropy: Rc<dyn Fn() -> u64>,
    /// The keys of this session's stripes, if they are encrypted, and those of the next session's.
    tls: Option<ClientTls>,
    next_tls: Option<ClientTls>,
    /// The keys that are accepted now, if stripes are encrypted.
    allowed: Option<Accepted>,
    /// The server has said that it stops, or has ended the last session.
    pub(super) server_stopped: bool,
    /// The server has said that it doesn't know the session.
    pub(super) forgotten: bool,
}

impl ClientSide {
    pub(crate) fn new(dialling: Dialling) -> Self {
        let Dialling { dial, servers, connect_timeout, entropy, tls } = dialling;
        let for_dials = entropy.clone();
        ClientSide {
            dial,
            dialler: Dialler::new(servers, Box::new(move || for_dials())),
            attempts: BTreeMap::new(),
            next_stripe: 0,
            connect_timeout,
            entropy,
            allowed: tls.as_ref().map(ClientTls::accepted),
            tls,
            next_tls: None,
            server_stopped: false,
            forgotten: false,
        }
    }

    pub(crate) fn fresh_id(&self) -> SessionId {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&(self.entropy)().to_be_bytes());
        id[8..].copy_from_slice(&(self.entropy)().to_be_bytes());
        SessionId(id)
    }

    /// Its settings for TLS with other keys, if it has any.
    pub(crate) fn tls_with(&self, keys: &Keys) -> Option<ClientTls> {
        self.tls.as_ref().map(|tls| tls.with_keys(keys))
    }

    /// Sets the keys from the next session on; from now on if the server is shown the same key.
    pub(crate) fn set_tls(&mut self, tls: ClientTls) {
        self.allowed = Some(tls.accepted());
        let same = self.tls.as_ref().is_some_and(|now| now.shown() == tls.shown());
        (self.next_tls, self.tls) =
            if same { (None, Some(tls)) } else { (Some(tls), self.tls.take()) };
    }

    pub(crate) fn set_connect_timeout(&mut self, limit: Duration) {
        self.connect_timeout = limit;
    }

    pub(crate) fn has_new_keys(&self) -> bool {
        self.next_tls.is_some()
    }

    /// The cause of a flow that has waited in vain for a session.
    pub(crate) fn lack(&self) -> OpenError {
        if self.server_stopped { OpenError::ServerStopping } else { OpenError::TimedOut }
    }

    /// A flow waits for a session from now on. Until when.
    pub(crate) fn hurry(&mut self, now: Instant) -> Instant {
        self.dialler.hurry(now);
        now + self.connect_timeout
    }

    /// Dials missing stripes. `urgent`: flows wait without a stripe. Gives when to look next.
    pub(crate) fn dial(
        &mut self,
        now: Instant,
        urgent: bool,
        agenda: &mut Agenda,
    ) -> Option<Instant> {
        loop {
            match self.dialler.plan(now, urgent) {
                Plan::Dial(server) => self.dial_one(server, now, agenda),
                Plan::Wait(at) => return Some(at),
                Plan::Rest => return None,
            }
        }
    }

    fn dial_one(&mut self, server: usize, now: Instant, agenda: &mut Agenda) {
        let stripe = StripeId(self.next_stripe);
        self.next_stripe += 1;
        self.dialler.dialled(server, now);
        let dialling = self.dial.dial(self.dialler.address(server), CONNECT_LIMIT);
        let dialling = match self.tls.clone() {
            Some(tls) => secured(dialling, tls),
            None => dialling,
        };
        let (token, waker) = agenda.register(Kind::Dial);
        let attempt = Attempt::new(server, stripe, dialling, waker, now);
        self.attempts.insert(token, Box::new(attempt));
        agenda.again(token);
    }

    /// Goes on with a dial. Gives its outcome once it is over, unless no stripe is wanted any more.
    pub(crate) fn step_dial(
        &mut self,
        token: Token,
        base: &mut Base,
    ) -> Option<Result<(usize, Greeted), Failed>> {
        let attempt = self.attempts.get_mut(&token)?;
        let session = base.engine.session();
        let Poll::Ready(result) = attempt.poll(base.engine.now(), |stripe| session.hello(stripe))
        else {
            base.agenda.at(attempt.until, token);
            return None;
        };
        let attempt = self.attempts.remove(&token)?;
        base.agenda.release(token);
        let result = result.and_then(|greeted| {
            // Keys may have been replaced since the dial began.
            let is_allowed = self.allowed.as_ref().is_none_or(|allowed| {
                greeted.pipe.info().peer.is_some_and(|peer| allowed.has(&peer.key))
            });
            let hello = &greeted.hello;
            match hello.kind {
                _ if !is_allowed => Err(DialError::Tls(TlsError::UnknownKey)),
                HelloKind::Refuse(refusal) => Err(DialError::Refusal(refusal)),
                HelloKind::Accept { .. }
                    if hello.session == session.id() && hello.stripe == attempt.stripe =>
                {
                    Ok(greeted)
                }
                _ => Err(DialError::Handshake(HandshakeError::Malformed)),
            }
        });
        let server = attempt.server;
        let greeted = match result {
            Ok(greeted) => greeted,
            Err(cause) => return Some(Err((server, attempt.begun, cause))),
        };
        if !self.dialler.wants_any() {
            self.dialler.dropped(server);
            return None;
        }
        if self.dialler.succeeded(server) {
            let server = self.dialler.address(server).clone();
            base.engine.tell(Event::PeerReached { server });
        }
        Some(Ok((server, greeted)))
    }

    /// A dial has failed. Why flows need not wait for a session, if they need not.
    pub(crate) fn dial_failed(
        &mut self,
        failed: Failed,
        stripes: &Stripes,
        engine: &mut Engine,
    ) -> Option<DialError> {
        let (server, begun, cause) = failed;
        let dialler = &mut self.dialler;
        if stripes.established && cause == DialError::Refusal(Refusal::UnknownSession) {
            dialler.dropped(server);
            self.forgotten = true;
            engine.defer(Input::Abort);
            return None;
        }
        let now = engine.now();
        self.server_stopped |= cause == DialError::Refusal(Refusal::Draining);
        let (past, news) = dialler.failed(server, begun, &cause, self.server_stopped, now);
        let is_up = !stripes.is_empty();
        let refusal = dialler.refusal(now).filter(|_| !is_up).cloned();
        // Our session's key may have been dropped over there, and we have another one by now.
        if self.next_tls.is_some() && !is_up && cause == DialError::Tls(TlsError::KeyRefused) {
            engine.defer(Input::Abort);
        }
        let server = dialler.address(server).clone();
        engine.tell(Event::PeerUnreachable { server, cause, past, news });
        refusal
    }

    /// The session has ended: gives up all dials, and another one counts its stripes anew.
    pub(crate) fn drop_dials(&mut self, agenda: &mut Agenda) {
        for (token, attempt) in std::mem::take(&mut self.attempts) {
            self.dialler.dropped(attempt.server);
            agenda.release(token);
        }
        self.dialler.want(0);
        self.next_stripe = 0;
    }

    /// Another session begins, with the keys that were set meanwhile. Its id.
    pub(crate) fn begin_session(&mut self) -> SessionId {
        if self.next_tls.is_some() {
            self.tls = self.next_tls.take();
        }
        self.fresh_id()
    }

    #[cfg(any(test, feature = "testing"))]
    pub(crate) fn check_invariants(&self, stripes: usize, agenda: &Agenda) -> usize {
        let dials = self.attempts.len();
        assert_eq!(self.dialler.counts(), (dials, stripes), "dials and stripes by address");
        let all_known = self.attempts.keys().all(|token| agenda.kind(*token) == Some(Kind::Dial));
        assert!(all_known, "a dial's token belongs to something else");
        dials
    }
}

fn secured(dialling: ports::Dialling, tls: ClientTls) -> ports::Dialling {
    Box::pin(async move {
        let pipe = TlsPipe::client(dialling.await?, &tls).map_err(DialError::Tls)?;
        let plain = PlainSpeech { magic: MAGIC, answer: Bytes::new() };
        Ok(Box::new(pipe.answering(plain)) as Box<dyn Pipe>)
    })
}

#[cfg(test)]
mod tests {
    use super::super::testing::{ID, base};
    use super::*;
    use crate::pipe::PipeExt;
    use crate::pipe::memory::{MemoryPipe, memory_pipe};
    use crate::tls::keys::{Key, KeyKind};
    use std::cell::RefCell;
    use striper_core::{Hello, Role};

    /// Every address answers at once that it accepts this stripe, or never anything.
    struct Answering {
        stripe: Option<StripeId>,
        ends: Rc<RefCell<Vec<MemoryPipe>>>,
    }

    impl Dial for Answering {
        fn dial(&self, _: &HostPort, _: Duration) -> ports::Dialling {
            let (Some(stripe), ends) = (self.stripe, self.ends.clone()) else {
                return Box::pin(std::future::pending());
            };
            Box::pin(async move {
                let (pipe, mut server) = memory_pipe();
                let kind = HelloKind::Accept { instance: 1 };
                let hello = Hello { kind, session: ID, stripe, gone: Vec::new() };
                server.send(&hello.encode()).await?;
                ends.borrow_mut().push(server);
                Ok(Box::new(pipe) as Box<dyn Pipe>)
            })
        }
    }

    fn client(answer: Option<u64>, wanted: usize, tls: Option<ClientTls>) -> ClientSide {
        let dial = Answering { stripe: answer.map(StripeId), ends: Rc::default() };
        let mut client = ClientSide::new(Dialling {
            dial: Rc::new(dial),
            servers: vec![HostPort::new("server", 1)],
            connect_timeout: Duration::from_secs(1),
            entropy: Rc::new(|| 0),
            tls,
        });
        client.dialler.want(wanted);
        client
    }

    #[test]
    fn dials_that_are_given_up_leave_nothing() {
        let (mut client, mut base) = (client(None, 2, None), base(Role::Client));
        client.dial(base.engine.now(), false, &mut base.agenda);
        assert_eq!((client.check_invariants(0, &base.agenda), base.agenda.len()), (2, 2));
        assert!(base.agenda.gather());
        let token = base.agenda.next().unwrap();
        assert!(client.step_dial(token, &mut base).is_none());
        assert!(base.agenda.next_time().is_some(), "it must not hang for ever");
        client.drop_dials(&mut base.agenda);
        assert_eq!((client.check_invariants(0, &base.agenda), base.agenda.len()), (0, 0));
        assert!(!client.dialler.wants_any());
    }

    #[test]
    fn a_server_must_accept_the_stripe_that_was_dialled() {
        for (answer, accepted) in [(0, true), (1, false)] {
            let (mut client, mut base) = (client(Some(answer), 1, None), base(Role::Client));
            client.dial(base.engine.now(), false, &mut base.agenda);
            assert!(base.agenda.gather());
            let token = base.agenda.next().unwrap();
            let outcome = client.step_dial(token, &mut base).expect("it has answered");
            let stripe = outcome.map(|(_, greeted)| greeted.hello.stripe).map_err(|(.., why)| why);
            let other = DialError::Handshake(HandshakeError::Malformed);
            assert_eq!(stripe, if accepted { Ok(StripeId(0)) } else { Err(other) });
            assert_eq!(base.agenda.len(), 0);
        }
    }

    fn tls(key: &Key) -> ClientTls {
        ClientTls::new(&Keys::shared("key", key.clone()).unwrap())
    }

    #[test]
    fn a_new_key_is_for_the_next_session_and_the_same_key_for_this_one() {
        let [old, new] = [(); 2].map(|()| Key::generate(KeyKind::Shared).unwrap());
        let mut client = client(None, 0, Some(tls(&old)));
        let shown = |client: &ClientSide| client.tls.as_ref().map(ClientTls::shown);
        client.set_tls(tls(&new));
        assert_eq!(shown(&client), Some(tls(&old).shown()));
        assert!(client.has_new_keys());
        client.set_tls(tls(&old));
        assert!(!client.has_new_keys(), "it goes back to the key of this session");
        client.set_tls(tls(&new));
        client.begin_session();
        assert_eq!(shown(&client), Some(tls(&new).shown()));
        assert!(!client.has_new_keys());
    }
}
