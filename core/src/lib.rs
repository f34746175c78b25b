//! Striper's engine.
#![no_std]
extern crate alloc;

pub mod config;
pub mod error;
mod flow;
pub mod handshake;
pub mod id;
mod intents;
pub mod io;
mod ranges;
mod scheduler;
mod session;
pub mod stats;
mod stripe;
pub mod time;
mod timers;
pub mod wire;

pub use config::{Config, SchedulerKind};
pub use error::{EndReason, Reason, StripeClose, Violation};
pub use handshake::{Handshake, HandshakeError};
pub use id::{FlowId, Role, SessionId, StripeId};
pub use io::{Input, Output};
pub use session::Session;
pub use stats::{Stats, StripeStats};
pub use time::Instant;
pub use timers::Timer;
pub use wire::hello::{Hello, HelloKind, Refusal};
