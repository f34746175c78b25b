//! The status line on a terminal.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Signal;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};
use striper_tests::{LIMIT, Process, binary};

/// The program on a terminal of its own, and what it writes there.
fn on_terminal(args: &[&str]) -> (Process, File) {
    let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("a terminal");
    let name = ptsname(&screen, Vec::new()).expect("the terminal's name");
    let name = Path::new(std::ffi::OsStr::from_bytes(name.to_bytes()));
    let terminal = OpenOptions::new().read(true).write(true).open(name).expect("a terminal");
    let mut command = Command::new(binary::path());
    command.args(args).env("TERM", "xterm").stdin(Stdio::null()).stdout(Stdio::null());
    (Process::start(command.stderr(terminal)), screen.into())
}

fn read_until(screen: &mut File, part: &str) {
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains(part) {
        let limit = Timespec::try_from(LIMIT).expect("a reasonable time");
        let ready = poll(&mut [PollFd::new(screen, PollFlags::IN)], Some(&limit)).expect("poll");
        assert_eq!(ready, 1, "{part:?} does not come on the terminal");
        let mut some = [0; 1000];
        let count = screen.read(&mut some).expect("something on the terminal");
        seen.extend(&some[..count]);
    }
}

#[test]
fn the_status_line_is_drawn_again_when_the_program_goes_on() {
    let (process, mut screen) = on_terminal(&["relay", "0", "127.0.0.1:1"]);
    read_until(&mut screen, "0 connections");
    // It does not change, so nothing else draws it.
    process.signal(Signal::CONT);
    read_until(&mut screen, "0 connections");
}
