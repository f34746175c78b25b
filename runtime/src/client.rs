//! The client: one session with a server, shared by all flows.

use crate::driver::{self, Dialling, Origin, Pump, Token, Wanted};
use crate::events::Events;
use crate::flow::Flow;
use crate::handover::{Receiver, oneshot};
use crate::local::Executor;
use crate::pipe::Pipe;
use crate::pipe::memory::memory_pipe;
use crate::ports::Dial;
use crate::ports::clock::Clock;
use crate::record::Traces;
use crate::remote_listener::{Listeners, RemoteListener};
use crate::report::{Event, FlowReport, FlowStatus, OpenError, Status};
use crate::settings::{self, SettingsError};
use crate::system_clock::SystemClock;
use crate::target::{HostPort, Opening};
use crate::tcp::congestion::CongestionChoice;
use crate::tcp::dial::TcpDial;
use crate::tls::keys::Keys;
use crate::tls::{ClientTls, KeyLog, with_records};
use bytes::Bytes;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use striper_core::Config;
use striper_core::limits::INITIAL_FLOWS;

/// Settings of a [`Client`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientOptions {
    /// Where the server is. With several addresses the stripes are spread evenly over them.
    pub servers: Vec<HostPort>,
    /// The keys to accept of the server and to show it. Without, stripes are not encrypted.
    pub keys: Option<Keys>,
    /// Where the secrets of TLS go, if a user wants to decrypt the stripes.
    pub key_log: Option<Arc<KeyLog>>,
    /// Settings of each session. Those for flows of the other end matter if it `listens`.
    pub session: Config,
    /// Whether [`Client::listen`] is used, so that the server may open flows.
    pub listens: bool,
    /// How long a flow waits for a first stripe before it fails.
    pub connect_timeout: Duration,
    /// Where its sessions are recorded, if they are.
    pub traces: Option<Arc<Traces>>,
    /// The congestion control of stripes. [`Client::start_in`] leaves that to its dial.
    pub congestion: CongestionChoice,
}

impl ClientOptions {
    /// The addresses of the server, and defaults for all else.
    pub fn new(servers: Vec<HostPort>) -> Self {
        ClientOptions {
            servers,
            keys: None,
            key_log: None,
            session: Config::default(),
            listens: false,
            connect_timeout: Duration::from_secs(10),
            traces: None,
            congestion: CongestionChoice::default(),
        }
    }

    fn tls(&self) -> Option<ClientTls> {
        let tls = ClientTls::new(self.keys.as_ref()?);
        Some(self.key_log.iter().cloned().fold(tls, ClientTls::logging))
    }

    /// Whether all settings are within their ranges.
    pub fn check(&self) -> Result<(), SettingsError> {
        settings::at_least("servers.len()", self.servers.len(), 1)?;
        settings::time("connect_timeout", self.connect_timeout)?;
        settings::check_session(&self.session)
    }
}

/// A flow without a local pipe, until this is carried. Dropping it resets the flow.
pub struct Requested {
    pump: Rc<RefCell<Pump>>,
    /// The flow in the pump; none once it has a local pipe.
    token: Option<Token>,
    is_accepted: Receiver<()>,
    reported: Receiver<FlowReport>,
}

impl Requested {
    /// Waits until the server has reached the target. If it can't, says how the flow ended.
    pub async fn accepted(&mut self) -> Result<(), FlowReport> {
        if (&mut self.is_accepted).await.is_some() {
            return Ok(());
        }
        // Nothing is left in the pump: another flow may have its token.
        self.token = None;
        Err((&mut self.reported).await.unwrap_or_else(FlowReport::stopped))
    }

    /// Carries `local` over the flow, and says how that went when it has ended.
    pub async fn carry(mut self, mut local: Box<dyn Pipe>) -> FlowReport {
        if let Some(report) = self.reported.try_take() {
            self.token = None;
            local.abort();
            return report;
        }
        if let Some(token) = self.token.take() {
            self.pump.borrow_mut().join_flow(token, local);
        }
        (&mut self.reported).await.unwrap_or_else(FlowReport::stopped)
    }
}

impl Drop for Requested {
    fn drop(&mut self) {
        let ended = self.reported.try_take().is_some();
        if let Some(token) = self.token.take().filter(|_| !ended) {
            self.pump.borrow_mut().abandon_flow(token);
        }
    }
}

/// A handle to a client. Clones are the same client.
#[derive(Clone)]
pub struct Client {
    pump: Rc<RefCell<Pump>>,
    listeners: Rc<Listeners>,
}

impl Client {
    /// Starts to reach the server over TCP. `events` is called from a task and must not block.
    pub fn start(
        ex: &Executor,
        options: ClientOptions,
        events: Option<Rc<dyn Fn(Event)>>,
    ) -> Result<Client, SettingsError> {
        let entropy: Rc<dyn Fn() -> u64> = Rc::new(rand::random::<u64>);
        let dial = TcpDial { congestion: options.congestion.clone() };
        let (client, run) =
            Self::start_in(SystemClock::shared(), Rc::new(dial), entropy, options, events)?;
        ex.spawn(run).detach();
        Ok(client)
    }

