//! Running one world, and watching it.

pub mod drain;
pub mod driver;
pub mod observe;
pub mod record;
pub mod steady;
mod transfer;
mod world;

pub use observe::{Observer, Seen};
pub use record::{NamedTrace, Recordings};
pub use transfer::{FAULTS, Row, Transfer};
pub use world::{Checks, Setup, World};
