//! The network, and what the operating systems at its ends know: connections, sockets, listeners, clocks and timers of all
//! processes.
//!
//! A connection is two [`Link`]s, and a socket at each end with a receive buffer. As in a real system a process learns only
//! at a *look* (epoll) which of its sockets have become ready and which timers are over; between looks it may only try.
//! Nothing happens on its own: the world takes events off the agenda and tells processes to look.

use super::kind::Kind;
use crate::agenda::Agenda;
use crate::link::{Later, Link, LinkEvent, LinkSpec};
use crate::seed::{Digest, stream};
use bytes::{Buf, Bytes, BytesMut};
use rand::RngExt;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use striper_runtime::{DialError, Received};

/// The process of the client's proxy.
pub const CLIENT: usize = 0;
/// The process of the server's proxy.
pub const SERVER: usize = 1;
/// All programs that talk through the proxies.
pub const PROGRAMS: usize = 2;

/// The first retransmission of a SYN, in microseconds (RFC 6298); each further one takes twice as long.
const SYN_TIMEOUT: u64 = 1_000_000;

/// How often a sender asks whether a window is still closed, in microseconds.
const PROBE: u64 = 200_000;

/// The network, shared by everything in a world.
pub type SharedNet = Rc<RefCell<Net>>;

/// What is to happen at a time.
#[derive(Debug)]
pub enum Event {
    /// On the way from one end of a connection.
    Link(u64, usize, LinkEvent),
    /// The reader at the end of a way says how much room it has.
    Window(u64, usize),
    /// A SYN arrives, sent for the so manieth time.
    Syn(u64, u32),
    /// The dialling end hears what became of that.
    Answer(u64, Result<(), DialError>),
    /// A RST arrives at an end.
    Rst(u64, usize),
    /// Something that the scenario has planned.
    Script(usize),
}

/// How a connection is broken from outside.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Break {
    /// Those ends are told by a reset, the others nothing.
    Reset([bool; 2]),
    /// Both ends get a FIN, though more was sent.
    Fin,
    /// Packets from those ends vanish from now on.
    Forget([bool; 2]),
}

/// A way between two processes.
#[derive(Debug)]
pub struct Route {
    /// From the dialling side and back.
    pub specs: [LinkSpec; 2],
    /// What listens at its end.
    pub listener: usize,
    /// Packets from that side vanish.
    pub silent: [bool; 2],
    /// So many more dials are refused.
    pub refuse: u32,
    /// So many more connections are closed by somebody on the way once accepted.
    pub close: u32,
    /// The next connection breaks after so many bytes.
    pub cut: VecDeque<(u64, Break)>,
}

/// A port that a process listens on.
#[derive(Debug, Default)]
pub struct Port {
    process: usize,
    open: bool,
    backlog: VecDeque<u64>,
    waker: Option<Waker>,
}

/// What the system knows of a process.
#[derive(Debug, Default)]
pub struct Process {
    /// Its clock is ahead of the world's by so much, in microseconds.
    pub ahead: u64,
    /// It stands still until then.
    pub paused_until: u64,
    /// So many more sockets can't be made by dialling, or by accepting: there is no file descriptor.
    pub no_files: [u32; 2],
    /// Its machine has lost power: sockets vanish without a word.
    pub mute: bool,
    timers: BTreeMap<(u64, u64), Waker>,
    /// Sockets that it waits for.
    interest: BTreeSet<(u64, usize)>,
}

/// A socket.
#[derive(Debug)]
struct End {
    process: usize,
    /// A program holds it, or will accept it.
    held: bool,
    /// The system has forgotten it: whatever arrives is answered with a RST.
    dead: bool,
    /// It sends nothing any more.
    stopped: bool,
    /// A RST has come.
    reset: bool,
    /// Its own FIN was sent on purpose.
    finished: bool,
    fin_in: bool,
    inbox: VecDeque<Bytes>,
    inbox_len: usize,
    /// Bytes taken out of the inbox.
    consumed: u64,
    /// The last try gave less than was asked for: only a look tells of more.
    drained: bool,
    full: bool,
    /// A look has told so.
    readable: bool,
    writable: bool,
    recv_waker: Option<Waker>,
    send_waker: Option<Waker>,
}

