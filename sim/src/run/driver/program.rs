//! The programs at both ends of a flow, with their oracles. Bytes equal the position-derived
//! pattern. A FIN comes once and after the last byte. A path that broke never looks like an end.

use super::draw::{Ending, ProgramPlan};
use super::kind::FaultKind;
use super::net::SharedNet;
use super::pipe::{SimClock, SimPipe};
use crate::net::pattern;
use bytes::Bytes;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use striper_core::{Instant, Reason};
use striper_runtime::clock::Clock;
use striper_runtime::{DialError, FlowEnd, FlowReport, OpenError, Pipe, Received};

/// How often a program that does not read asks whether its connection has broken.
const CHECK: Duration = Duration::from_millis(50);

#[derive(Clone, Debug, Default)]
pub struct Progress {
    pub started: bool,
    pub wrote: u64,
    pub sent_fin: bool,
    pub read: u64,
    pub got_fin: bool,
    pub aborted: bool,
    pub broken: Option<io::ErrorKind>,
    pub broken_at: Option<u64>,
    pub over: bool,
    pub over_at: Option<u64>,
}

#[derive(Debug, Default)]
pub struct FlowState {
    pub index: usize,
    pub sides: [Progress; 2],
    pub reports: [Option<FlowReport>; 2],
    pub reported_at: [u64; 2],
    /// When the client was asked for it.
    pub asked_at: Option<u64>,
    pub open_error: Option<OpenError>,
    /// The client dropped its request.
    pub dropped: bool,
    /// The server's port for it, if it comes from there.
    pub door: Option<usize>,
    /// How often the server has listened for it.
    pub listened: u64,
    /// The listener for it has ended, for whatever reason.
    pub listener_ended: bool,
    pub reach: Reach,
}

/// How far the server has come with the flow's target.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Reach {
    /// It has not heard of the flow.
    #[default]
    Unheard,
    Denied,
    /// It has dropped the flow.
    Unanswered,
    Dialling,
    Failed(DialError),
    /// The flow ended before the target had answered.
    Unwanted,
    Reached,
}

impl Reach {
    /// The reason that the client is to hear, if the target was not reached.
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Reach::Denied => Some(Reason::NotAllowed),
            Reach::Unanswered => Some(Reason::Unavailable),
            Reach::Failed(error) => Some(error.reason()),
            _ => None,
        }
    }
}

impl FlowState {
    pub fn is_complete(&self) -> bool {
        self.sides.iter().all(|side| side.sent_fin && side.got_fin)
    }

    /// Whether a program, or the client for it, broke it off.
    pub fn is_broken_off(&self) -> bool {
        self.dropped || self.sides.iter().any(|side| side.aborted)
    }

    pub fn hear(&mut self, side: usize, report: FlowReport, now: u64) {
        if let FlowEnd::NoSession(error) = &report.end {
            self.open_error = Some(error.clone());
        }
        assert!(self.reports[side].is_none(), "flow {}: a second report", self.index);
        (self.reports[side], self.reported_at[side]) = (Some(report), now);
    }

    pub fn is_over(&self) -> bool {
        self.sides[0].over && (!self.sides[1].started || self.sides[1].over)
    }

    /// When a program first noticed that it broke, or else when all was over, in microseconds.
    pub fn broken_at(&self) -> u64 {
        let first = self.sides.iter().filter_map(|side| side.broken_at).min();
        first.or(self.sides.iter().filter_map(|side| side.over_at).max()).unwrap_or(u64::MAX)
    }
}

pub struct Program {
    pub flow: Rc<RefCell<FlowState>>,
    /// 0 for the client's program, 1 for the server's.
    pub side: usize,
    pub plan: ProgramPlan,
    pub eager: Rc<Cell<bool>>,
    pub net: SharedNet,
}

impl Program {
    pub async fn run(self, mut pipe: SimPipe, clock: SimClock) {
        self.flow.borrow_mut().sides[self.side].started = true;
        let mut timer = clock.timer();
        let (mut write_at, mut read_at) = (Instant::ZERO, Instant::ZERO);
        poll_fn(|cx| {
            loop {
                let now = clock.now();
                let reset_at = self.plan.reset_at.map(Instant::from_micros);
                if reset_at.is_some_and(|at| at <= now) {
                    self.abort(&mut pipe);
                    return Poll::Ready(());
                }
                let finish_at = self.plan.finish_at.map(Instant::from_micros);
                let finish_at = finish_at.filter(|at| *at > now);
                let mut waits = Vec::from_iter(reset_at.into_iter().chain(finish_at));
                let moved = match self.write(&mut pipe, cx, now, &mut write_at, &mut waits) {
                    Ok(moved) => self
                        .read(&mut pipe, cx, now, &mut read_at, &mut waits)
                        .map(|read| read || moved),
                    Err(error) => Err(error),
                };
                let over = match &moved {
                    Ok(_) => {
                        let progress = &self.flow.borrow().sides[self.side];
                        progress.aborted || (progress.sent_fin && progress.got_fin)
                    }
                    Err(error) => {
                        let mine = &mut self.flow.borrow_mut().sides[self.side];
                        (mine.broken, mine.broken_at) = (Some(error.kind()), Some(now.as_micros()));
                        true
                    }
                };
                if over {
                    return Poll::Ready(());
                }
                if matches!(moved, Ok(true)) {
                    continue;
                }
                let Some(at) = waits.into_iter().min() else { return Poll::Pending };
                if timer.poll_until(cx, at).is_pending() {
                    return Poll::Pending;
                }
            }
        })
        .await;
        drop(pipe);
        let mine = &mut self.flow.borrow_mut().sides[self.side];
        (mine.over, mine.over_at) = (true, Some(clock.now().as_micros()));
    }

