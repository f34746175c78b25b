//! The bytes on a stripe. Specified in PROTOCOL.md.

pub mod deframer;
pub mod frame;
pub(crate) mod hello;
pub mod varint;

pub use hello::{MAGIC, VERSION};
