//! Counts of events, for those who ask for the state.

use serde::{Deserialize, Serialize};

/// Counts of events since the process began.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Counts {
    pub sessions_begun: u64,
    /// Stripes that came up.
    pub stripes_begun: u64,
    /// Client: dials of its server that failed.
    pub dials_failed: u64,
    /// Server: callers that were turned away.
    pub callers_refused: u64,
    /// Connections that ended with both FINs.
    pub connections_finished: u64,
    pub connections_reset: u64,
    /// Connections that did not reach their target, or were refused.
    pub connections_failed: u64,
    /// Connections that nobody wanted any more, before their target answered.
    pub connections_given_up: u64,
}
