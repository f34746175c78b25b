//! The limit of open files: each connection is one, and the usual 1,024 are soon used up.

use crate::failure::Failure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::os::fd::AsFd;

/// The fewest that a proxy can begin with: a dozen of its own, a few stripes, a few connections,
/// and the reserve that callers must leave.
pub const FOR_A_PROXY: usize = 32;

/// What the demo needs at once: eight stripes, each with both ends and both sides of the route.
pub const FOR_THE_DEMO: usize = 80;

/// Raises the soft limit to the hard one, as a server may. Without success all goes on with what there is.
fn raise_limit() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}

/// Makes room for open files. An error if there is less than this: later it would end in a panic,
/// or in a proxy that never accepts.
pub fn make_room(least: usize) -> Result<(), Failure> {
    raise_limit();
    let mut open = Vec::new();
    while open.len() < least {
        match std::io::stderr().as_fd().try_clone_to_owned() {
            Ok(file) => open.push(file),
            Err(error) => {
                let cause = format!(
                    "there is room for {} more open files, and {least} are needed: {error}",
                    open.len()
                );
                let cure = "raise the limit: ulimit -n 1024 in a new shell, or LimitNOFILE=1024 in \
                            a systemd unit";
                return Err(Failure::config(cause, cure));
            }
        }
    }
    Ok(())
}
