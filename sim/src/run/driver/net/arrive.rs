//! Events on the way, and at the end where something arrives.

use super::*;

impl Net {
    pub(super) fn is_silent(&self, number: u64, side: usize) -> bool {
        self.conns
            .get(&number)
            .is_none_or(|conn| conn.silent[side] || self.routes[conn.route].silent[side])
    }

    pub(super) fn plan(&mut self, number: u64, way: usize, later: Later) {
        for (at, event) in later {
            self.agenda.add(at, Event::Link(number, way, event));
        }
    }

    pub(super) fn set_window(&mut self, number: u64, way: usize) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        if !std::mem::replace(&mut conn.window_set[way], true) {
            let delay = self.routes[conn.route].specs[1 - way].delay_micros();
            self.agenda.add(self.now + delay, Event::Window(number, way));
        }
    }

    pub(super) fn window(&mut self, number: u64, way: usize) {
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
        conn.links[way].limit = conn.ends[1 - way].consumed + self.cuts.buffer;
        let mut later = Later::new();
        conn.links[way].write(self.now, silent, &mut later);
        self.plan(number, way, later);
    }

    /// Lets an event happen, unless it is the scenario's.
    pub fn happen(&mut self, event: Event) -> Option<usize> {
        match event {
            Event::Link(number, way, event) => self.link_event(number, way, event),
            Event::Window(number, way) => self.window(number, way),
            Event::Syn(number, tries) => self.syn(number, tries),
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

    pub(super) fn link_event(&mut self, number: u64, way: usize, event: LinkEvent) {
        let (silent, silent_back) = (self.is_silent(number, way), self.is_silent(number, 1 - way));
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let back = self.now + self.routes[conn.route].specs[1 - way].delay_micros();
        match event {
            LinkEvent::Arrive(_) | LinkEvent::Read if conn.severed[way] => return,
            LinkEvent::Arrive(_) if conn.ends[1 - way].dead => {
                if !silent_back {
                    self.agenda.add(back, Event::Rst(number, way));
                }
                return;
            }
            LinkEvent::Arrive(_) if conn.ends[1 - way].reset => return,
            LinkEvent::Arrive(_) | LinkEvent::Read => {}
            _ if conn.ends[way].stopped => return,
            _ => {}
        }
        let let_go = matches!(event, LinkEvent::Acknowledge(..)) && !conn.ends[way].held;
        let (back, mut later) = ((!silent_back).then_some(back), Later::new());
        let read = conn.links[way].happen(self.now, event, silent, back, &mut later);
        if let_go {
            self.tidy(number);
        }
        if let Some((pieces, fin)) = read {
            self.deliver(number, way, pieces, fin);
        }
        self.plan(number, way, later);
    }

    pub(super) fn deliver(&mut self, number: u64, way: usize, pieces: Vec<Bytes>, fin: bool) {
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
                Break::Reset(_) => FaultKind::ResetAfter,
                Break::Fin => FaultKind::FinMidFrame,
                Break::Forget(_) => FaultKind::Forget,
            };
            self.note(kind);
            self.break_connection(number, how);
        }
    }

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
                    self.note(FaultKind::ResetUnread);
                }
                if told != [true; 2] {
                    self.note(FaultKind::HalfDead);
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
    pub(super) fn tidy(&mut self, number: u64) {
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
}
