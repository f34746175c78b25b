//! A server on a thread of its own.

use super::Worker;
use crate::flow::Flow;
use crate::handover::{Receiver, Sender, oneshot};
use crate::local::{self, Executor, ServerOptions};
use crate::pipe::memory::memory_pipe;
use crate::pipe::{PeerName, Pipe};
use crate::record::Traces;
use crate::report::{Event, FlowReport, Status};
use crate::settings::StartError;
use crate::target::{HostPort, Opening, Target};
use crate::tcp::congestion::CongestionChoice;
use crate::tcp::dial::dial_tcp;
use crate::tls::keys::Keys;
use crate::{DialError, Limits};
use smol::LocalExecutor;
use smol::channel;
use smol::future::{block_on, or};
use std::fmt;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::Duration;
use striper_core::{Config, Reason};

/// How long a target may take to answer.
const DIAL_LIMIT: Duration = Duration::from_secs(10);

/// Settings of a [`Server`], which [`ServerBuilder::bind`] starts.
#[must_use]
pub struct ServerBuilder {
    addr: SocketAddr,
    options: ServerOptions,
    target: Option<HostPort>,
    events: Option<Box<dyn Fn(Event) + Send>>,
}

impl fmt::Debug for ServerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

impl ServerBuilder {
    /// The keys of the clients that may call. Without, every client may, and nothing is encrypted.
    pub fn keys(mut self, keys: Keys) -> Self {
        self.options.keys = Some(keys);
        self
    }

    /// Connects each flow to this address, on the server's thread. [`Server::accept`] then has
    /// nothing to give. A flow for another target is refused.
    pub fn forward_to(mut self, target: impl Into<HostPort>) -> Self {
        self.target = Some(target.into());
        self
    }

    /// The bounds of what strangers and peers may cost.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.options.limits = limits;
        self
    }

    /// The congestion control of stripes; it follows the route unless told otherwise.
    pub fn congestion(mut self, congestion: CongestionChoice) -> Self {
        self.options.congestion = congestion;
        self
    }

    /// All settings of a session. The memory limit is that of all sessions together.
    pub fn session(mut self, session: Config) -> Self {
        self.options.session = session;
        self
    }

    /// Records the sessions.
    pub fn traces(mut self, traces: Arc<Traces>) -> Self {
        self.options.traces = Some(traces);
        self
    }

    /// Hears of events on the server's thread. It must neither block nor own a clone of the server.
    pub fn on_event(mut self, listener: impl Fn(Event) + Send + 'static) -> Self {
        self.events = Some(Box::new(listener));
        self
    }

    /// Listens, and starts the server's thread.
    pub fn bind(self) -> Result<Server, StartError> {
        let ServerBuilder { addr, options, target, events } = self;
        let (offers, incoming) = channel::unbounded();
        let begin = async move |ex: &Executor| {
            let events = events.map(|listener| Rc::new(listener) as Rc<dyn Fn(Event)>);
            let server = local::Server::bind(ex, addr, options, events).await?;
            ex.spawn(attend(Rc::downgrade(ex), server.clone(), target, offers)).detach();
            Ok(server)
        };
        let worker = Worker::start("striper-server", begin)?;
        let addr = block_on(worker.ask(async move |server| server.local_addr())).unwrap_or(addr);
        Ok(Server { worker, incoming, addr })
    }
}

/// Answers each flow that a client opens: connects it to `target`, or offers it to the handles.
async fn attend(
    ex: Weak<LocalExecutor<'static>>,
    server: local::Server,
    target: Option<HostPort>,
    offers: channel::Sender<Incoming>,
) {
    loop {
        let incoming = server.accept().await;
        // The executor owns this task, so the task must not own it.
        let Some(ex) = ex.upgrade() else { return };
        if let Some(target) = &target {
            ex.spawn(forward(incoming, target.clone())).detach();
            continue;
        }
        let (answer, answered) = oneshot();
        let (opening, peer) = (incoming.opening().clone(), incoming.peer());
        let offer = Incoming { opening, peer, answer: Some(answer), keep: None };
        // The limit of flows without an answer bounds the queue.
        let _ = offers.try_send(offer);
        ex.spawn(wait_for_answer(incoming, answered)).detach();
    }
}

async fn gone<T>(incoming: &mut local::Incoming) -> Option<T> {
    incoming.unwanted().await;
    None
}

async fn forward(mut incoming: local::Incoming, target: HostPort) {
    if *incoming.target() != Target::Default {
        return incoming.refuse(Reason::NotAllowed);
    }
    let room = incoming.ensure_room().map_err(DialError::from);
    let dial = async {
        match room {
            Ok(()) => Some(dial_tcp(&target, DIAL_LIMIT).await),
            Err(error) => Some(Err(error)),
        }
    };
    match or(gone(&mut incoming), dial).await {
        Some(Ok(pipe)) => drop(incoming.carry(Box::new(pipe)).await),
        Some(Err(error)) => incoming.refuse(error.reason()),
        None => {}
    }
}

