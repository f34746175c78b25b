//! The ways by which connections come into a client. Each has a file of its own.

mod arrival;
mod doors;
mod handshakes;
mod proxy;
mod reached;
mod remote;
pub(crate) mod stdio;
mod terms;
mod unix;
mod users;

use crate::args::{Place, Way};
use crate::events::{self, Named};
use crate::failure::Failure;
use crate::lookups::Lookups;
use crate::service::{Connections, Ends, Entry};
use crate::sockets::Sockets;
use crate::unfinished;
use arrival::Arrival;
pub(crate) use doors::{Doors, Opened};
use reached::Reached;
use remote::RemoteDoor;
use std::net::SocketAddr;
use std::rc::Rc;
use striper_core::Reason;
use striper_runtime::local::{Client, Executor};
use striper_runtime::ways::Handshake;
use striper_runtime::{
    Addresses, Event, FlowEnd, HostPort, Limits, Listener, Opening, Pipe, Target,
};
pub(crate) use terms::Terms;
use unix::UnixDoor;
pub(crate) use users::ProxyUsers;

/// The parts of a client that a way uses to carry connections. Clones are the same.
#[derive(Clone)]
pub(crate) struct Inside {
    pub ex: Executor,
    pub told: events::Connections,
    pub client: Client,
    pub connections: Connections,
    /// For names of this side's targets.
    pub lookups: Lookups,
    pub terms: Terms,
}

/// A way whose listener is there already.
pub(crate) enum Door {
    Tcp(Rc<Listener>, Target),
    Unix(Rc<UnixDoor>, Target, Rc<dyn Fn(Event)>),
    Proxy(Rc<Listener>),
    Transparent(Rc<Listener>),
    Remote(RemoteDoor),
}

/// A listener of this side, which another way may take over.
#[derive(Clone)]
pub(crate) enum Port {
    Tcp(SocketAddr, Rc<Listener>),
    Unix(Rc<UnixDoor>),
}

impl Port {
    /// A process that replaces this one goes on with it.
    fn keep(&self, sockets: &Sockets) {
        match self {
            Port::Tcp(address, listener) => sockets.keep(address.to_string(), listener),
            Port::Unix(door) => sockets.keep(door.path().display().to_string(), door),
        }
    }

    /// Whether this is where the way would listen.
    fn is_of(&self, way: &Way) -> bool {
        match (self, way) {
            (Port::Tcp(address, _), way) => way.listens_on() == Some(*address),
            (Port::Unix(door), Way::Forward { listen: Place::Unix(path), .. }) => {
                door.path() == path
            }
            _ => false,
        }
    }
}

impl Door {
    /// Listens, if the way has a place to listen on: there already, if it has the `port`. Ports in
    /// `leaving` may have the same number, since they will be closed.
    async fn open(
        way: &Way,
        port: Option<Port>,
        leaving: &[Port],
        sockets: &Sockets,
        events: &Rc<dyn Fn(Event)>,
    ) -> Result<Option<Door>, Failure> {
        let listen = async |address: SocketAddr| match &port {
            Some(Port::Tcp(_, listener)) => Ok(listener.clone()),
            _ => bind(address, leaving, sockets, events).await,
        };
        Ok(match way {
            Way::Forward { listen: Place::Tcp(address), target } => {
                Some(Door::Tcp(listen(*address).await?, target.clone()))
            }
            Way::Forward { listen: Place::Unix(path), target } => {
                let door = match &port {
                    Some(Port::Unix(door)) => door.clone(),
                    _ => Rc::new(UnixDoor::open(path, sockets, Limits::default().spare_files)?),
                };
                Some(Door::Unix(door, target.clone(), events.clone()))
            }
            Way::Proxy { listen: address } => Some(Door::Proxy(listen(*address).await?)),
            Way::Transparent { listen: address } => {
                Some(Door::Transparent(listen(*address).await?))
            }
            Way::Remote { listen: address, target } => {
                let (address, target) = (*address, target.clone());
                Some(Door::Remote(RemoteDoor { address, target }))
            }
            Way::Stdio { .. } => None,
        })
    }

