//! The bytes of PROTOCOL.md's worked example: two sessions say them, and hear them in any cut.

mod cuts;
mod example;