/// A connection.
#[derive(Debug)]
struct Conn {
    route: usize,
    /// From the dialling end and back.
    links: [Link; 2],
    ends: [End; 2],
    /// Packets from that end vanish, for ever.
    silent: [bool; 2],
    window_set: [bool; 2],
    /// What is on the way from that end does not arrive either.
    severed: [bool; 2],
    cut: Option<(u64, Break)>,
    answer: Option<Result<(), DialError>>,
}

/// How reads and writes are cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Cuts {
    /// One read in so many is cut short; none if 0.
    pub reads: u32,
    /// One write in so many is taken in part; none if 0.
    pub writes: u32,
    /// What a socket's receive buffer takes, in bytes.
    pub buffer: u64,
}

/// The network.
#[derive(Debug)]
pub struct Net {
    /// The time in microseconds.
    pub now: u64,
    /// What is to happen.
    pub agenda: Agenda<Event>,
    /// All routes.
    pub routes: Vec<Route>,
    /// All processes.
    pub processes: [Process; 3],
    /// How often each fault took effect.
    pub effects: BTreeMap<Kind, u64>,
    /// Of all that happened.
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
    /// An empty network.
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

    /// A fault took effect.
    pub fn note(&mut self, kind: Kind) {
        *self.effects.entry(kind).or_default() += 1;
    }

    /// A process's own time, in microseconds.
    pub fn time_of(&self, process: usize) -> u64 {
        self.now + self.processes[process].ahead
    }

    /// A port of a process, where nobody listens yet.
    pub fn add_port(&mut self, process: usize) -> usize {
        self.ports.push(Port { process, ..Port::default() });
        self.ports.len() - 1
    }

    /// A way to a port.
    pub fn add_route(&mut self, specs: [LinkSpec; 2], listener: usize) -> usize {
        self.routes.push(Route {
            specs,
            listener,
            silent: [false; 2],
            refuse: 0,
            close: 0,
            cut: VecDeque::new(),
        });
        self.routes.len() - 1
    }

    /// Opens or closes a port. Who waits there when it is closed is reset.
    pub fn listen(&mut self, port: usize, open: bool) {
        self.ports[port].open = open;
        if !open {
            self.ports[port].waker = None;
            for conn in std::mem::take(&mut self.ports[port].backlog) {
                self.close(conn, 1);
            }
        }
    }

    /// How many connections exist.
    pub fn connections(&self) -> usize {
        self.conns.len()
    }

    /// Those that exist, as text.
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

    /// The connections of a route that are in use, oldest first.
    pub fn connections_of(&self, route: usize) -> Vec<u64> {
        let live = |conn: &Conn| conn.route == route && conn.ends.iter().any(|end| end.held && !end.reset);
        self.conns.iter().filter(|(_, conn)| live(conn)).map(|(number, _)| *number).collect()
    }

    /// Which route a connection is on.
    pub fn route_of(&self, number: u64) -> Option<usize> {
        self.conns.get(&number).map(|conn| conn.route)
    }

    /// From now on a route is like this, from the dialling side and back.
    pub fn change(&mut self, route: usize, specs: [LinkSpec; 2]) {
        for conn in self.conns.values_mut().filter(|conn| conn.route == route) {
            for (link, spec) in conn.links.iter_mut().zip(&specs) {
                link.respec(spec.clone());
            }
        }
        self.routes[route].specs = specs;
    }

    /// On routes from this one on, whoever waits at a connection whose other end is gone without a word is told, as
    /// TCP's keepalive does.
    pub fn keep_alive(&mut self, from: usize) {
        let mut told = Vec::new();
        for (number, conn) in self.conns.iter().filter(|(_, conn)| conn.route >= from) {
            told.extend((0..2).filter(|side| conn.ends[1 - side].dead).map(|side| (*number, side)));
        }
        for (number, side) in told {
            self.rst(number, side);
        }
    }

    // Timers

    /// A number for a timer.
    pub fn new_timer(&mut self) -> u64 {
        self.next_timer += 1;
        self.next_timer
    }

    /// Wakes at a time of that process.
    pub fn set_timer(&mut self, process: usize, at: u64, timer: u64, waker: Waker) {
        self.processes[process].timers.insert((at, timer), waker);
    }

    /// Forgets that.
    pub fn drop_timer(&mut self, process: usize, at: u64, timer: u64) {
        self.processes[process].timers.remove(&(at, timer));
    }

