//! Connections become stripes.
//!
//! A dial takes a round trip for TCP and one more for both HELLOs, which travel on the links like
//! all bytes.
//!
//! Invariant: as long as the client's session wants more stripes than are being dialed, another try
//! is under way.

use super::World;
use super::conn::{Conn, Route, StripeEnd, StripeState};
use super::steps::{Event, Job};
use crate::base::{Kind, Side, seed};
use crate::net::{Control, Link};
use bytes::Bytes;
use rand::RngExt;
use std::time::Duration;
use striper_core::{Hello, HelloKind, Input, Refusal, StripeId};

/// The time that a dial may take beyond four round trips.
const DIAL_LIMIT: Duration = Duration::from_secs(2);
/// The wait after a dial that failed; up to as much again is added at random.
const REDIAL_WAIT: Duration = Duration::from_millis(200);

impl World {
    pub(super) fn dial(&mut self) {
        // Stripes of each route, and dials that have not come to anything yet.
        let mut live = vec![0; self.routes.len()];
        let mut dialing = 0;
        for conn in self.present() {
            live[conn.route] += u64::from(!conn.ends[0].is_gone());
            dialing += usize::from(conn.ends[0].is_greeting());
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

    fn dial_route(&mut self, route: usize) {
        let number = self.conns.len();
        let Route { specs, dials, .. } = &mut self.routes[route];
        *dials += 1;
        let link = |way: usize| {
            let rng = seed::stream(self.setup.seed, "link", (number * 2 + way) as u64);
            Link::new(specs[way].clone(), rng)
        };
        let mut links = [link(0), link(1)];
        for side in Side::BOTH {
            links[side.index()].freeze(self.processes[side.index()].stopped);
            links[side.index()].handshake_took(self.now, self.routes[route].round_trip());
            links[side.index()].clog(self.routes[route].clogged_until);
            if let Some(shared) = &self.shared[side.index()] {
                links[side.index()].share(shared.clone());
            }
        }
        self.present.push(number);
        self.conns.push(Conn {
            route,
            links,
            silent: [false; 2],
            ends: Side::BOTH.map(|_| StripeEnd::new(self.current[0])),
        });
        let round_trip = self.routes[route].round_trip();
        self.agenda.add(self.now + round_trip, Event::Connected { conn: number });
        self.agenda.add(self.after(DIAL_LIMIT) + 4 * round_trip, Event::DialLimit { conn: number });
    }

    pub(super) fn connected(&mut self, conn: usize) {
        if self.conns[conn].ends[0].is_gone() {
            return;
        }
        let route = &mut self.routes[self.conns[conn].route];
        if route.silent != [false; 2] {
            return;
        }
        if route.refuse > 0 || self.processes[1].away {
            self.hits += u64::from(route.refuse > 0);
            route.refuse = route.refuse.saturating_sub(1);
            self.felt.add(Kind::Refused);
            self.dial_failed(conn);
            return;
        }
        let slammed = route.close_dials > 0;
        route.close_dials = route.close_dials.saturating_sub(1);
        let life = self.conns[conn].ends[0].life;
        let hello = self.lives[life].end.session.hello(StripeId(conn as u64)).encode();
        self.greet(conn, Side::Client, hello);
        if slammed {
            self.hits += 1;
            self.felt.add(Kind::Slammed);
            self.conns[conn].ends[1].state = StripeState::Gone;
            self.conns[conn].links[1].close();
            self.write_later(conn, 1);
        }
    }

    fn greet(&mut self, conn: usize, side: Side, hello: Bytes) {
        self.conns[conn].ends[side.index()].hello = hello.len() as u64;
        self.conns[conn].links[side.index()].push(hello);
        self.write_later(conn, side.index());
    }

    /// A client whose session has ended wants none of the stripes that it is still dialing.
    pub(super) fn drop_dials(&mut self, life: usize) {
        for number in self.present.clone() {
            let end = &self.conns[number].ends[0];
            if end.life == life && end.is_greeting() {
                self.give_up_dial(number);
            }
        }
    }

    pub(super) fn dial_limit(&mut self, conn: usize) {
        let [client, server] = &mut self.conns[conn].ends;
        if server.is_greeting() {
            server.state = StripeState::Gone;
        }
        if client.is_greeting() {
            client.state = StripeState::Gone;
            self.dial_failed(conn);
        }
    }

    /// A server that has already welcomed the stripe sees the end of the stream.
    fn give_up_dial(&mut self, number: usize) {
        let conn = &mut self.conns[number];
        conn.ends[0].state = StripeState::Gone;
        if conn.ends[1].is_up() {
            conn.links[0].close();
            self.write_later(number, 0);
        } else {
            conn.ends[1].state = StripeState::Gone;
            self.tidy(number);
        }
    }

    pub(super) fn dial_failed(&mut self, number: usize) {
        self.give_up_dial(number);
        self.redial_later();
    }

    pub(super) fn redial_later(&mut self) {
        if std::mem::replace(&mut self.redial_set, true) {
            return;
        }
        let wait = REDIAL_WAIT.as_micros() as u64;
        let wait = wait + self.rng.random_range(0..wait);
        self.agenda.add(self.now + wait, Event::Redial);
    }

    pub(super) fn greeted(&mut self, conn: usize, side: Side, hello: Hello) {
        let stripe = StripeId(conn as u64);
        assert_eq!(hello.stripe, stripe);
        let accepted = match hello.kind {
            HelloKind::Create | HelloKind::Join => self.welcome(conn, &hello),
            HelloKind::Accept { .. } => true,
            HelloKind::Refuse(refusal) => {
                if refusal == Refusal::UnknownSession {
                    // The server has lost the session: a driver gives it up and starts afresh.
                    let life = self.conns[conn].ends[0].life;
                    self.jobs.push_back(Job::Input(life, Input::Abort));
                }
                self.dial_failed(conn);
                false
            }
        };
        if accepted {
            let end = &mut self.conns[conn].ends[side.index()];
            end.state = StripeState::Up;
            let life = end.life;
            self.jobs.push_back(Job::Input(life, Input::StripeUp { stripe, hello }));
            let conn = &self.conns[conn];
            if conn.links[side.index()].spec.congestion == Control::Bbr {
                let input = Input::StripeControl { stripe, rate_based: true };
                self.jobs.push_back(Job::Input(life, input));
            }
        }
    }

    /// The server answers a client's HELLO. Whether it takes the stripe.
    fn welcome(&mut self, conn: usize, hello: &Hello) -> bool {
        let stripe = hello.stripe;
        let welcome = match self.server_session(hello.session, hello.kind == HelloKind::Create) {
            Some(life) => self.lives[life].end.session.may_join(stripe).map(|()| life),
            None => Err(Refusal::UnknownSession),
        };
        match welcome {
            Ok(life) => {
                self.conns[conn].ends[1].life = life;
                let answer = self.lives[life].end.session.hello(stripe).encode();
                self.greet(conn, Side::Server, answer);
                true
            }
            Err(refusal) => {
                let answer =
                    Hello { kind: HelloKind::Refuse(refusal), gone: Vec::new(), ..hello.clone() };
                self.greet(conn, Side::Server, answer.encode());
                self.conns[conn].links[1].close();
                self.conns[conn].ends[1].state = StripeState::Gone;
                false
            }
        }
    }
}