    fn abort(&self, pipe: &mut SimPipe) {
        pipe.abort();
        self.net.borrow_mut().note(FaultKind::LocalReset);
        self.flow.borrow_mut().sides[self.side].aborted = true;
    }

    fn write(
        &self,
        pipe: &mut SimPipe,
        cx: &mut Context<'_>,
        now: Instant,
        write_at: &mut Instant,
        waits: &mut Vec<Instant>,
    ) -> io::Result<bool> {
        let (pattern, mine, eager) = {
            let flow = self.flow.borrow();
            (pattern(flow.index, self.side), flow.sides[self.side].clone(), self.eager.get())
        };
        let left = self.plan.bytes - mine.wrote;
        let cut = self.plan.finish_at.is_some_and(|at| Instant::from_micros(at) <= now);
        if cut && left > 0 && !mine.sent_fin {
            self.net.borrow_mut().note(FaultKind::HalfClose);
            return self.finish(pipe).map(|()| true);
        }
        if mine.sent_fin || (self.plan.answers && !mine.got_fin && !eager) {
            return Ok(false);
        }
        if now < *write_at && !eager {
            waits.push(*write_at);
            return Ok(false);
        }
        if left > 0 {
            let piece = if eager { 64 << 10 } else { self.plan.piece };
            let mut data: Bytes = pattern.bytes(mine.wrote, piece.min(left as usize));
            let Poll::Ready(taken) = pipe.poll_send(cx, &mut data) else { return Ok(false) };
            self.flow.borrow_mut().sides[self.side].wrote += taken? as u64;
            *write_at = now + self.plan.pause;
            return Ok(true);
        }
        match self.plan.end {
            Ending::Late if !eager => Ok(false),
            Ending::Reset => {
                self.abort(pipe);
                Ok(true)
            }
            Ending::Leave => {
                self.finish(pipe)?;
                self.flow.borrow_mut().sides[self.side].aborted = !mine.got_fin;
                Ok(true)
            }
            Ending::Late | Ending::Finish => self.finish(pipe).map(|()| true),
        }
    }

    fn finish(&self, pipe: &mut SimPipe) -> io::Result<()> {
        // Before the call: an end that sees the FIN at once must find that it was sent.
        self.flow.borrow_mut().sides[self.side].sent_fin = true;
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(finished) = pipe.poll_finish(&mut cx) else {
            unreachable!("a socket finishes at once")
        };
        finished
    }

    fn read(
        &self,
        pipe: &mut SimPipe,
        cx: &mut Context<'_>,
        now: Instant,
        read_at: &mut Instant,
        waits: &mut Vec<Instant>,
    ) -> io::Result<bool> {
        let (mine, eager) = (self.flow.borrow().sides[self.side].clone(), self.eager.get());
        let stopped = self.plan.stop_after.is_some_and(|limit| mine.read >= limit) && !eager;
        if mine.got_fin || mine.aborted {
            return Ok(false);
        }
        if stopped {
            waits.push(now + CHECK);
            return pipe.check().map(|()| false);
        }
        if now < *read_at && !eager {
            waits.push(*read_at);
            return Ok(false);
        }
        let max = if eager { 64 << 10 } else { self.plan.read };
        let Poll::Ready(received) = pipe.poll_recv(cx, max) else { return Ok(false) };
        *read_at = now + self.plan.read_pause;
        let mut flow = self.flow.borrow_mut();
        let (index, pattern) = (flow.index, pattern(flow.index, 1 - self.side));
        let other = flow.sides[1 - self.side].clone();
        let mine = &mut flow.sides[self.side];
        let (side, here) = (self.side, mine.read);
        match received? {
            Received::Chunk(data) => {
                let end = here + data.len() as u64;
                assert!(!data.is_empty(), "flow {index}: an empty chunk");
                let wrote = other.wrote;
                assert!(end <= wrote, "flow {index}: {end} bytes came and {wrote} were sent");
                assert!(
                    pattern.matches(here, &data),
                    "flow {index}, to side {side}: bytes from {here} on differ from what was sent, \
                     of {wrote}: {mine:?}",
                );
                mine.read = end;
                if !self.plan.read_pause.is_zero() {
                    drop(flow);
                    self.net.borrow_mut().note(FaultKind::SlowReader);
                }
            }
            Received::Fin => {
                assert!(other.sent_fin, "flow {index}, to side {side}: a FIN that nobody sent");
                assert_eq!(here, other.wrote, "flow {index}, to side {side}: a FIN before the end");
                mine.got_fin = true;
            }
        }
        Ok(true)
    }
}
