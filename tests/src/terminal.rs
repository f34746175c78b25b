//! A terminal of its own for a program.

use crate::LIMIT;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetattr, tcsetwinsize};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A program that draws for ever must not keep a test waiting for ever.
const MOST_READS: usize = 300;

pub struct Terminal {
    /// The side of a person, who types and sees.
    screen: File,
    /// The side of a program, which reads and writes.
    program: File,
}

impl Terminal {
    pub fn open(columns: u16, lines: u16) -> Terminal {
        let screen = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&screen).and_then(|()| unlockpt(&screen)).expect("a terminal");
        let name = ptsname(&screen, Vec::new()).expect("the terminal's name");
        let name = Path::new(OsStr::from_bytes(name.to_bytes()));
        let program = OpenOptions::new().read(true).write(true).open(name).expect("a terminal");
        let terminal = Terminal { screen: screen.into(), program };
        terminal.resize(columns, lines);
        terminal
    }

    pub fn resize(&self, ws_col: u16, ws_row: u16) {
        let size = Winsize { ws_row, ws_col, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.screen, size).expect("the size of a terminal");
    }

    /// The end for a standard stream of a program.
    pub fn program(&self) -> File {
        self.program.try_clone().expect("a file")
    }

    /// How it treats keys and text, in a form that can be compared.
    pub fn settings(&self) -> String {
        format!("{:?}", tcgetattr(&self.program).expect("the settings of a terminal"))
    }

    pub fn write(&mut self, keys: &str) {
        self.screen.write_all(keys.as_bytes()).expect("room for keys");
    }

    /// Reads what programs write until this part comes, and returns it.
    pub fn read_until(&mut self, part: &str) -> String {
        let mut seen = Vec::new();
        for _ in 0..MOST_READS {
            let text = String::from_utf8_lossy(&seen);
            if text.contains(part) {
                return text.into_owned();
            }
            let limit = Timespec::try_from(LIMIT).expect("a reasonable time");
            let mut polled = [PollFd::new(&self.screen, PollFlags::IN)];
            let ready = poll(&mut polled, Some(&limit)).expect("poll");
            assert_eq!(ready, 1, "{part:?} does not come on the terminal: {text:?}");
            let mut some = [0; 1000];
            let count = self.screen.read(&mut some).expect("something on the terminal");
            seen.extend(&some[..count]);
        }
        panic!("{part:?} does not come on the terminal: {:?}", String::from_utf8_lossy(&seen));
    }
}
