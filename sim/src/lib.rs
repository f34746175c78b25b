//! The simulator: two real [`striper_core::Session`]s, joined by modelled TCP connections, in
//! virtual time.
//!
//! Its parts are six floors. Each imports only itself and the floors before it in this list:
//!
//! - [`base`] has words and tools.
//! - [`net`] is the model: the links between the sessions, the programs behind them, what breaks,
//!   and an oracle that knows the best that any scheduler could do.
//! - [`run`] runs one world and checks everything after every step.
//! - [`search`] draws or enumerates worlds and looks for one that fails.
//! - [`show`] measures, draws, compares and explains.
//! - [`command`] reads the command line.
//!
//! ```
#![doc = include_str!("../examples/transfer.rs")]
//! ```

pub mod base;
pub mod command;
pub mod net;
pub mod run;
pub mod search;
pub mod show;
