//! `-W`: standard input and output are the one connection of this process.

use crate::failure::code;
use rustix::fs::{Mode, OFlags};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::stdio::{dup2_stdin, dup2_stdout, stdin, stdout};
use smol::Unblock;
use std::fs::File;
use std::io;
use striper_runtime::{FlowEnd, Pipe, StreamPipe};

/// The most bytes that one read or write of a thread moves.
const BUFFER: usize = 256 << 10;

/// Takes over standard input and output. Nothing else holds them then, so closing this output is
/// the end that the other program sees.
pub(crate) fn take() -> io::Result<Box<dyn Pipe>> {
    let reader = File::from(fcntl_dupfd_cloexec(stdin(), 3)?);
    let writer = File::from(fcntl_dupfd_cloexec(stdout(), 3)?);
    let nothing = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    let reader = Unblock::with_capacity(BUFFER, reader);
    Ok(Box::new(StreamPipe::new(reader, Unblock::with_capacity(BUFFER, writer))))
}

/// The exit code that tells how the connection ended.
pub(crate) fn code(end: &FlowEnd) -> u8 {
    match end {
        FlowEnd::Finished => 0,
        FlowEnd::NoSession(_) | FlowEnd::Cut(_) => code::NO_SERVER,
        _ => code::NO_TARGET,
    }
}
