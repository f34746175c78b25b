//! A peer that has the key and means harm: what it says, and when, against one session. Each attack
//! has a test that names it.
//!
//! Memory is counted in `memory.rs`, and what flooding with control comes to in the
//! session's own tests.

mod amplification;
mod flows;
mod huge;
mod moments;
