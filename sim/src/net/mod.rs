//! The model: TCP connections, the programs behind them, what may break, and the best that any
//! scheduler could do.

mod app;
mod dips;
mod faults;
mod greedy;
mod link;
mod oracle;

pub use app::*;
pub use dips::dips;
pub use faults::{Fault, ProcessFault, Told};
pub use greedy::Greedy;
pub use link::{
    Breakage, Control, Later, Link, LinkEvent, LinkSpec, MSS, RECORD_OVERHEAD, Shared,
    random_piece, take_front,
};
pub use oracle::{Pipe, capacity, credit_time, fluid_time, paced_delays};
