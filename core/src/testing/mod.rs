//! For simulators and tests; no stability promise.
//!
//! An [`Endpoint`] is a session with the duties of its driver. Two of them joined without delay are
//! a [`Pair`]; one whose peer is a script is a [`Scripted`]. A [`Pattern`] is data that can be
//! checked at any offset.

mod endpoint;
mod log;
mod pair;
mod pattern;
mod scripted;

pub use crate::session::FlowView;
pub use endpoint::{Endpoint, Habits, Totals};
pub use log::{FlowLog, Keep, Log, Over};
pub use pair::{Pair, Wire};
pub use pattern::Pattern;
pub use scripted::{Scripted, bytes, data, open, reset};

use crate::id::{Role, SessionId};

/// The id of sessions in pairs and scripts.
pub const SESSION: SessionId = SessionId([7; 16]);

/// The instance of servers in pairs and scripts.
pub const INSTANCE: u64 = 9;

/// The role of servers in pairs and scripts.
pub const SERVER: Role = Role::Server { instance: INSTANCE };
