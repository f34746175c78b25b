//! The bytes on a stripe. Specified in PROTOCOL.md.

pub(crate) mod deframer;
pub mod frame;
pub mod hello;
pub mod varint;
