//! Options that several commands take, in groups.

use super::keys::KeyOptions;
use super::values::{LOG_FORMATS, SCHEDULERS, congestion, file, one_of, positive_time, time};
use crate::log::LogFormat;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;

#[derive(Args, Default)]
pub(super) struct Scheduling {
    /// how this side chooses a stripe for data:
    ///   earliest  the one that delivers it first
    ///             (default)
    ///   uc        the same one until it is congested
    ///   rr        all stripes in turn
    #[arg(long, value_name = "NAME", value_parser = one_of(SCHEDULERS), verbatim_doc_comment)]
    pub scheduler: Option<SchedulerKind>,
}

/// Both sides of a pair.
#[derive(Args, Default)]
pub(super) struct Striping {
    #[command(flatten)]
    pub scheduling: Scheduling,
    /// congestion control of the stripes of this side:
    ///   auto    cubic, but bbr on a stripe that loses
    ///           packets without a queue (default; Linux)
    ///   system  the choice of the system
    ///   reno, bbr, ...  always this one
    #[arg(long, value_name = "NAME", value_parser = congestion, verbatim_doc_comment)]
    pub congestion: Option<String>,
    #[command(flatten)]
    pub keys: KeyOptions,
    /// record the session, without content and targets (docs/traces.md). Later sessions go to
    /// FILE.2, FILE.3 and so on. An earlier trace is replaced; any other file is an error
    #[arg(long, value_name = "FILE", value_parser = file())]
    pub trace: Option<PathBuf>,
}

/// All commands that make connections.
#[derive(Args, Default)]
pub(super) struct Connecting {
    /// how long a new connection waits for a target or server that does not answer (10s)
    #[arg(long, value_name = "TIME", value_parser = positive_time)]
    pub connect_timeout: Option<Duration>,
    /// also log when stripes come and go
    #[arg(short, long)]
    pub verbose: bool,
    /// log lines on stderr for a person, or as JSON
    #[arg(long, value_name = "human|json", value_parser = one_of(LOG_FORMATS))]
    pub log: Option<LogFormat>,
}

/// All commands that take connections and make others.
#[derive(Args, Default)]
pub(super) struct Proxying {
    /// how long connections may go on after a signal to stop (30s)
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub drain_timeout: Option<Duration>,
    #[command(flatten)]
    pub connecting: Connecting,
    /// log only warnings and errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
}
