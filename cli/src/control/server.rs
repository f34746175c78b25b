//! Answers requests on the control socket. Nothing happens while nobody asks.

use super::place;
use super::request::{self, MAX_FLOWS, MAX_REQUEST, Request};
use super::subject::Subject;
use crate::args::Control;
use crate::clock;
use crate::failure::{Failure, code};
use crate::log::Log;
use crate::service::within;
use crate::socket::UnixSocket;
use crate::sockets::Sockets;
use crate::state::Role;
use async_net::unix::UnixStream;
use smol::Task;
use smol::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use std::cell::Cell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};
use striper_runtime::Limits;
use striper_runtime::local::Executor;

/// The most clients at a time. A new one takes the place of the oldest.
const CLIENTS: usize = 16;

/// How long a client may say nothing.
const SILENCE: Duration = Duration::from_secs(60);

/// How long a client may take to read an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The bytes behind a request that is too long, which are read and dropped.
const MAX_REST: u64 = 1 << 20;

/// States take at most one part in this many of the time, however often they are asked for.
const SHARE: u32 = 100;

/// Before the next try when the system can't accept.
const PAUSE: Duration = Duration::from_millis(100);

/// The socket of a process, which is removed when this is dropped.
pub(crate) struct Socket(Rc<UnixSocket>);

impl Socket {
    /// Listens where the options say. A socket that is not named is not needed for a start: the log
    /// says at its lowest level why there is none.
    pub(crate) fn bind(
        control: &Control,
        role: Role,
        sockets: &Sockets,
        log: &Log,
    ) -> Result<Option<Self>, Failure> {
        let socket = match control {
            Control::Off => return Ok(None),
            Control::At(path) => {
                place::check(path)?;
                UnixSocket::bind(path, Some(sockets))
            }
            Control::Somewhere => {
                let path = place::own(role, &|name| std::env::var_os(name));
                let path = path
                    .map_err(|cause| Failure { code: code::BIND, ..Failure::unexpected(cause) });
                path.and_then(|path| UnixSocket::bind(&path, None))
            }
        };
        match socket {
            Ok(socket) => {
                let path = socket.path().display().to_string();
                log.debug("control", format!("control socket: {path}"), &[("path", path.into())]);
                let socket = Rc::new(socket);
                if matches!(control, Control::At(_)) {
                    sockets.keep(socket.path().display().to_string(), &socket);
                }
                Ok(Some(Socket(socket)))
            }
            Err(failure) if matches!(control, Control::At(_)) => Err(failure),
            Err(failure) => {
                log.debug("no_control", format!("no control socket: {failure}"), &[]);
                Ok(None)
            }
        }
    }

    /// Answers until another process has the socket, or the sockets are dropped.
    pub(crate) fn serve(
        self,
        ex: &Executor,
        sockets: &Sockets,
        subject: Subject,
    ) -> Option<Task<()>> {
        let desk =
            Rc::new(Desk { subject, turn: smol::lock::Mutex::new(()), free: Cell::new(None) });
        let (is_shared, task) = (self.0.is_shared(), ex.spawn(accept(self.0, ex.clone(), desk)));
        if is_shared {
            sockets.hold(task);
            return None;
        }
        Some(task)
    }
}

async fn accept(socket: Rc<UnixSocket>, ex: Executor, desk: Rc<Desk>) {
    let spare = Limits::default().spare_files;
    let mut clients: VecDeque<Task<()>> = VecDeque::new();
    loop {
        let Ok(client) = socket.accept(spare).await else {
            smol::Timer::after(PAUSE).await;
            continue;
        };
        clients.retain(|client| !client.is_finished());
        if clients.len() == CLIENTS {
            clients.pop_front();
        }
        clients.push_back(ex.spawn(desk.clone().attend(client)));
    }
}

struct Desk {
    subject: Subject,
    /// Clients look at the state one after another.
    turn: smol::lock::Mutex<()>,
    /// When the next one may.
    free: Cell<Option<Instant>>,
}

impl Desk {
    /// Answers a client until it leaves, says nothing for too long, or does not read.
    async fn attend(self: Rc<Self>, mut client: UnixStream) {
        let mut requests = BufReader::new(client.clone());
        while let Some(Ok(line)) = within(SILENCE, next_line(&mut requests)).await {
            let (answer, follow) = match &line {
                Line::Whole(line) => self.answer(line).await,
                Line::Long => (request::write::<()>(Err(request::too_long())), None),
                Line::None => return,
            };
            let sent = within(PATIENCE, client.write_all(&answer)).await;
            if let Some(request) = follow {
                self.subject.follow(&request);
            }
            if matches!(line, Line::Long) {
                // Otherwise the client would find a reset behind the answer.
                within(PATIENCE, smol::io::copy(requests.take(MAX_REST), smol::io::sink())).await;
                return;
            }
            if !matches!(sent, Some(Ok(()))) {
                return;
            }
        }
    }

    /// The answer to a request, and the request if it has been carried out.
    async fn answer(&self, line: &[u8]) -> (Vec<u8>, Option<Request>) {
        match request::read(line) {
            Ok(Request::Status { flows }) => (self.state(flows.min(MAX_FLOWS)).await, None),
            Ok(request) => {
                let done = self.subject.perform(&request).await;
                let carried_out = done.is_ok().then_some(request);
                (request::write(done), carried_out)
            }
            Err(failure) => (request::write::<()>(Err(failure)), None),
        }
    }

    /// The state as an answer. It becomes text in another thread: connections go on meanwhile.
    async fn state(&self, flows: usize) -> Vec<u8> {
        let _turn = self.turn.lock().await;
        if let Some(free) = self.free.get() {
            smol::Timer::at(free).await;
        }
        let begin = clock::now();
        let state = self.subject.running.state_with_flows(flows);
        let answer = smol::unblock(move || request::write(Ok(state))).await;
        self.free.set(Some(clock::now() + begin.elapsed() * SHARE));
        answer
    }
}

enum Line {
    /// Without its end.
    Whole(Vec<u8>),
    /// It has more bytes than a request may have.
    Long,
    /// There is none before the end.
    None,
}

async fn next_line(requests: &mut (impl AsyncBufRead + Unpin)) -> io::Result<Line> {
    let mut line = Vec::new();
    requests.take(MAX_REQUEST).read_until(b'\n', &mut line).await?;
    Ok(match line.pop_if(|last| *last == b'\n') {
        Some(_) => Line::Whole(line),
        None if line.len() as u64 == MAX_REQUEST => Line::Long,
        None => Line::None,
    })
}
