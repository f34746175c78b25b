//! Running one world, and watching it.

mod bare;
pub mod drain;
pub mod driver;
pub mod observe;
mod path;
pub mod record;
pub mod steady;
mod transfer;
mod world;

pub use bare::Bare;
pub use observe::{Observer, Seen};
pub use path::Path;
pub use record::{NamedTrace, Recordings};
pub use transfer::{FAULTS, Row, Transfer};
pub use world::{Checks, Setup, World};
