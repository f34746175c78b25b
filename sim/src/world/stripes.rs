//! What the world does about stripes: it dials, shakes hands, moves bytes between sessions and links, and breaks things.
//!
//! Dialing costs a round trip for TCP and one more for both HELLOs, which travel on the links as everything else does.

use super::{Event, Job, World};
use crate::app::Side;
use crate::faults::Kind;
use crate::link::{Later, Link, LinkEvent, LinkSpec};
use crate::seed;
use bytes::Bytes;
use rand::RngExt;
use std::time::Duration;
use striper_core::{Handshake, Hello, HelloKind, Input, Output, Refusal, StripeId};

/// How long a dial may take beyond four round trips.
const DIAL_LIMIT: Duration = Duration::from_secs(2);

/// The wait after a dial that failed; up to as much again is added at random.
const REDIAL_WAIT: Duration = Duration::from_millis(200);

/// A way between the proxies on which stripes are dialed.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub specs: [LinkSpec; 2],
    /// As it was at first.
    pub first: [LinkSpec; 2],
    pub silent: [bool; 2],
    pub refuse: u32,
    /// So many dials are accepted and closed.
    pub slam: u32,
    pub clogged_until: u64,
    dials: u64,
}

impl Route {
    pub fn new(specs: [LinkSpec; 2]) -> Self {
        let first = specs.clone();
        Route { specs, first, silent: [false; 2], refuse: 0, slam: 0, clogged_until: 0, dials: 0 }
    }

    fn round_trip(&self) -> u64 {
        self.specs[0].delay + self.specs[1].delay
    }
}

/// One TCP connection. Its number is the stripe's.
#[derive(Clone, Debug)]
pub(super) struct Conn {
    pub route: usize,
    /// By the side that writes.
    pub links: [Link; 2],
    /// The packets of a side vanish.
    pub silent: [bool; 2],
    /// The client's end and the server's.
    pub ends: [StripeEnd; 2],
}

/// One end of a connection.
#[derive(Clone, Debug)]
pub(super) struct StripeEnd {
    state: StripeState,
    /// The session that it belongs to; for a server only once that is known.
    pub life: usize,
    /// Length of the HELLO that this side has written, which is no frame.
    hello: u64,
    /// Frame bytes that the session has been told of as written.
    written: u64,
    /// The session has closed it, so that it must not transmit any more.
    closed_by_session: bool,
    /// The session has been told that it is down, so that it must not transmit any more.
    pub down: bool,
}

#[derive(Clone, Debug)]
enum StripeState {
    /// Waits for the other's HELLO.
    Greeting(Handshake),
    /// Belongs to the session.
    Up,
    /// Is of no more use to this side.
    Gone,
}

impl StripeEnd {
    pub fn is_up(&self) -> bool {
        matches!(self.state, StripeState::Up)
    }

    pub fn is_gone(&self) -> bool {
        matches!(self.state, StripeState::Gone)
    }
}

impl World {
    /// How many stripes a side has.
    pub fn stripes_up(&self, side: Side) -> usize {
        self.present().filter(|conn| conn.ends[side.index()].is_up()).count()
    }

    /// The route that a stripe takes, by its number in the setup.
    pub fn route(&self, stripe: StripeId) -> Option<usize> {
        self.conns.get(usize::try_from(stripe.0).ok()?).map(|conn| conn.route)
    }

    /// The wait after dials that failed is over.
    pub(super) fn redial(&mut self) {
        self.redial_set = false;
        self.dial();
    }

    /// Dials as many stripes as are missing and not being dialed.
    pub(super) fn dial(&mut self) {
        // Stripes of each route, and dials that have not come to anything yet.
        let mut live = vec![0; self.routes.len()];
        let mut dialing = 0;
        for conn in self.present() {
            live[conn.route] += u64::from(!conn.ends[0].is_gone());
            dialing += usize::from(matches!(conn.ends[0].state, StripeState::Greeting(_)));
        }
        while dialing < self.wanted {
            let route = (0..self.routes.len())
                .min_by_key(|route| (live[*route], self.routes[*route].dials))
                .expect("at least one route");
            self.dial_route(route);
            live[route] += 1;
            dialing += 1;
        }
    }

    /// Connections of which at least one end is of use.
    fn present(&self) -> impl Iterator<Item = &Conn> {
        self.present.iter().map(|conn| &self.conns[*conn])
    }

