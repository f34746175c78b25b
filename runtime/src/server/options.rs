//! What a server is told at its start.

use crate::admission::limits::Limits;
use crate::record::Traces;
use crate::settings::{self, SettingsError};
use crate::tcp::congestion::CongestionChoice;
use crate::tls::keys::Keys;
use std::sync::Arc;
use striper_core::Config;

/// Settings of a [`Server`](crate::local::Server).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Settings of each session. The memory limit is that of all together.
    pub session: Config,
    /// Who may call. Without, everybody who reaches the port may, and stripes are not encrypted.
    pub keys: Option<Keys>,
    /// Where its sessions are recorded, if they are.
    pub traces: Option<Arc<Traces>>,
    /// What controls congestion on stripes. [`start_in`](crate::local::Server::start_in) leaves that to
    /// its listener.
    pub congestion: CongestionChoice,
    /// What strangers and peers may cost it. [`start_in`](crate::local::Server::start_in) leaves the file
    /// descriptors in reserve to its listener.
    pub limits: Limits,
}

impl ServerOptions {
    /// Whether all settings are within their ranges.
    pub fn check(&self) -> Result<(), SettingsError> {
        settings::check_session(&self.session)?;
        settings::check_limits(&self.limits)
    }
}
