//! `-D`: each connection names its target by SOCKS or HTTP.

use super::reached::Reached;
use super::unfinished::Place;
use super::{Inside, Names};
use crate::log::Level;
use crate::service::{Entry, within};
use bytes::{Buf, Bytes};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use striper_runtime::local::Requested;
use striper_runtime::ways::{Body, Failure, Handshake, Request, Step, WayError};
use striper_runtime::{FlowEnd, FlowReport, Pipe, PipeExt, PipeInfo, Received, Target, TcpPipe};

/// The time for a handshake.
const LIMIT: Duration = Duration::from_secs(10);
/// The time for the last words to reach a program that was refused.
const LAST_WORDS: Duration = Duration::from_secs(2);
const GONE: &str = "it ended in its handshake";
/// How often a program that waits for its target is asked whether it is still there.
const CHECK: Duration = Duration::from_millis(500);

pub(super) async fn serve(
    inside: Inside,
    reached: Reached,
    (by, place): (Handshake, Place),
    (mut pipe, from): (TcpPipe, SocketAddr),
    entry: Entry,
) {
    let from = from.to_string();
    let told = inside.told.clone();
    let not_named = |why: &str| {
        let Names { name, fields } = Names::new(&entry, &from, &Target::Default);
        told.refused(format!("{name} named no target: {why}"), &fields);
    };
    let (request, rest) = match named(by, place, &mut pipe).await {
        Ok(named) => named,
        Err(Unnamed { answer, why }) => {
            not_named(&why);
            return dismiss(pipe, &answer).await;
        }
    };
    let Request { target, dialect, first, mut body } = request;
    let (early, surplus) = match begin(first, rest, &mut body) {
        Ok(begun) => begun,
        Err(error) => {
            not_named(&error.to_string());
            return dismiss(pipe, &dialect.refused(Failure::Other)).await;
        }
    };
    let target = Target::Host(target);
    let names = Names::new(&entry, &from, &target);
    told.opened(&names.name, &names.fields);
    let onward = move |pipe: TcpPipe| -> Box<dyn Pipe> {
        match body {
            Body::Endless => Box::new(pipe),
            body => Box::new(OneRequest { pipe, body, surplus }),
        }
    };
    let mut requested = inside.client.request(target.clone(), early);
    let waits = !dialect.accepted().is_empty();
    if waits && inside.client.takes_flows() && reached.is_recent(&target) {
        let report = carry(requested, pipe, &dialect.accepted(), onward).await;
        if matches!(report.end, FlowEnd::Refused(_) | FlowEnd::NoSession(_)) {
            reached.note(&target, false);
        }
        return told.ended(&names.name, entry.number, &report);
    }
    let answer = smol::future::or(async { Some(requested.accepted().await) }, async {
        gone(&mut pipe).await;
        None
    });
    match answer.await {
        None => {
            drop(requested);
            let text = format!("{} gave up before its target answered", names.name);
            told.gone(Level::Info, text, &names.fields);
        }
        Some(Err(report)) => {
            told.ended(&names.name, entry.number, &report);
            dismiss(pipe, &dialect.refused(Failure::of(&report.end))).await;
        }
        Some(Ok(())) => {
            reached.note(&target, true);
            let report = carry(requested, pipe, &dialect.accepted(), onward).await;
            told.ended(&names.name, entry.number, &report);
        }
    }
}

/// A program that has named no target, and the last words for it; none if it is gone.
struct Unnamed {
    answer: Vec<u8>,
    why: String,
}

fn unnamed(why: &str) -> Unnamed {
    Unnamed { answer: Vec::new(), why: why.to_owned() }
}

/// The request, and the bytes after it, if they come in time.
async fn named(
    by: Handshake,
    place: Place,
    pipe: &mut TcpPipe,
) -> Result<(Request, Bytes), Unnamed> {
    let displaced = async {
        place.displaced().await;
        Err(unnamed("too many others were in their handshakes"))
    };
    let named = within(LIMIT, smol::future::or(handshake(by, pipe), displaced)).await;
    named.unwrap_or_else(|| Err(unnamed("its handshake took longer than 10 s")))
}

/// The request, and the bytes after it.
async fn handshake(
    mut handshake: Handshake,
    pipe: &mut TcpPipe,
) -> Result<(Request, Bytes), Unnamed> {
    let mut input = Vec::new();
    loop {
        match handshake.step(&input) {
            Step::More => match pipe.recv().await {
                Ok(Received::Chunk(chunk)) => input.extend_from_slice(&chunk),
                Ok(Received::Fin) | Err(_) => return Err(unnamed(GONE)),
            },
            Step::Say { used, bytes } => {
                input.drain(..used);
                pipe.send(&bytes).await.map_err(|_| unnamed(GONE))?;
            }
            Step::Request { used, request } => {
                return Ok((request, Bytes::from(input.split_off(used))));
            }
            Step::Fail { bytes, error } => {
                return Err(Unnamed { answer: bytes, why: error.to_string() });
            }
        }
    }
}

/// The first bytes for the target, and whether later ones are for another.
fn begin(first: Vec<u8>, mut rest: Bytes, body: &mut Body) -> Result<(Bytes, bool), WayError> {
    let passes = body.passes(&rest)?;
    let surplus = passes < rest.len();
    rest.truncate(passes);
    let early = if first.is_empty() { rest } else { [first, rest.to_vec()].concat().into() };
    Ok((early, surplus))
}

async fn carry(
    requested: Requested,
    mut pipe: TcpPipe,
    accepted: &[u8],
    onward: impl FnOnce(TcpPipe) -> Box<dyn Pipe>,
) -> FlowReport {
    if !accepted.is_empty() && pipe.send(accepted).await.is_err() {
        pipe.abort();
    }
    requested.carry(onward(pipe)).await
}

/// Says last words and waits until they have arrived: closing at once could destroy them.
async fn dismiss(mut pipe: TcpPipe, bytes: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    within(LAST_WORDS, async {
        if pipe.send(bytes).await.is_ok() && pipe.finish().await.is_ok() {
            while matches!(pipe.recv().await, Ok(Received::Chunk(_))) {}
        }
    })
    .await;
}

/// Waits until the program has broken its connection. A program that has only finished may still
/// read.
async fn gone(pipe: &mut TcpPipe) {
    while pipe.check().is_ok() {
        smol::Timer::after(CHECK).await;
    }
}

/// A connection of which the target gets one plain HTTP request, and no later one, since that may
/// be for another target. The origin closes after its answer, as it was told.
struct OneRequest {
    pipe: TcpPipe,
    body: Body,
    /// Bytes behind the request have come with it. The rest waits until the answer has ended.
    surplus: bool,
}

impl Pipe for OneRequest {
    /// A program that sends more after its request has its answer, as a rule, and uses the
    /// connection again. A break makes it dial anew.
    fn poll_recv(&mut self, cx: &mut Context<'_>, max: usize) -> Poll<io::Result<Received>> {
        if self.surplus {
            return Poll::Pending;
        }
        match ready!(self.pipe.poll_recv(cx, max))? {
            Received::Fin => Poll::Ready(Ok(Received::Fin)),
            Received::Chunk(mut chunk) => {
                let passes = self.body.passes(&chunk);
                let passes = passes.map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
                if passes == 0 {
                    return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
                }
                self.surplus = passes < chunk.len();
                chunk.truncate(passes);
                Poll::Ready(Ok(Received::Chunk(chunk)))
            }
        }
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
        self.pipe.info()
    }
}
