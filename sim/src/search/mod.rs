//! Searching many worlds for one that fails.

pub mod bugs;
pub mod exhaust;
pub mod hunts;
pub mod swarm;
