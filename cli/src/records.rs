//! The files that a proxy writes beside its log: traces, and a log of TLS secrets.

use crate::args::Options;
use crate::failure::Failure;
use crate::key_log;
use crate::log::Log;
use crate::sockets::Sockets;
use crate::trace::Tracing;
use std::sync::Arc;
use striper_runtime::KeyLog;

pub(crate) struct Records {
    key_log: Option<Arc<KeyLog>>,
    tracing: Tracing,
}

impl Records {
    /// Creates them. No later step may fail: until then earlier files stay as they are.
    pub(crate) fn begin(log: &Log, options: &Options, sockets: &Sockets) -> Result<Self, Failure> {
        let key_log = key_log::begin(log, &options.keys, sockets)?;
        Ok(Records { key_log, tracing: Tracing::new(options, sockets)? })
    }

    pub(crate) fn key_log(&self) -> Option<Arc<KeyLog>> {
        self.key_log.clone()
    }

    pub(crate) fn tracing(&self) -> &Tracing {
        &self.tracing
    }

    pub(crate) fn finish(&self, log: &Log) {
        key_log::finish(log, self.key_log.as_deref());
        self.tracing.finish(log);
    }
}
