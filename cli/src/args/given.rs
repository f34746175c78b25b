//! The options of a command line, without the environment and the defaults.

use super::limits::Changes;
use super::shared::{Proxying, Striping};
use ipnet::IpNet;
use std::path::PathBuf;
use striper_runtime::Rules;
use striper_runtime::ways::proxy_protocol::Version;

/// Each command fills in those that it takes.
#[derive(Default)]
pub(super) struct Given {
    pub stripes: Option<usize>,
    pub proxy_users: Option<PathBuf>,
    pub accept_proxy_protocol: Vec<IpNet>,
    pub proxy_protocol: Option<Version>,
    pub rules: Rules,
    pub limits: Changes,
    pub striping: Striping,
    pub proxying: Proxying,
}
