//! The model: TCP connections, the programs behind them, what may break, and the best that any
//! scheduler could do.

pub mod app;
pub mod faults;
pub mod link;
pub mod oracle;
