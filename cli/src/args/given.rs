//! The options of a command line, without the environment and the defaults.

use super::limits::Changes;
use super::shared::{Proxying, Striping};
use std::path::PathBuf;
use striper_runtime::Rules;

/// Each command fills in those that it takes.
#[derive(Default)]
pub(super) struct Given {
    pub stripes: Option<usize>,
    pub proxy_users: Option<PathBuf>,
    pub rules: Rules,
    pub limits: Changes,
    pub striping: Striping,
    pub proxying: Proxying,
}
