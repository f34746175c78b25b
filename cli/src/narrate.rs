//! Tells the log what the runtime reports, with the cure where there is a cause.

mod callers;
mod connections;
mod names;
mod repeats;
mod servers;
mod sessions;
mod strangers;
mod stripes;
#[cfg(test)]
mod tests;
mod throttle;

pub use connections::Connections;
pub use names::key;
pub use throttle::LINES;

use crate::clock;
use crate::log::{Level, Log};
use callers::Callers;
use repeats::{Due, Repeat};
use rustix::io::Errno;
use servers::Servers;
use sessions::Sessions;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use striper_runtime::{DialError, Event, HostPort};
use stripes::{Named, Stripes};
use throttle::{Throttle, more};

/// A listener to events that writes them to the log: within [`throttle::PERIOD`] so many `lines`
/// for one cause.
pub fn events(log: &Log, lines: u32) -> Rc<dyn Fn(Event)> {
    Narrator::new(log, lines).listener()
}

/// Writes events to the log. Clones are the same.
#[derive(Clone)]
pub struct Narrator {
    log: Log,
    throttles: Rc<RefCell<Throttles>>,
}

/// How often counts are looked through that nothing else brings into the log.
const GLANCE: Duration = Duration::from_secs(10);

impl Narrator {
    /// Writes within [`throttle::PERIOD`] so many `lines` for one cause.
    pub fn new(log: &Log, lines: u32) -> Self {
        let throttles = Rc::new(RefCell::new(Throttles::new(lines)));
        Narrator { log: log.clone(), throttles }
    }

    /// A listener to events.
    pub fn listener(&self) -> Rc<dyn Fn(Event)> {
        let narrator = self.clone();
        Rc::new(move |event| narrator.throttles.borrow_mut().tell(&narrator.log, event))
    }

    /// Tells from time to time what has been counted, for ever.
    pub async fn tell_counts(self) {
        loop {
            smol::Timer::after(GLANCE).await;
            self.counts(Due::InTime);
        }
    }

    /// Tells what has been counted, at the end.
    pub fn tell_last_counts(&self) {
        self.counts(Due::Now);
    }

    fn counts(&self, due: Due) {
        let callers = &mut self.throttles.borrow_mut().turned_away;
        callers.tell_counts(&self.log, due, clock::now());
    }
}

/// What has been said and what has not, so that no peer can fill the log.
struct Throttles {
    sessions: Sessions,
    stripes: Stripes,
    unreachable: Servers,
    reached: Throttle,
    turned_away: Callers,
    /// By what the operating system said.
    not_accepted: BTreeMap<Option<i32>, Repeat>,
    not_traced: Throttle,
}

impl Throttles {
    fn new(lines: u32) -> Self {
        let few = || Throttle::new(lines);
        Throttles {
            sessions: Sessions::new(lines),
            stripes: Stripes::new(lines),
            unreachable: Servers::new(lines),
            reached: few(),
            turned_away: Callers::new(lines),
            not_accepted: BTreeMap::new(),
            not_traced: few(),
        }
    }

    fn tell(&mut self, log: &Log, event: Event) {
        let Throttles { sessions, stripes, .. } = self;
        match event {
            Event::SessionStarted { session, peer, from } => {
                if let Some(from) = from {
                    self.turned_away.welcomed(from);
                }
                sessions.begun(log, session, from, peer);
            }
            Event::SessionStranded { session, peer, from, flows, wait } => {
                sessions.stranded(log, session, (from, peer), flows, wait);
            }
            Event::SessionResumed { session, flows } => sessions.resumed(log, session, flows),
            Event::PeerStopping { session, flows } => sessions.stopping(log, session, flows),
            Event::SessionEnded { session, reason, revoked, flows } => {
                sessions.ended(log, session, reason, revoked, flows);
            }
            Event::SessionForgotten { session, flows } => sessions.forgotten(log, session, flows),
            Event::MemoryShort { session, flows, ended } => {
                sessions.shed(log, session, flows, ended);
            }
            Event::StripeUp { session, stripe, place, peer, live, wanted } => {
                stripes.up(log, &Named { session, stripe, place, peer }, live, wanted);
            }
            Event::StripeLost { session, stripe, place, peer, live, wanted, reason } => {
                let named = Named { session, stripe, place, peer };
                stripes.lost(log, &named, live, wanted, &reason);
            }
            Event::StripeAdapted { session, stripe, place, peer, adapted } => {
                stripes.adapted(log, &Named { session, stripe, place, peer }, &adapted);
            }
            Event::PeerUnreachable { server, cause, past, news } => {
                self.unreachable.unreachable(log, &server, &cause, (past, news), clock::now());
            }
            Event::PeerReached { server } => self.reached(log, &server),
            Event::StripeRefused { from, error } => {
                self.turned_away.turned_away(log, from, &error, clock::now());
            }
            Event::AcceptFailed { error } => self.not_accepted(log, &error),
            Event::TraceStopped { path, cause } => self.not_traced(log, &path, &cause),
            _ => {}
        }
    }

    fn reached(&mut self, log: &Log, server: &HostPort) {
        if !log.shows(Level::Info) {
            return;
        }
        let Some(unsaid) = self.reached.admit(clock::now()) else { return };
        let fields = [("server", server.to_string().into()), ("unsaid", unsaid.into())];
        let text = format!("{server} answers{}", more(unsaid, "answers"));
        log.info("peer_reached", text, &fields);
    }

    fn not_accepted(&mut self, log: &Log, error: &io::Error) {
        let cure = match error.raw_os_error().map(Errno::from_raw_os_error) {
            Some(Errno::MFILE) => "; raise the limit of open files (ulimit -n)",
            Some(Errno::NFILE) => "; the whole system is out of file descriptors (fs.file-max)",
            _ => "",
        };
        // It may fail and work again many times a second.
        let (kind, now) = (error.raw_os_error(), clock::now());
        let (unsaid, count) = match self.not_accepted.get_mut(&kind) {
            None => {
                self.not_accepted.insert(kind, Repeat::begin(now));
                (0, String::new())
            }
            Some(repeat) => {
                let Some(again) = repeat.again(now, || true) else { return };
                (again.times, again.text())
            }
        };
        let text =
            format!("cannot accept connections at the moment: {error}{cure}; still trying{count}");
        let fields = [("error", error.to_string().into()), ("unsaid", unsaid.into())];
        log.warn("accept_failed", text, &fields);
    }

    fn not_traced(&mut self, log: &Log, path: &Path, cause: &str) {
        let Some(unsaid) = self.not_traced.admit(clock::now()) else { return };
        let path = path.display().to_string();
        let text = format!(
            "the trace {path} stops here: {cause}; connections go on{}",
            more(unsaid, "stopped")
        );
        let fields =
            [("path", path.into()), ("cause", cause.to_owned().into()), ("unsaid", unsaid.into())];
        log.warn("trace_stopped", text, &fields);
    }
}

/// What to do if a target can't be dialled for want of a file descriptor.
pub fn lack_of_files(error: &DialError) -> &'static str {
    match error {
        DialError::NoFiles(_) => "; raise the limit of open files (ulimit -n)",
        _ => "",
    }
}

/// Whether others than this machine can reach an address.
pub fn is_public(address: IpAddr) -> bool {
    !address.to_canonical().is_loopback()
}
