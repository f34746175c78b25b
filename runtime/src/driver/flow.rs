//! A flow's local pipe in the pump: received from only as far as the session takes it, and what the
//! session delivers waits here until the pipe takes it, which its credit bounds.

use crate::handover::Sender;
use crate::pipe::linger::Linger;
use crate::pipe::queue::OutQueue;
use crate::pipe::{Pipe, Received, poll_send_part};
use crate::report::{FlowEnd, FlowReport, OpenError};
use bytes::{Buf, Bytes};
use std::io;
use std::task::{Context, Poll, Waker};
use striper_core::{FlowId, Instant, StripeId};

/// The most that is received at once.
const CHUNK: u64 = 256 << 10;

/// Where a flow is in its life.
pub enum Stage {
    /// There is no session yet to open it, and it gives up at this time.
    Waiting(Instant),
    /// The session has been asked for it, with this request.
    Opening(u64),
    /// The session knows it.
    Open(FlowId),
    /// The session has done with it; the local pipe has yet to take what is queued, and the FIN.
    Closing,
    /// The session has ended it with a reset, which the local pipe gets after what came before.
    Parting(Linger, FlowEnd),
}

/// The direction from the local pipe to the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Inward {
    Flowing,
    /// The session takes nothing for now.
    Paused,
    /// The local FIN has come.
    Finished,
}

/// The direction from the session to the local pipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outward {
    Flowing,
    /// The peer's FIN has come and follows what is queued.
    Finishing,
    /// The local pipe has taken the FIN.
    Finished,
}

/// A flow.
pub struct Flow {
    pub stage: Stage,
    /// `None` while nobody has answered a flow that the peer opened, and once both directions have
    /// finished.
    pub pipe: Option<Box<dyn Pipe>>,
    pub waker: Waker,
    pub inward: Inward,
    pub outward: Outward,
    /// In the pump's list of pipes to be written.
    pub listed: bool,
    /// What to say when asking for it.
    pub opaque: Bytes,
    pub opened: Option<Sender<Result<(), OpenError>>>,
    pub report: Option<Sender<FlowReport>>,
    /// Dropped with the flow, for who connects it to its target meanwhile.
    pub wanted: Option<Sender<()>>,
    queue: OutQueue,
    /// Received and not yet given to the session: a datagram may be longer than that takes at once.
    rest: Bytes,
    /// Bytes given to the session.
    sent: u64,
    /// Bytes that the local pipe has taken.
    received: u64,
    started: Instant,
    /// When the local pipe last took something.
    progress: Instant,
    /// Bytes that waited when the session ended it.
    pub parting: u64,
    /// What each stripe had carried when the flow began.
    carried: Box<[(StripeId, u64)]>,
}

/// What the local pipe had to give.
pub enum Given {
    Chunk(Bytes),
    /// An empty datagram, of which nothing is left in a flow. There may be more.
    Empty,
    Fin,
    Nothing,
    Broken,
}

/// What the local pipe has taken.
pub enum Taken {
    /// So many bytes in all.
    Total(u64),
    Nothing,
    Broken,
}

impl Flow {
    /// A flow in its first stage. `carried` is what each stripe has carried so far.
    pub fn new(stage: Stage, waker: Waker, carried: Box<[(StripeId, u64)]>, now: Instant) -> Self {
        Flow {
            stage,
            pipe: None,
            waker,
            inward: Inward::Flowing,
            outward: Outward::Flowing,
            listed: false,
            opaque: Bytes::new(),
            opened: None,
            report: None,
            wanted: None,
            queue: OutQueue::default(),
            rest: Bytes::new(),
            sent: 0,
            received: 0,
            started: now,
            progress: now,
            parting: 0,
            carried,
        }
    }

    /// Its number in the session, if it is open.
    pub fn id(&self) -> Option<FlowId> {
        match self.stage {
            Stage::Open(id) => Some(id),
            _ => None,
        }
    }

    /// Whether this is what the session answers with that request.
    pub fn is_opening(&self, request: u64) -> bool {
        matches!(self.stage, Stage::Opening(asked) if asked == request)
    }

    /// Appends to what the local pipe is to get.
    pub fn deliver(&mut self, data: Bytes) {
        if self.pipe.is_none() {
            // It waits for its target, and must not keep a receive buffer alive meanwhile.
            self.queue.set_congested();
        }
        self.queue.push(data);
    }

    /// Receives one chunk of at most `room` bytes.
    pub fn recv(&mut self, room: u64) -> Given {
        if self.inward == Inward::Finished {
            return Given::Nothing;
        }
        let Some(pipe) = &mut self.pipe else { return Given::Nothing };
        if room == 0 {
            self.inward = Inward::Paused;
            return Given::Nothing;
        }
        self.inward = Inward::Flowing;
        let mut cx = Context::from_waker(&self.waker);
        let room = room.min(CHUNK) as usize;
        if self.rest.is_empty() {
            match pipe.poll_recv(&mut cx, room) {
                Poll::Ready(Ok(Received::Chunk(chunk))) if chunk.is_empty() => return Given::Empty,
                Poll::Ready(Ok(Received::Chunk(chunk))) => self.rest = chunk,
                Poll::Ready(Ok(Received::Fin)) => {
                    self.inward = Inward::Finished;
                    return Given::Fin;
                }
                Poll::Ready(Err(_)) => return Given::Broken,
                Poll::Pending => return Given::Nothing,
            }
        }
        let chunk = self.rest.split_to(self.rest.len().min(room));
        self.sent += chunk.len() as u64;
        Given::Chunk(chunk)
    }

