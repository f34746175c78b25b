//! Settings of a server.

use crate::admission::limits::Limits;
use crate::record::Traces;
use crate::settings::{self, SettingsError};
use crate::tcp::congestion::CongestionChoice;
use crate::tls::keys::Keys;
use crate::tls::{KeyLog, ServerTls};
use std::sync::Arc;
use striper_core::Config;

/// Settings of a [`Server`](crate::local::Server).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServerOptions {
    /// Settings of each session. The memory limit is that of all together.
    pub session: Config,
    /// The keys of the clients that may call. Without, every client may, and nothing is encrypted.
    pub keys: Option<Keys>,
    /// Where the secrets of TLS go, if a user wants to decrypt the stripes.
    pub key_log: Option<Arc<KeyLog>>,
    /// The file that its sessions are recorded in, if they are.
    pub traces: Option<Arc<Traces>>,
    /// The congestion control of stripes. `start_in` leaves that to its listener.
    pub congestion: CongestionChoice,
    /// The bounds of the cost of strangers and peers. `start_in` has no use for `spare_files`.
    pub limits: Limits,
}

impl ServerOptions {
    pub(super) fn tls(&self) -> Option<ServerTls> {
        let tls = ServerTls::new(self.keys.as_ref()?);
        Some(self.key_log.iter().cloned().fold(tls, ServerTls::logging))
    }

    /// Whether all settings are within their ranges.
    pub fn check(&self) -> Result<(), SettingsError> {
        settings::check_session(&self.session)?;
        settings::check_limits(&self.limits)
    }
}
