//! Runs [`striper_core`] on real sockets: a [`Client`] beside whoever connects, a [`Server`] beside
//! what is connected to.
//!
//! All of it runs on one thread, on an [`Executor`] that you drive. A flow is a [`Pipe`] and also
//! [`AsyncRead`](smol::io::AsyncRead) + [`AsyncWrite`](smol::io::AsyncWrite); closing it finishes
//! its own direction only, dropping it before both have finished resets it. Programs that join a
//! flow with a socket use [`Client::carry`] and [`Incoming::carry`], which do so inside the pump,
//! without a task or a copy for each flow.
//!
//! ```
#![doc = include_str!("../examples/open_a_flow.rs")]
//! ```
//!
//! A program that runs on tokio, on another executor or on threads gives striper a thread of its
//! own. It calls `smol::block_on(ex.run(...))` there and talks to that thread over `smol::channel`,
//! whose ends belong to no executor. Handles and flows stay on their thread.
//! `examples/own_thread.rs` is such a program.
//!
//! Pipes stack: a [`DatagramPipe`] keeps boundaries on a socket or a flow, an [`AtomicPipe`] takes
//! a send whole, [`Stacked`] puts a session's stripes on either, [`bridge()`] joins any two, and
//! [`PipeExt`] has their methods as futures. `examples/` in this crate's folder also shows an echo
//! over datagrams, datagrams over a flow, and a relay.
//!
//! The driver, the gate, the bridge and all pipes but the TCP one name neither sockets nor an
//! executor: they are given a [`clock::Clock`], a [`Dial`] or a [`Listen`], tasks and random
//! numbers, so they run in virtual time as well ([`Client::start_in`], [`Server::start_in`],
//! [`bridge_in`]).

mod admission;
mod bridge;
mod client;
mod driver;
mod events;
pub mod files;
mod flow;
mod handover;
mod pipe;
mod ports;
mod record;
mod report;
mod server;
mod settings;
mod stack;
mod system_clock;
mod target;
mod tcp;
mod tls;

/// The single-threaded face: clients and servers on an executor that you drive. Nothing crosses a
/// thread, and [`start_in`](local::Client::start_in) takes time, connections and random numbers of
/// your choice, so that all of it runs in virtual time as well.
pub mod local {
    pub use crate::client::{Client, ClientOptions};
    pub use crate::ports::Spawn;
    pub use crate::server::{Incoming, Server, ServerOptions};

    /// The single-threaded executor that everything here runs on. Drive it with
    /// `smol::block_on(ex.run(...))`.
    pub type Executor = std::rc::Rc<smol::LocalExecutor<'static>>;
}

/// Time for everything else.
pub mod clock {
    pub use crate::ports::clock::{Clock, Timer, sleep_until};
    pub use crate::system_clock::SystemClock;
}

pub use admission::limits::Limits;
pub use bridge::{Break, BridgeReport, Leg, Legs, Passed, bridge, bridge_in};
#[doc(hidden)]
pub use driver::Footprint;
pub use flow::Flow;
pub use pipe::atomic::AtomicPipe;
pub use pipe::datagram::DatagramPipe;
pub use pipe::memory::{MemoryPipe, memory_pipe};
pub use pipe::{Adapted, Congestion, Pipe, PipeExt, Received, TcpStatus};
pub use ports::{Accepting, Dial, DialError, Dialling, Listen};
pub use record::Traces;
pub use report::{
    Cut, Event, FlowEnd, FlowReport, OpenError, Past, SessionStatus, SessionTag, Status,
    StripeLoss, StripeRefusal,
};
pub use settings::{SettingsError, StartError};
pub use stack::{Stacked, Wrap};
pub use target::{HostPort, NotHostPort, Target, TargetError};
pub use tcp::congestion::CongestionChoice;
pub use tcp::dial::{TcpDial, dial_tcp};
pub use tcp::listen::Listener;
pub use tcp::pipe::TcpPipe;
pub use tls::keys;
pub use tls::{ClientTls, PlainSpeech, ServerTls, TlsError, TlsPipe};
