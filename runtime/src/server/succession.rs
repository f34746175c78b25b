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
    /// `None` once that process has gone.
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
    /// It takes the stripe. The future carries the stripe to it.
    Taken(Pin<Box<dyn Future<Output = ()>>>),
    /// It does not know the session, or has gone.
    Unknown(Box<dyn Pipe>),
    Refused(Box<dyn Pipe>, Refusal),
}

/// Offers a stripe whose client has said `hello` and then `rest` to a predecessor. Only a session
/// that it knows counts, so the stripe may join and does not create.
pub(super) async fn offer(
    predecessor: &dyn Predecessor,
    from: SocketAddr,
    mut pipe: Box<dyn Pipe>,
    hello: &Hello,
    rest: &Bytes,
) -> Answer {
    let key = pipe.info().peer.map(|peer| peer.key);
    let Some(mut there) = predecessor.call(PassedOn { from, key }).await else {
        return Answer::Unknown(pipe);
    };
    let offered = Hello { kind: HelloKind::Join, ..hello.clone() };
    let answered = match say(&mut *there, &offered).await {
        Ok(()) => hear(&mut *there).await.ok(),
        Err(_) => None,
    };
    let (answer, first) = match answered {
        None => return Answer::Unknown(pipe),
        Some((Hello { kind: HelloKind::Refuse(Refusal::UnknownSession), .. }, _)) => {
            return Answer::Unknown(pipe);
        }
        Some((Hello { kind: HelloKind::Refuse(refusal), .. }, _)) => {
            return Answer::Refused(pipe, refusal);
        }
        Some(accepted) => accepted,
    };
    let rest = rest.clone();
    Answer::Taken(Box::pin(async move {
        let begin = async {
            say(&mut *pipe, &answer).await?;
            pipe.send(&first).await?;
            there.send(&rest).await
        };
        if begin.await.is_ok() {
            bridge(&mut *pipe, &mut *there).await;
        }
    }))
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
