//! The second gear: the production driver, server and bridge themselves, in virtual time.
//!
//! The first gear ([`crate::swarm`]) drives two sessions; partial writes, wake-ups, the order of
//! ticks, dialling, resets and shutdown are the runtime's, and that is what runs here:
//! [`striper_runtime::Client`] and [`striper_runtime::Server`] on simulated sockets ([`pipe`],
//! [`net`]) and an [`executor`] that is stepped in an order drawn from the seed. Nothing in it
//! takes time, connections, tasks or random numbers from anywhere else, so a seed gives the same
//! run each time.
//!
//! Not modelled: system calls that fail for other reasons than those of the fault kinds, and
//! threads.

pub mod command;
pub mod draw;
pub mod executor;
pub mod kind;
pub mod net;
pub mod pipe;
pub mod program;
pub mod world;
