//! Network namespaces: made and removed by iproute2, entered by a thread of this process. By the
//! number of the process in their names, a lab removes those of a lab that was killed.

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs, io, process, thread};

const PREFIX: &str = "striper-lab";
/// Where iproute2 keeps its namespaces.
const FOLDER: &str = "/run/netns";

/// Receive and send buffers that a long route needs at 400 Mbit/s, and ports for many connections.
const SETTINGS: [(&str, &str); 5] = [
    ("tcp_rmem", "4096 131072 33554432"),
    ("tcp_wmem", "4096 65536 33554432"),
    ("ip_local_port_range", "10240 65000"),
    ("tcp_tw_reuse", "1"),
    ("conf/all/rp_filter", "0"),
];

/// A network namespace, removed with all its processes when this is dropped.
pub struct Namespace {
    name: String,
}

impl Namespace {
    pub fn create(suffix: &str) -> Result<Namespace, String> {
        let name = format!("{PREFIX}-{}-{suffix}", process::id());
        ip(&["netns", "add", &name], "")?;
        let namespace = Namespace { name };
        namespace.ip("link set lo up")?;
        namespace.run(|| {
            for (key, value) in SETTINGS {
                fs::write(format!("/proc/sys/net/ipv4/{key}"), value)
                    .map_err(|error| format!("setting net/ipv4/{key}: {error}"))?;
            }
            Ok(())
        })?;
        Ok(namespace)
    }

    pub fn ip(&self, lines: &str) -> Result<(), String> {
        ip(&["-n", &self.name, "-batch", "-"], lines)
    }

    /// Runs something in it on a thread of its own. Threads, processes, devices and sockets of that
    /// are in it too.
    pub fn run<T: Send>(
        &self,
        what: impl FnOnce() -> Result<T, String> + Send,
    ) -> Result<T, String> {
        let enter = || {
            let place = File::open(Path::new(FOLDER).join(&self.name))?;
            move_into_link_name_space(place.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(())
        };
        thread::scope(|scope| {
            let done = scope.spawn(|| {
                enter().map_err(|error: io::Error| {
                    format!("entering the namespace {}: {error}", self.name)
                })?;
                what()
            });
            done.join().unwrap_or_else(|_| Err("a thread of the lab panicked".to_owned()))
        })
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

pub fn remove_own() {
    remove_where(|owner| owner == process::id());
}

/// Removes the namespaces of earlier labs; one of them may have had this process's number.
pub fn remove_left_over() {
    remove_where(|owner| owner == process::id() || !Path::new(&format!("/proc/{owner}")).exists());
}

fn remove_where(condition: impl Fn(u32) -> bool) {
    let Ok(entries) = fs::read_dir(FOLDER) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        if owner(&name).is_some_and(&condition) {
            remove(&name);
        }
    }
}

/// The number of the lab that made the namespace of this name; `None` if no lab did.
fn owner(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.strip_prefix('-')?.split_once('-')?.0.parse().ok()
}

fn remove(name: &str) {
    let pids = Command::new("ip").args(["netns", "pids", name]).output();
    let pids =
        pids.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    for pid in pids.split_whitespace().filter_map(|pid| Pid::from_raw(pid.parse().ok()?)) {
        if pid != rustix::process::getpid() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = ip(&["netns", "del", name], "");
}

fn ip(args: &[&str], input: &str) -> Result<(), String> {
    let run = || {
        let mut child = Command::new("ip")
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        // A program that ends without reading prints its reason.
        let _ = child.stdin.take().map(|mut stdin| stdin.write_all(input.as_bytes()));
        child.wait_with_output()
    };
    let output = run().map_err(|error| format!("running ip (iproute2): {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("ip {}: {}", args.join(" "), String::from_utf8_lossy(&output.stderr).trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_labs_namespaces_have_an_owner() {
        assert_eq!(owner("striper-lab-12-a"), Some(12));
        for name in
            ["striper-lab", "striper-lab-a", "striper-lab-x-a", "lab-12-a", "striper-lab12-a"]
        {
            assert_eq!(owner(name), None, "{name}");
        }
    }
}
