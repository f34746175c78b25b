//! The network, and the operating systems at its ends.
//!
//! A connection is two `Link`s, and a socket at each end with a receive buffer. As in a real
//! system a process learns only at a *look* (epoll) which of its sockets have become ready and
//! which timers are over. Between looks it may only try. Nothing happens on its own: the world
//! takes events off the agenda and tells processes to look.

mod arrive;
mod connect;
mod socket;

use super::kind::FaultKind;
use crate::base::seed::stream;
use crate::base::{Agenda, Digest};
use crate::net::{Later, Link, LinkEvent, LinkSpec, random_piece, take_front};
use bytes::{Buf, Bytes};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use striper_runtime::{DialError, Received};

pub const CLIENT: usize = 0;
pub const SERVER: usize = 1;
pub const PROGRAMS: usize = 2;
/// The first wait before a SYN is sent again, in microseconds; it doubles each time (RFC 6298).
const SYN_TIMEOUT: u64 = 1_000_000;
/// How often a sender asks whether a window is still closed, in microseconds.
const PROBE: u64 = 200_000;

pub type SharedNet = Rc<RefCell<Net>>;

#[derive(Debug)]
pub enum Event {
    Link(u64, usize, LinkEvent),
    Window(u64, usize),
    /// A SYN arrives; the number counts the times that it was sent before.
    Syn(u64, u32),
    Answer(u64, Result<(), DialError>),
    Rst(u64, usize),
    Script(usize),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Break {
    Reset([bool; 2]),
    Fin,
    Forget([bool; 2]),
}

#[derive(Debug)]
pub struct Route {
    pub specs: [LinkSpec; 2],
    pub listener: usize,
    /// Packets from that side vanish.
    pub silent: [bool; 2],
    pub refuse: u32,
    pub close: u32,
    /// The first SYN takes so many microseconds more.
    pub late: u64,
    /// The next connection breaks after so many bytes.
    pub cut: VecDeque<(u64, Break)>,
}

#[derive(Debug, Default)]
pub struct Port {
    process: usize,
    open: bool,
    backlog: VecDeque<u64>,
    waker: Option<Waker>,
}

#[derive(Debug, Default)]
pub struct Process {
    /// Its clock is ahead of the world's by so much, in microseconds.
    pub ahead: u64,
    pub paused_until: u64,
    /// The number of dials, and of accepts, that are yet to fail for want of a file descriptor.
    pub no_files: [u32; 2],
    /// Its machine has lost power: sockets vanish without a word.
    pub mute: bool,
    timers: BTreeMap<(u64, u64), Waker>,
    interest: BTreeSet<(u64, usize)>,
}

#[derive(Debug, Default)]
struct End {
    process: usize,
    held: bool,
    /// The system has forgotten it: a packet that arrives is answered with a RST.
    dead: bool,
    stopped: bool,
    reset: bool,
    finished: bool,
    fin_in: bool,
    inbox: VecDeque<Bytes>,
    inbox_len: usize,
    consumed: u64,
    drained: bool,
    full: bool,
    readable: bool,
    writable: bool,
    recv_waker: Option<Waker>,
    send_waker: Option<Waker>,
}

#[derive(Debug)]
struct Conn {
    route: usize,
    /// From the dialling end and back.
    links: [Link; 2],
    ends: [End; 2],
    /// Packets from that end vanish, for ever.
    silent: [bool; 2],
    window_set: [bool; 2],
    /// Packets on the way from that end do not arrive either.
    severed: [bool; 2],
    cut: Option<(u64, Break)>,
    answer: Option<Result<(), DialError>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cuts {
    /// One read in so many is cut short; none if 0.
    pub reads: u32,
    /// One write in so many is taken in part; none if 0.
    pub writes: u32,
    pub buffer: u64,
}

#[derive(Debug)]
pub struct Net {
    pub now: u64,
    pub agenda: Agenda<Event>,
    pub routes: Vec<Route>,
    pub processes: [Process; 3],
    pub effects: BTreeMap<FaultKind, u64>,
    pub digest: Digest,
    ports: Vec<Port>,
    conns: BTreeMap<u64, Conn>,
    next_conn: u64,
    next_timer: u64,
    cuts: Cuts,
    seed: u64,
    rng: ChaCha8Rng,
}

impl Net {
    pub fn new(seed: u64, cuts: Cuts) -> SharedNet {
        Rc::new(RefCell::new(Net {
            now: 0,
            agenda: Agenda::new(),
            routes: Vec::new(),
            processes: Default::default(),
            effects: BTreeMap::new(),
            digest: Digest::new(),
            ports: Vec::new(),
            conns: BTreeMap::new(),
            next_conn: 0,
            next_timer: 0,
            cuts,
            seed,
            rng: stream(seed, "driver net", 0),
        }))
    }

    pub fn note(&mut self, kind: FaultKind) {
        *self.effects.entry(kind).or_default() += 1;
    }

    pub fn time_of(&self, process: usize) -> u64 {
        self.now + self.processes[process].ahead
    }