async fn wait_for_answer(mut incoming: local::Incoming, answered: Receiver<Answer>) {
    match or(gone(&mut incoming), answered).await {
        Some(Answer::Carry(pipe, report)) => incoming.attach(pipe, report),
        Some(Answer::Refuse(reason)) => incoming.refuse(reason),
        None => {}
    }
}

enum Answer {
    Carry(Box<dyn Pipe + Send>, Sender<FlowReport>),
    Refuse(Reason),
}

/// A flow that a client opened. Answer it; dropped, it is refused.
///
/// The bytes that the client sends meanwhile are kept, within its credit.
pub struct Incoming {
    opening: Opening,
    peer: Option<PeerName>,
    answer: Option<Sender<Answer>>,
    keep: Option<Arc<dyn Send + Sync>>,
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("opening", &self.opening).finish_non_exhaustive()
    }
}

impl Incoming {
    /// The words of the client: the target, and the program's addresses.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// The target that the client names.
    pub fn target(&self) -> &Target {
        &self.opening.target
    }

    /// The client's name, if clients need a key.
    pub fn peer(&self) -> Option<&PeerName> {
        self.peer.as_ref()
    }

    /// Accepts the flow, for use in this process.
    pub fn accept(self) -> Flow {
        let (inner, outer) = memory_pipe();
        let keep = self.keep.clone();
        let flow = Flow::new(outer, self.answer_with(inner));
        match keep {
            Some(keep) => flow.keeping(keep),
            None => flow,
        }
    }

    /// Accepts the flow, carries `local` over it, and says how that went when it has ended. The
    /// bytes stay on the server's thread. Dropping the future of this does not end the flow.
    pub async fn carry(self, local: impl Pipe + Send + 'static) -> FlowReport {
        self.answer_with(local).await.unwrap_or_else(FlowReport::stopped)
    }

    /// Tells the client that its target can't be reached.
    pub fn refuse(mut self, reason: Reason) {
        if let Some(answer) = self.answer.take() {
            answer.send(Answer::Refuse(reason));
        }
    }

    fn answer_with(mut self, local: impl Pipe + Send + 'static) -> Receiver<FlowReport> {
        let (report, reported) = oneshot();
        if let Some(answer) = self.answer.take() {
            answer.send(Answer::Carry(Box::new(local), report));
        }
        reported
    }
}

/// Accepts stripes, and hands out the flows that clients open. Clones are the same server.
///
/// It has a thread of its own and works from every thread and executor. The thread ends when the
/// last clone and the last [`Flow`] have been dropped: it delivers what finished flows have sent,
/// for at most 5 s. [`shutdown`](Server::shutdown) waits for that.
#[derive(Clone)]
pub struct Server {
    worker: Worker<local::Server>,
    incoming: channel::Receiver<Incoming>,
    addr: SocketAddr,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Server {
    /// A server that listens at `addr`.
    pub fn builder(addr: impl Into<SocketAddr>) -> ServerBuilder {
        let (addr, options) = (addr.into(), ServerOptions::default());
        ServerBuilder { addr, options, target: None, events: None }
    }

    /// The address where stripes are expected.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The next flow that a client opened; none after the server has stopped.
    pub async fn accept(&self) -> Option<Incoming> {
        loop {
            let mut incoming = self.incoming.recv().await.ok()?;
            // Otherwise the client has given it up meanwhile.
            if incoming.answer.as_ref().is_some_and(Sender::is_awaited) {
                incoming.keep = Some(self.worker.keep());
                return Some(incoming);
            }
        }
    }

    /// [`accept`](Server::accept) for a program that blocks.
    pub fn accept_blocking(&self) -> Option<Incoming> {
        block_on(self.accept())
    }

    /// The server's state now; nothing once it has stopped.
    pub async fn status(&self) -> Status {
        self.worker.ask(async move |server| server.status()).await.unwrap_or_default()
    }

    /// From now on these keys decide which clients may call. Sessions of keys that are no longer
    /// among them end at once. Has no effect on a server that was started without.
    pub fn set_keys(&self, keys: Keys) {
        self.worker.tell(move |server| server.set_keys(keys));
    }

    /// Takes no more sessions or flows, lets them end within `drain`, resets the rest and stops.
    pub async fn shutdown(&self, drain: Duration) {
        self.worker.stop(drain).await;
    }

    /// [`shutdown`](Server::shutdown) for a program that blocks.
    pub fn shutdown_blocking(&self, drain: Duration) {
        block_on(self.shutdown(drain));
    }
}
