//! TLS on stripes: who may talk to whom, and the pipe that sees to it.

mod engine;
mod error;
mod key_log;
pub mod keys;
mod pipe;
mod records;
mod settings;

pub use error::TlsError;
pub use key_log::KeyLog;
pub(crate) use pipe::with_records;
pub use pipe::{PlainSpeech, TlsPipe};
pub(crate) use settings::Accepted;
pub use settings::{ClientTls, ServerTls};
