//! Words and tools that every other floor uses.

mod agenda;
mod draw;
mod failure;
pub mod files;
mod kinds;
mod parallel;
mod rate;
mod say;
pub mod scheduler;
pub mod seed;
mod side;
mod units;

pub use agenda::Agenda;
pub use draw::{log_duration, log_range, pick};
pub use failure::{Failure, catch};
pub use kinds::{Kind, Kinds};
pub(crate) use kinds::{listed, named};
pub use parallel::{all_cores, each, in_order};
pub use rate::Rate;
pub use say::say;
pub use seed::Digest;
pub use side::Side;
pub use units::*;