    /// When the next timer of a process is over, in the world's time.
    pub fn next_timer_of(&self, process: usize) -> Option<u64> {
        let process = &self.processes[process];
        let (at, _) = process.timers.keys().next()?;
        Some(at.saturating_sub(process.ahead).max(process.paused_until))
    }

    /// What a process learns when it looks: who is to be woken.
    pub fn look(&mut self, process: usize) -> Vec<Waker> {
        let mut woken = Vec::new();
        let interest: Vec<(u64, usize)> = self.processes[process].interest.iter().copied().collect();
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

    // Connecting

    /// Begins to connect.
    pub fn dial(&mut self, process: usize, route: usize) -> Result<u64, DialError> {
        if self.processes[process].no_files[0] > 0 {
            self.processes[process].no_files[0] -= 1;
            self.note(Kind::DialNoFiles);
            return Err(DialError::Other("too many open files".into()));
        }
        let number = self.next_conn;
        self.next_conn += 1;
        let specs = self.routes[route].specs.clone();
        let link = |way: usize| {
            let mut link =
                Link::new(specs[way].clone(), stream(self.seed, "driver link", number * 2 + way as u64));
            link.allow(self.cuts.buffer);
            link
        };
        let target = self.ports[self.routes[route].listener].process;
        let end = |process, held| End {
            process,
            held,
            dead: false,
            stopped: false,
            reset: false,
            finished: false,
            fin_in: false,
            inbox: VecDeque::new(),
            inbox_len: 0,
            consumed: 0,
            drained: false,
            full: false,
            readable: false,
            writable: false,
            recv_waker: None,
            send_waker: None,
        };
        let conn = Conn {
            route,
            links: [link(0), link(1)],
            ends: [end(process, true), end(target, false)],
            silent: [false; 2],
            window_set: [false; 2],
            severed: [false; 2],
            cut: None,
            answer: None,
        };
        self.conns.insert(number, conn);
        let at = self.now + self.routes[route].specs[0].delay;
        self.agenda.add(at, Event::Syn(number, 0));
        Ok(number)
    }

    fn syn(&mut self, number: usize, tries: u32) {
        let number = number as u64;
        let Some(conn) = self.conns.get_mut(&number) else { return };
        if conn.ends[0].dead {
            self.conns.remove(&number);
            return;
        }
        let route = &mut self.routes[conn.route];
        if route.silent != [false; 2] {
            self.agenda.add(self.now + (SYN_TIMEOUT << tries.min(6)), Event::Syn(number, tries + 1));
            return;
        }
        let port = &mut self.ports[route.listener];
        let back = self.now + route.specs[1].delay;
        if route.refuse > 0 {
            route.refuse -= 1;
            self.note(Kind::Refuse);
            self.agenda.add(back, Event::Answer(number, Err(DialError::Refused)));
        } else if !port.open {
            self.agenda.add(back, Event::Answer(number, Err(DialError::Refused)));
        } else if route.close > 0 {
            route.close -= 1;
            *self.effects.entry(Kind::AcceptClose).or_default() += 1;
            self.agenda.add(back, Event::Answer(number, Ok(())));
            conn.links[1].close();
            let mut later = Later::new();
            conn.links[1].write(self.now, false, &mut later);
            conn.ends[1].finished = true;
            self.plan(number, 1, later);
        } else {
            conn.cut = route.cut.pop_front();
            conn.ends[1].held = true;
            port.backlog.push_back(number);
            self.agenda.add(back, Event::Answer(number, Ok(())));
        }
    }

    /// What became of a dial.
    pub fn poll_dial(&mut self, number: u64, cx: &mut Context<'_>) -> Poll<Result<(), DialError>> {
        let Some(conn) = self.conns.get_mut(&number) else {
            return Poll::Ready(Err(DialError::Unreachable));
        };
        if let Some(answer) = &conn.answer {
            return Poll::Ready(answer.clone());
        }
        conn.ends[0].send_waker = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The next caller at a port.
    pub fn poll_accept(&mut self, port: usize, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let process = self.ports[port].process;
        if self.ports[port].backlog.is_empty() {
            self.ports[port].waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.processes[process].no_files[1] > 0 {
            self.processes[process].no_files[1] -= 1;
            self.note(Kind::AcceptNoFiles);
            return Poll::Ready(Err(io::Error::other("too many open files")));
        }
        let number = self.ports[port].backlog.pop_front().expect("somebody calls");
        Poll::Ready(Ok(number))
    }

    // Sockets

    fn end_mut(&mut self, number: u64, side: usize) -> io::Result<&mut End> {
        let conn = self.conns.get_mut(&number).ok_or(io::ErrorKind::NotConnected)?;
        Ok(&mut conn.ends[side])
    }

    /// See [`striper_runtime::Pipe::poll_recv`].
    pub fn recv(
        &mut self,
        number: u64,
        side: usize,
        max: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Received>> {
        let chop = self.cuts.reads > 0 && self.rng.random_range(0..self.cuts.reads) == 0;
        let most = if chop { self.draw_piece(max) } else { max };
        let end = self.end_mut(number, side)?;
        if end.drained && !std::mem::take(&mut end.readable) {
            end.recv_waker = Some(cx.waker().clone());
            let process = end.process;
            self.processes[process].interest.insert((number, side));
            return Poll::Pending;
        }
        end.drained = false;
        if end.inbox_len > 0 {
            let count = end.inbox_len.min(most);
            let chunk = take_front(&mut end.inbox, count);
            end.inbox_len -= count;
            end.consumed += count as u64;
            end.drained = count < max;
            self.set_window(number, 1 - side);
            return Poll::Ready(Ok(Received::Chunk(chunk)));
        }
        if end.reset {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        if end.fin_in {
            return Poll::Ready(Ok(Received::Fin));
        }
        end.drained = true;
        self.recv(number, side, max, cx)
    }

    /// See [`striper_runtime::Pipe::poll_send`].
    pub fn send(
        &mut self,
        number: u64,
        side: usize,
        data: &mut dyn Buf,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        assert!(data.has_remaining(), "a send of nothing");
        let chop = self.cuts.writes > 0 && self.rng.random_range(0..self.cuts.writes) == 0;
        let most = if chop { self.draw_piece(data.remaining()) } else { data.remaining() };
        let silent = self.is_silent(number, side);
        let Some(conn) = self.conns.get_mut(&number) else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let end = &mut conn.ends[side];
        if end.reset {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        assert!(!end.finished, "sent after finishing");
        let room = conn.links[side].room() as usize;
        if (end.full && !std::mem::take(&mut end.writable)) || room == 0 {
            end.full = true;
            end.send_waker = Some(cx.waker().clone());
            let process = end.process;
            self.processes[process].interest.insert((number, side));
            return Poll::Pending;
        }
        let offered = data.remaining();
        let count = room.min(most).min(offered);
        end.full = count < offered;
        if !end.stopped {
            conn.links[side].push(data.copy_to_bytes(count));
            let mut later = Later::new();
            conn.links[side].write(self.now, silent, &mut later);
            self.plan(number, side, later);
        } else {
            data.advance(count);
        }
        Poll::Ready(Ok(count))
    }

    /// See [`striper_runtime::Pipe::poll_finish`].
    pub fn finish(&mut self, number: u64, side: usize) -> io::Result<()> {
        let silent = self.is_silent(number, side);
        let conn = self.conns.get_mut(&number).ok_or(io::ErrorKind::NotConnected)?;
        if conn.ends[side].reset {
            return Err(io::ErrorKind::NotConnected.into());
        }
        if !std::mem::replace(&mut conn.ends[side].finished, true) && !conn.ends[side].stopped {
            conn.links[side].close();
            let mut later = Later::new();
            conn.links[side].write(self.now, silent, &mut later);
            self.plan(number, side, later);
        }
        Ok(())
    }

    /// Whether a RST has come.
    pub fn check(&mut self, number: u64, side: usize) -> io::Result<()> {
        if self.end_mut(number, side)?.reset { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    /// See [`striper_runtime::Pipe::flushed`].
    pub fn flushed(&mut self, number: u64, side: usize) -> bool {
        let Some(conn) = self.conns.get_mut(&number) else { return true };
        conn.links[side].pace(1);
        conn.ends[side].reset || conn.links[side].unsent() == 0
    }

    /// See [`striper_runtime::Pipe::set_unsent_low_water`].
    pub fn pace(&mut self, number: u64, side: usize, bytes: u64) {
        if let Some(conn) = self.conns.get_mut(&number) {
            conn.links[side].pace(bytes.max(1));
        }
    }

    /// The program has let go of a socket. Unless it has sent its FIN and nothing is left to be read, that is a reset.
    pub fn close(&mut self, number: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let end = &mut conn.ends[side];
        end.held = false;
        end.recv_waker = None;
        end.send_waker = None;
        if !(end.finished && end.inbox_len == 0) {
            self.kill(number, side);
        }
        self.tidy(number);
    }

    /// The system forgets a socket and says so.
    pub fn kill(&mut self, number: u64, side: usize) {
        let silent = self.is_silent(number, side);
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let end = &mut conn.ends[side];
        if std::mem::replace(&mut end.dead, true) {
            return;
        }
        end.stopped = true;
        end.inbox.clear();
        end.inbox_len = 0;
        if !end.reset && !silent && !self.processes[end.process].mute {
            let at = conn.links[side].passes_at(self.now);
            self.agenda.add(at, Event::Rst(number, 1 - side));
        }
    }

    fn rst(&mut self, number: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let end = &mut conn.ends[side];
        end.reset = true;
        end.stopped = true;
        self.tidy(number);
    }

    // What arrives

    /// Whether packets from that end vanish.
    fn is_silent(&self, number: u64, side: usize) -> bool {
        self.conns.get(&number).is_none_or(|conn| conn.silent[side] || self.routes[conn.route].silent[side])
    }

    fn plan(&mut self, number: u64, way: usize, later: Later) {
        for (at, event) in later {
            self.agenda.add(at, Event::Link(number, way, event));
        }
    }

    fn set_window(&mut self, number: u64, way: usize) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        if !std::mem::replace(&mut conn.window_set[way], true) {
            let delay = self.routes[conn.route].specs[1 - way].delay;
            self.agenda.add(self.now + delay, Event::Window(number, way));
        }
    }

    fn window(&mut self, number: u64, way: usize) {
        let silent = self.is_silent(number, way);
        let silent_back = self.is_silent(number, 1 - way);
        let Some(conn) = self.conns.get_mut(&number) else { return };
        if silent_back {
            if !conn.silent[1 - way] && !conn.ends[1 - way].dead {
                self.agenda.add(self.now + PROBE, Event::Window(number, way));
            }
            return;
        }
        conn.window_set[way] = false;
        if conn.ends[way].stopped {
            return;
        }
        conn.links[way].allow(conn.ends[1 - way].consumed + self.cuts.buffer);
        let mut later = Later::new();
        conn.links[way].write(self.now, silent, &mut later);
        self.plan(number, way, later);
    }

    /// Lets an event happen, unless it is the scenario's.
    pub fn happen(&mut self, event: Event) -> Option<usize> {
        match event {
            Event::Link(number, way, event) => self.link_event(number, way, event),
            Event::Window(number, way) => self.window(number, way),
            Event::Syn(number, tries) => self.syn(number as usize, tries),
            Event::Answer(number, answer) => {
                if let Some(conn) = self.conns.get_mut(&number) {
                    if answer.is_err() {
                        conn.ends[0].stopped = true;
                        conn.ends[1].dead = true;
                    }
                    conn.answer = Some(answer);
                    if let Some(waker) = conn.ends[0].send_waker.take() {
                        waker.wake();
                    }
                }
                self.tidy(number);
            }
            Event::Rst(number, side) => self.rst(number, side),
            Event::Script(index) => return Some(index),
        }
        None
    }

    fn link_event(&mut self, number: u64, way: usize, event: LinkEvent) {
        let (silent, silent_back) = (self.is_silent(number, way), self.is_silent(number, 1 - way));
        let now = self.now;
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let back = now + self.routes[conn.route].specs[1 - way].delay;
        let mut later = Later::new();
        let stopped = conn.ends[way].stopped;
        let link = &mut conn.links[way];
        match event {
            LinkEvent::Arrive(_) | LinkEvent::Read if conn.severed[way] => {}
            LinkEvent::Arrive(_) if conn.ends[1 - way].dead => {
                if !silent_back {
                    self.agenda.add(back, Event::Rst(number, way));
                }
            }
            LinkEvent::Arrive(_) if conn.ends[1 - way].reset => {}
            LinkEvent::Arrive(packet) => {
                let tx = link.arrive(now, packet, &mut later);
                if !silent_back {
                    later.push((back, LinkEvent::Acknowledge(tx)));
                }
            }
            LinkEvent::Read => {
                let (pieces, fin) = link.read();
                self.deliver(number, way, pieces, fin);
            }
            _ if stopped => {}
            LinkEvent::Acknowledge(tx) => {
                link.acknowledge(now, tx, silent, &mut later);
                if !conn.ends[way].held {
                    self.tidy(number);
                }
            }
            LinkEvent::Timer => link.timer(now, silent, &mut later),
            LinkEvent::Wake => link.wake(now, silent, &mut later),
        }
        self.plan(number, way, later);
    }

    fn deliver(&mut self, number: u64, way: usize, pieces: Vec<Bytes>, fin: bool) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let side = 1 - way;
        let end = &mut conn.ends[side];
        if !end.held && !pieces.is_empty() {
            return self.kill(number, side);
        }
        let mut broken = None;
        for mut piece in pieces {
            if let Some((left, how)) = &mut conn.cut {
                if piece.len() as u64 >= *left {
                    piece.truncate(*left as usize);
                    broken = Some(*how);
                }
                *left -= piece.len() as u64;
            }
            end.inbox_len += piece.len();
            if !piece.is_empty() {
                end.inbox.push_back(piece);
            }
            if broken.is_some() {
                break;
            }
        }
        end.fin_in |= fin && broken.is_none();
        if let Some(how) = broken {
            conn.cut = None;
            conn.severed[way] = true;
            let kind = match how {
                Break::Reset(_) => Kind::ResetAfter,
                Break::Fin => Kind::FinMidFrame,
                Break::Forget(_) => Kind::Forget,
            };
            self.note(kind);
            self.break_connection(number, how);
        }
    }

    /// Breaks a connection from outside.
    pub fn break_connection(&mut self, number: u64, how: Break) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        match how {
            Break::Reset(told) => {
                let mut unread = false;
                for (end, told) in conn.ends.iter_mut().zip(told) {
                    end.stopped = true;
                    end.reset |= told;
                    unread |= told && end.inbox_len > 0;
                }
                (conn.silent, conn.severed) = ([true; 2], [true; 2]);
                if unread {
                    self.note(Kind::ResetUnread);
                }
                if told != [true; 2] {
                    self.note(Kind::HalfDead);
                }
            }
            Break::Fin => {
                for end in &mut conn.ends {
                    end.stopped = true;
                    end.fin_in = true;
                }
                (conn.silent, conn.severed) = ([true; 2], [true; 2]);
            }
            Break::Forget(from) => {
                for (silent, from) in conn.silent.iter_mut().zip(from) {
                    *silent |= from;
                }
            }
        }
        self.tidy(number);
    }

    /// Forgets a connection that nobody holds any more and on which nothing more can happen.
    fn tidy(&mut self, number: u64) {
        let Some(conn) = self.conns.get(&number) else { return };
        let over = |side: usize| {
            let end = &conn.ends[side];
            !end.held
                && (end.stopped
                    || conn.ends[1 - side].dead
                    || conn.silent != [false; 2]
                    || conn.links[side].is_idle())
        };
        let refused = matches!(conn.answer, Some(Err(_)));
        if (over(0) && over(1) && conn.answer.is_some()) || (refused && !conn.ends[0].held) {
            self.conns.remove(&number);
        }
    }

    fn draw_piece(&mut self, max: usize) -> usize {
        let most = match self.rng.random_range(0..4) {
            0 => 1,
            1 => 24,
            2 => 1_448,
            _ => max,
        };
        self.rng.random_range(1..=most.min(max).max(1))
    }
}

/// The first bytes of a queue.
fn take_front(queue: &mut VecDeque<Bytes>, count: usize) -> Bytes {
    let front = &mut queue[0];
    if front.len() >= count {
        let chunk = front.split_to(count);
        if front.is_empty() {
            queue.pop_front();
        }
        return chunk;
    }
    let mut all = BytesMut::with_capacity(count);
    while all.len() < count {
        let front = &mut queue[0];
        let part = front.split_to(front.len().min(count - all.len()));
        all.extend_from_slice(&part);
        if front.is_empty() {
            queue.pop_front();
        }
    }
    all.freeze()
}

#[cfg(test)]
mod tests;
