//! The world's work for stripes: it moves bytes between sessions and links.
//!
//! Invariant: a session is told of a stripe's end once, and of its bytes only between its beginning
//! and its end. It puts nothing on a stripe that it has closed or that it knows to be down.

use super::World;
use super::conn::{Conn, StripeEnd, StripeState};
use super::steps::{Event, Job};
use crate::base::{Kind, Side};
use crate::net::{Later, Link, LinkEvent};
use bytes::Bytes;
use striper_core::{Input, Output, StripeId};

/// The production driver asks the system so often, in microseconds.
const LOOK: u64 = 25_000;

impl World {
    pub fn stripes_up(&self, side: Side) -> usize {
        self.present().filter(|conn| conn.ends[side.index()].is_up()).count()
    }

    pub fn route(&self, stripe: StripeId) -> Option<usize> {
        self.conns.get(usize::try_from(stripe.0).ok()?).map(|conn| conn.route)
    }

    /// A process has died. The other side is told if it can be reached.
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

    pub(super) fn kill(&mut self, conn: usize) {
        let conn = &mut self.conns[conn];
        if conn.links.iter().any(Link::has_unread) {
            self.felt.add(Kind::Unread);
        }
        conn.links.iter_mut().for_each(Link::kill);
        conn.silent = [true; 2];
    }

    pub(super) fn link_event(&mut self, conn: usize, way: usize, event: LinkEvent) {
        let silent = self.is_silent(conn, way);
        let delay = self.routes[self.conns[conn].route].specs[1 - way].delay_micros();
        let back = (!self.is_silent(conn, 1 - way)).then_some(self.now + delay);
        let link = &mut self.conns[conn].links[way];
        let mut later = Later::new();
        if let Some((pieces, fin)) = link.happen(self.now, event, silent, back, &mut later) {
            self.received(conn, way, pieces, fin);
        }
        self.plan_link(conn, way, later);
        self.report_written(conn, way);
        self.report_arrived(conn, way);
        self.reset_if_due(conn, way);
    }

    fn reset_if_due(&mut self, conn: usize, way: usize) {
        if self.conns[conn].links[way].reset_is_due() {
            self.felt.add(Kind::ResetAfter);
            self.hits += 1;
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

    pub(super) fn write(&mut self, conn: usize, way: usize) {
        let silent = self.is_silent(conn, way);
        let mut later = Later::new();
        self.conns[conn].links[way].write(self.now, silent, &mut later);
        self.plan_link(conn, way, later);
        self.report_written(conn, way);
        self.reset_if_due(conn, way);
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

    /// A process that is stopped does not ask.
    fn report_arrived(&mut self, conn: usize, way: usize) {
        if self.processes[way].stopped {
            return;
        }
        let Conn { links, ends, .. } = &mut self.conns[conn];
        let end = &mut ends[way];
        if !end.is_up() || self.now < end.looked + LOOK {
            return;
        }
        end.looked = self.now;
        if let Some(total) = links[way].arrived() {
            let (stripe, total) = (StripeId(conn as u64), total.saturating_sub(end.hello));
            self.jobs.push_back(Job::Input(end.life, Input::StripeArrived { stripe, total }));
        }
    }

    fn received(&mut self, conn: usize, way: usize, pieces: Vec<Bytes>, fin: bool) {
        let side = Side::BOTH[way].other();
        for piece in pieces {
            self.received_piece(conn, side, piece);
            self.drain();
        }
        if fin {
            self.lose(conn, side);
            // A driver closes a stream that has ended.
            self.conns[conn].links[side.index()].close();
            self.write_later(conn, side.index());
        }
    }

    fn received_piece(&mut self, conn: usize, side: Side, mut data: Bytes) {
        if let StripeState::Greeting(handshake) = &mut self.conns[conn].ends[side.index()].state {
            let greeted = handshake.feed(data).expect("an honest HELLO");
            let Some((hello, rest)) = greeted else { return };
            self.greeted(conn, side, hello);
            data = rest;
        }
        let end = &self.conns[conn].ends[side.index()];
        if end.is_up() && !data.is_empty() {
            let input = Input::StripeBytes { stripe: StripeId(conn as u64), data };
            self.jobs.push_back(Job::Input(end.life, input));
        }
    }

    pub(super) fn lose(&mut self, conn: usize, side: Side) {
        if self.processes[side.index()].stopped {
            self.processes[side.index()].waiting.push(Event::Lose { conn, side });
            return;
        }
        let end = &mut self.conns[conn].ends[side.index()];
        match std::mem::replace(&mut end.state, StripeState::Gone) {
            StripeState::Up => {
                let input = Input::StripeDown { stripe: StripeId(conn as u64) };
                self.jobs.push_back(Job::Input(end.life, input));
            }
            StripeState::Greeting(_) if side == Side::Client => self.dial_failed(conn),
            _ => {}
        }
        self.tidy(conn);
    }

    pub(super) fn tidy(&mut self, conn: usize) {
        let Conn { ends, links, silent, .. } = &mut self.conns[conn];
        if ends.iter().all(StripeEnd::is_gone) {
            self.present.retain(|other| *other != conn);
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
                assert_eq!(conn.ends[way].life, life, "a frame on another session's stripe");
                if conn.ends[way].is_up() {
                    conn.links[way].push(header);
                    conn.links[way].push(payload);
                    self.write_later(stripe.0 as usize, way);
                }
            }
            Output::StripePace { stripe, unsent } => {
                self.conns[stripe.0 as usize].links[way].pace(unsent);
                self.write_later(stripe.0 as usize, way);
            }
            Output::CloseStripe { stripe, .. } => {
                let number = stripe.0 as usize;
                let end = &mut self.conns[number].ends[way];
                if end.is_up() {
                    end.state = StripeState::Gone;
                    self.conns[number].links[way].close();
                    self.write_later(number, way);
                    self.tidy(number);
                }
                // The number missing may be the same as before this stripe came up, and then the
                // session says nothing more.
                if side == Side::Client {
                    self.redial_later();
                }
            }
            Output::StripesWanted { count } => {
                if life == self.current[0] {
                    self.wanted = count;
                    self.dial();
                }
            }
            other => unreachable!("{other:?} is about no stripe"),
        }
    }

    pub(super) fn present(&self) -> impl Iterator<Item = &Conn> {
        self.present.iter().map(|conn| &self.conns[*conn])
    }
}