    /// [`Client::start`] with time, connections and random numbers of the caller's choice. Nothing
    /// happens until the future is polled; it is ready after [`Client::shutdown`].
    pub fn start_in(
        clock: Rc<dyn Clock>,
        dial: Rc<dyn Dial>,
        entropy: Rc<dyn Fn() -> u64>,
        options: ClientOptions,
        events: Option<Rc<dyn Fn(Event)>>,
    ) -> Result<(Client, impl Future<Output = ()> + 'static), SettingsError> {
        options.check()?;
        let events = Events::new(events);
        let tls = options.tls();
        let ClientOptions { servers, session, listens, connect_timeout, traces, .. } = options;
        // Otherwise a server opens no flows. If it does, we must not keep more than that costs.
        let max_flows = if listens { session.max_flows } else { INITIAL_FLOWS };
        let session = Config { max_flows, ..session };
        let session = if tls.is_some() { with_records(session) } else { session };
        let dialling = Dialling { dial, servers, connect_timeout, entropy, tls };
        let pump = Rc::new(RefCell::new(Pump::client(clock, session, dialling, traces)));
        let listeners = Rc::<Listeners>::default();
        let client = Client { pump: pump.clone(), listeners: listeners.clone() };
        let run = poll_fn(move |cx| {
            let polled = driver::run(&mut pump.borrow_mut(), cx);
            let happened = pump.borrow_mut().take_events();
            listeners.hand_out(&pump);
            // The pump is free again: whoever hears of this may ask the client.
            happened.into_iter().for_each(|event| events.tell(event));
            polled
        });
        Ok((client, run))
    }

    /// From now on these keys decide who is taken for the server. A session with a server whose key
    /// is no longer among them ends at once. Another session goes on with the key that it has begun
    /// with until it carries nothing. Has no effect on a client that was started without.
    pub fn set_keys(&self, keys: &Keys) {
        let mut pump = self.pump.borrow_mut();
        if let Some(tls) = pump.client_side().and_then(|client| client.tls_with(keys)) {
            pump.set_tls(tls, |peer| keys.server_name(&peer.key).is_some());
        }
    }

    /// From now on a flow waits so long for a first stripe.
    pub fn set_connect_timeout(&self, limit: Duration) -> Result<(), SettingsError> {
        settings::time("connect_timeout", limit)?;
        self.pump.borrow_mut().set_connect_timeout(limit);
        Ok(())
    }

    /// As [`Client::open`](crate::Client::open).
    pub async fn open(&self, opening: impl Into<Opening>) -> Result<Flow, OpenError> {
        let (inner, outer) = memory_pipe();
        let (opened, is_open) = oneshot();
        let (report, reported) = oneshot();
        let from = Origin::Local(Box::new(inner));
        let wanted = Wanted { from, opened: Some(opened), report };
        self.pump.borrow_mut().open(&opening.into(), wanted);
        is_open.await.unwrap_or(Err(OpenError::ShuttingDown))?;
        Ok(Flow::new(outer, reported))
    }

    /// As [`crate::Client::carry`]. An early end of `local` ends the flow, and the other way round.
    pub async fn carry(&self, opening: impl Into<Opening>, local: Box<dyn Pipe>) -> FlowReport {
        let (report, reported) = oneshot();
        let wanted = Wanted { from: Origin::Local(local), opened: None, report };
        self.pump.borrow_mut().open(&opening.into(), wanted);
        reported.await.unwrap_or_else(FlowReport::stopped)
    }

    /// Asks for a flow whose local pipe follows once the target has been reached. `early` are the
    /// first bytes for it, and go out at once.
    pub fn request(&self, opening: impl Into<Opening>, early: Bytes) -> Requested {
        let ((accepted, is_accepted), (report, reported)) = (oneshot(), oneshot());
        let from = Origin::Early(early, accepted);
        let wanted = Wanted { from, opened: None, report };
        let token = self.pump.borrow_mut().open(&opening.into(), wanted);
        Requested { pump: self.pump.clone(), token: Some(token), is_accepted, reported }
    }

    /// Asks the server to listen on an address of its machine, once there is a session. Port 0 is
    /// any free port. The client must have been started with [`ClientOptions::listens`].
    ///
    /// # Errors
    /// The report says why the server does not listen.
    pub async fn listen(&self, address: SocketAddr) -> Result<RemoteListener, FlowReport> {
        self.listeners.listen(&self.pump, address).await
    }

    /// The state now.
    pub fn status(&self) -> Status {
        let pump = self.pump.borrow();
        let last_dial_error = pump.client_side().and_then(|client| client.dialler.error().cloned());
        let ended = driver::earlier(&pump);
        Status { sessions: vec![driver::status(&pump)], last_dial_error, ended }
    }

    /// The connections now, at most so many. Takes time in proportion to their number.
    pub fn flows(&self, most: usize) -> Vec<FlowStatus> {
        driver::flows(&self.pump.borrow(), most)
    }

    /// Resets the connection with this [label](Opening::label), and says whether there is one.
    pub fn close_flow(&self, label: u64) -> bool {
        self.pump.borrow_mut().close_flow(label)
    }

    /// Sessions that begin from now on are recorded there; without, nothing is recorded any more.
    /// Another session begins for that as soon as the present one carries nothing.
    pub fn set_traces(&self, traces: Option<Arc<Traces>>) {
        self.pump.borrow_mut().set_traces(traces);
    }

    /// Panics with a description if an invariant does not hold, and says how much is held.
    #[cfg(feature = "testing")]
    pub fn check_invariants(&self) -> crate::Footprint {
        driver::check_invariants(&self.pump.borrow())
    }

    /// Whether a flow that is opened now need not wait: a stripe is up, and the server is not
    /// stopping.
    pub fn takes_flows(&self) -> bool {
        self.pump.borrow().takes_flows()
    }

    /// Waits until a stripe is up.
    pub async fn ready(&self) -> Result<(), OpenError> {
        let (sender, up) = oneshot();
        self.pump.borrow_mut().notify_ready(sender);
        up.await.unwrap_or(Err(OpenError::ShuttingDown))
    }

    /// Opens no more flows, lets those there are end within `drain`, resets the rest and stops.
    pub async fn shutdown(&self, drain: Duration) {
        let (sender, over) = oneshot();
        self.pump.borrow_mut().shutdown(drain, sender);
        let _ = over.await;
    }
}
