//! The model: TCP connections, the programs behind them, what may break, and the best that any
//! scheduler could do.

mod app;
mod faults;
mod link;
mod oracle;

pub use app::*;
pub use faults::{Fault, ProcessFault, Told};
pub use link::{Breakage, Later, Link, LinkEvent, LinkSpec, MSS, random_piece, take_front};
pub use oracle::{Pipe, capacity, credit_time, fluid_time, paced_delays};
