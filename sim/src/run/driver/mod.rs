//! The second gear: the production driver, server and bridge themselves, in virtual time.
//!
//! The first gear, the swarm, drives two sessions. Partial writes, wake-ups, the order of ticks,
//! dials, resets and shutdown belong to the runtime, and the runtime is what runs here:
//! [`striper_runtime::local::Client`] and [`striper_runtime::local::Server`] on simulated sockets
//! ([`pipe`], [`net`]). An [`executor`] steps their tasks in an order drawn from the seed. Time,
//! connections, tasks and random numbers come from nowhere else, so a seed gives the same run each
//! time.
//!
//! Not modelled: system calls that fail for other reasons than those of the fault kinds, and
//! threads.

pub mod draw;
pub mod executor;
pub mod kind;
pub mod net;
pub mod pipe;
pub mod program;
pub mod world;
