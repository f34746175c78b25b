//! The calls of programs on sockets.

use super::*;

impl Net {
    pub(super) fn end_mut(&mut self, number: u64, side: usize) -> io::Result<&mut End> {
        let conn = self.conns.get_mut(&number).ok_or(io::ErrorKind::NotConnected)?;
        Ok(&mut conn.ends[side])
    }

    pub fn recv(
        &mut self,
        number: u64,
        side: usize,
        max: usize,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<Received>> {
        let chop = self.cuts.reads > 0 && self.rng.random_range(0..self.cuts.reads) == 0;
        let most = if chop { random_piece(&mut self.rng, max) } else { max };
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

    pub fn send(
        &mut self,
        number: u64,
        side: usize,
        data: &mut dyn Buf,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        assert!(data.has_remaining(), "a send of nothing");
        let chop = self.cuts.writes > 0 && self.rng.random_range(0..self.cuts.writes) == 0;
        let most =
            if chop { random_piece(&mut self.rng, data.remaining()) } else { data.remaining() };
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

    pub fn check(&mut self, number: u64, side: usize) -> io::Result<()> {
        let reset = self.end_mut(number, side)?.reset;
        if reset { Err(io::ErrorKind::ConnectionReset.into()) } else { Ok(()) }
    }

    pub fn flushed(&mut self, number: u64, side: usize) -> bool {
        let Some(conn) = self.conns.get_mut(&number) else { return true };
        conn.links[side].pace(1);
        conn.ends[side].reset || conn.links[side].unsent() == 0
    }

    pub fn pace(&mut self, number: u64, side: usize, bytes: u64) {
        if let Some(conn) = self.conns.get_mut(&number) {
            conn.links[side].pace(bytes.max(1));
        }
    }

    /// A reset, unless the socket has sent its FIN and nothing is left to be read.
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

    pub(super) fn rst(&mut self, number: u64, side: usize) {
        let Some(conn) = self.conns.get_mut(&number) else { return };
        let end = &mut conn.ends[side];
        end.reset = true;
        end.stopped = true;
        self.tidy(number);
    }
}
