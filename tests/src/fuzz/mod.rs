//! Fuzz targets: each takes any bytes and panics if the engine does something that it must not.
//!
//! libFuzzer calls them from `tests/fuzz`, and `tests/tests/fuzz_corpus.rs` replays what it has
//! found with a plain `cargo test`. So a target depends on its input alone: no clock, no
//! randomness, and nothing is kept between two calls. `allocated` says how many bytes the process
//! has allocated now; where nothing counts them it may always say zero.
//!
//! docs/fuzzing.md says how to run them and how they were seen to find bugs.

mod deframer;
#[cfg(feature = "tls")]
mod ends;
#[cfg(feature = "tls")]
mod handshake;
#[cfg(feature = "tls")]
mod keyed_session;
mod session_bytes;
mod session_ops;
mod source;
mod spoken;
#[cfg(feature = "tls")]
mod ways;

pub use deframer::deframer;
#[cfg(feature = "tls")]
pub use handshake::handshake;
#[cfg(feature = "tls")]
pub use keyed_session::keyed_session;
pub use session_bytes::session_bytes;
pub use session_ops::session_ops;
#[cfg(feature = "tls")]
pub use ways::ways;
