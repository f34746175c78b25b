//! Writes to a terminal, a file or a pipe from a thread of its own. A paused terminal and a pipe
//! without a reader block it for any time; connections and signals must not wait for them.
//!
//! The waiting text is bounded: log lines without room are dropped, and their number is written in
//! their place. Of the status line only the latest form waits. It has no newline behind it. So log
//! lines first clear it and then draw it again, in one write.

use std::borrow::Cow;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The most lines that wait: more than any burst that a reader keeps up with, and less than a
/// megabyte.
const WAITING: usize = 1_024;

/// The program's end of the queue. When it is dropped, the thread writes what is left and ends.
pub(super) struct Writer(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// There is something to write, or the writer is gone.
    work: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct State {
    text: String,
    lines: usize,
    /// The number of lines without room since the last write began; their place is behind `text`.
    dropped: u64,
    /// The status line as it should be.
    status: String,
    /// The status line as it is, or will be when the write under way ends.
    drawn: String,
    writing: bool,
    closed: bool,
}

impl State {
    fn has_work(&self) -> bool {
        self.lines > 0 || self.status != self.drawn
    }

    fn take(&mut self, lost: impl Fn(u64) -> String) -> String {
        let mut text = std::mem::take(&mut self.text);
        self.lines = 0;
        match std::mem::take(&mut self.dropped) {
            0 => {}
            dropped => text += &lost(dropped),
        }
        if !self.drawn.is_empty() || !self.status.is_empty() {
            text = format!("{CLEAR}{text}{}", shown(&self.status));
        }
        self.drawn.clone_from(&self.status);
        text
    }
}

impl Shared {
    /// No invariant spans a panic, so a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all_to(&self, sink: &mut dyn Write, lost: impl Fn(u64) -> String) {
        let mut output = Output { sink, cut: false };
        loop {
            let idle = |state: &mut State| !state.has_work() && !state.closed;
            let mut state =
                self.work.wait_while(self.lock(), idle).unwrap_or_else(PoisonError::into_inner);
            if !state.has_work() {
                return;
            }
            let text = state.take(&lost);
            state.writing = true;
            drop(state);
            // Connections go on even if the log can't be written.
            let _ = output.write(&text);
            self.lock().writing = false;
            self.done.notify_all();
        }
    }
}

struct Output<'a> {
    sink: &'a mut dyn Write,
    /// Whether an error, such as that of a full disk, has cut the last line that was written.
    cut: bool,
}

