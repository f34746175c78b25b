//! `--http-status`: the state of this process over HTTP, for a person, for programs and for
//! monitoring.
//!
//! A connection carries one request. Its head, its time and the number of connections are bounded,
//! and a newcomer takes the place of the oldest. So slow readers keep nobody out, and cost nothing
//! but their sockets. Nothing runs while nobody asks.

mod answer;
mod metrics;
mod pages;
mod request;

use crate::events;
use crate::failure::Failure;
use crate::log::Log;
use crate::service::{Connections, within};
use crate::sockets::Sockets;
use crate::state::Running;
use crate::unfinished::{Lost, Place, Unfinished};
use answer::Answer;
use pages::Pages;
use request::{MAX_HEAD, Names, Request};
use smol::Task;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use striper_runtime::local::Executor;
use striper_runtime::{Event, Limits, Listener, Pipe, PipeExt, Received, TcpPipe};

/// The most connections at a time. A browser has 6, and a program that scrapes has one.
const MOST: usize = 32;
/// The time for a connection, and for the head of its request.
const LIMIT: Duration = Duration::from_secs(30);
const HEAD_LIMIT: Duration = Duration::from_secs(5);
/// The time for a refusal to arrive.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A port that is there already. Callers wait until it is served.
pub(crate) struct Port(Rc<Listener>);

/// Ends the service when it is dropped.
pub(crate) struct Served {
    _task: Task<()>,
}

/// Listens on the address, if there is one.
pub(crate) async fn listen(
    address: Option<SocketAddr>,
    sockets: &Sockets,
    events: &Rc<dyn Fn(Event)>,
) -> Result<Option<Port>, Failure> {
    let Some(address) = address else { return Ok(None) };
    let mut listener = sockets.listen(address, None, events).await?;
    listener.keep_spare(Limits::default().spare_files);
    let listener = Rc::new(listener);
    sockets.keep(address.to_string(), &listener);
    Ok(Some(Port(listener)))
}

impl Port {
    /// Serves pages until the result is dropped.
    pub(crate) fn serve(
        self,
        ex: &Executor,
        log: &Log,
        told: &events::Connections,
        running: &Running,
        connections: &Connections,
    ) -> Served {
        let here = self.0.local_addr();
        announce(log, here);
        let names = if events::is_public(here.ip()) { Names::All } else { Names::Local };
        let pages = Rc::new(Pages::new(running.clone(), connections.clone()));
        let serving = Serving { names, pages, told: told.clone() };
        let (inner, listener) = (ex.clone(), self.0);
        let task = ex.spawn(async move {
            let open = Unfinished::new(MOST, LIMIT);
            loop {
                let (pipe, from) = listener.accept().await;
                inner.spawn(serving.clone().serve(pipe, from, open.begin())).detach();
            }
        });
        Served { _task: task }
    }
}

fn announce(log: &Log, here: SocketAddr) {
    let fields = [("listen", here.to_string().into())];
    log.info("http_status", format!("the state is at http://{here}/"), &fields);
    if events::is_public(here.ip()) {
        let text = format!(
            "any machine that can reach {here} can read the state of this program, with addresses \
             and names of keys; use a bare port to keep it to this machine"
        );
        log.warn("public", text, &fields);
    }
}

#[derive(Clone)]
struct Serving {
    names: Names,
    pages: Rc<Pages>,
    told: events::Connections,
}

impl Serving {
    async fn serve(self, mut pipe: TcpPipe, from: SocketAddr, place: Place) {
        if let Err(lost) = place.keep(self.exchange(&mut pipe, from)).await {
            pipe.abort();
            self.tell(
                from,
                &match lost {
                    Lost::Late => {
                        format!("it has not taken its answer within {} s", LIMIT.as_secs())
                    }
                    Lost::Displaced => format!("it was the oldest of more than {MOST}"),
                },
            );
        }
    }

    /// Hears a request and answers it.
    async fn exchange(&self, pipe: &mut TcpPipe, from: SocketAddr) {
        let heard = within(HEAD_LIMIT, hear(pipe, self.names)).await;
        let refusal = match heard {
            Some(None) => return,
            Some(Some(Ok(Request { path, head_only }))) => {
                return say(pipe, &self.pages.get(&path), head_only).await;
            }
            Some(Some(Err(refusal))) => refusal,
            None => {
                let text = format!("no complete request within {} s", HEAD_LIMIT.as_secs());
                self.tell(from, &text);
                Answer::line("408 Request Timeout", &text)
            }
        };
        within(LAST_WORDS, say(pipe, &refusal, false)).await;
    }

    fn tell(&self, from: SocketAddr, why: &str) {
        let fields = [("from", from.to_string().into()), ("reason", why.into())];
        self.told.http_lost(format!("{from} asked for the state, and was cut off: {why}"), &fields);
    }
}

/// A request, or the answer to a wrong one; none if the connection ends before.
async fn hear(pipe: &mut TcpPipe, names: Names) -> Option<Result<Request, Answer>> {
    let mut input = Vec::new();
    loop {
        let room = MAX_HEAD - input.len();
        let Ok(Received::Chunk(chunk)) = poll_fn(|cx| pipe.poll_recv(cx, room)).await else {
            return None;
        };
        input.extend_from_slice(&chunk);
        // Only a new line can complete a head. So one that comes byte by byte costs no more.
        if input.len() < MAX_HEAD && !chunk.contains(&b'\n') {
            continue;
        }
        match request::read(&input, names) {
            Ok(None) => {}
            Ok(Some(request)) => return Some(Ok(request)),
            Err(answer) => return Some(Err(answer)),
        }
    }
}

/// Sends an answer and waits until it has arrived: closing at once could destroy it. A caller that
/// goes on to send is cut off.
async fn say(pipe: &mut TcpPipe, answer: &Answer, head_only: bool) {
    let said = async {
        pipe.send(answer.head().as_bytes()).await?;
        if !head_only {
            pipe.send(&answer.body).await?;
        }
        pipe.finish().await
    };
    let said_all = said.await.is_ok();
    let mut more = MAX_HEAD;
    while said_all && more > 0 {
        let Ok(Received::Chunk(chunk)) = pipe.recv().await else { return };
        more = more.saturating_sub(chunk.len());
    }
}
