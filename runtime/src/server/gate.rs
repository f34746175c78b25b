//! The stripe port: whoever calls must say HELLO soon, and is then handed to its session or told
//! why not.
//!
//! Strangers cost little: each has a time limit and a size limit, and their number is bounded.

use super::sessions::{Ports, Sessions};
use super::succession::{Answer, Introduced, PassedOn, offer};
use crate::admission::patience::Patience;
use crate::admission::strangers::{Spoken, Strangers};
use crate::driver::{HearError, hear, say};
use crate::handover::{Receiver, Sender, oneshot};
use crate::pipe::{Pipe, Received};
use crate::ports::clock::{Clock, sleep_until};
use crate::ports::{Listen, Spawn};
use crate::report::StripeRefusal;
use crate::tls::{PlainSpeech, TlsPipe};
use bytes::Bytes;
use smol::future::{or, yield_now};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::time::Duration;
use striper_core::wire::MAGIC;
use striper_core::{HandshakeError, Hello, HelloKind, Instant, Refusal, SessionId, StripeId};

/// How long a predecessor may take to say whether it has the session of a client that may create
/// it. Without an answer the session is new.
const ANSWER_TIME: Duration = Duration::from_secs(1);

/// How long a caller that was refused may take to hear why.
const REFUSAL_TIME: Duration = Duration::from_secs(1);

/// A caller, and whether it has been reported: it keeps its place while it hears why it is refused.
struct Caller {
    from: SocketAddr,
    server: Weak<Sessions>,
    reported: Cell<bool>,
}

impl Caller {
    /// It is turned away. Only the first reason is reported.
    fn turned_away(&self, error: StripeRefusal) {
        if self.reported.replace(true) {
            return;
        }
        if let Some(server) = self.server.upgrade() {
            server.turned_away(self.from, error);
        }
    }
}

enum Next {
    Caller(Box<dyn Pipe>, SocketAddr),
    Port(Box<dyn Listen>),
    End,
}

pub(super) struct Gate {
    clock: Rc<dyn Clock>,
    spawn: Spawn,
    server: Weak<Sessions>,
    /// The callers that have not said HELLO. Dropping a sender ends its task.
    strangers: Strangers<(Sender<()>, Rc<Caller>)>,
    /// From where somebody has joined since the last call.
    joined: Rc<RefCell<Vec<IpAddr>>>,
}

impl Gate {
    pub(super) fn new(clock: Rc<dyn Clock>, spawn: Spawn, server: Weak<Sessions>) -> Self {
        Gate { clock, spawn, server, strangers: Strangers::default(), joined: Rc::default() }
    }

    /// Lets callers in until `closed` says otherwise: at the port that has come last from `ports`.
    /// Troubles with that are told to `patience`.
    pub(super) async fn run(
        mut self,
        mut listen: Box<dyn Listen>,
        ports: Rc<Ports>,
        patience: Patience,
        mut closed: Receiver<()>,
    ) {
        loop {
            let accept = async {
                let (pipe, from) = patience.accept(&*self.clock, || listen.try_accept()).await;
                Next::Caller(pipe, from)
            };
            let moving = async { Next::Port(poll_fn(|cx| ports.poll_pop(cx)).await) };
            let closing = async {
                (&mut closed).await;
                Next::End
            };
            let (pipe, from) = match or(closing, or(moving, accept)).await {
                Next::Caller(pipe, from) => (pipe, from),
                Next::Port(port) => {
                    listen = port;
                    continue;
                }
                Next::End => return,
            };
            let Some(limits) = self.server.upgrade().map(|server| server.limits()) else { return };
            self.strangers.allow(limits.handshakes, limits.handshakes_per_address);
            self.strangers.retain(|(task, _)| task.is_awaited());
            self.joined.take().into_iter().for_each(|from| self.strangers.note_join(from));
            let (task, displaced) = oneshot();
            let server = self.server.clone();
            let caller = Rc::new(Caller { from, server, reported: Cell::new(false) });
            let (spoken, stranger) = (Spoken::default(), (task, caller.clone()));
            let chance = || caller.server.upgrade().map_or(0, |server| server.chance());
            let loser = self.strangers.admit(from.ip(), spoken.clone(), stranger, chance);
            if let Some((task, other)) = loser {
                drop(task);
                other.turned_away(StripeRefusal::Crowded);
            }
            let Some(pipe) = self.secured(pipe, spoken) else { continue };
            let until = self.clock.now() + limits.handshake_time;
            let (clock, joined) = (self.clock.clone(), self.joined.clone());
            (self.spawn)(Box::pin(async move {
                let mut displaced = displaced;
                let gone = async {
                    (&mut displaced).await;
                };
                let welcome = async {
                    if welcome(&*clock, &caller, pipe, until).await {
                        joined.borrow_mut().push(from.ip());
                    }
                };
                or(gone, welcome).await;
            }));
            // Earlier callers get their turn before the next: most have said HELLO already.
            yield_now().await;
        }
    }

    /// The caller's pipe, with TLS if callers need a key and the listener has not seen to that.
    fn secured(&self, pipe: Box<dyn Pipe>, spoken: Spoken) -> Option<Box<dyn Pipe>> {
        match self.server.upgrade()?.tls() {
            _ if pipe.info().peer.is_some() => Some(pipe),
            None => Some(pipe),
            Some(tls) => {
                let pipe = TlsPipe::server(pipe, &tls).ok()?;
                Some(Box::new(pipe.answering(plain_speech()).noting(spoken)))
            }
        }
    }
}