    fn dial_route(&mut self, route: usize) {
        let number = self.conns.len();
        let Route { specs, dials, .. } = &mut self.routes[route];
        *dials += 1;
        let link = |way: usize| {
            Link::new(specs[way].clone(), seed::stream(self.setup.seed, "link", (number * 2 + way) as u64))
        };
        let end = || StripeEnd {
            state: StripeState::Greeting(Handshake::new()),
            hello: 0,
            written: 0,
            closed_by_session: false,
            down: false,
            life: self.current[0],
        };
        let mut links = [link(0), link(1)];
        for side in Side::BOTH {
            links[side.index()].freeze(self.processes[side.index()].is_stopped());
            links[side.index()].shook_hands(self.routes[route].round_trip());
            links[side.index()].clog(self.routes[route].clogged_until);
        }
        self.present.push(number);
        self.conns.push(Conn { route, links, silent: [false; 2], ends: [end(), end()] });
        let round_trip = self.routes[route].round_trip();
        self.agenda.add(self.now + round_trip, Event::Connected { conn: number });
        self.agenda.add(self.after(DIAL_LIMIT) + 4 * round_trip, Event::DialLimit { conn: number });
    }

    /// TCP's own handshake is done, or has failed.
    pub(super) fn connected(&mut self, conn: usize) {
        if self.conns[conn].ends[0].is_gone() {
            return;
        }
        let route = &mut self.routes[self.conns[conn].route];
        if route.silent != [false; 2] {
            return;
        }
        if route.refuse > 0 || self.processes[1].is_away() {
            self.blows += u64::from(route.refuse > 0);
            route.refuse = route.refuse.saturating_sub(1);
            self.felt.add(Kind::Refused);
            self.dial_failed(conn);
            return;
        }
        let slammed = route.slam > 0;
        route.slam = route.slam.saturating_sub(1);
        let life = self.conns[conn].ends[0].life;
        let hello = self.lives[life].session.hello(StripeId(conn as u64)).encode();
        self.greet(conn, Side::Client, hello);
        if slammed {
            self.blows += 1;
            self.felt.add(Kind::Slammed);
            self.conns[conn].ends[1].state = StripeState::Gone;
            self.conns[conn].links[1].close();
            self.soil(conn, 1);
        }
    }

    fn greet(&mut self, conn: usize, side: Side, hello: Bytes) {
        self.conns[conn].ends[side.index()].hello = hello.len() as u64;
        self.conns[conn].links[side.index()].push(hello);
        self.soil(conn, side.index());
    }

    /// A client whose session has ended wants none of the stripes that it is still dialing.
    pub(super) fn drop_dials(&mut self, life: usize) {
        for number in self.present.clone() {
            let end = &self.conns[number].ends[0];
            if end.life == life && matches!(end.state, StripeState::Greeting(_)) {
                self.give_up_dial(number);
            }
        }
    }

    /// A process has died: its system breaks its connections, and tells the other side if that can be reached.
    pub(super) fn break_all(&mut self, side: Side, told: bool) {
        for conn in self.present.clone() {
            if !self.conns[conn].ends[side.index()].is_gone() {
                self.conns[conn].ends[side.index()].state = StripeState::Gone;
                self.kill(conn);
                if told {
                    self.lose(conn, side.other());
                }
                self.tidy(conn);
            }
        }
    }

    /// A connection breaks.
    pub(super) fn kill(&mut self, conn: usize) {
        let conn = &mut self.conns[conn];
        if conn.links.iter().any(Link::has_unread) {
            self.felt.add(Kind::Unread);
        }
        conn.links.iter_mut().for_each(Link::kill);
        conn.silent = [true; 2];
    }

    pub(super) fn dial_limit(&mut self, conn: usize) {
        let mut limit = |side: Side| {
            let end = &mut self.conns[conn].ends[side.index()];
            let greeting = matches!(end.state, StripeState::Greeting(_));
            if greeting {
                end.state = StripeState::Gone;
            }
            greeting
        };
        limit(Side::Server);
        if limit(Side::Client) {
            self.dial_failed(conn);
        }
    }

    /// The client gives a dial up; a server that has already welcomed it sees the end of the stream.
    fn give_up_dial(&mut self, number: usize) {
        let conn = &mut self.conns[number];
        conn.ends[0].state = StripeState::Gone;
        if conn.ends[1].is_up() {
            conn.links[0].close();
            self.soil(number, 0);
        } else {
            conn.ends[1].state = StripeState::Gone;
            self.tidy(number);
        }
    }

