//! The client's dials under way: when to begin one is for the dialler to say, and each ends as a
//! stripe or as a failure.

use super::agenda::{Agenda, Kind};
use super::attempt::{Attempt, CONNECT_LIMIT, Greeted};
use super::base::Base;
use super::dialler::{Dialler, Plan};
use super::ready::Token;
use crate::pipe::Pipe;
use crate::ports::{Dial, DialError, Dialling};
use crate::target::HostPort;
use crate::tls::{Accepted, ClientTls, PlainSpeech, TlsError, TlsPipe};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::task::Poll;
use striper_core::wire::MAGIC;
use striper_core::{HandshakeError, HelloKind, Instant, StripeId};

pub struct Dials {
    dial: Rc<dyn Dial>,
    pub dialler: Dialler,
    attempts: BTreeMap<Token, Box<Attempt>>,
    next_stripe: u64,
}

/// A dial that has failed. The dialler is to be told.
pub struct Failed {
    pub server: usize,
    pub begun: Instant,
    pub cause: DialError,
}

/// What became of a dial to one of the server's addresses.
pub type Dialled = Result<(usize, Greeted), Failed>;

impl Dials {
    /// None yet. These are the server's addresses, at least one; `entropy` gives random numbers.
    pub fn new(
        dial: Rc<dyn Dial>,
        servers: Vec<HostPort>,
        entropy: Box<dyn FnMut() -> u64>,
    ) -> Self {
        let dialler = Dialler::new(servers, entropy);
        Dials { dial, dialler, attempts: BTreeMap::new(), next_stripe: 0 }
    }

    /// Begins the dials that are due, with `tls` on them if there is any. `urgent`: flows wait and
    /// no stripe lives. When to call again, if it is not known that there is no need.
    pub fn begin(
        &mut self,
        now: Instant,
        urgent: bool,
        tls: Option<&ClientTls>,
        agenda: &mut Agenda,
    ) -> Option<Instant> {
        loop {
            match self.dialler.plan(now, urgent) {
                Plan::Dial(server) => self.dial(server, now, tls.cloned(), agenda),
                Plan::Wait(at) => return Some(at),
                Plan::Rest => return None,
            }
        }
    }

    fn dial(&mut self, server: usize, now: Instant, tls: Option<ClientTls>, agenda: &mut Agenda) {
        let stripe = StripeId(self.next_stripe);
        self.next_stripe += 1;
        self.dialler.dialled(server, now);
        let dialling = self.dial.dial(self.dialler.address(server), CONNECT_LIMIT);
        let dialling = match tls {
            Some(tls) => secured(dialling, tls),
            None => dialling,
        };
        let (token, waker) = agenda.register(Kind::Dial);
        let attempt = Attempt::new(server, stripe, dialling, waker, now);
        self.attempts.insert(token, Box::new(attempt));
        agenda.again(token);
    }

    /// Goes on with a dial. What became of it once it is over; `allowed` are the keys of servers
    /// that are accepted now, if stripes are encrypted.
    pub fn step(
        &mut self,
        token: Token,
        allowed: Option<&Accepted>,
        base: &mut Base,
    ) -> Option<Dialled> {
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
            let is_allowed = allowed.is_none_or(|allowed| {
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
        let (server, begun) = (attempt.server, attempt.begun);
        Some(match result {
            Ok(greeted) => Ok((server, greeted)),
            Err(cause) => Err(Failed { server, begun, cause }),
        })
    }

    /// The session has ended: gives up all dials, and another one counts its stripes anew.
    pub fn drop_all(&mut self, agenda: &mut Agenda) {
        for (token, attempt) in std::mem::take(&mut self.attempts) {
            self.dialler.dropped(attempt.server);
            agenda.release(token);
        }
        self.dialler.want(0);
        self.next_stripe = 0;
    }

    /// Panics with a description if an invariant does not hold. Gives the number of tokens.
    #[cfg(any(test, feature = "testing"))]
    pub fn check_invariants(&self, stripes: usize, agenda: &Agenda) -> usize {
        let dials = self.attempts.len();
        assert_eq!(self.dialler.counts(), (dials, stripes), "dials and stripes by address");
        let all_known = self.attempts.keys().all(|token| agenda.kind(*token) == Some(Kind::Dial));
        assert!(all_known, "a dial's token belongs to something else");
        dials
    }
}

/// TLS on what comes of a dial.
fn secured(dialling: Dialling, tls: ClientTls) -> Dialling {
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
    use std::cell::RefCell;
    use std::time::Duration;
    use striper_core::{Hello, Role};

    /// Every address answers at once that it accepts this stripe, or never anything.
    struct Answering {
        stripe: Option<StripeId>,
        /// The server's ends.
        ends: Rc<RefCell<Vec<MemoryPipe>>>,
    }

    impl Dial for Answering {
        fn dial(&self, _: &HostPort, _: Duration) -> Dialling {
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

    fn dials(answer: Option<u64>, wanted: usize) -> Dials {
        let dial = Answering { stripe: answer.map(StripeId), ends: Rc::default() };
        let dial = Rc::new(dial);
        let mut dials = Dials::new(dial, vec![HostPort::new("server", 1)], Box::new(|| 0));
        dials.dialler.want(wanted);
        dials
    }

    #[test]
    fn dials_that_are_given_up_leave_nothing() {
        let (mut dials, mut base) = (dials(None, 2), base(Role::Client));
        dials.begin(base.engine.now(), false, None, &mut base.agenda);
        assert_eq!((dials.check_invariants(0, &base.agenda), base.agenda.len()), (2, 2));
        assert!(base.agenda.gather());
        let token = base.agenda.next().unwrap();
        assert!(dials.step(token, None, &mut base).is_none());
        assert!(base.agenda.next_time().is_some(), "it must not hang for ever");
        dials.drop_all(&mut base.agenda);
        assert_eq!((dials.check_invariants(0, &base.agenda), base.agenda.len()), (0, 0));
        assert!(!dials.dialler.wants_any());
    }

    #[test]
    fn a_server_must_accept_the_stripe_that_was_dialled() {
        for (answer, accepted) in [(0, true), (1, false)] {
            let (mut dials, mut base) = (dials(Some(answer), 1), base(Role::Client));
            dials.begin(base.engine.now(), false, None, &mut base.agenda);
            assert!(base.agenda.gather());
            let token = base.agenda.next().unwrap();
            let cause = match dials.step(token, None, &mut base).expect("it has answered") {
                Ok((_, greeted)) => {
                    assert_eq!(greeted.hello.stripe, StripeId(0));
                    None
                }
                Err(failed) => Some(failed.cause),
            };
            let other = DialError::Handshake(HandshakeError::Malformed);
            assert_eq!(cause, (!accepted).then_some(other));
            assert_eq!(base.agenda.len(), 0);
        }
    }
}
