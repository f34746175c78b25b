//! The options of a command line, without the environment and the defaults.

use super::invocation::Way;
use super::keys::KeyOptions;
use super::limits::Changes;
use crate::endpoint::BadAddress;
use crate::failure::Failure;
use crate::log::LogFormat;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;
use striper_runtime::Rules;

#[derive(Default)]
pub(crate) struct Given {
    pub help: bool,
    pub version: bool,
    pub verbose: bool,
    pub quiet: bool,
    pub pair: bool,
    pub stripes: Option<usize>,
    pub ways: Vec<Way>,
    pub rules: Rules,
    pub proxy_users: Option<PathBuf>,
    /// The option of the first way, for an error.
    pub names_way: Option<&'static str>,
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
    /// Adds a way that an option named.
    pub(super) fn way(
        &mut self,
        option: &'static str,
        way: Result<Way, BadAddress>,
    ) -> Result<(), String> {
        let way = way.map_err(|bad| format!("{}; {}", bad.cause, bad.cure))?;
        self.names_way.get_or_insert(option);
        self.ways.push(way);
        Ok(())
    }

    pub(crate) fn check(&self) -> Result<(), Failure> {
        if self.verbose && self.quiet {
            let cause = "--verbose and --quiet can't be used together";
            return Err(Failure::usage(cause, "choose one of them"));
        }
        let is_proxy = |way: &Way| matches!(way, Way::Proxy { .. });
        if self.proxy_users.is_some() && !self.ways.iter().any(is_proxy) {
            let cause = "--proxy-users is for programs that use -D, and there is none";
            return Err(Failure::usage(cause, "add -D [ADDR:]PORT, or leave it out"));
        }
        self.keys.check()
    }
}