    /// Gives the local pipe what it takes, and then the FIN if that is due. Once both directions
    /// have finished, the pipe is closed.
    pub fn send(&mut self, now: Instant) -> Taken {
        let Some(pipe) = &mut self.pipe else { return Taken::Nothing };
        let mut cx = Context::from_waker(&self.waker);
        let before = self.received;
        let congested = loop {
            if self.queue.is_empty() {
                match pipe.poll_flush(&mut cx) {
                    Poll::Ready(Ok(())) => {
                        self.queue.set_flowing();
                        break false;
                    }
                    Poll::Ready(Err(_)) => return Taken::Broken,
                    Poll::Pending => break true,
                }
            }
            match poll_send_part(&mut **pipe, &mut cx, &mut self.queue) {
                Poll::Ready(Ok(count)) => {
                    self.queue.set_flowing();
                    self.received += count as u64;
                    self.progress = now;
                }
                Poll::Ready(Err(_)) => return Taken::Broken,
                Poll::Pending => break true,
            }
        };
        if congested && !self.queue.is_congested() {
            self.queue.set_congested();
            self.progress = now;
        }
        if self.queue.is_empty() && self.outward == Outward::Finishing {
            match pipe.poll_finish(&mut cx) {
                Poll::Ready(Ok(())) => self.outward = Outward::Finished,
                Poll::Ready(Err(_)) => return Taken::Broken,
                Poll::Pending => {}
            }
        }
        if self.is_local_over() {
            self.pipe = None;
        }
        if self.received > before { Taken::Total(self.received) } else { Taken::Nothing }
    }

    /// Both directions of the local pipe have finished.
    pub fn is_local_over(&self) -> bool {
        self.inward == Inward::Finished && self.outward == Outward::Finished
    }

    /// Whether nothing would be heard of a break of the local pipe.
    pub fn is_unwatched(&self) -> bool {
        self.pipe.is_some()
            && match self.stage {
                Stage::Waiting(_) | Stage::Opening(_) => true,
                Stage::Open(_) | Stage::Closing => self.inward != Inward::Flowing,
                Stage::Parting(..) => false,
            }
    }

    /// Asks the local pipe whether it has broken.
    pub fn check(&mut self) -> io::Result<()> {
        self.pipe.as_mut().map_or(Ok(()), |pipe| pipe.check())
    }

    /// The session has ended it. Gives the bytes that wait here, for which its credit accounts no
    /// more.
    pub fn part(&mut self, now: Instant, end: FlowEnd) -> u64 {
        self.stage = Stage::Parting(Linger::new(now, self.progress), end);
        self.parting = self.queue.remaining() as u64;
        self.parting
    }

    /// How it will have ended, if the session has ended it.
    pub fn parting_end(&self) -> Option<FlowEnd> {
        match &self.stage {
            Stage::Parting(_, end) => Some(end.clone()),
            _ => None,
        }
    }

    /// Goes on with that. Says when to be called again, or how the flow ended.
    pub fn poll_part(&mut self, now: Instant) -> Result<Instant, FlowEnd> {
        let Stage::Parting(parting, end) = &mut self.stage else { unreachable!("not parting") };
        let Some(pipe) = &mut self.pipe else { return Err(end.clone()) };
        let mut cx = Context::from_waker(&self.waker);
        let next = parting.poll(&mut cx, &mut **pipe, &mut self.queue, &mut self.received, now);
        next.ok_or_else(|| end.clone())
    }

    /// Tells whoever waits how it ended, then breaks the local pipe unless that has finished.
    pub fn conclude(
        mut self,
        end: FlowEnd,
        now: Instant,
        stripes: impl IntoIterator<Item = (StripeId, u64)>,
    ) {
        if let Some(opened) = self.opened.take() {
            opened.send(Err(match &end {
                FlowEnd::NoSession(error) => error.clone(),
                _ => OpenError::ShuttingDown,
            }));
        }
        if let Some(report) = self.report.take() {
            let before = |id| {
                self.carried.iter().find(|(known, _)| *known == id).map_or(0, |(_, bytes)| *bytes)
            };
            let best_stripe =
                stripes.into_iter().map(|(id, bytes)| bytes - before(id).min(bytes)).max();
            report.send(FlowReport {
                sent: self.sent,
                received: self.received,
                duration: now.since(self.started),
                end,
                best_stripe: best_stripe.unwrap_or(0),
            });
        }
        if let Some(pipe) = &mut self.pipe {
            pipe.abort();
        }
    }
}
