//! Running one world, and watching it.

pub mod drain;
pub mod driver;
pub mod observe;
pub mod record;
pub mod steady;
pub mod transfer;
pub mod world;