fn plain_speech() -> PlainSpeech {
    let kind = HelloKind::Refuse(Refusal::KeyNeeded);
    let hello = Hello { kind, session: SessionId([0; 16]), stripe: StripeId(0), gone: Vec::new() };
    PlainSpeech { magic: MAGIC, answer: hello.encode() }
}

/// Hears a caller's HELLO in time, and hands the pipe on or says no. Says whether it has joined.
async fn welcome(clock: &dyn Clock, caller: &Caller, pipe: Box<dyn Pipe>, until: Instant) -> bool {
    let mut pipe = pipe;
    let heard = or(async { Some(hear(&mut *pipe).await) }, async {
        sleep_until(clock, until).await;
        None
    });
    let mut refused = None;
    let error = match heard.await {
        // It may have failed long ago, and only wait for the caller to hear that.
        None => match pipe.check().map_err(HearError::from) {
            Err(HearError::Tls(error)) => StripeRefusal::Tls(error),
            _ => StripeRefusal::Stalled,
        },
        Some(Err(HearError::Tls(error))) => StripeRefusal::Tls(error),
        Some(Err(HearError::Closed)) => StripeRefusal::Closed,
        Some(Err(HearError::Broken(kind))) => StripeRefusal::Broken(kind),
        Some(Err(HearError::Handshake(error))) => {
            let refusal = match error {
                // The first bytes of a HELLO, alike in all versions, tell the client ours.
                HandshakeError::Version { .. } => Some(Refusal::Version),
                HandshakeError::Tls => Some(Refusal::NoKey),
                _ => None,
            };
            if let Some(refusal) = refusal {
                refused = Some((pipe, SessionId([0; 16]), StripeId(0), refusal));
            }
            StripeRefusal::Handshake(error)
        }
        Some(Ok((hello, rest))) => {
            let (session, stripe) = (hello.session, hello.stripe);
            let Some(server) = caller.server.upgrade() else { return false };
            match admit(clock, &server, caller.from, until, pipe, hello, rest).await {
                Ok(()) => return true,
                Err((pipe, refusal)) => {
                    refused = Some((pipe, session, stripe, refusal));
                    StripeRefusal::Refused(refusal)
                }
            }
        }
    };
    caller.turned_away(error);
    if let Some((pipe, session, stripe, refusal)) = refused {
        refuse(clock, pipe, session, stripe, refusal).await;
    }
    false
}

/// Takes a stripe into its session, here or in the process that this one replaces.
async fn admit(
    clock: &dyn Clock,
    server: &Rc<Sessions>,
    from: SocketAddr,
    until: Instant,
    pipe: Box<dyn Pipe>,
    hello: Hello,
    rest: Bytes,
) -> Result<(), (Box<dyn Pipe>, Refusal)> {
    let Some(predecessor) = server.predecessor_for(&*pipe, &hello) else {
        return server.admit(pipe, hello, rest);
    };
    // Without an answer, a client that knows that its session exists dials again.
    let until = match hello.kind {
        HelloKind::Create => until.min(clock.now() + ANSWER_TIME),
        _ => until,
    };
    let key = pipe.info().peer.map(|peer| peer.key);
    let offered = offer(&*predecessor, PassedOn { from, key }, &hello);
    let late = async {
        sleep_until(clock, until).await;
        None
    };
    match or(offered, late).await {
        Some(Answer::Taken(place)) => {
            server.spawn(Box::pin(place.carry(pipe, rest)));
            Ok(())
        }
        None if hello.kind == HelloKind::Join => Ok(()),
        Some(Answer::Unknown) | None => server.admit(pipe, hello, rest),
        Some(Answer::Refused(refusal)) => Err((pipe, refusal)),
    }
}

/// A caller whom another process has let in by its key.
pub(super) fn welcome_passed(
    server: &Rc<Sessions>,
    PassedOn { from, key }: PassedOn,
    pipe: Box<dyn Pipe>,
) {
    let pipe: Box<dyn Pipe> = match (server.tls(), key) {
        (None, None) => pipe,
        (Some(tls), Some(key)) => match tls.peer(&key) {
            Some(peer) => Box::new(Introduced { pipe, peer }),
            None => return,
        },
        _ => return,
    };
    let caller = Caller { from, server: Rc::downgrade(server), reported: Cell::new(false) };
    let clock = server.clock();
    let until = clock.now() + server.handshake_time();
    server.spawn(Box::pin(async move {
        welcome(&*clock, &caller, pipe, until).await;
    }));
}

/// Says no, and waits a little for the caller to hear it: closing with bytes unread would cut it.
async fn refuse(
    clock: &dyn Clock,
    mut pipe: Box<dyn Pipe>,
    session: SessionId,
    stripe: StripeId,
    refusal: Refusal,
) {
    let hello = Hello { kind: HelloKind::Refuse(refusal), session, stripe, gone: Vec::new() };
    let saying = async {
        say(&mut *pipe, &hello).await?;
        poll_fn(|cx| pipe.poll_finish(cx)).await?;
        while let Received::Chunk(_) = poll_fn(|cx| pipe.poll_recv(cx, 4096)).await? {
            // A caller that sends for ever must not keep the others, and the clock, waiting.
            yield_now().await;
        }
        std::io::Result::Ok(())
    };
    let _ = or(saying, async {
        sleep_until(clock, clock.now() + REFUSAL_TIME).await;
        Ok(())
    })
    .await;
}
