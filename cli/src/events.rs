//! Log lines about the events that the runtime reports, with a cure where the cause is known.

mod callers;
mod connections;
mod cures;
mod lines;
mod named;
mod repeats;
mod servers;
mod sessions;
mod tally;
#[cfg(test)]
mod tests;
mod throttle;

pub(crate) use connections::Connections;
pub(crate) use named::{Named, Whose};
pub(crate) use sessions::key;
pub(crate) use tally::Tally;
pub(crate) use throttle::LINES;

use crate::clock;
use crate::log::{Level, Log};
use callers::Callers;
use lines::{Line, Lines};
use repeats::{Due, Repeat};
use rustix::io::Errno;
use servers::Servers;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;
use striper_runtime::{DialError, Event};

/// A listener that writes events to the log: within [`throttle::PERIOD`] at most so many `lines`
/// for one cause.
pub(crate) fn listener(log: &Log, lines: u32) -> Rc<dyn Fn(Event)> {
    EventLog::new(log, lines).listener()
}

#[derive(Clone)]
pub(crate) struct EventLog {
    log: Log,
    state: Rc<RefCell<State>>,
    tally: Tally,
}

/// The time between two looks for counts that no further event brings into the log.
const GLANCE: Duration = Duration::from_secs(10);

impl EventLog {
    pub(crate) fn new(log: &Log, lines: u32) -> Self {
        let state = State {
            lines: Lines::new(log, lines),
            servers: Servers::new(lines),
            callers: Callers::new(lines),
            accept_failures: BTreeMap::new(),
        };
        EventLog { log: log.clone(), state: Rc::new(RefCell::new(state)), tally: Tally::default() }
    }

    pub(crate) fn listener(&self) -> Rc<dyn Fn(Event)> {
        let events = self.clone();
        Rc::new(move |event| {
            events.tally.note(&event);
            events.state.borrow_mut().write(&events.log, &event);
        })
    }

    /// Lines about connections, with counts in the same tally.
    pub(crate) fn connections(&self, lines: u32) -> Connections {
        Connections::counted(&self.log, lines, self.tally.clone())
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally.clone()
    }

    pub(crate) async fn write_counts(self) {
        loop {
            smol::Timer::after(GLANCE).await;
            self.counts(Due::InTime);
        }
    }

    pub(crate) fn write_last_counts(&self) {
        self.counts(Due::Now);
        self.state.borrow_mut().lines.write_last_counts();
    }

    fn counts(&self, due: Due) {
        self.state.borrow_mut().callers.write_counts(&self.log, due, clock::now());
    }
}

/// The counts of what has been written and what has not, so that no peer can fill the log.
struct State {
    lines: Lines,
    servers: Servers,
    callers: Callers,
    /// By the number of the operating system's error.
    accept_failures: BTreeMap<Option<i32>, Repeat>,
}

impl State {
    fn write(&mut self, log: &Log, event: &Event) {
        match event {
            Event::PeerUnreachable { server, cause, past, news } => {
                self.servers.unreachable(log, server, cause, (*past, *news), clock::now());
            }
            Event::StripeRefused { from, error } => {
                self.callers.refused(log, *from, error, clock::now());
            }
            Event::AcceptFailed { error } => self.accept_failed(log, error),
            Event::PeerReached { server } => {
                let text = format!("the server {server} answers");
                let line = Line::new(Level::Info, "peer_reached", "answers", text);
                self.lines.write(line.with("peer", server.to_string()));
            }
            Event::TraceStopped { path, cause } => {
                let path = path.display().to_string();
                let text = format!("the trace {path} stops here: {cause}; connections go on");
                let line = Line::new(Level::Warn, "trace_stopped", "stopped", text);
                self.lines.write(line.with("path", path).with("reason", cause.clone()));
            }
            event => {
                if let Event::SessionStarted { from: Some(from), .. } = event {
                    self.callers.welcomed(*from);
                }
                if let Some(line) = sessions::line(event) {
                    self.lines.write(line);
                }
            }
        }
    }

    fn accept_failed(&mut self, log: &Log, error: &io::Error) {
        let cure = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE) => "; raise the limit of open files (ulimit -n)",
            Some(Errno::NFILE) => "; the whole system is out of file descriptors (fs.file-max)",
            _ => "",
        };
        // It may fail and work again many times a second.
        let (kind, now) = (error.raw_os_error(), clock::now());
        let (unsaid, count) = match self.accept_failures.get_mut(&kind) {
            None => {
                self.accept_failures.insert(kind, Repeat::begin(now));
                (0, String::new())
            }
            Some(repeat) => {
                let Some(again) = repeat.again(now, || true) else { return };
                (again.times, again.text())
            }
        };
        let text =
            format!("cannot accept connections at the moment: {error}{cure}; still trying{count}");
        let fields = [("reason", error.to_string().into()), ("unsaid", unsaid.into())];
        log.warn("accept_failed", text, &fields);
    }
}

pub(crate) fn lack_of_files(error: &DialError) -> &'static str {
    match error {
        DialError::NoFiles(_) => "; raise the limit of open files (ulimit -n)",
        _ => "",
    }
}

pub(crate) fn is_public(address: IpAddr) -> bool {
    !address.to_canonical().is_loopback()
}
