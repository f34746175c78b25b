//! The limits of open files and of threads. Each connection is a file, and the usual 1,024 are soon
//! used up.

use crate::failure::Failure;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::os::fd::AsFd;
use std::sync::Mutex;
use std::thread;

/// The fewest files that a proxy can begin with: a dozen of its own, a few stripes and connections,
/// and the reserve that callers must leave.
pub(crate) const FOR_A_PROXY: usize = 32;

/// The stripes that [`FOR_A_PROXY`] includes.
const FEW_STRIPES: usize = 4;

/// The files of the demo: eight stripes, each with both ends and both sides of the route.
pub(crate) const FOR_THE_DEMO: usize = 80;

/// Makes room for open files, among them those of so many stripes. With less than `least` files, a
/// later start of a library would panic, or a proxy would never accept.
pub(crate) fn make_room(least: usize, stripes: usize) -> Result<(), Failure> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // If the soft limit can't be raised to the hard one, the present limit holds.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let least = least + stripes.saturating_sub(FEW_STRIPES);
    let mut open = Vec::new();
    while open.len() < least {
        match std::io::stderr().as_fd().try_clone_to_owned() {
            Ok(file) => open.push(file),
            Err(error) => {
                let cause = format!(
                    "there is room for {} more open files, and {least} are needed: {error}",
                    open.len()
                );
                let fewer = if stripes > FEW_STRIPES { ", or use fewer stripes: -n" } else { "" };
                let cure = format!(
                    "raise the limit: ulimit -n 1024 in a new shell, or LimitNOFILE=1024 in a \
                     systemd unit{fewer}"
                );
                return Err(Failure::config(cause, cure));
            }
        }
    }
    Ok(())
}

/// Fails if a file may not be as large as this, in bytes. The system ends a program that writes
/// more.
pub(crate) fn check_size(bytes: u64) -> Result<(), Failure> {
    match getrlimit(Resource::Fsize).current {
        Some(most) if most < bytes => Err(Failure::config(
            format!("the limit of file sizes is {most} bytes, and {bytes} are needed"),
            "raise the limit: ulimit -f unlimited in a new shell",
        )),
        _ => Ok(()),
    }
}

/// The most threads beside the main one: the log, timers and sockets, name resolution, the trace.
const THREADS: usize = 4;

/// Fails if there is no room for the threads of a proxy. Libraries would panic without them.
pub(crate) fn check_threads() -> Result<(), Failure> {
    let lock = Mutex::new(());
    thread::scope(|scope| {
        // All threads exist at the same time: they end when this guard is dropped.
        let _held = lock.lock();
        for count in 0..THREADS {
            let wait = || drop(lock.lock());
            if let Err(error) = thread::Builder::new().spawn_scoped(scope, wait) {
                return Err(Failure::config(
                    format!(
                        "there is room for {count} more threads, and {THREADS} are needed: {error}"
                    ),
                    match getrlimit(Resource::As).current {
                        None => {
                            "raise the limit: ulimit -u 1024 in a new shell, or TasksMax=1024 in \
                             a systemd unit"
                        }
                        // Each thread has a stack.
                        Some(_) => "raise the limit of memory: ulimit -v unlimited in a new shell",
                    },
                ));
            }
        }
        Ok(())
    })
}
