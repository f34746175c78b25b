//! The options of a command line, without the environment and the defaults.

use super::keys::KeyOptions;
use super::limits::Changes;
use crate::failure::Failure;
use crate::log::LogFormat;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;

#[derive(Default)]
pub(crate) struct Given {
    pub help: bool,
    pub version: bool,
    pub verbose: bool,
    pub quiet: bool,
    pub pair: bool,
    pub stripes: Option<usize>,
    pub listens: Vec<String>,
    pub scheduler: Option<SchedulerKind>,
    pub log: Option<LogFormat>,
    pub connect_timeout: Option<Duration>,
    pub drain_timeout: Option<Duration>,
    pub trace: Option<PathBuf>,
    pub congestion: Option<String>,
    pub limits: Changes,
    pub keys: KeyOptions,
}

impl Given {
    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.verbose && self.quiet {
            let cause = "--verbose and --quiet can't be used together";
            return Err(Failure::usage(cause, "choose one of them"));
        }
        self.keys.check()
    }
}
