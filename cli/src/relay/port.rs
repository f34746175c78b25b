//! The port of a relay, and the settings of connections to it. Both may change.

use super::{Relay, Traffic};
use crate::args::Framing;
use crate::events;
use crate::failure::Failure;
use crate::service::Connections;
use crate::sockets::Sockets;
use smol::Task;
use smol::channel::Receiver;
use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use striper_runtime::local::Executor;
use striper_runtime::{Event, HostPort, Limits, Listener};

/// The settings of connections that come in now.
#[derive(Clone)]
pub(super) struct Terms {
    pub target: HostPort,
    pub framing: Framing,
    pub limit: Duration,
}

/// Clones are the same.
#[derive(Clone)]
pub(super) struct Port(Rc<Inner>);

struct Inner {
    carrier: Carrier,
    sockets: Sockets,
    events: Rc<dyn Fn(Event)>,
    terms: RefCell<Terms>,
    open: RefCell<Option<(Rc<Listener>, Task<()>)>>,
}

/// The parts of a relay that carry connections.
pub(super) struct Carrier {
    pub ex: Executor,
    pub told: events::Connections,
    pub closed: Receiver<()>,
    pub traffic: Rc<RefCell<Traffic>>,
    pub connections: Connections,
}

/// Closes the port when it is dropped. Its connections go on.
pub(super) struct Closing(Port);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.0.open.take();
    }
}

impl Port {
    /// It listens nowhere yet.
    pub(super) fn new(
        carrier: Carrier,
        terms: Terms,
        sockets: Sockets,
        events: Rc<dyn Fn(Event)>,
    ) -> Port {
        let (terms, open) = (RefCell::new(terms), RefCell::default());
        Port(Rc::new(Inner { carrier, sockets, events, terms, open }))
    }

    pub(super) fn closing(&self) -> Closing {
        Closing(self.clone())
    }

    /// Where it listens, and its target.
    pub(super) fn places(&self) -> (Vec<String>, Vec<String>) {
        let open = self.0.open.borrow();
        let listening = open.iter().map(|(listener, _)| listener.local_addr().to_string());
        (listening.collect(), vec![self.0.terms.borrow().target.to_string()])
    }

    pub(super) fn set_terms(&self, terms: Terms) {
        *self.0.terms.borrow_mut() = terms;
    }

    pub(super) async fn bind(&self, address: SocketAddr) -> Result<Listener, Failure> {
        let open = self.0.open.borrow().as_ref().map(|(listener, _)| listener.clone());
        bind(address, open.as_deref(), &self.0.sockets, &self.0.events).await
    }

    /// Takes connections there from now on. The result says where it took them before.
    pub(super) async fn move_to(
        &self,
        address: SocketAddr,
        listener: Listener,
    ) -> Option<SocketAddr> {
        let listener = Rc::new(listener);
        self.0.sockets.keep(address.to_string(), &listener);
        let task = self.0.carrier.ex.spawn(self.clone().attend(listener.clone()));
        let (before, task) = self.0.open.replace(Some((listener, task)))?;
        task.cancel().await;
        Some(before.local_addr())
    }

    async fn attend(self, listener: Rc<Listener>) {
        loop {
            let (pipe, from) = listener.accept().await;
            let Inner { carrier, terms, .. } = &*self.0;
            let Terms { target, framing, limit } = terms.borrow().clone();
            let relay = Relay {
                told: carrier.told.clone(),
                target,
                framing,
                limit,
                closed: carrier.closed.clone(),
                traffic: carrier.traffic.clone(),
                entry: carrier.connections.begin(),
            };
            carrier.ex.spawn(relay.carry(pipe, from)).detach();
        }
    }
}

/// Listens, maybe beside a port that will be closed.
pub(super) async fn bind(
    address: SocketAddr,
    leaving: Option<&Listener>,
    sockets: &Sockets,
    events: &Rc<dyn Fn(Event)>,
) -> Result<Listener, Failure> {
    let mut listener = sockets.listen(address, leaving, events).await?;
    listener.keep_spare(Limits::default().spare_files);
    Ok(listener)
}
