//! Carries connections over several parallel TCP connections, called stripes: a [`Client`] dials
//! them, a [`Server`] accepts them. If a stripe breaks, the others carry its bytes.
//!
//! This program works on any executor. A web server stands behind the striper server:
//!
//! ```
#![doc = include_str!("../examples/fetch_on_tokio/fetch.rs")]
//! ```
//!
//! - A [`Flow`] is one carried connection. It has the `AsyncRead` and `AsyncWrite` of the crate
//!   `futures`, and of `std::io` as a [`BlockingFlow`]. Closing it ends our direction only.
//!   Dropping it before both directions have ended resets it.
//! - [`Client`] and [`Server`] are handles. Each has a thread of its own, so a handle and its flows
//!   may go to any thread.
//! - A server takes flows with [`Server::accept`], or connects them to one target with
//!   [`ServerBuilder::forward_to`]. A [`Target`] is an address for the server's use.
//! - Without [`keys`] stripes are not encrypted, and every client may call.
//! - [`Event`]s tell what happens to sessions and stripes. With the feature `tracing` they are
//!   events of that crate as well.
//!
//! # The single-threaded face
//!
//! A program that runs on smol alone does without the hop to another thread. It gives clients and
//! servers of the module [`local`] its own executor. They also run in virtual time:
//! [`start_in`](local::Client::start_in) takes a [`clock::Clock`], a [`Dial`] or a [`Listen`],
//! tasks and random numbers.
//!
//! # Pipes
//!
//! A [`Pipe`] is a duplex stream whose two directions end separately. Flows and sockets
//! ([`TcpPipe`]) are pipes, and pipes stack. A [`DatagramPipe`] keeps boundaries, and an
//! [`AtomicPipe`] takes a send whole. [`Stacked`] puts stripes on such a stack, [`bridge()`] joins
//! two pipes, and [`PipeExt`] has their methods as futures. [`Client::carry`] joins a flow with a
//! pipe on the thread of the client.
//!
//! `examples/` in this crate's folder has more: a blocking program, a server that answers flows
//! itself, datagrams, a relay.

#![warn(unreachable_pub)]

mod addresses;
mod admission;
mod bridge;
mod client;
mod driver;
mod events;
pub mod files;
mod flow;
mod handle;
mod handover;
mod incoming;
mod listening;
mod pipe;
mod ports;
mod record;
mod remote_listener;
mod report;
mod routes;
mod rules;
mod server;
mod settings;
mod stack;
mod stream;
mod system_clock;
mod target;
mod tcp;
mod tls;
#[cfg(feature = "tracing")]
mod traced;
pub mod ways;

/// The single-threaded face: clients and servers on an executor that you drive. Nothing crosses a
/// thread, and [`start_in`](local::Client::start_in) takes time, connections and random numbers of
/// your choice, so that all of it runs in virtual time as well.
pub mod local {
    pub use crate::client::{Client, ClientOptions, Requested};
    pub use crate::incoming::{FlowHandle, Incoming};
    pub use crate::listening::Listening;
    pub use crate::ports::Spawn;
    pub use crate::remote_listener::RemoteListener;
    pub use crate::server::{Calling, PassedOn, Predecessor, Server, ServerOptions};

    /// The single-threaded executor of all this. Drive it with `smol::block_on(ex.run(...))`.
    pub type Executor = std::rc::Rc<smol::LocalExecutor<'static>>;
}

/// Time for everything else.
pub mod clock {
    pub use crate::ports::clock::{Clock, Timer, sleep_until};
    pub use crate::system_clock::SystemClock;
}

pub use addresses::Addresses;
pub use admission::descriptors::ensure_spare;
pub use admission::limits::Limits;
pub use bridge::{Break, BridgeReport, Leg, Legs, Passed, bridge, bridge_in};
#[cfg(feature = "testing")]
pub use driver::Footprint;
pub use flow::{BlockingFlow, Flow};
pub use handle::client::{Client, ClientBuilder};
pub use handle::server::{Incoming, Server, ServerBuilder};
pub use pipe::atomic::AtomicPipe;
pub use pipe::datagram::DatagramPipe;
pub use pipe::memory::{MemoryPipe, memory_pipe};
pub use pipe::{
    Adapted, Carrier, Congestion, Losses, Pipe, PipeExt, PipeInfo, Received, SentPackets,
    TcpStatus, TcpTimes, Unacknowledged,
};
pub use ports::{Accepting, Dial, DialError, Dialling, Listen};
pub use record::Traces;
pub use report::{
    Cut, EndedSessions, Event, FlowEnd, FlowReport, FlowStatus, OpenError, Past, SessionStatus,
    SessionTag, Status, StripeLoss, StripeRefusal,
};
pub use rules::{Denied, ListenRule, Rule, RuleError, Rules, Special};
pub use settings::{SettingsError, StartError};
pub use stack::{Stacked, Wrap};
pub use stream::StreamPipe;
pub use target::{HostPort, NotHostPort, Opening, Target, TargetError};
pub use tcp::congestion::CongestionChoice;
pub use tcp::dial::{TcpDial, dial_addresses, dial_tcp, resolve_host};
pub use tcp::listen::Listener;
pub use tcp::pipe::TcpPipe;
pub use tls::keys;
pub use tls::{ClientTls, KeyLog, PlainSpeech, ServerTls, TlsError, TlsPipe};
