//! Sessions' traces, written to files by threads of their own: a slow disk, a full one or none at
//! all never holds a session up.
//!
//! The first session is recorded to the file that was asked for, later ones to the same name with
//! `.2`, `.3` and so on. A record is written within half a second. Recording stops for good, and
//! says so once, when a bound is reached or the file can't be written; the sessions don't notice.

use crate::files;
use crate::system_clock::SystemClock;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use striper_core::trace::{BEGINS, Header, Recorder};
use striper_core::{Input, Instant, Output, Session};

/// The most sessions that are recorded. A server may lose its state a few times meanwhile.
const MAX_SESSIONS: u32 = 16;

/// The most bytes of one trace: some hours of a busy session, or 100 GB through it.
const MAX_SIZE: u64 = 256 << 20;

/// The most that waits for the disk, in bytes. A disk that is so far behind will not catch up.
const MAX_WAITING: usize = 8 << 20;

/// So much is written at once.
const WRITE_AT: usize = 64 << 10;

/// Text that waits longer is written, however short it is.
const WRITE_AFTER: Duration = Duration::from_millis(500);

/// Where sessions are recorded.
pub struct Traces {
    path: PathBuf,
    /// The program that records, and its version.
    program: String,
    /// The same file. It is open while sessions may be recorded, so no other process replaces it.
    _held: File,
    begun: Mutex<Begun>,
}

#[derive(Default)]
struct Begun {
    sessions: u32,
    /// The first session's file, until that session begins.
    first: Option<File>,
    files: Vec<Arc<Sink>>,
}

impl fmt::Debug for Traces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traces").field(&self.path).finish()
    }
}

impl Traces {
    /// Creates the file of the first session, or says why it can't. An earlier trace of this name
    /// is replaced, and so is an empty file. Any other file is an error ([`files::create`]). Only
    /// this user can read the file: a trace has no content, but it tells when how much was sent.
    pub fn create(path: &Path, program: &str) -> io::Result<Arc<Traces>> {
        let first = create(path)?;
        Ok(Arc::new(Traces {
            path: path.into(),
            program: program.into(),
            _held: first.try_clone()?,
            begun: Mutex::new(Begun { first: Some(first), ..Begun::default() }),
        }))
    }

    /// Waits until all recorded so far is in its file, but at most this long. Says whether it is.
    pub fn flush(&self, limit: Duration) -> bool {
        let sinks = self.begun().files.clone();
        let clock = SystemClock::shared();
        let until = clock.now() + limit;
        // All are told before the first is waited for: a disk that stands still delays no other.
        sinks.iter().for_each(|sink| sink.hurry());
        // If one is late, the others may still be done by then.
        let late = sinks.iter().filter(|sink| !sink.wait(until.since(clock.now()))).count();
        late == 0
    }

    fn begun(&self) -> MutexGuard<'_, Begun> {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins to record a new session. `None` if no more are recorded; an error is said once.
    pub(crate) fn begin(&self, session: &Session) -> Option<Result<Recording, TraceStop>> {
        let mut begun = self.begun();
        let number = begun.sessions + 1;
        if number > MAX_SESSIONS + 1 {
            return None;
        }
        begun.sessions = number;
        let mut name = self.path.clone().into_os_string();
        // A device such as /dev/null takes all of them: it keeps nothing.
        if number > 1 && !is_device(&self.path) {
            name.push(format!(".{number}"));
        }
        let path = PathBuf::from(name);
        if number > MAX_SESSIONS {
            let cause = format!("{MAX_SESSIONS} sessions are recorded, later ones are not");
            return Some(Err(TraceStop { path: self.path.clone(), cause }));
        }
        let file = begun.first.take().map_or_else(|| create(&path), Ok);
        let sink = file.and_then(Sink::start);
        let sink = match sink {
            Ok(sink) => sink,
            Err(error) => {
                // It would be the same with the next.
                begun.sessions = MAX_SESSIONS + 1;
                return Some(Err(TraceStop { path, cause: error.to_string() }));
            }
        };
        begun.files.push(sink.clone());
        let mut text = String::new();
        let header = Header::of(session, &self.program);
        // Writing to a String does not fail.
        let recorder = Recorder::begin(session, &header, &mut text).ok()?;
        Some(Ok(Recording { recorder, text, size: 0, path, sink }))
    }
}

