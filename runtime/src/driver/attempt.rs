//! A stripe on its way: connecting, then saying HELLO.

use super::greet::{HearError, hear, say};
use crate::pipe::Pipe;
use crate::ports::{DialError, Dialling};
use bytes::Bytes;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use striper_core::{Hello, Instant, StripeId};

pub(super) const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// How long the other side may take to say HELLO once connected.
pub(super) const HANDSHAKE_LIMIT: Duration = Duration::from_secs(5);

/// A dial and what is needed to make it a stripe.
pub(super) struct Attempt {
    /// The place of its address among the server's.
    pub server: usize,
    pub stripe: StripeId,
    pub begun: Instant,
    /// When the present phase has taken too long.
    pub until: Instant,
    waker: Waker,
    phase: Phase,
}

enum Phase {
    Connecting(Dialling),
    Greeting(Greeting),
}

type Greeting = Pin<Box<dyn Future<Output = Result<Greeted, DialError>>>>;

/// A pipe on which both sides have said HELLO.
pub(crate) struct Greeted {
    pub pipe: Box<dyn Pipe>,
    pub hello: Hello,
    /// The bytes behind the HELLO.
    pub rest: Bytes,
}

impl Attempt {
    pub(super) fn new(
        server: usize,
        stripe: StripeId,
        dialling: Dialling,
        waker: Waker,
        now: Instant,
    ) -> Self {
        let until = now + CONNECT_LIMIT;
        Attempt { server, stripe, begun: now, until, waker, phase: Phase::Connecting(dialling) }
    }

    /// Goes on. `hello` is asked once connected.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        hello: impl FnOnce(StripeId) -> Hello,
    ) -> Poll<Result<Greeted, DialError>> {
        let mut cx = Context::from_waker(&self.waker);
        if let Phase::Connecting(dialling) = &mut self.phase {
            match dialling.as_mut().poll(&mut cx) {
                Poll::Ready(Ok(pipe)) => {
                    self.until = now + HANDSHAKE_LIMIT;
                    self.phase = Phase::Greeting(Box::pin(greet(pipe, hello(self.stripe))));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if now >= self.until => return Poll::Ready(Err(DialError::TimedOut)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let Phase::Greeting(greeting) = &mut self.phase else { return Poll::Pending };
        match greeting.as_mut().poll(&mut cx) {
            Poll::Pending if now >= self.until => Poll::Ready(Err(DialError::NoHello)),
            other => other,
        }
    }
}

async fn greet(mut pipe: Box<dyn Pipe>, hello: Hello) -> Result<Greeted, DialError> {
    say(&mut *pipe, &hello).await.map_err(|error| failed(HearError::from(error)))?;
    let (hello, rest) = hear(&mut *pipe).await.map_err(failed)?;
    Ok(Greeted { pipe, hello, rest })
}

fn failed(error: HearError) -> DialError {
    match error {
        HearError::Tls(error) => DialError::Tls(error),
        HearError::Handshake(error) => DialError::Handshake(error),
        HearError::Closed => DialError::Closed,
        HearError::Broken(kind) => broken(kind),
    }
}

fn broken(kind: io::ErrorKind) -> DialError {
    match kind {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => DialError::Closed,
        _ => DialError::from(io::Error::from(kind)),
    }
}