impl Output<'_> {
    /// Writes a text, but not behind a line that was cut: programs read whole lines.
    fn write(&mut self, text: &str) -> io::Result<()> {
        let text = if self.cut { Cow::from(format!("\n{text}")) } else { text.into() };
        let mut left = text.as_bytes();
        while !left.is_empty() {
            match self.sink.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    self.cut = left[count - 1] != b'\n';
                    left = &left[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // The status line has no newline behind it.
        self.cut = false;
        self.sink.flush()
    }
}

impl Writer {
    pub(super) fn start(
        mut sink: Box<dyn Write + Send>,
        lost: impl Fn(u64) -> String + Send + 'static,
    ) -> Self {
        let shared = Arc::<Shared>::default();
        let thread = std::thread::Builder::new().name("log".into()).spawn({
            let shared = shared.clone();
            move || shared.write_all_to(&mut *sink, lost)
        });
        thread.expect("the system has room for one more thread");
        Writer(shared)
    }

    /// Writes a line, which ends with its newline, soon. Does not wait.
    pub(super) fn line(&self, line: &str) {
        let mut state = self.0.lock();
        if state.lines == WAITING {
            state.dropped += 1;
            return;
        }
        state.text += line;
        state.lines += 1;
        self.0.work.notify_one();
    }

    pub(super) fn set_status(&self, status: &str) {
        let mut state = self.0.lock();
        status.clone_into(&mut state.status);
        if state.has_work() {
            self.0.work.notify_one();
        }
    }

    pub(super) fn redraw_status(&self) {
        let mut state = self.0.lock();
        state.drawn.clear();
        if state.has_work() {
            self.0.work.notify_one();
        }
    }

    /// Waits at most this long until everything is written. Returns whether it is.
    pub(super) fn flush(&self, limit: Duration) -> bool {
        let busy = |state: &mut State| state.has_work() || state.writing;
        let waited = self.0.done.wait_timeout_while(self.0.lock(), limit, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.work.notify_one();
    }
}

/// To the line's start, and clear the rest of the screen: a terminal that has become narrower may
/// have broken the status line into several.
const CLEAR: &str = "\r\x1b[J";

/// The status line without automatic line breaks, so a terminal that has just become narrower cuts
/// it off. The cursor goes back to the line's start.
fn shown(status: &str) -> String {
    if status.is_empty() { String::new() } else { format!("\x1b[?7l{status}\x1b[?7h\r") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::{Receiver, Sender, channel};

    /// Passes each write on, and returns from it only when it is resumed.
    struct Paused {
        written: Sender<String>,
        go_on: Receiver<()>,
    }

    impl Write for Paused {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            let _ = self.written.send(String::from_utf8(data.to_vec()).unwrap());
            let _ = self.go_on.recv();
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A writer that waits for a signal after each write, and has written `first`.
    fn paused() -> (Writer, Receiver<String>, Sender<()>) {
        let ((written, writes), (resume, go_on)) = (channel(), channel());
        let writer =
            Writer::start(Box::new(Paused { written, go_on }), |count| format!("{count} lost\n"));
        writer.line("first\n");
        assert_eq!(writes.recv().unwrap(), "first\n");
        (writer, writes, resume)
    }

    #[test]
    fn lines_beyond_the_bound_are_counted_in_their_place() {
        let (writer, writes, resume) = paused();
        for number in 0..WAITING + 50 {
            writer.line(&format!("{number}\n"));
        }
        assert!(!writer.flush(Duration::from_millis(10)), "the reader has stopped");
        resume.send(()).unwrap();
        let kept = (0..WAITING).map(|number| format!("{number}\n")).collect::<String>();
        assert_eq!(writes.recv().unwrap(), kept + "50 lost\n");
        writer.line("last\n");
        resume.send(()).unwrap();
        assert_eq!(writes.recv().unwrap(), "last\n");
        resume.send(()).unwrap();
        assert!(writer.flush(Duration::from_secs(10)));
    }

    #[test]
    fn of_the_status_line_only_the_latest_waits() {
        let (writer, writes, resume) = paused();
        for number in 0..10 * WAITING {
            writer.set_status(&number.to_string());
        }
        writer.line("there is room\n");
        writer.set_status("latest");
        resume.send(()).unwrap();
        assert_eq!(writes.recv().unwrap(), "\r\x1b[Jthere is room\n\x1b[?7llatest\x1b[?7h\r");
    }

    /// A disk with room for so many bytes more.
    #[derive(Default)]
    struct Disk {
        written: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            let count = data.len().min(self.room);
            if count == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.room -= count;
            self.written.extend(&data[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn no_line_stands_behind_one_that_a_full_disk_has_cut() {
        // The room on the disk before each line.
        for (rooms, written) in [
            ([9, 9, 9], "one\ntwo\nthree\n"),
            ([2, 9, 9], "on\ntwo\nthree\n"),
            ([2, 0, 9], "on\nthree\n"),
            ([2, 1, 9], "on\nthree\n"),
            ([4, 0, 9], "one\nthree\n"),
            ([3, 2, 9], "one\nt\nthree\n"),
        ] {
            let (mut disk, mut cut) = (Disk::default(), false);
            for (line, room) in ["one\n", "two\n", "three\n"].into_iter().zip(rooms) {
                disk.room = room;
                let mut output = Output { sink: &mut disk, cut };
                let _ = output.write(line);
                cut = output.cut;
            }
            assert_eq!(String::from_utf8(disk.written).unwrap(), written, "{rooms:?}");
        }
    }

    #[test]
    fn waiting_lines_are_written_even_when_the_writer_is_gone() {
        let (writer, writes, resume) = paused();
        writer.line("last\n");
        drop(writer);
        resume.send(()).unwrap();
        assert_eq!(writes.recv().unwrap(), "last\n");
        resume.send(()).unwrap();
        assert!(writes.recv().is_err(), "the thread has ended");
    }
}
