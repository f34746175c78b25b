//! Words and tools that every other floor uses.

pub mod agenda;
pub mod draw;
pub mod failure;
pub mod files;
pub mod kinds;
pub mod parallel;
pub mod rate;
pub mod say;
pub mod scheduler;
pub mod seed;
pub mod side;
pub mod units;
