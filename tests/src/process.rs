//! Child processes that never outlive the test.

use crate::LIMIT;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// A running child process, killed when this is dropped.
pub struct Process {
    child: Child,
    /// Readable once it has ended.
    end: OwnedFd,
}

impl Process {
    pub fn start(command: &mut Command) -> Process {
        let child = command.spawn().unwrap_or_else(|error| panic!("starting {command:?}: {error}"));
        let end = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
            .expect("a child that was just started");
        Process { child, end }
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Its standard streams, where they are pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("a running child");
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for its end; `None` if it does not end within the limit.
    pub fn wait(&mut self, limit: Duration) -> Option<ExitStatus> {
        let limit = Timespec::try_from(limit).expect("a reasonable time");
        let ended = poll(&mut [PollFd::new(&self.end, PollFlags::IN)], Some(&limit)).expect("poll");
        (ended > 0).then(|| self.child.wait().expect("a child that has ended"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[derive(Debug)]
pub struct Finished {
    /// Its exit code, unless a signal ended it.
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Finished {
    pub fn of(command: &mut Command) -> Finished {
        let mut process = Process::start(
            command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()),
        );
        let (stdout, stderr) = (process.child.stdout.take(), process.child.stderr.take());
        let (stdout, stderr) = (collect(stdout), collect(stderr));
        let status = process.wait(2 * LIMIT);
        process.kill();
        let [stdout, stderr] = [stdout, stderr].map(|text| text.join().expect("a reader"));
        let status = status.unwrap_or_else(|| panic!("{command:?} hangs\n{stdout}\n{stderr}"));
        Finished { code: status.code(), stdout, stderr }
    }

    /// Panics unless it went well; returns its standard output.
    pub fn success(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.stdout, self.stderr);
        self.stdout
    }
}

fn collect(pipe: Option<impl Read + Send + 'static>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.expect("a pipe").read_to_end(&mut bytes);
        String::from_utf8_lossy(&bytes).into_owned()
    })
}
