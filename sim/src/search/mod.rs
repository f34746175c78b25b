//! Searching many worlds for one that fails.

pub mod bugs;
pub mod exhaust;
pub mod hunts;
mod repeat;
pub mod swarm;
