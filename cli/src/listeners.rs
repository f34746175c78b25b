//! The listeners that a server has for its clients (`-R`).

use crate::events::{Named, Whose};
use crate::log::Value;
use crate::reach::Reach;
use crate::service::{Connections, Ends};
use crate::{events, failure};
use smol::Task;
use smol::future::or;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::rc::Rc;
use striper_core::Reason;
use striper_runtime::keys::{PeerName, PublicKey};
use striper_runtime::local::{Executor, Incoming, Listening};
use striper_runtime::{Addresses, Carrier, Event, Limits, Listener, Pipe, Target, TcpPipe};

/// The most listeners of one key. Each costs a file descriptor, and may have a queue of connections
/// in the system.
const OF_A_KEY: usize = 64;

/// The listeners of a server, and the parts of it that they use. Clones are the same.
#[derive(Clone)]
pub(crate) struct Listeners {
    pub ex: Executor,
    pub told: events::Connections,
    pub events: Rc<dyn Fn(Event)>,
    pub reach: Rc<Reach>,
    pub connections: Connections,
    pub open: Open,
}

/// The open listeners, by address. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Open(Rc<Table>);

#[derive(Default)]
struct Table {
    known: RefCell<BTreeMap<SocketAddr, Known>>,
    begun: Cell<u64>,
}

struct Known {
    number: u64,
    client: Rc<Client>,
    /// Whether the session has no stripe, so that the client may be gone for good.
    stands_still: Box<dyn Fn() -> bool>,
    task: Task<()>,
}

impl Open {
    fn of(&self, key: Option<PublicKey>) -> usize {
        self.0.known.borrow().values().filter(|known| known.client.key == key).count()
    }

    /// Whether the client of a listener has probably started again: the same key asks for the same
    /// address, and the session that has it stands still.
    fn is_stale(&self, address: SocketAddr, key: Option<PublicKey>) -> bool {
        let known = self.0.known.borrow();
        let is_stale = |known: &Known| known.client.key == key && (known.stands_still)();
        known.get(&address).is_some_and(is_stale)
    }

    /// Closes a listener, and says whether there was one.
    async fn close(&self, address: SocketAddr) -> bool {
        let closed = self.0.known.borrow_mut().remove(&address);
        match closed {
            Some(closed) => closed.task.cancel().await.is_none(),
            None => false,
        }
    }

    /// A listener has ended by itself. Another may have its address already.
    fn forget(&self, address: SocketAddr, number: u64) {
        let mut known = self.0.known.borrow_mut();
        if known.get(&address).is_some_and(|known| known.number == number) {
            known.remove(&address);
        }
    }
}

/// The client of a listener.
struct Client {
    /// Its key, if clients need one.
    key: Option<PublicKey>,
    /// The name of its key in the log.
    peer: Option<PeerName>,
    /// The same as ` (key NAME)`, or nothing.
    whose: String,
}

impl Client {
    fn fields(&self, listen: SocketAddr) -> Vec<(&'static str, Value)> {
        let key = self.peer.as_deref().map(|key| ("key", key.into()));
        key.into_iter().chain([("listen", listen.to_string().into())]).collect()
    }
}

impl Listeners {
    /// Listens for the client that asks for it by this flow, or says why not.
    pub(crate) async fn begin(self, incoming: Incoming) {
        let peer = incoming.peer();
        let client =
            Rc::new(Client { key: incoming.key(), whose: events::key(peer.as_ref()), peer });
        let Target::Listen { address, .. } = *incoming.target() else { return };
        let listener = match self.listen(address, &client, &incoming).await {
            Ok(listener) => listener,
            Err((why, reason)) => {
                let whose = &client.whose;
                let text = format!("not listening on {address} for a client{whose}: {why}");
                let fields = [client.fields(address), vec![("reason", why.into())]].concat();
                self.told.listener_refused(text, &fields);
                return incoming.refuse(reason);
            }
        };
        let here = listener.local_addr();
        let listening = incoming.listen(here.port()).await;
        let number = self.open.0.begun.get();
        self.open.0.begun.set(number + 1);
        let stands_still = Box::new(listening.probe());
        let (open, ex, whose) = (self.open.clone(), self.ex.clone(), client.clone());
        let task = ex.spawn(async move {
            self.attend(listener, listening, &whose).await;
            self.open.forget(here, number);
        });
        open.0.known.borrow_mut().insert(here, Known { number, client, stands_still, task });
    }

