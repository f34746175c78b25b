//! Runs [`striper_core`] on real sockets.

mod bridge;
mod client;
pub mod clock;
mod dial;
mod driver;
mod gate;
mod listen;
mod local;
pub mod pipe;
mod queue;
mod report;
mod server;
pub mod target;

pub use bridge::{BridgeReport, Passed, bridge, bridge_in};
pub use client::{Client, ClientOptions};
pub use dial::{Dial, DialError, Dialling, TcpDial, dial_tcp};
pub use listen::Listener;
pub use pipe::memory::Flow;
pub use pipe::tcp::TcpPipe;
pub use pipe::{Pipe, Received};
pub use report::{Event, FlowEnd, FlowReport, OpenError, SessionStatus, Status, StripeLoss, StripeRefusal};
pub use server::{Incoming, Server, ServerOptions};
pub use target::{HostPort, Target};

/// The single-threaded executor that everything here runs on. Drive it with `smol::block_on(ex.run(...))`.
pub type Executor = std::rc::Rc<smol::LocalExecutor<'static>>;
