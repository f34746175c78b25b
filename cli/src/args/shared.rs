//! Options that several commands take, in groups.

use super::invocation::Control;
use super::keys::KeyOptions;
use super::values::{
    LOG_FORMATS, SCHEDULERS, congestion, control, file, one_of, positive_time, time,
};
use crate::endpoint;
use crate::log::LogFormat;
use clap::Args;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;

#[derive(Args, Default)]
pub(super) struct Scheduling {
    /// how this side chooses a stripe for data: earliest (it delivers first; default), uc (the same
    /// until it is congested), rr (each in turn)
    #[arg(long, value_name = "NAME", value_parser = one_of(SCHEDULERS))]
    pub scheduler: Option<SchedulerKind>,
}

/// Both sides of a pair.
#[derive(Args, Default)]
pub(super) struct Striping {
    #[command(flatten)]
    pub scheduling: Scheduling,
    /// congestion control of this side's stripes: auto (cubic, but bbr on a route that loses
    /// packets without a queue; default), system (its choice), or one: reno, bbr, ... (Linux)
    #[arg(long, value_name = "NAME", value_parser = congestion)]
    pub congestion: Option<String>,
    #[command(flatten)]
    pub keys: KeyOptions,
    /// record each session to a file, without content and targets (docs/traces.md)
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
    /// control socket (docs/OPERATING.md): a path, or off
    #[arg(long, value_name = "PATH|off", value_parser = control())]
    pub control: Option<Control>,
    /// log only warnings and errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// show the state as a page and as metrics over HTTP
    #[arg(long, value_name = "ADDR", value_parser = endpoint::listen)]
    pub http_status: Option<SocketAddr>,
}