    /// Its listener, if that is one of this side.
    fn port(&self, way: &Way) -> Option<Port> {
        match self {
            Door::Tcp(listener, _) | Door::Proxy(listener) | Door::Transparent(listener) => {
                Some(Port::Tcp(way.listens_on()?, listener.clone()))
            }
            Door::Unix(door, ..) => Some(Port::Unix(door.clone())),
            Door::Remote(_) => None,
        }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        match self {
            Door::Tcp(listener, _) | Door::Proxy(listener) | Door::Transparent(listener) => {
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
            Door::Proxy(_) => format!("{address} as a proxy"),
            Door::Transparent(_) => format!("{address} for redirected connections"),
            Door::Remote(door) => format!("{address} for {}", door.target),
        }
    }

    /// Its address, if any machine that can reach it may use it.
    pub(crate) fn public(&self) -> Option<SocketAddr> {
        match self {
            Door::Tcp(listener, _) | Door::Proxy(listener) => Some(listener.local_addr()),
            // A connection that nobody redirected goes nowhere.
            Door::Transparent(_) | Door::Unix(..) | Door::Remote(_) => None,
        }
        .filter(|address| events::is_public(address.ip()))
    }

    /// Carries what comes in.
    pub(crate) async fn attend(self, inside: Inside) {
        match self {
            Door::Tcp(listener, target) => {
                let unfinished = handshakes::unfinished();
                loop {
                    let arrival = Arrival::next(&listener, Some(&inside.terms)).await;
                    let place = arrival.is_proxied.then(|| unfinished.begin());
                    let entry = inside.connections.begin();
                    let carry = forward(inside.clone(), arrival, target.clone(), place, entry);
                    inside.ex.spawn(carry).detach();
                }
            }
            Door::Remote(door) => door.attend(inside).await,
            Door::Unix(door, target, events) => loop {
                let pipe = door.accept(&*events).await;
                let entry = inside.connections.begin();
                let (from, opening) = (door.path().display().to_string(), target.clone().into());
                let inner = inside.clone();
                let carry = async move { inner.carry(entry, from, opening, pipe).await };
                inside.ex.spawn(carry).detach();
            },
            Door::Transparent(listener) => loop {
                // The other proxy would have to know the original destination too.
                let arrival = Arrival::next(&listener, None).await;
                let entry = inside.connections.begin();
                inside.ex.spawn(redirected(inside.clone(), arrival, entry)).detach();
            },
            Door::Proxy(listener) => {
                let (reached, unfinished) = (Reached::default(), handshakes::unfinished());
                loop {
                    let arrival = Arrival::next(&listener, Some(&inside.terms)).await;
                    let entry = inside.connections.begin();
                    let by = (Handshake::new(inside.terms.users()), unfinished.begin());
                    let (inner, reached) = (inside.clone(), reached.clone());
                    let serve = proxy::serve(inner, reached, by, arrival, entry);
                    inside.ex.spawn(serve).detach();
                }
            }
        }
    }
}

async fn bind(
    address: SocketAddr,
    leaving: &[Port],
    sockets: &Sockets,
    events: &Rc<dyn Fn(Event)>,
) -> Result<Rc<Listener>, Failure> {
    let leaving = leaving.iter().filter_map(|port| match port {
        Port::Tcp(_, listener) => Some(&**listener),
        Port::Unix(_) => None,
    });
    let mut listener = sockets.listen(address, leaving, events).await?;
    listener.keep_spare(Limits::default().spare_files);
    Ok(Rc::new(listener))
}

/// A connection whose target is known before it comes.
async fn forward(
    inside: Inside,
    mut arrival: Arrival,
    target: Target,
    place: Option<unfinished::Place>,
    entry: Entry,
) {
    if let Some(place) = place {
        let header = place.keep(arrival.read_header()).await;
        if let Err(why) = header.unwrap_or_else(|lost| Err(handshakes::why(lost))) {
            let named = named(entry.number(), arrival.from().to_string(), &target);
            return inside.told.refused(format!("{named} failed: {why}"), &named, &why);
        }
    }
    inside.carry_tcp(entry, arrival, target).await;
}

/// A connection that goes where it was going before a firewall redirected it.
async fn redirected(inside: Inside, mut arrival: Arrival, entry: Entry) {
    if let Some(to) = arrival.pipe.original_destination() {
        arrival.addresses = Addresses::new(arrival.from(), to);
        return inside.carry_tcp(entry, arrival, Target::Host(HostPort::from(to))).await;
    }
    let named = named(entry.number(), arrival.from().to_string(), &Target::Default);
    let text = format!(
        "{named} was not redirected here; -T takes only those that nft or iptables redirects \
         (docs/transparent.md)"
    );
    inside.told.refused(text, &named, "it was not redirected here");
}

impl Inside {
    async fn carry_tcp(&self, entry: Entry, arrival: Arrival, target: Target) {
        let from = arrival.from().to_string();
        let opening = Opening::from(target).of_program(arrival.addresses);
        self.carry(entry, from, opening, Box::new(arrival.pipe)).await;
    }

    /// Tells of a connection that is about to be carried.
    fn opened(&self, number: u64, from: String, target: &Target) -> Named {
        let named = named(number, from.clone(), target);
        self.told.opened(&named, None);
        self.connections.describe(number, ends(from, target));
        named
    }

    async fn carry(&self, entry: Entry, from: String, opening: Opening, pipe: Box<dyn Pipe>) {
        let number = entry.number();
        let named = self.opened(number, from, &opening.target);
        let names_none = opening.target == Target::Default;
        let report = self.client.carry(opening.labelled(number), pipe).await;
        let note = if names_none && report.end == FlowEnd::Refused(Reason::NotAllowed) {
            // The server has no target of its own.
            ", which names no target (-L PORT:HOST:PORT does),"
        } else {
            ""
        };
        self.told.ended_with(&named, note, &report);
        drop(entry);
    }
}

/// The ends of a connection. The server alone knows its own target.
fn ends(from: String, target: &Target) -> Ends {
    let target = Some(target).filter(|target| **target != Target::Default);
    Ends { from: Some(from), target: target.map(ToString::to_string) }
}

/// The name of a connection in the log.
fn named(number: u64, from: String, target: &Target) -> Named {
    let target = (*target != Target::Default).then(|| target.to_string());
    Named::new(number).from(Some(from)).to(target)
}