    /// A port of a process. Nobody listens on it yet.
    pub fn add_port(&mut self, process: usize) -> usize {
        self.ports.push(Port { process, ..Port::default() });
        self.ports.len() - 1
    }

    pub fn add_route(&mut self, specs: [LinkSpec; 2], listener: usize) -> usize {
        self.routes.push(Route {
            specs,
            listener,
            silent: [false; 2],
            refuse: 0,
            close: 0,
            late: 0,
            cut: VecDeque::new(),
        });
        self.routes.len() - 1
    }

    /// Opens or closes a port. Callers that wait there when it is closed are reset.
    pub fn listen(&mut self, port: usize, open: bool) {
        self.ports[port].open = open;
        if !open {
            self.ports[port].waker = None;
            for conn in std::mem::take(&mut self.ports[port].backlog) {
                self.close(conn, 1);
            }
        }
    }

    pub fn describe(&self) -> Vec<String> {
        let text = |(number, conn): (&u64, &Conn)| {
            let ends = conn.ends.each_ref().map(|end| {
                format!(
                    "held {} dead {} stopped {} reset {} finished {} fin_in {}",
                    end.held, end.dead, end.stopped, end.reset, end.finished, end.fin_in
                )
            });
            let idle = conn.links.each_ref().map(Link::is_idle);
            format!(
                "{number} on {}: {ends:?} idle {idle:?} silent {:?} answer {:?}",
                conn.route, conn.silent, conn.answer
            )
        };
        self.conns.iter().take(3).map(text).collect()
    }

    pub fn connections_of(&self, route: usize) -> Vec<u64> {
        let live =
            |conn: &Conn| conn.route == route && conn.ends.iter().any(|end| end.held && !end.reset);
        self.conns.iter().filter(|(_, conn)| live(conn)).map(|(number, _)| *number).collect()
    }

    pub fn route_of(&self, number: u64) -> Option<usize> {
        self.conns.get(&number).map(|conn| conn.route)
    }

    /// Changes the links of a route, from the dialling side and back.
    pub fn change(&mut self, route: usize, specs: [LinkSpec; 2]) {
        for conn in self.conns.values_mut().filter(|conn| conn.route == route) {
            for (link, spec) in conn.links.iter_mut().zip(&specs) {
                link.spec = spec.clone();
            }
        }
        self.routes[route].specs = specs;
    }

    /// Tells ends whose other end is gone without a word, as TCP's keepalive does, on routes from
    /// this one on.
    pub fn keep_alive(&mut self, from: usize) {
        let mut told = Vec::new();
        for (number, conn) in self.conns.iter().filter(|(_, conn)| conn.route >= from) {
            told.extend((0..2).filter(|side| conn.ends[1 - side].dead).map(|side| (*number, side)));
        }
        for (number, side) in told {
            self.rst(number, side);
        }
    }

    pub fn new_timer(&mut self) -> u64 {
        self.next_timer += 1;
        self.next_timer
    }

    pub fn set_timer(&mut self, process: usize, at: u64, timer: u64, waker: Waker) {
        self.processes[process].timers.insert((at, timer), waker);
    }

    pub fn drop_timer(&mut self, process: usize, at: u64, timer: u64) {
        self.processes[process].timers.remove(&(at, timer));
    }

    pub fn next_timer_of(&self, process: usize) -> Option<u64> {
        let process = &self.processes[process];
        let (at, _) = process.timers.keys().next()?;
        Some(at.saturating_sub(process.ahead).max(process.paused_until))
    }

    /// A process looks. Returns the wakers of the tasks that have become ready.
    pub fn look(&mut self, process: usize) -> Vec<Waker> {
        let mut woken = Vec::new();
        let interest: Vec<(u64, usize)> =
            self.processes[process].interest.iter().copied().collect();
        for (number, side) in interest {
            let Some(conn) = self.conns.get_mut(&number) else {
                self.processes[process].interest.remove(&(number, side));
                continue;
            };
            let (link, end) = (&mut conn.links[side], &mut conn.ends[side]);
            if end.recv_waker.is_some() && (end.inbox_len > 0 || end.fin_in || end.reset) {
                end.readable = true;
                woken.extend(end.recv_waker.take());
            }
            if end.send_waker.is_some() && (end.reset || link.room() > 0) {
                end.writable = true;
                woken.extend(end.send_waker.take());
            }
            if end.recv_waker.is_none() && end.send_waker.is_none() {
                self.processes[process].interest.remove(&(number, side));
            }
        }
        for port in &mut self.ports {
            if port.process == process && !port.backlog.is_empty() {
                woken.extend(port.waker.take());
            }
        }
        let now = self.time_of(process);
        let timers = &mut self.processes[process].timers;
        while let Some(entry) = timers.first_entry()
            && entry.key().0 <= now
        {
            woken.push(entry.remove());
        }
        woken.shuffle(&mut self.rng);
        woken
    }
}

#[cfg(test)]
mod tests;