    /// The client gives a dial up and tries again later.
    fn dial_failed(&mut self, number: usize) {
        self.give_up_dial(number);
        self.redial_later();
    }

    fn redial_later(&mut self) {
        if std::mem::replace(&mut self.redial_set, true) {
            return;
        }
        let wait = REDIAL_WAIT.as_micros() as u64;
        let wait = wait + self.rng.random_range(0..wait);
        self.agenda.add(self.now + wait, Event::Redial);
    }

    /// Something happens on a link.
    pub(super) fn link_event(&mut self, conn: usize, way: usize, event: LinkEvent) {
        let silent = self.is_silent(conn, way);
        let silent_back = self.is_silent(conn, 1 - way);
        let back = self.routes[self.conns[conn].route].specs[1 - way].delay;
        let link = &mut self.conns[conn].links[way];
        let mut later = Later::new();
        match event {
            LinkEvent::Arrive(packet) => {
                let tx = link.arrive(self.now, packet, &mut later);
                if !silent_back {
                    later.push((self.now + back, LinkEvent::Acknowledge(tx)));
                }
            }
            LinkEvent::Acknowledge(tx) => link.acknowledge(self.now, tx, silent, &mut later),
            LinkEvent::Timer => link.timer(self.now, silent, &mut later),
            LinkEvent::Wake => link.wake(self.now, silent, &mut later),
            LinkEvent::Read => {
                let (pieces, fin) = link.read();
                self.received(conn, way, pieces, fin);
            }
        }
        self.plan_link(conn, way, later);
        self.report_written(conn, way);
        self.meet_doom(conn, way);
    }

    /// A connection that was to be reset after so many bytes has written them.
    fn meet_doom(&mut self, conn: usize, way: usize) {
        if self.conns[conn].links[way].is_doomed() {
            self.felt.add(Kind::ResetAfter);
            self.blows += 1;
            self.kill(conn);
            Side::BOTH.into_iter().for_each(|side| self.lose(conn, side));
        }
    }

    fn is_silent(&self, conn: usize, way: usize) -> bool {
        self.conns[conn].silent[way] || self.routes[self.conns[conn].route].silent[way]
    }

    fn plan_link(&mut self, conn: usize, way: usize, later: Later) {
        for (at, event) in later {
            self.agenda.add(at, Event::Link { conn, way, event });
        }
    }

    /// The operating system takes what it can of what was written.
    pub(super) fn write(&mut self, conn: usize, way: usize) {
        let silent = self.is_silent(conn, way);
        let mut later = Later::new();
        self.conns[conn].links[way].write(self.now, silent, &mut later);
        self.plan_link(conn, way, later);
        self.report_written(conn, way);
        self.meet_doom(conn, way);
    }

    fn report_written(&mut self, conn: usize, way: usize) {
        let Conn { links, ends, .. } = &mut self.conns[conn];
        let end = &mut ends[way];
        let total = links[way].taken().saturating_sub(end.hello);
        if end.is_up() && total > end.written {
            end.written = total;
            let (stripe, life) = (StripeId(conn as u64), end.life);
            self.jobs.push_back(Job::Input(life, Input::StripeWritten { stripe, total }));
        }
    }

    /// Bytes came in at the reading end of a way.
    fn received(&mut self, conn: usize, way: usize, pieces: Vec<Bytes>, fin: bool) {
        let side = Side::BOTH[way].other();
        for piece in pieces {
            self.received_piece(conn, side, piece);
            self.drain();
        }
        if fin {
            self.lose(conn, side);
            // A driver closes what has ended.
            self.conns[conn].links[side.index()].close();
            self.soil(conn, side.index());
        }
    }

    fn received_piece(&mut self, conn: usize, side: Side, data: Bytes) {
        let stripe = StripeId(conn as u64);
        let end = &mut self.conns[conn].ends[side.index()];
        match &mut end.state {
            StripeState::Up => {
                let life = end.life;
                self.jobs.push_back(Job::Input(life, Input::StripeBytes { stripe, data }));
            }
            StripeState::Gone => {}
            StripeState::Greeting(handshake) => {
                let greeted = handshake.feed(data).expect("an honest HELLO");
                if let Some((hello, rest)) = greeted {
                    self.greeted(conn, side, hello);
                    let end = &self.conns[conn].ends[side.index()];
                    if end.is_up() && !rest.is_empty() {
                        self.jobs.push_back(Job::Input(end.life, Input::StripeBytes { stripe, data: rest }));
                    }
                }
            }
        }
    }

