//! The bytes on a stripe. Specified in PROTOCOL.md.

pub mod deframer;
pub mod frame;
pub mod hello;
pub mod varint;
