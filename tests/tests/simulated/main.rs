//! Sessions in virtual time, and the traces of some.

mod backpressure;
mod close;
mod death;
mod driver;
mod golden_traces;
mod steady;
mod swarm;
mod transfer;
