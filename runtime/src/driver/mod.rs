//! The driver of one session: its stripes' pipes, and the local pipes of the flows that it carries.
//!
//! It knows neither sockets nor an executor: pipes, dials, time and randomness are given to it.

mod adaptation;
mod agenda;
mod attempt;
mod base;
#[cfg(feature = "testing")]
mod check;
mod client_side;
mod dialler;
mod engine;
mod flows;
mod greet;
mod life;
mod local_end;
mod memory;
mod pump;
mod ready;
mod status;
mod stripe_end;
mod stripes;
mod sweep;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod turn;

#[cfg(feature = "testing")]
pub use check::Footprint;
#[cfg(feature = "testing")]
pub(crate) use check::check_invariants;
pub(crate) use client_side::Dialling;
pub(crate) use flows::{Origin, Wanted};
pub(crate) use greet::{HearError, hear, say};
pub(crate) use pump::Pump;
pub(crate) use ready::Token;
pub(crate) use status::{earlier, flows, status};
pub(crate) use turn::run;
