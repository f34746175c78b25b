//! Striper's engine: it carries TCP connections ("flows") over several parallel streams ("stripes")
//! between two peers.
//!
//! It is a state machine without I/O: it has no clock, sockets, threads or randomness. Your program
//! owns the sockets and the time. The program is called the driver below.
//!
//! # The loop
//!
//! Each side makes a [`Session`] and runs this loop:
//!
//! 1. **Wait** for an event, or for the time of [`Session::deadline`]. Events are bytes on a
//!    stripe, a new or a broken stripe, data or a FIN of a local program, and room on a socket.
//! 2. **Give** it to [`Session::handle`] as an [`Input`], with the time. For a deadline this is
//!    [`Input::Tick`].
//! 3. **Perform** each [`Output`] in order.
//! 4. **Report** what became of the outputs: [`Input::StripeWritten`] as the operating system takes
//!    stripe bytes, [`Input::FlowConsumed`] as local programs take data. A session sees congestion
//!    only in these reports.
//!
//! # Stripes
//!
//! The client draws a [`SessionId`] once and numbers its stripes from 0. It dials as many as
//! [`Output::StripesWanted`] says. On a new connection, both sides write [`Session::hello`] and
//! read the other's HELLO with a [`Handshake`]. Then they give [`Input::StripeUp`]. A server asks
//! [`Session::may_join`] before it answers. A connection that breaks is [`Input::StripeDown`].
//!
//! # Flows
//!
//! A local program's new connection is [`Input::FlowOpen`]. The peer hears of it with
//! [`Output::FlowIncoming`] and answers with [`Input::FlowAccept`] or [`Input::FlowRefuse`]. Data
//! goes in with [`Input::FlowData`], at most [`Session::send_room`] bytes, and comes out with
//! [`Output::FlowData`]. Each direction ends on its own, with a FIN.
//!
//! # Time
//!
//! Time is an [`Instant`] in microseconds since an origin of your choice, which need not be the
//! peer's. It may stand still. A time before the latest one counts as the latest one. Give a tick
//! when the deadline has come, however late: a session notices that the process slept. Read the
//! sockets that are ready before a late tick.
//!
//! # Errors
//!
//! A peer that breaks the protocol ends the session ([`EndReason::Violation`]). A failure of the
//! environment is an input ([`Input::StripeDown`], [`Input::FlowReset`]). A caller's mistake
//! panics, see [`Session::handle`]. Inputs for flows and stripes that have ended are ordinary
//! races, and are ignored.
//!
//! # A complete program
//!
//! ```
#![doc = include_str!("../examples/session_loop.rs")]
//! ```
//!
//! PROTOCOL.md in the repository specifies the bytes. ARCHITECTURE.md describes the parts and the
//! invariants.
//!
//! # Features
//!
//! - `testing`: the module `testing` and other things that simulators and tests need. It comes
//!   without a promise of stability.
//! - `buggify`: sessions take rare turns on purpose. For simulation only; [`FOR_SIMULATION_ONLY`]
//!   lets a program refuse to be built with it.
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![warn(unreachable_pub)]

extern crate alloc;

mod bucket;
mod buggify;
mod config;
pub mod datagram;
mod error;
mod flow;
mod handshake;
mod id;
mod intents;
mod io;
mod ranges;
mod rate;
mod scheduler;
mod session;
mod stats;
mod stripe;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod time;
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
pub use stats::{FlowStats, FlowWait, LimitTimes, Stats, StripeLimit, StripeStats};
pub use time::Instant;
pub use timers::Timer;
pub use wire::hello::{Hello, HelloKind, Refusal};

/// Numbers that both sides take for granted.
pub mod limits {
    pub use crate::config::{
        CONTROL_PER_FLOW, FLOW_FLOOR, INITIAL_EARLY, INITIAL_FLOWS, INITIAL_WINDOW, MAX_CHUNK,
        MAX_OPAQUE, MAX_STRIPES, MIN_CONTROL_BURST,
    };
}