    /// The other's HELLO is complete.
    fn greeted(&mut self, conn: usize, side: Side, hello: Hello) {
        let stripe = StripeId(conn as u64);
        assert_eq!(hello.stripe, stripe);
        match hello.kind {
            HelloKind::Create | HelloKind::Join => {
                let session = self.server_session(hello.session, hello.kind == HelloKind::Create);
                let welcome = match session {
                    Some(life) => self.lives[life].session.may_join(stripe).map(|()| life),
                    None => Err(Refusal::UnknownSession),
                };
                match welcome {
                    Ok(life) => {
                        self.conns[conn].ends[1].life = life;
                        let answer = self.lives[life].session.hello(stripe).encode();
                        self.greet(conn, side, answer);
                    }
                    Err(refusal) => {
                        let answer = Hello { kind: HelloKind::Refuse(refusal), gone: Vec::new(), ..hello };
                        self.greet(conn, side, answer.encode());
                        self.conns[conn].links[side.index()].close();
                        self.conns[conn].ends[side.index()].state = StripeState::Gone;
                        return;
                    }
                }
            }
            HelloKind::Accept { .. } => {}
            HelloKind::Refuse(refusal) => {
                if refusal == Refusal::UnknownSession {
                    // The server has lost the session: a driver gives it up and starts afresh.
                    let life = self.conns[conn].ends[side.index()].life;
                    self.jobs.push_back(Job::Input(life, Input::Abort));
                }
                self.dial_failed(conn);
                return;
            }
        }
        let end = &mut self.conns[conn].ends[side.index()];
        end.state = StripeState::Up;
        self.jobs.push_back(Job::Input(end.life, Input::StripeUp { stripe, hello }));
    }

    /// A side learns that a connection is of no more use.
    pub(super) fn lose(&mut self, conn: usize, side: Side) {
        if self.processes[side.index()].is_stopped() {
            self.processes[side.index()].put_off(Event::Lose { conn, side });
            return;
        }
        let end = &mut self.conns[conn].ends[side.index()];
        match std::mem::replace(&mut end.state, StripeState::Gone) {
            StripeState::Up => {
                let life = end.life;
                self.jobs.push_back(Job::Input(life, Input::StripeDown { stripe: StripeId(conn as u64) }));
            }
            StripeState::Greeting(_) if side == Side::Client => self.dial_failed(conn),
            _ => {}
        }
        self.tidy(conn);
    }

    /// Frees what a connection holds once neither side wants it.
    fn tidy(&mut self, conn: usize) {
        let number = conn;
        let Conn { ends, links, silent, .. } = &mut self.conns[conn];
        if ends.iter().all(StripeEnd::is_gone) {
            self.present.retain(|other| *other != number);
            links.iter_mut().for_each(Link::kill);
            *silent = [true; 2];
        }
    }

    pub(super) fn perform_stripe(&mut self, life: usize, output: Output) {
        let side = self.lives[life].side;
        let way = side.index();
        match output {
            Output::Transmit { stripe, header, payload } => {
                let conn = &mut self.conns[stripe.0 as usize];
                let end = &conn.ends[way];
                assert!(!end.closed_by_session, "a frame on stripe {stripe} after its close");
                assert!(!end.down, "a frame on stripe {stripe} after its end");
                assert_eq!(end.life, life, "a frame on another session's stripe");
                if conn.ends[way].is_up() {
                    conn.links[way].push(header);
                    conn.links[way].push(payload);
                    self.soil(stripe.0 as usize, way);
                }
            }
            Output::StripePace { stripe, unsent } => {
                self.conns[stripe.0 as usize].links[way].pace(unsent);
                self.soil(stripe.0 as usize, way);
            }
            Output::CloseStripe { stripe, .. } => {
                let number = stripe.0 as usize;
                let end = &mut self.conns[number].ends[way];
                assert!(!end.closed_by_session, "stripe {stripe} is closed twice");
                end.closed_by_session = true;
                if end.is_up() {
                    end.state = StripeState::Gone;
                    self.conns[number].links[way].close();
                    self.soil(number, way);
                    self.tidy(number);
                }
                // The number missing may be what it was before this stripe came up, and then nothing more is said.
                if side == Side::Client {
                    self.redial_later();
                }
            }
            Output::StripesWanted { count } => {
                assert_eq!(side, Side::Client, "only a client dials");
                if life == self.current[0] {
                    self.wanted = count;
                    self.dial();
                }
            }
            other => unreachable!("{other:?} is about no stripe"),
        }
    }
}
