//! How connections come about.

use super::*;

impl Net {
    pub fn dial(&mut self, process: usize, route: usize) -> Result<u64, DialError> {
        if self.processes[process].no_files[0] > 0 {
            self.processes[process].no_files[0] -= 1;
            self.note(FaultKind::DialNoFiles);
            return Err(DialError::Other("too many open files".into()));
        }
        let number = self.next_conn;
        self.next_conn += 1;
        let specs = self.routes[route].specs.clone();
        let round_trip = specs.iter().map(LinkSpec::delay_micros).sum();
        let link = |way: usize| {
            let rng = stream(self.seed, "driver link", number * 2 + way as u64);
            let mut link = Link::new(specs[way].clone(), rng);
            link.limit = self.cuts.buffer;
            link.handshake_took(self.now, round_trip);
            link
        };
        let target = self.ports[self.routes[route].listener].process;
        let end = |process, held| End { process, held, ..End::default() };
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
        let at = self.now + self.routes[route].specs[0].delay_micros();
        self.agenda.add(at, Event::Syn(number, 0));
        Ok(number)
    }

    pub(super) fn syn(&mut self, number: u64, tries: u32) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        if conn.ends[0].dead {
            self.conns.remove(&number);
            return;
        }
        let route = &mut self.routes[conn.route];
        if route.silent != [false; 2] {
            let at = self.now + (SYN_TIMEOUT << tries.min(6));
            self.agenda.add(at, Event::Syn(number, tries + 1));
            return;
        }
        let late = std::mem::take(&mut route.late);
        if late > 0 {
            self.agenda.add(self.now + late, Event::Syn(number, tries));
            return;
        }
        let port = &mut self.ports[route.listener];
        let back = self.now + route.specs[1].delay_micros();
        if route.refuse > 0 {
            route.refuse -= 1;
            self.note(FaultKind::Refuse);
            self.agenda.add(back, Event::Answer(number, Err(DialError::Refused)));
        } else if !port.open {
            self.agenda.add(back, Event::Answer(number, Err(DialError::Refused)));
        } else if route.close > 0 {
            route.close -= 1;
            *self.effects.entry(FaultKind::AcceptClose).or_default() += 1;
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

    pub fn poll_accept(&mut self, port: usize, cx: &mut Context<'_>) -> Poll<io::Result<u64>> {
        let process = self.ports[port].process;
        if self.ports[port].backlog.is_empty() {
            self.ports[port].waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        if self.processes[process].no_files[1] > 0 {
            self.processes[process].no_files[1] -= 1;
            self.note(FaultKind::AcceptNoFiles);
            return Poll::Ready(Err(io::Error::other("too many open files")));
        }
        Poll::Ready(Ok(self.ports[port].backlog.pop_front().expect("somebody calls")))
    }
}
