//! `-D`: each connection names its target by SOCKS or HTTP.

use super::arrival::Arrival;
use super::reached::Reached;
use super::{Inside, handshakes, named};
use crate::events::Named;
use crate::service::{Entry, within};
use crate::unfinished::{Lost, Place};
use bytes::{Buf, Bytes};
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use striper_runtime::local::Requested;
use striper_runtime::ways::{Body, Failure, Handshake, Request, Step, WayError};
use striper_runtime::{FlowEnd, Opening, Pipe, PipeExt, PipeInfo, Received, Target, TcpPipe};

/// The time for the last words to reach a program that was refused.
const LAST_WORDS: Duration = Duration::from_secs(2);
const GONE: &str = "it ended in its handshake";
/// How often a program that waits for its target is asked whether it is still there.
const CHECK: Duration = Duration::from_millis(500);

/// Serves one connection. The handshake is in a box that goes with it: an idle connection must not
/// keep the room for that.
pub(super) fn serve(
    inside: Inside,
    reached: Reached,
    by: (Handshake, Place),
    arrival: Arrival,
    entry: Entry,
) -> impl Future<Output = ()> {
    let told = inside.told.clone();
    let number = entry.number();
    let begun = Box::pin(begin(inside, reached.clone(), by, arrival, number));
    async move {
        let Some(Begun { requested, pipe, named, on_trust }) = begun.await else { return };
        let report = requested.carry(pipe).await;
        if matches!(report.end, FlowEnd::Refused(_) | FlowEnd::NoSession(_))
            && let Some(target) = on_trust
        {
            reached.note(&target, false);
        }
        told.ended(&named, &report);
        drop(entry);
    }
}

/// A connection whose program has been told that its target was reached.
struct Begun {
    requested: Requested,
    pipe: Box<dyn Pipe>,
    named: Named,
    /// The target, if that was only reached of late.
    on_trust: Option<Target>,
}

/// Hears the target and asks for it. If nothing comes of it, the program and the log know why.
async fn begin(
    inside: Inside,
    reached: Reached,
    (by, place): (Handshake, Place),
    mut arrival: Arrival,
    number: u64,
) -> Option<Begun> {
    let told = &inside.told;
    let heard = heard(by, place, &mut arrival).await;
    let from = arrival.from().to_string();
    let Arrival { mut pipe, addresses, .. } = arrival;
    let not_named = |why: &str| {
        let named = named(number, from.clone(), &Target::Default);
        told.refused(format!("{named} named no target: {why}"), &named, why);
    };
    let (request, rest) = match heard {
        Ok(heard) => heard,
        Err(Unnamed { answer, why }) => {
            not_named(&why);
            dismiss(pipe, &answer).await;
            return None;
        }
    };
    let Request { target, dialect, first, mut body } = request;
    let (early, surplus) = match split(first, rest, &mut body) {
        Ok(split) => split,
        Err(error) => {
            not_named(&error.to_string());
            dismiss(pipe, &dialect.refused(Failure::Other)).await;
            return None;
        }
    };
    let target = Target::Host(target);
    let named = inside.opened(number, from, &target);
    let opening = Opening::from(target.clone()).of_program(addresses).labelled(number);
    let mut requested = inside.client.request(opening, early);
    let waits = dialect.accepted().is_empty() || !inside.client.takes_flows();
    let on_trust = !waits && reached.is_recent(&target);
    if !on_trust {
        let answer = smol::future::or(async { Some(requested.accepted().await) }, async {
            gone(&mut pipe).await;
            None
        });
        match answer.await {
            None => {
                told.unwanted(&named, format!("{named} gave up before its target answered"));
                return None;
            }
            Some(Err(report)) => {
                told.ended(&named, &report);
                dismiss(pipe, &dialect.refused(Failure::of(&report.end))).await;
                return None;
            }
            Some(Ok(())) => reached.note(&target, true),
        }
    }
    let accepted = dialect.accepted();
    if !accepted.is_empty() && pipe.send(&accepted).await.is_err() {
        pipe.abort();
    }
    let pipe: Box<dyn Pipe> = match body {
        Body::Endless => Box::new(pipe),
        body => Box::new(OneRequest { pipe, body, surplus }),
    };
    Some(Begun { requested, pipe, named, on_trust: on_trust.then_some(target) })
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
async fn heard(
    mut by: Handshake,
    place: Place,
    arrival: &mut Arrival,
) -> Result<(Request, Bytes), Unnamed> {
    let talk = async {
        arrival.read_header().await.map_err(|why| unnamed(&why))?;
        handshake(&mut by, &mut arrival.pipe).await
    };
    let lost = match place.keep(talk).await {
        Ok(heard) => return heard,
        Err(lost) => lost,
    };
    let answer = if lost == Lost::Late { by.late() } else { Vec::new() };
    Err(Unnamed { answer, why: handshakes::why(lost) })
}

/// The request, and the bytes after it.
async fn handshake(
    handshake: &mut Handshake,
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
fn split(first: Vec<u8>, mut rest: Bytes, body: &mut Body) -> Result<(Bytes, bool), WayError> {
    let passes = body.passes(&rest)?;
    let surplus = passes < rest.len();
    rest.truncate(passes);
    let early = if first.is_empty() { rest } else { [first, rest.to_vec()].concat().into() };
    Ok((early, surplus))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::{any, room};

    #[test]
    fn an_idle_connection_does_not_keep_the_room_that_its_handshake_took() {
        let room = room(|| serve(any(), any(), any(), any(), any()));
        assert!(room <= 400, "{room}");
    }
}
