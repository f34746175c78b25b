//! A server that another process replaces without a cut.
//!
//! The new process listens. The old one keeps its sessions, and each ends once it carries nothing.
//! A stripe of such a session reaches the new process, which passes it on to the old one.

use crate::bridge::bridge;
use crate::driver::{hear, say};
use crate::pipe::{Peer, Pipe, PipeExt, PipeInfo, PublicKey, Received};
use bytes::{Buf, Bytes};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use striper_core::{Hello, HelloKind, Refusal};

/// The server of the process that this one replaces.
pub trait Predecessor {
    /// A pipe to it. Its other end is for [`Server::welcome`](crate::local::Server::welcome) there.
    /// `None` if there is no pipe now: that process ends, or files are short.
    fn call(&self, caller: PassedOn) -> Calling<'_>;
}

/// A call to a predecessor under way.
pub type Calling<'a> = Pin<Box<dyn Future<Output = Option<Box<dyn Pipe>>> + 'a>>;

/// A caller that has proven its key to the process that passes it on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PassedOn {
    /// Its address.
    pub from: SocketAddr,
    /// Its key, if callers need one.
    pub key: Option<PublicKey>,
}

/// The answer of a predecessor to a stripe that was offered to it.
pub(super) enum Answer {
    /// It takes the stripe.
    Taken(Taken),
    /// It does not know the session.
    Unknown,
    Refused(Refusal),
}

/// A stripe's place in a session of the predecessor.
pub(super) struct Taken {
    there: Box<dyn Pipe>,
    answer: Hello,
    first: Bytes,
}

/// Offers a stripe whose client has said `hello` to a predecessor. Only a session that it knows
/// counts, so the stripe may join and does not create. `None` if there is no answer.
pub(super) async fn offer(
    predecessor: &dyn Predecessor,
    caller: PassedOn,
    hello: &Hello,
) -> Option<Answer> {
    let mut there = predecessor.call(caller).await?;
    let offered = Hello { kind: HelloKind::Join, ..hello.clone() };
    say(&mut *there, &offered).await.ok()?;
    let (answer, first) = hear(&mut *there).await.ok()?;
    Some(match answer.kind {
        HelloKind::Refuse(Refusal::UnknownSession) => Answer::Unknown,
        HelloKind::Refuse(refusal) => Answer::Refused(refusal),
        _ => Answer::Taken(Taken { there, answer, first }),
    })
}

impl Taken {
    /// Carries a client's stripe, which begins with `rest`, until its end.
    pub(super) async fn carry(mut self, mut pipe: Box<dyn Pipe>, rest: Bytes) {
        let begin = async {
            say(&mut *pipe, &self.answer).await?;
            pipe.send(&self.first).await?;
            self.there.send(&rest).await
        };
        if begin.await.is_ok() {
            bridge(&mut *pipe, &mut *self.there).await;
        }
    }
}

/// A pipe to somebody whose key another process has checked.
pub(super) struct Introduced {
    pub(super) pipe: Box<dyn Pipe>,
    pub(super) peer: Peer,
}

impl Pipe for Introduced {
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        self.pipe.poll_recv(cx, max)
    }

    fn poll_send(&mut self, cx: &mut Context<'_>, data: &mut dyn Buf) -> Poll<io::Result<usize>> {
        self.pipe.poll_send(cx, data)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.poll_flush(cx)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.poll_finish(cx)
    }

    fn abort(&mut self) {
        self.pipe.abort();
    }

    fn check(&mut self) -> io::Result<()> {
        self.pipe.check()
    }

    fn info(&self) -> PipeInfo<'_> {
        PipeInfo { peer: Some(&self.peer), ..self.pipe.info() }
    }
}
