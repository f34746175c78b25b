//! `-W`: standard input and output are the one connection of this process.

use crate::failure::code;
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fcntl_setfl, fstat};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::net::{Shutdown, shutdown};
use rustix::stdio::{dup2_stdin, dup2_stdout, stdin, stdout};
use smol::Unblock;
use smol::io::{AsyncRead, AsyncWrite};
use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use striper_runtime::{FlowEnd, Pipe, StreamPipe};

/// The most bytes that one read or write of a thread moves.
const BUFFER: usize = 256 << 10;

/// The first failure of standard input or output, if there was one. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Trouble(Rc<RefCell<Option<String>>>);

impl Trouble {
    pub(crate) fn take(&self) -> Option<String> {
        self.0.borrow_mut().take()
    }

    fn note<T>(&self, what: &str, done: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &done {
            self.0.borrow_mut().get_or_insert_with(|| format!("{what}: {error}"));
        }
        done
    }
}

/// Takes over standard input and output. Nothing else holds them then, so closing this output is
/// the end that the other program sees. `trouble` hears of failures.
pub(crate) fn take(trouble: &Trouble) -> io::Result<Box<dyn Pipe>> {
    let reader = File::from(fcntl_dupfd_cloexec(stdin(), 3)?);
    let writer = File::from(fcntl_dupfd_cloexec(stdout(), 3)?);
    for file in [&reader, &writer] {
        // Without waiting, a thread that reads or writes would fail.
        let flags = fcntl_getfl(file)?;
        if flags.contains(OFlags::NONBLOCK) {
            fcntl_setfl(file, flags - OFlags::NONBLOCK)?;
        }
    }
    let nothing = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    dup2_stdin(&nothing)?;
    dup2_stdout(&nothing)?;
    let is_socket = FileType::from_raw_mode(fstat(&writer)?.st_mode) == FileType::Socket;
    let socket = is_socket.then(|| writer.try_clone()).transpose()?;
    let file = Unblock::with_capacity(BUFFER, writer);
    let output = Output { file, socket, trouble: trouble.clone() };
    let file = Unblock::with_capacity(BUFFER, reader);
    let input = Input { file, trouble: trouble.clone() };
    Ok(Box::new(StreamPipe::new(input, output)))
}

struct Input {
    file: Unblock<File>,
    trouble: Trouble,
}

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.file).poll_read(cx, bytes);
        self.trouble.note("standard input", done)
    }
}

struct Output {
    file: Unblock<File>,
    trouble: Trouble,
    /// The file, if it is a socket. That may be the input too, so closing it would be no end.
    socket: Option<File>,
}

impl AsyncWrite for Output {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let done = Pin::new(&mut self.file).poll_write(cx, bytes);
        self.trouble.note("standard output", done)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.file).poll_flush(cx);
        self.trouble.note("standard output", done)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let done = Pin::new(&mut self.file).poll_close(cx);
        ready!(self.trouble.note("standard output", done))?;
        match self.socket.take() {
            Some(socket) => Poll::Ready(Ok(shutdown(&socket, Shutdown::Write)?)),
            None => Poll::Ready(Ok(())),
        }
    }
}

/// The exit code that tells how the connection ended.
pub(crate) fn code(end: &FlowEnd) -> u8 {
    match end {
        FlowEnd::Finished => 0,
        FlowEnd::NoSession(_) | FlowEnd::Cut(_) => code::NO_SERVER,
        _ => code::NO_TARGET,
    }
}
