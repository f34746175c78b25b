//! A client on a thread of its own.

use super::Worker;
use crate::flow::{BlockingFlow, Flow};
use crate::local::{self, ClientOptions};
use crate::pipe::Pipe;
use crate::record::Traces;
use crate::report::{Event, FlowReport, OpenError, Status};
use crate::settings::StartError;
use crate::target::{HostPort, Opening};
use crate::tcp::congestion::CongestionChoice;
use crate::tls::keys::Keys;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use striper_core::Config;

/// Settings of a [`Client`], which [`ClientBuilder::start`] starts.
#[must_use]
pub struct ClientBuilder {
    options: ClientOptions,
    events: Option<Box<dyn Fn(Event) + Send>>,
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.options.fmt(f)
    }
}

impl ClientBuilder {
    /// The keys to accept of the server and to show it. Without, stripes are not encrypted.
    pub fn keys(mut self, keys: Keys) -> Self {
        self.options.keys = Some(keys);
        self
    }

    /// The number of stripes, 1 to 64; 4 unless told otherwise.
    pub fn stripes(mut self, stripes: usize) -> Self {
        self.options.session.stripes = stripes;
        self
    }

    /// How long a flow waits for a first stripe before it fails; 10 s unless told otherwise.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.options.connect_timeout = limit;
        self
    }

    /// The congestion control of stripes; it follows the route unless told otherwise.
    pub fn congestion(mut self, congestion: CongestionChoice) -> Self {
        self.options.congestion = congestion;
        self
    }

    /// All settings of a session. Call [`stripes`](ClientBuilder::stripes) after this.
    pub fn session(mut self, session: Config) -> Self {
        self.options.session = session;
        self
    }

    /// Records the sessions.
    pub fn traces(mut self, traces: Arc<Traces>) -> Self {
        self.options.traces = Some(traces);
        self
    }

    /// Hears of events on the client's thread. It must neither block nor own a clone of the client.
    pub fn on_event(mut self, listener: impl Fn(Event) + Send + 'static) -> Self {
        self.events = Some(Box::new(listener));
        self
    }

    /// Starts the client's thread, which begins to dial the server and keeps trying.
    pub fn start(self) -> Result<Client, StartError> {
        let ClientBuilder { options, events } = self;
        let begin = async move |ex: &local::Executor| {
            let events = events.map(|listener| Rc::new(listener) as Rc<dyn Fn(Event)>);
            Ok(local::Client::start(ex, options, events)?)
        };
        Ok(Client { worker: Worker::start("striper-client", begin)? })
    }
}

/// A session with a server, shared by all flows. Clones are the same client.
///
/// It has a thread of its own and works from every thread and executor. The thread ends when the
/// last clone and the last [`Flow`] have been dropped: it delivers what finished flows have sent,
/// for at most 5 s. [`shutdown`](Client::shutdown) waits for that. The hop to the thread
/// adds about 17 µs to a round trip, and takes no throughput (loopback, `examples/hop.rs`).
#[derive(Clone)]
pub struct Client {
    worker: Worker<local::Client>,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client of the server with these addresses. Stripes are spread evenly over them.
    pub fn builder<S: Into<HostPort>>(servers: impl IntoIterator<Item = S>) -> ClientBuilder {
        let servers = servers.into_iter().map(Into::into).collect();
        ClientBuilder { options: ClientOptions::new(servers), events: None }
    }

    /// Opens a flow as soon as there is a session. It can be written to at once; if the server
    /// can't reach the target, the flow fails with that.
    pub async fn open(&self, opening: impl Into<Opening>) -> Result<Flow, OpenError> {
        let opening = opening.into();
        let opened = self.worker.ask(async move |client| client.open(opening).await).await;
        let flow = opened.unwrap_or(Err(OpenError::ShuttingDown))?;
        Ok(flow.keeping(self.worker.keep()))
    }

    /// [`open`](Client::open) for a program that blocks.
    pub fn open_blocking(&self, opening: impl Into<Opening>) -> Result<BlockingFlow, OpenError> {
        smol::future::block_on(self.open(opening)).map(Flow::into_blocking)
    }

    /// Carries `local` over a new flow, and says how that went when it has ended. The bytes stay on
    /// the client's thread. Dropping the future of this does not end the flow.
    pub async fn carry(
        &self,
        opening: impl Into<Opening>,
        local: impl Pipe + Send + 'static,
    ) -> FlowReport {
        let opening = opening.into();
        let carry = async move |client: local::Client| client.carry(opening, Box::new(local)).await;
        self.worker.ask(carry).await.unwrap_or_else(FlowReport::stopped)
    }

    /// Waits until a stripe is up.
    pub async fn ready(&self) -> Result<(), OpenError> {
        let ready = self.worker.ask(async move |client| client.ready().await).await;
        ready.unwrap_or(Err(OpenError::ShuttingDown))
    }

    /// The client's state now; nothing once it has stopped.
    pub async fn status(&self) -> Status {
        self.worker.ask(async move |client| client.status()).await.unwrap_or_default()
    }

    /// From now on these keys decide who is taken for the server. A session with a server whose key
    /// is no longer among them ends at once. Has no effect on a client that was started without.
    pub fn set_keys(&self, keys: Keys) {
        self.worker.tell(move |client| client.set_keys(&keys));
    }

    /// Opens no more flows, lets those there are end within `drain`, resets the rest and stops.
    pub async fn shutdown(&self, drain: Duration) {
        self.worker.stop(drain).await;
    }

    /// [`shutdown`](Client::shutdown) for a program that blocks.
    pub fn shutdown_blocking(&self, drain: Duration) {
        smol::future::block_on(self.shutdown(drain));
    }
}
