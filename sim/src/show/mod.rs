//! Showing what happened in a world: tables, pages and explanations.

pub mod bench;
pub mod explain;
mod page;
pub mod picture;
pub mod replay;
mod table;
