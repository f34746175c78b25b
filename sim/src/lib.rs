//! The simulator: two real [`striper_core::Session`]s, joined by modelled TCP connections, in
//! virtual time.
//!
//! - [`world`] is the simulated world: it drives both sessions, the [`link`]s between them and the
//!   programs ([`app`]) behind them, breaks things as told ([`faults`]), and checks everything
//!   after every step.
//! - [`oracle`] knows the best that any scheduler could do, and [`measure`] compares.
//! - [`mod@bench`] does so with every scheduler on many mixes of stripes.
//! - [`picture`] draws a run, [`explain`] says what its flows waited for.
//! - [`record`] writes each session of a world down as a trace ([`observe`] is how it sees them),
//!   [`replay`] plays traces, [`bless`] makes those of the simulator anew.
//! - [`swarm`] draws small worlds with trouble at random, demands that all that can complete does,
//!   and makes failures small.
//!
//! ```
#![doc = include_str!("../examples/transfer.rs")]
//! ```

pub mod agenda;
pub mod app;
pub mod args;
pub mod bench;
pub mod bless;
pub mod bugs;
pub mod drain;
mod draw;
pub mod driver;
pub mod exhaust;
pub mod explain;
pub mod failure;
pub mod faults;
pub mod files;
pub mod kinds;
pub mod link;
pub mod measure;
pub mod observe;
pub mod option;
pub mod oracle;
pub mod picture;
pub mod rate;
pub mod record;
pub mod repeat;
pub mod replay;
pub mod say;
pub mod scheduler;
pub mod seed;
pub mod selftest;
pub mod side;
pub mod steady;
pub mod swarm;
pub mod units;
pub mod world;