    async fn listen(
        &self,
        address: SocketAddr,
        client: &Client,
        incoming: &Incoming,
    ) -> Result<Listener, (String, Reason)> {
        if !self.may_listen(address, client) {
            return Err(("no --allow-listen rule allows it".into(), Reason::NotAllowed));
        }
        let is_stale = self.open.is_stale(address, client.key);
        if self.open.of(client.key) >= OF_A_KEY && !is_stale {
            return Err((format!("it has {OF_A_KEY} listeners"), Reason::Unavailable));
        }
        let failed = |error: io::Error| (error.to_string(), reason(&error));
        incoming.ensure_room().map_err(failed)?;
        let unbound = |error: io::Error| {
            let (why, cure) = failure::unbound(address, &error);
            let cure = cure.map(|cure| format!("; {cure}")).unwrap_or_default();
            (why + &cure, reason(&error))
        };
        let bind = async || {
            let mut listener = Listener::bind(address, Some(self.events.clone())).await?;
            if self.reach.may_lead_to(listener.local_addr()) {
                return Err(io::Error::other("the server's own target has this port"));
            }
            listener.keep_spare(Limits::default().spare_files);
            Ok::<_, io::Error>(listener)
        };
        match bind().await {
            Err(error) if error.kind() == ErrorKind::AddrInUse => {
                if !(is_stale && self.open.close(address).await) {
                    return Err(unbound(error));
                }
                let text = format!("no longer listening on {address} for a lost client");
                self.told.listener_ended(text, &client.fields(address));
                bind().await.map_err(unbound)
            }
            other => other.map_err(unbound),
        }
    }

    /// The rules have changed: ends what they do not allow any more.
    pub(crate) fn recheck(&self) {
        self.reach.granted.recheck(&self.reach.policy);
        let mut known = self.open.0.known.borrow_mut();
        let is_denied =
            |(here, known): &(&SocketAddr, &Known)| !self.may_listen(**here, &known.client);
        let denied: Vec<_> = known.iter().filter(is_denied).map(|(here, _)| *here).collect();
        for here in denied {
            let (all, closed) = (self.clone(), known.remove(&here));
            let close = async move {
                let Some(Known { client, task, .. }) = closed else { return };
                task.cancel().await;
                all.tell_end(here, &client, ": no --allow-listen rule allows it any more");
            };
            self.ex.spawn(close).detach();
        }
    }

    fn tell_end(&self, here: SocketAddr, client: &Client, why: &str) {
        let text = format!("no longer listening on {here} for a client{}{why}", client.whose);
        self.told.listener_ended(text, &client.fields(here));
    }

    /// By the rules of now: they may have been read again.
    fn may_listen(&self, address: SocketAddr, client: &Client) -> bool {
        self.reach.policy.of(client.key.as_ref()).may_listen(address).is_some()
    }

    /// Carries the connections that come, until the client no longer wants them.
    async fn attend(&self, listener: Listener, mut listening: Listening, client: &Client) {
        let here = listener.local_addr();
        let text = format!("listening on {here} for a client{}", client.whose);
        self.told.listening(text, &client.fields(here));
        loop {
            let unwanted = async {
                listening.unwanted().await;
                None
            };
            let Some((pipe, from)) = or(unwanted, async { Some(listener.accept().await) }).await
            else {
                break;
            };
            self.carry(pipe, from, here, client, &listening);
        }
        drop(listener);
        self.tell_end(here, client, "");
    }

    fn carry(
        &self,
        mut pipe: TcpPipe,
        from: SocketAddr,
        here: SocketAddr,
        client: &Client,
        listening: &Listening,
    ) {
        let entry = self.connections.begin();
        let named = Named::new(entry.number()).of(client.peer.clone());
        let named = named.from(Some(from.to_string())).at(Whose::Ours, here);
        if let Err(error) = listening.ensure_room() {
            self.told.refused(format!("{named} failed: {error}"), &named, &error.to_string());
            return pipe.abort();
        }
        self.told.opened(&named, None);
        let ends = Ends { from: Some(from.to_string()), target: Some(format!("listener {here}")) };
        self.connections.describe(entry.number(), ends);
        let addresses = Addresses::new(from, pipe.local_addr().unwrap_or(here));
        let carried = listening.carry(Box::new(pipe), addresses, Some(entry.number()));
        let told = self.told.clone();
        let carry = async move {
            told.ended(&named, &carried.await);
            drop(entry);
        };
        self.ex.spawn(carry).detach();
    }
}

fn reason(error: &io::Error) -> Reason {
    match error.kind() {
        ErrorKind::AddrNotAvailable => Reason::Unreachable,
        _ => Reason::Unavailable,
    }
}
