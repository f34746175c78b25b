//! The server: puts stripes together into sessions, and hands out the flows that clients open.

mod gate;
mod options;
mod sessions;
mod succession;

pub use options::ServerOptions;
pub use succession::{Calling, PassedOn, Predecessor};

use crate::admission::limits::Limits;
use crate::admission::patience::Patience;
use crate::events::Events;
use crate::incoming::Incoming;
use crate::local::Executor;
use crate::pipe::Pipe;
use crate::ports::clock::Clock;
use crate::ports::{Listen, Spawn};
use crate::record::Traces;
use crate::report::{Event, FlowStatus, Status};
use crate::settings::{self, SettingsError, StartError};
use crate::system_clock::SystemClock;
#[cfg(doc)]
use crate::target::Opening;
use crate::tcp::listen::Listener;
use crate::tls::keys::Keys;
use gate::Gate;
use sessions::Sessions;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use striper_core::Config;

/// A handle to a server. Clones are the same server.
#[derive(Clone)]
pub struct Server {
    sessions: Rc<Sessions>,
    addr: Rc<Cell<SocketAddr>>,
    /// None if its stripes come from somewhere else.
    port: Rc<RefCell<Option<Rc<Listener>>>>,
}

impl Server {
    /// Listens for stripes. `events` is called from tasks of `ex` and must not block.
    pub async fn bind(
        ex: &Executor,
        listen: SocketAddr,
        options: ServerOptions,
        events: Option<Rc<dyn Fn(Event)>>,
    ) -> Result<Server, StartError> {
        options.check()?;
        let mut listener = Listener::bind(listen, events.clone()).await?;
        listener.choose(&options.congestion)?;
        Ok(Self::on(ex, listener, options, events)?)
    }

    /// Accepts stripes on a listener that is there already. [`Listener::choose`] has told it what
    /// controls congestion; the options say it for stripes that are up.
    pub fn on(
        ex: &Executor,
        mut listener: Listener,
        options: ServerOptions,
        events: Option<Rc<dyn Fn(Event)>>,
    ) -> Result<Server, SettingsError> {
        let spare = Rc::new(Cell::new(options.limits.spare_files));
        listener.share_spare(spare.clone());
        let ex = Rc::downgrade(ex);
        let spawn: Spawn = Rc::new(move |task| {
            if let Some(ex) = ex.upgrade() {
                ex.spawn(task).detach();
            }
        });
        let entropy = Rc::new(rand::random::<u64>);
        let (clock, port) = (SystemClock::shared(), Rc::new(listener));
        let listen = Box::new(port.clone());
        let server = Self::start_with(clock, listen, spawn, entropy, options, events, spare)?;
        *server.port.borrow_mut() = Some(port);
        Ok(server)
    }

    /// [`Server::bind`] with time, connections, tasks and random numbers of the caller's choice.
    pub fn start_in(
        clock: Rc<dyn Clock>,
        listen: Box<dyn Listen>,
        spawn: Spawn,
        entropy: Rc<dyn Fn() -> u64>,
        options: ServerOptions,
        events: Option<Rc<dyn Fn(Event)>>,
    ) -> Result<Server, SettingsError> {
        Self::start_with(clock, listen, spawn, entropy, options, events, Rc::default())
    }

    fn start_with(
        clock: Rc<dyn Clock>,
        listen: Box<dyn Listen>,
        spawn: Spawn,
        entropy: Rc<dyn Fn() -> u64>,
        options: ServerOptions,
        events: Option<Rc<dyn Fn(Event)>>,
        spare: Rc<Cell<u64>>,
    ) -> Result<Server, SettingsError> {
        options.check()?;
        let events = Events::new(events);
        let addr = Rc::new(Cell::new(listen.local_addr()));
        let patience = Patience::new(events.clone());
        let (sessions, closed) =
            Sessions::new(clock.clone(), spawn.clone(), entropy, options, events, spare);
        let gate = Gate::new(clock, spawn.clone(), Rc::downgrade(&sessions));
        spawn(Box::pin(gate.run(listen, sessions.ports(), patience, closed)));
        Ok(Server { sessions, addr, port: Rc::default() })
    }

    /// Where stripes are expected.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr.get()
    }

    /// The port of its stripes, unless they come from somewhere else.
    pub fn port(&self) -> Option<Rc<Listener>> {
        self.port.borrow().clone()
    }

    /// From now on stripes are expected at another port, and the one before is closed. Stripes that
    /// are up stay, and callers go on to say HELLO.
    pub fn move_to(&self, mut listener: Listener) {
        listener.share_spare(self.sessions.spare_files());
        self.addr.set(listener.local_addr());
        let port = Rc::new(listener);
        self.sessions.ports().push(Box::new(port.clone()));
        *self.port.borrow_mut() = Some(port);
    }

    /// From now on these limits bound strangers and peers. Sessions that exist keep the settings of
    /// `session`, but not more memory than that says. Nothing ends because of a lower limit.
    pub fn set_limits(&self, session: Config, limits: Limits) -> Result<(), SettingsError> {
        settings::check_session(&session)?;
        settings::check_limits(&limits)?;
        self.sessions.set_limits(session, limits);
        Ok(())
    }

    /// The next flow that a client opened. Pending forever once [`Server::shutdown`] was called.
    pub async fn accept(&self) -> Incoming {
        self.sessions.next_incoming().await
    }

    /// As [`Server::set_keys`](crate::Server::set_keys).
    pub fn set_keys(&self, keys: Keys) {
        self.sessions.set_keys(&keys);
    }

    /// The state now.
    pub fn status(&self) -> Status {
        self.sessions.status()
    }

    /// The connections of all sessions now, at most so many. Takes time in proportion to their
    /// number.
    pub fn flows(&self, most: usize) -> Vec<FlowStatus> {
        self.sessions.flows(most)
    }

    /// Resets the connection with this [label](Opening::label), and says whether there is one.
    pub fn close_flow(&self, label: u64) -> bool {
        self.sessions.close_flow(label)
    }

    /// Sessions that begin from now on are recorded there; without, nothing is recorded any more.
    pub fn set_traces(&self, traces: Option<Arc<Traces>>) {
        self.sessions.set_traces(traces);
    }

    /// Panics with a description if an invariant does not hold, and says how much is held.
    #[cfg(feature = "testing")]
    pub fn check_invariants(&self) -> crate::Footprint {
        self.sessions.check_invariants()
    }

    /// Offers stripes of unknown sessions to the process that this one replaces, or to none.
    pub fn set_predecessor(&self, predecessor: Option<Rc<dyn Predecessor>>) {
        self.sessions.set_predecessor(predecessor);
    }

    /// Another process listens from now on. The sessions here go on, also with new flows. Each ends
    /// once it carries nothing, and this is ready when all have ended.
    pub async fn retire(&self) {
        self.port.take();
        self.sessions.retire().await;
    }

    /// Takes a stripe that the successor of this process passes on, if its session is known here.
    pub fn welcome(&self, caller: PassedOn, pipe: Box<dyn Pipe>) {
        gate::welcome_passed(&self.sessions, caller, pipe);
    }

    /// Takes no more sessions or flows, lets them end within `drain`, resets the rest and stops.
    pub async fn shutdown(&self, drain: Duration) {
        self.port.take();
        self.sessions.shutdown(drain).await;
    }
}
