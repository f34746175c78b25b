//! The control socket: other programs of the same user ask a running proxy for its state, or tell
//! it what to do. docs/OPERATING.md describes it.

pub(crate) mod client;
pub(crate) mod commands;
mod place;
mod private;
pub(crate) mod request;
mod server;
mod subject;
mod table;

pub(crate) use server::Socket;
pub(crate) use subject::{Proxy, Subject};
