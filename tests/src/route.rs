//! A route between two proxies that can break connections, fall silent, and heal.

use crate::LIMIT;
use crate::capture::{End, Said};
use rustix::event::{PollFd, PollFlags, poll};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// The most bytes that it holds in each direction of a connection, besides the sockets.
const BUFFER: usize = 64 << 10;

/// A relay of TCP connections. Each is a stripe for the proxies at its ends.
pub struct Route {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    target: Option<SocketAddr>,
    /// Nothing passes, not even on new connections.
    silent: bool,
    over: bool,
    accepted: usize,
    links: Vec<Arc<Link>>,
    /// The bytes that have passed on each connection, if they are recorded.
    recorded: Option<Vec<Record>>,
}

type Record = Arc<Mutex<Said>>;

/// A connection's remote control.
struct Link {
    fate: Mutex<Fate>,
    wake: UnixStream,
    record: Option<Record>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    Silent,
    Reset,
}

impl Route {
    /// A route without a target yet: connections are reset.
    pub fn start() -> Route {
        Route::with(None)
    }

    /// The same, and it keeps all that passes.
    pub fn recording() -> Route {
        Route::with(Some(Vec::new()))
    }

    fn with(recorded: Option<Vec<Record>>) -> Route {
        let listener =
            TcpListener::bind((IpAddr::V4(Ipv4Addr::LOCALHOST), 0)).expect("a free port");
        let addr = listener.local_addr().expect("a listener");
        let state = State {
            target: None,
            silent: false,
            over: false,
            accepted: 0,
            links: Vec::new(),
            recorded,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        thread::spawn({
            let shared = shared.clone();
            move || shared.accept(&listener)
        });
        Route { addr, shared }
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub fn lead_to(&self, target: SocketAddr) {
        self.shared.state().target = Some(target);
    }

    /// The bytes that have passed so far, by connection.
    pub fn recorded(&self) -> Vec<Said> {
        let state = self.shared.state();
        let record =
            |record: &Record| record.lock().unwrap_or_else(PoisonError::into_inner).clone();
        state.recorded.iter().flatten().map(record).collect()
    }

    pub fn accepted(&self) -> usize {
        self.shared.state().accepted
    }

    /// Breaks the oldest open connection, with an RST at both ends.
    pub fn reset_one(&self) {
        let link = self.shared.state().links.first().expect("a connection").clone();
        self.shared.reset(&[link]);
    }

    /// The same, if there is one. Says whether there was.
    pub fn try_reset_one(&self) -> bool {
        let link = self.shared.state().links.first().cloned();
        link.is_some_and(|link| {
            self.shared.reset(&[link]);
            true
        })
    }

    pub fn reset_all(&self) {
        let links = self.shared.state().links.clone();
        self.shared.reset(&links);
    }

    /// Silences the oldest connection that is not silent: nothing passes, and no end notices.
    pub fn silence_one(&self) {
        let state = self.shared.state();
        let link = state.links.iter().find(|link| link.fate() == Fate::Passes);
        link.expect("a connection").meet(Fate::Silent);
    }

    /// Silences all connections, also new ones.
    pub fn silence(&self) {
        let mut state = self.shared.state();
        state.silent = true;
        state.links.iter().for_each(|link| link.meet(Fate::Silent));
    }

    /// Ends all silences; earlier bytes pass too.
    pub fn heal(&self) {
        let mut state = self.shared.state();
        state.silent = false;
        state.links.iter().for_each(|link| link.meet(Fate::Passes));
    }
}

impl Drop for Route {
    fn drop(&mut self) {
        {
            let mut state = self.shared.state();
            state.over = true;
            state.links.iter().for_each(|link| link.meet(Fate::Reset));
        }
        // Wakes the accepting thread.
        let _ = TcpStream::connect(self.addr);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reset(&self, links: &[Arc<Link>]) {
        links.iter().for_each(|link| link.meet(Fate::Reset));
        let are_there = |state: &mut State| {
            state.links.iter().any(|left| links.iter().any(|link| Arc::ptr_eq(left, link)))
        };
        let waited = self.changed.wait_timeout_while(self.state(), LIMIT, are_there);
        let waited = waited.unwrap_or_else(PoisonError::into_inner).1;
        assert!(!waited.timed_out(), "a connection is still there");
    }

    fn accept(self: Arc<Self>, listener: &TcpListener) {
        for near in listener.incoming() {
            let target = {
                let state = self.state();
                if state.over {
                    return;
                }
                state.target
            };
            let Ok(near) = near else { continue };
            let Some(Ok(far)) = target.map(TcpStream::connect) else {
                crate::reset(near);
                continue;
            };
            let (wake, woken) = UnixStream::pair().expect("a pair of sockets");
            wake.set_nonblocking(true).expect("a socket");
            woken.set_nonblocking(true).expect("a socket");
            let mut state = self.state();
            state.accepted += 1;
            let fate = if state.silent { Fate::Silent } else { Fate::Passes };
            let record = state.recorded.as_mut().map(|all| {
                all.push(Record::default());
                all[all.len() - 1].clone()
            });
            let link = Arc::new(Link { fate: Mutex::new(fate), wake, record });
            state.links.push(link.clone());
            drop(state);
            let shared = self.clone();
            thread::spawn(move || {
                if link.run(&near, &far, &woken).is_err() {
                    [near, far].into_iter().for_each(crate::reset);
                }
                shared.state().links.retain(|other| !Arc::ptr_eq(other, &link));
                shared.changed.notify_all();
            });
        }
    }
}

impl Link {
    fn fate(&self) -> Fate {
        *self.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meet(&self, fate: Fate) {
        let mut own = self.fate.lock().unwrap_or_else(PoisonError::into_inner);
        if *own != Fate::Reset {
            *own = fate;
        }
        // A full socket wakes the thread as well.
        let _ = (&self.wake).write(&[0]);
    }

    fn note(&self, end: End, passed: Vec<u8>) {
        if let (Some(record), false) = (&self.record, passed.is_empty()) {
            record.lock().unwrap_or_else(PoisonError::into_inner).push((end, passed));
        }
    }

    /// Passes data until both directions have ended; an error asks for a reset.
    fn run(&self, near: &TcpStream, far: &TcpStream, mut woken: &UnixStream) -> io::Result<()> {
        near.set_nonblocking(true)?;
        far.set_nonblocking(true)?;
        let (mut forth, mut back) = (Direction::default(), Direction::default());
        while !(forth.told && back.told) {
            match self.fate() {
                Fate::Reset => return Err(ErrorKind::ConnectionReset.into()),
                Fate::Silent => _ = poll(&mut [PollFd::new(woken, PollFlags::IN)], None)?,
                Fate::Passes => {
                    let ends = [(near, &forth, &back), (far, &back, &forth)];
                    let [a, b] =
                        ends.map(|(end, from, to)| PollFd::new(end, from.reads() | to.writes()));
                    let mut fds = [a, b, PollFd::new(woken, PollFlags::IN)];
                    poll(&mut fds, None)?;
                    if fds[..2].iter().any(|fd| fd.revents().contains(PollFlags::ERR)) {
                        return Err(ErrorKind::ConnectionReset.into());
                    }
                    // It may have changed during the poll. The lock keeps it while data passes.
                    let fate = self.fate.lock().unwrap_or_else(PoisonError::into_inner);
                    if *fate == Fate::Passes {
                        self.note(End::Client, forth.pass(near, far)?);
                        self.note(End::Server, back.pass(far, near)?);
                    }
                }
            }
            while woken.read(&mut [0; 64]).is_ok_and(|count| count > 0) {}
        }
        Ok(())
    }
}

#[derive(Default)]
struct Direction {
    held: Vec<u8>,
    ended: bool,
    told: bool,
}

impl Direction {
    /// The events to wait for at its beginning.
    fn reads(&self) -> PollFlags {
        if self.held.is_empty() && !self.ended { PollFlags::IN } else { PollFlags::empty() }
    }

    /// The events to wait for at its end.
    fn writes(&self) -> PollFlags {
        if self.held.is_empty() { PollFlags::empty() } else { PollFlags::OUT }
    }

    /// Returns what has passed.
    fn pass(&mut self, mut from: &TcpStream, mut to: &TcpStream) -> io::Result<Vec<u8>> {
        if self.held.is_empty() && !self.ended {
            self.held.resize(BUFFER, 0);
            let count = ready(from.read(&mut self.held))?;
            self.ended = count == Some(0);
            self.held.truncate(count.unwrap_or(0));
        }
        let mut passed = Vec::new();
        if !self.held.is_empty() {
            let count = ready(to.write(&self.held))?;
            passed = self.held.drain(..count.unwrap_or(0)).collect();
        }
        if self.ended && self.held.is_empty() && !self.told {
            self.told = true;
            to.shutdown(Shutdown::Write)?;
        }
        Ok(passed)
    }
}

/// `None` if it would block.
fn ready(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Origin, Pattern, connect, expect_fin, expect_reset, finish};

    fn pair() -> (Route, TcpStream, TcpStream) {
        let (route, origin) = (Route::start(), Origin::start());
        route.lead_to(origin.addr());
        let near = connect(route.addr());
        (route, near, origin.accept())
    }

    #[test]
    fn data_and_its_end_pass() {
        let (route, mut near, mut far) = pair();
        let sending = thread::spawn(move || {
            Pattern(1).send(&mut near, 0..5_000_000);
            finish(&near);
            expect_fin(&mut near);
        });
        Pattern(1).expect_all(&mut far, 0..5_000_000);
        drop(far);
        sending.join().unwrap();
        assert_eq!(route.accepted(), 1);
    }

    #[test]
    fn a_reset_reaches_both_ends() {
        let (route, mut near, mut far) = pair();
        Pattern(1).send(&mut near, 0..10);
        Pattern(1).expect(&mut far, 0..10);
        route.reset_one();
        expect_reset(&mut near);
        expect_reset(&mut far);
    }

    #[test]
    fn bytes_that_came_during_a_silence_pass_after_it() {
        let (route, mut near, mut far) = pair();
        Pattern(1).send(&mut near, 0..10);
        Pattern(1).expect(&mut far, 0..10);
        route.silence();
        Pattern(1).send(&mut near, 10..20);
        far.set_nonblocking(true).unwrap();
        assert_eq!(far.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
        far.set_nonblocking(false).unwrap();
        route.heal();
        Pattern(1).expect(&mut far, 10..20);
    }
}