fn is_device(path: &Path) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|there| there.file_type().is_char_device())
}

/// A file for a trace: a new one, or one in the place of an earlier trace.
fn create(path: &Path) -> io::Result<File> {
    files::create(path, BEGINS.as_bytes())
}

pub(crate) struct TraceStop {
    pub path: PathBuf,
    pub cause: String,
}

/// One session's trace under way. Dropped, it is at its end.
pub(crate) struct Recording {
    recorder: Recorder,
    /// The text that has not been handed over to the thread.
    text: String,
    size: u64,
    path: PathBuf,
    sink: Arc<Sink>,
}

impl Recording {
    pub(crate) fn input(&mut self, now: Instant, input: &Input) {
        let _ = self.recorder.input(now, input, &mut self.text);
    }

    /// Records the outputs that followed. An error if recording has to stop.
    pub(crate) fn outputs(&mut self, outputs: &[Output]) -> Result<(), TraceStop> {
        if !self.recorder.is_over() {
            let _ = self.recorder.outputs(outputs, &mut self.text);
            if self.recorder.is_over() {
                let _ = self.recorder.end("session over", &mut self.text);
            }
        }
        self.size += self.text.len() as u64;
        if self.size > MAX_SIZE {
            let _ = self.recorder.end("size limit", &mut self.text);
        }
        let handed_over = self.sink.push(&mut self.text);
        let stop = |cause: String| Err(TraceStop { path: self.path.clone(), cause });
        match handed_over {
            Err(cause) => stop(cause),
            Ok(()) if self.size > MAX_SIZE => stop(format!(
                "{} MiB are recorded, the most that one trace may have",
                MAX_SIZE >> 20
            )),
            Ok(()) => Ok(()),
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if !self.recorder.is_over() && self.size <= MAX_SIZE {
            let _ = self.recorder.end("stopped", &mut self.text);
            let _ = self.sink.push(&mut self.text);
        }
        self.sink.lock().closed = true;
        self.sink.work.notify_one();
    }
}

/// The state that a file's thread shares with the session.
#[derive(Default)]
struct Sink {
    state: Mutex<State>,
    /// There is something to write, or nothing will come any more.
    work: Condvar,
    done: Condvar,
}

#[derive(Default)]
struct State {
    text: String,
    writing: bool,
    /// Somebody waits for all of it.
    hurry: bool,
    closed: bool,
    failure: Option<String>,
}

impl Sink {
    fn start(mut file: impl Write + Send + 'static) -> io::Result<Arc<Sink>> {
        let sink = Arc::<Sink>::default();
        let shared = sink.clone();
        std::thread::Builder::new()
            .name("trace".into())
            .spawn(move || shared.write_all_to(&mut file))?;
        Ok(sink)
    }

    /// No invariant spans a panic, so a poisoned lock is as good as another.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over a text. An error if it could not be written in the end.
    fn push(&self, text: &mut String) -> Result<(), String> {
        let mut state = self.lock();
        if state.failure.is_none() && state.text.len() + text.len() > MAX_WAITING {
            state.failure = Some("it can't be written as fast as it comes".into());
        }
        if let Some(cause) = &state.failure {
            return Err(cause.clone());
        }
        state.text.push_str(text);
        text.clear();
        if state.text.len() >= WRITE_AT && !state.writing {
            self.work.notify_one();
        }
        Ok(())
    }

    fn write_all_to(&self, file: &mut dyn Write) {
        loop {
            let idle =
                |state: &mut State| state.text.len() < WRITE_AT && !state.closed && !state.hurry;
            let waited = self.work.wait_timeout_while(self.lock(), WRITE_AFTER, idle);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
            if state.text.is_empty() {
                state.hurry = false;
                if state.closed || state.failure.is_some() {
                    return;
                }
                continue;
            }
            let text = std::mem::take(&mut state.text);
            state.writing = true;
            drop(state);
            let written = file.write_all(text.as_bytes()).and_then(|()| file.flush());
            let mut state = self.lock();
            state.writing = false;
            if let Err(error) = written {
                state.failure = Some(error.to_string());
                state.text.clear();
            }
            self.done.notify_all();
        }
    }

    fn hurry(&self) {
        self.lock().hurry = true;
        self.work.notify_one();
    }

