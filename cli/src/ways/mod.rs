//! The ways by which connections come into a client. Each has a file of its own.

mod proxy;
mod reached;
mod remote;
pub(crate) mod stdio;
mod unfinished;
mod unix;
mod users;

use crate::args::{Place, Way};
use crate::events;
use crate::failure::Failure;
use crate::service::Connections;
use reached::Reached;
use remote::RemoteDoor;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use striper_runtime::local::{Client, Executor};
use striper_runtime::ways::Handshake;
use striper_runtime::{Event, HostPort, Limits, Listener, Pipe, Target};
use unfinished::Unfinished;
use unix::UnixDoor;
pub(crate) use users::ProxyUsers;

/// The parts of a client that a way uses to carry connections. Clones are the same.
#[derive(Clone)]
pub(crate) struct Inside {
    pub ex: Executor,
    pub told: events::Connections,
    pub client: Client,
    pub connections: Connections,
}

/// A way whose listener is there already.
pub(crate) enum Door {
    Tcp(Listener, Target),
    Unix(UnixDoor, Target, Rc<dyn Fn(Event)>),
    Proxy(Listener, Option<ProxyUsers>),
    Transparent(Listener),
    Remote(RemoteDoor),
}

impl Door {
    /// Listens, if the way has a place to listen on.
    pub(crate) async fn open(
        way: &Way,
        users: Option<&ProxyUsers>,
        events: &Rc<dyn Fn(Event)>,
        limit: Duration,
    ) -> Result<Option<Door>, Failure> {
        let listen = async |address: SocketAddr| {
            let listener = Listener::bind(address, Some(events.clone())).await;
            let mut listener = listener.map_err(|error| Failure::bind(address, &error))?;
            listener.keep_spare(Limits::default().spare_files);
            Ok(listener)
        };
        Ok(match way {
            Way::Forward { listen: Place::Tcp(address), target } => {
                Some(Door::Tcp(listen(*address).await?, target.clone()))
            }
            Way::Forward { listen: Place::Unix(path), target } => {
                let door = UnixDoor::bind(path, Limits::default().spare_files)?;
                Some(Door::Unix(door, target.clone(), events.clone()))
            }
            Way::Proxy { listen: address } => {
                Some(Door::Proxy(listen(*address).await?, users.cloned()))
            }
            Way::Transparent { listen: address } => {
                Some(Door::Transparent(listen(*address).await?))
            }
            Way::Remote { listen: address, target } => {
                let (address, target) = (*address, target.clone());
                Some(Door::Remote(RemoteDoor { address, target, limit }))
            }
            Way::Stdio { .. } => None,
        })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        match self {
            Door::Tcp(listener, _) | Door::Proxy(listener, _) | Door::Transparent(listener) => {
                listener.local_addr().to_string()
            }
            Door::Unix(door, ..) => door.path().display().to_string(),
            Door::Remote(door) => format!("the server's {}", door.address),
        }
    }

    /// Where it listens and what for, in the log.
    pub(crate) fn place(&self) -> String {
        let address = self.address();
        match self {
            Door::Tcp(_, Target::Default) | Door::Unix(_, Target::Default, _) => address,
            Door::Tcp(_, target) | Door::Unix(_, target, _) => format!("{address} for {target}"),
            Door::Proxy(..) => format!("{address} as a proxy"),
            Door::Transparent(_) => format!("{address} for redirected connections"),
            Door::Remote(door) => format!("{address} for {}", door.target),
        }
    }

    /// Its address, if any machine that can reach it may use it.
    pub(crate) fn public(&self) -> Option<SocketAddr> {
        match self {
            Door::Tcp(listener, _) | Door::Proxy(listener, _) => Some(listener.local_addr()),
            // A connection that nobody redirected goes nowhere.
            Door::Transparent(_) | Door::Unix(..) | Door::Remote(_) => None,
        }
        .filter(|address| events::is_public(address.ip()))
    }

    /// Carries what comes in.
    pub(crate) async fn attend(self, inside: Inside) {
        match self {
            Door::Tcp(listener, target) => loop {
                let (pipe, from) = listener.accept().await;
                inside.begin(Box::new(pipe), from.to_string(), target.clone());
            },
            Door::Remote(door) => door.attend(inside).await,
            Door::Unix(door, target, events) => loop {
                let pipe = door.accept(&*events).await;
                inside.begin(pipe, door.path().display().to_string(), target.clone());
            },
            Door::Transparent(listener) => loop {
                let (mut pipe, from) = listener.accept().await;
                match pipe.original_destination() {
                    Some(to) => inside.begin(
                        Box::new(pipe),
                        from.to_string(),
                        Target::Host(HostPort::from(to)),
                    ),
                    None => {
                        let text = format!("a connection from {from} was not redirected here");
                        inside.told.refused(text, &[("from", from.to_string().into())]);
                        pipe.abort();
                    }
                }
            },
            Door::Proxy(listener, users) => {
                let ex = inside.ex.clone();
                let (reached, unfinished) = (Reached::default(), Unfinished::default());
                loop {
                    let (pipe, from) = listener.accept().await;
                    let entry = inside.connections.begin();
                    let users = users.as_ref().map(ProxyUsers::now);
                    let by = (Handshake::new(users), unfinished.begin());
                    let (inside, reached) = (inside.clone(), reached.clone());
                    let serve = proxy::serve(inside, reached, by, (pipe, from), entry);
                    ex.spawn(serve).detach();
                }
            }
        }
    }
}

impl Inside {
    fn begin(&self, pipe: Box<dyn Pipe>, from: String, target: Target) {
        let (inside, entry) = (self.clone(), self.connections.begin());
        let number = entry.number;
        let Names { name, fields } = Names::new(number, &from, &target);
        inside.told.opened(&name, &fields);
        let carry = async move {
            let report = inside.client.carry(target, pipe).await;
            inside.told.ended(&name, number, &report);
            drop(entry);
        };
        self.ex.spawn(carry).detach();
    }
}

/// The name of a connection in the log.
struct Names {
    name: String,
    fields: Vec<(&'static str, crate::log::Value)>,
}

impl Names {
    fn new(number: u64, from: &str, target: &Target) -> Names {
        let mut name = format!("connection {number} from {from}");
        let mut fields = vec![("connection", number.into()), ("from", from.into())];
        if *target != Target::Default {
            name = format!("{name} to {target}");
            fields.push(("target", target.to_string().into()));
        }
        Names { name, fields }
    }
}
