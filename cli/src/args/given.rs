//! What the options of a command line give, before the environment and the defaults fill in the
//! rest.

use super::keys::KeyOptions;
use super::limits::Changes;
use crate::failure::Failure;
use crate::log::LogFormat;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;

/// The values of the options on a line.
#[derive(Default)]
pub struct Given {
    /// Help is asked for.
    pub help: bool,
    /// The version is asked for.
    pub version: bool,
    /// `--verbose`.
    pub verbose: bool,
    /// `--quiet`.
    pub quiet: bool,
    /// `--pair`.
    pub pair: bool,
    /// `--stripes`.
    pub stripes: Option<usize>,
    /// What `-L` gives.
    pub listens: Vec<String>,
    /// `--scheduler`.
    pub scheduler: Option<SchedulerKind>,
    /// `--log`.
    pub log: Option<LogFormat>,
    /// `--connect-timeout`.
    pub connect_timeout: Option<Duration>,
    /// `--drain-timeout`.
    pub drain_timeout: Option<Duration>,
    /// `--trace`.
    pub trace: Option<PathBuf>,
    /// `--congestion`.
    pub congestion: Option<String>,
    /// What `--limit` gives.
    pub limits: Changes,
    /// `--key`, `--peers` and `--plain`.
    pub keys: KeyOptions,
}

impl Given {
    /// Says what is wrong with options beside each other.
    pub fn check(&self) -> Result<(), Failure> {
        if self.verbose && self.quiet {
            let cause = "--verbose and --quiet exclude each other";
            return Err(Failure::usage(cause, "choose one of them"));
        }
        self.keys.check()
    }
}
