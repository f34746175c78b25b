//! The status line on a terminal.

use rustix::process::Signal;
use std::process::{Command, Stdio};
use striper_tests::{Process, Terminal, binary};

#[test]
fn the_status_line_is_drawn_again_when_the_program_goes_on() {
    let mut terminal = Terminal::open(80, 24);
    let mut command = Command::new(binary::path());
    command.args(["relay", "0", "127.0.0.1:1"]).env("TERM", "xterm");
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(terminal.program());
    let process = Process::start(&mut command);
    terminal.read_until("0 connections");
    // It does not change, so nothing else draws it.
    process.signal(Signal::CONT);
    terminal.read_until("0 connections");
}
