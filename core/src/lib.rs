//! Striper's engine: carries TCP connections ("flows") over several parallel streams ("stripes")
//! between two peers.
//!
//! It is a state machine without I/O: no clock, socket, thread or randomness exists for it. You own
//! the sockets and the time, and run this loop on each side:
//!
//! 1. **A stripe comes up.** The client draws a [`SessionId`] once and numbers its stripes from 0.
//!    On each new connection it writes [`Session::hello`], the server answers with its own, both
//!    read the other's with a [`Handshake`] and give [`Input::StripeUp`]. A server asks
//!    [`Session::may_join`] first.
//! 2. **Something happens**: bytes on a stripe, data from a local connection, a deadline. Give it
//!    to [`Session::handle`] with the time, and perform the [`Output`]s in order.
//! 3. **Tell it what became of them**: [`Input::StripeWritten`] as the operating system takes
//!    stripe bytes, [`Input::FlowConsumed`] as local consumers take data. That is its only view of
//!    congestion.
//! 4. **Sleep** until something happens or [`Session::deadline`] has come; then give
//!    [`Input::Tick`]. Drain readable sockets before a late tick: after a suspend all stripes would
//!    look dead.
//!
//! Time is an [`Instant`] in microseconds since an origin of your choice, which need not be the
//! peer's. It may stand still; if it goes back it is taken for the latest seen.
//!
//! Errors are sorted by blame. A peer that breaks the protocol ends the session
//! ([`EndReason::Violation`]). What the environment breaks is an input ([`Input::StripeDown`],
//! [`Input::FlowReset`]). A caller's mistake panics, see [`Session::handle`]. Inputs for flows and
//! stripes that have ended are ordinary races and ignored.
//!
//! ```
#![doc = include_str!("../examples/session_loop.rs")]
//! ```
//!
//! PROTOCOL.md in the repository specifies the bytes, ARCHITECTURE.md the parts and the invariants.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

extern crate alloc;

mod bucket;
mod buggify;
pub mod config;
pub mod datagram;
pub mod error;
mod flow;
pub mod handshake;
pub mod id;
mod intents;
pub mod io;
mod ranges;
mod rate;
mod scheduler;
mod session;
pub mod stats;
mod stripe;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time;
mod timers;
pub mod trace;
pub mod wire;

pub use buggify::FOR_SIMULATION_ONLY;
pub use config::{Config, SchedulerKind};
pub use error::{EndReason, Reason, StripeClose, Violation};
pub use handshake::{Handshake, HandshakeError};
pub use id::{FlowId, Role, SessionId, StripeId};
pub use io::{Input, Output};
pub use rate::Rate;
pub use session::Session;
pub use stats::{Stats, StripeStats};
pub use time::Instant;
pub use timers::Timer;
pub use wire::hello::{Hello, HelloKind, Refusal};