    /// Waits until all is written, but not longer than this. Says whether it is.
    fn wait(&self, limit: Duration) -> bool {
        let busy = |state: &mut State| state.writing || !state.text.is_empty();
        let waited = self.done.wait_timeout_while(self.lock(), limit, busy);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::tests::Folder;
    use std::sync::mpsc::{Receiver, Sender, channel};
    use striper_core::trace::Trace;
    use striper_core::{Config, Role, SessionId};

    fn session() -> Session {
        Session::new(Role::Client, SessionId([7; 16]), Config::default(), Instant::ZERO)
    }

    fn tick(recording: &mut Recording, session: &mut Session) -> Result<(), TraceStop> {
        let mut outputs = Vec::new();
        recording.input(Instant::ZERO, &Input::Tick);
        session.handle(Instant::ZERO, Input::Tick, &mut outputs);
        recording.outputs(&outputs)
    }

    #[test]
    fn each_session_has_a_file_and_their_number_is_bounded() {
        let folder = Folder::new("record-each");
        let traces = Traces::create(&folder.0.join("t"), "test 1").unwrap();
        let mut stops = 0;
        for _ in 0..MAX_SESSIONS + 5 {
            let mut session = session();
            match traces.begin(&session) {
                Some(Ok(mut recording)) => assert!(tick(&mut recording, &mut session).is_ok()),
                Some(Err(stop)) => {
                    assert!(stop.cause.contains("16 sessions"), "{}", stop.cause);
                    stops += 1;
                }
                None => {}
            }
        }
        assert_eq!(stops, 1, "it is said once");
        assert!(traces.flush(Duration::from_secs(10)));
        assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), MAX_SESSIONS as usize);
        for name in ["t", "t.2", "t.16"] {
            let text = std::fs::read_to_string(folder.0.join(name)).unwrap();
            let trace = Trace::read(&text).unwrap();
            assert_eq!((trace.inputs(), trace.end.as_deref()), (1, Some("stopped")));
            assert!(trace.replay().is_ok());
        }
    }

    /// Only Linux has /dev/full.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_stops_the_recording_and_nothing_else() {
        let traces = Traces::create(Path::new("/dev/full"), "test 1").unwrap();
        let mut session = session();
        let mut recording = traces.begin(&session).unwrap().ok().unwrap();
        assert!(tick(&mut recording, &mut session).is_ok(), "the disk has not been asked yet");
        assert!(traces.flush(Duration::from_secs(10)));
        let stop = tick(&mut recording, &mut session).err().unwrap();
        assert!(stop.cause.contains("No space left"), "{}", stop.cause);
    }

    /// Says that it writes, and does not return before it may.
    struct Stuck(Sender<()>, Receiver<()>);

    impl Write for Stuck {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            let _ = self.0.send(());
            let _ = self.1.recv();
            Ok(data.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_disk_that_stands_still_holds_nothing_up_and_takes_no_end_of_memory() {
        let ((says, writes), (go_on, resume)) = (channel(), channel());
        let sink = Sink::start(Stuck(says, resume)).unwrap();
        let line = || "x".repeat(WRITE_AT);
        assert_eq!(sink.push(&mut line()), Ok(()));
        writes.recv().unwrap();
        let pushed = (0..1000).take_while(|_| sink.push(&mut line()).is_ok()).count();
        assert_eq!(pushed, MAX_WAITING / WRITE_AT);
        drop(go_on);
    }

    #[test]
    fn a_disk_that_stands_still_keeps_no_other_trace_from_its_file() {
        let folder = Folder::new("record-beside");
        let traces = Traces::create(&folder.0.join("t"), "test 1").unwrap();
        let ((says, writes), (go_on, resume)) = (channel(), channel());
        let stuck = Sink::start(Stuck(says, resume)).unwrap();
        let other = Sink::start(create(&folder.0.join("other")).unwrap()).unwrap();
        assert_eq!(stuck.push(&mut "x".repeat(WRITE_AT)), Ok(()));
        writes.recv().unwrap();
        assert_eq!(other.push(&mut "a line\n".into()), Ok(()));
        traces.begun().files.extend([stuck, other.clone()]);
        assert!(!traces.flush(Duration::ZERO));
        let state = other.lock();
        assert!(state.hurry || state.text.is_empty(), "it waits for more as if there were time");
        drop((state, go_on));
    }
}
