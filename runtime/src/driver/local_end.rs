//! A flow's local pipe in the pump. It is received from only as far as the session takes bytes.
//! Bytes for the pipe wait here until it takes them; credit bounds them.

use super::engine::Engine;
use crate::handover::Sender;
use crate::pipe::linger::Linger;
use crate::pipe::queue::OutQueue;
use crate::pipe::{Pipe, Received, poll_send_part};
use crate::report::{FlowEnd, FlowReport, FlowStatus, OpenError};
use bytes::{Buf, Bytes};
use std::io;
use std::task::{Context, Poll, Waker};
use striper_core::{FlowId, FlowWait, Instant, StripeId};

const CHUNK: u64 = 256 << 10;

/// Where a flow is in its life.
pub(super) enum Stage {
    /// There is no session yet to open it, and it gives up at this time.
    Waiting(Instant),
    /// The session has been asked for it, with this request.
    Opening(u64),
    Open(FlowId),
    /// The session has done with it; the local pipe has yet to take what is queued, and the FIN.
    Closing,
    /// The session has ended it with a reset, which the local pipe gets after what came before.
    Lingering(Linger, FlowEnd),
}

/// The direction from the local pipe to the session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Inward {
    Flowing,
    /// The session takes nothing for now.
    Paused,
    Finished,
}

/// The direction from the session to the local pipe.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outward {
    Flowing,
    /// The peer's FIN has come and follows what is queued.
    Finishing,
    /// The local pipe has taken the FIN.
    Finished,
}

/// Our end of a flow: its local pipe and what waits for it.
pub(super) struct LocalEnd {
    pub stage: Stage,
    /// The user's name for it.
    pub label: Option<u64>,
    /// `None` while a flow of the peer has no answer, and once both directions have finished.
    pipe: Option<Box<dyn Pipe>>,
    waker: Waker,
    inward: Inward,
    outward: Outward,
    /// There is something new to be written, and the agenda knows.
    listed: bool,
    /// The opaque field for the request to the session.
    pub opaque: Bytes,
    opened: Option<Sender<Result<(), OpenError>>>,
    accepted: Option<Sender<()>>,
    report: Option<Sender<FlowReport>>,
    /// Dropped with the flow. A dial of its target meanwhile hears that.
    _wanted: Option<Sender<()>>,
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
    /// Bytes that waited when the session ended it with a reset.
    pub lingering: u64,
    /// The bytes that each stripe had carried when the flow began.
    carried: Box<[(StripeId, u64)]>,
}

pub(super) enum Given {
    Chunk(Bytes),
    /// An empty datagram, of which nothing is left in a flow. There may be more.
    Empty,
    Fin,
    Nothing,
    Broken,
}

pub(super) enum Written {
    Nothing,
    /// It has taken so many bytes of this flow in all.
    Total(FlowId, u64),
    /// Nobody will say when it is worth another try; then it is.
    Later(Instant),
    Broken,
    /// It has taken all there will be.
    Ended(FlowEnd),
}

impl LocalEnd {
    /// `opened` hears when the session knows it, `wanted` is dropped with it; `carried` is so far.
    pub(super) fn new(
        stage: Stage,
        opened: Option<Sender<Result<(), OpenError>>>,
        wanted: Option<Sender<()>>,
        waker: Waker,
        carried: Box<[(StripeId, u64)]>,
        now: Instant,
    ) -> Self {
        LocalEnd {
            stage,
            label: None,
            pipe: None,
            waker,
            inward: Inward::Flowing,
            outward: Outward::Flowing,
            listed: false,
            opaque: Bytes::new(),
            opened,
            accepted: None,
            report: None,
            _wanted: wanted,
            queue: OutQueue::default(),
            rest: Bytes::new(),
            sent: 0,
            received: 0,
            started: now,
            progress: now,
            lingering: 0,
            carried,
        }
    }

    /// This is its local pipe, and `report` hears how it ends.
    pub(super) fn attach(&mut self, local: Box<dyn Pipe>, report: Sender<FlowReport>) {
        (self.pipe, self.report) = (Some(local), Some(report));
    }

    /// `early` are the first bytes for the session, and `accepted` hears when the peer has reached
    /// the target.
    pub(super) fn begin(&mut self, early: Bytes, accepted: Sender<()>, report: Sender<FlowReport>) {
        (self.rest, self.accepted, self.report) = (early, Some(accepted), Some(report));
    }

    /// This is its local pipe from now on.
    pub(super) fn join(&mut self, local: Box<dyn Pipe>) {
        self.pipe = Some(local);
    }

    pub(super) fn is_attached(&self) -> bool {
        self.pipe.is_some()
    }

    pub(super) fn accept(&mut self) {
        if let Some(accepted) = self.accepted.take() {
            accepted.send(());
        }
    }

    /// The session is asked for it with this request. Gives the opaque field.
    pub(super) fn ask(&mut self, request: u64) -> Bytes {
        self.stage = Stage::Opening(request);
        self.opaque.clone()
    }

    pub(super) fn open(&mut self, id: FlowId) {
        self.stage = Stage::Open(id);
        self.opaque = Bytes::new();
        if let Some(opened) = self.opened.take() {
            opened.send(Ok(()));
        }
    }

    /// The session takes more of it. Says whether it had not.
    pub(super) fn resume(&mut self) -> bool {
        let paused = self.inward == Inward::Paused;
        if paused {
            self.inward = Inward::Flowing;
        }
        paused
    }

    pub(super) fn id(&self) -> Option<FlowId> {
        match self.stage {
            Stage::Open(id) => Some(id),
            _ => None,
        }
    }

    /// Its state in the session of this engine.
    pub(super) fn status(&self, engine: &Engine) -> FlowStatus {
        let flow = self.id();
        let stats = flow.and_then(|flow| engine.session().flow_stats(flow));
        let (sending, receiving) = match (&self.stage, stats) {
            (Stage::Waiting(_), _) => (None, None),
            (_, Some(stats)) => (Some(stats.sending), Some(stats.receiving)),
            (Stage::Opening(_) | Stage::Open(_), None) => {
                (Some(FlowWait::Target), Some(FlowWait::Target))
            }
            (Stage::Closing | Stage::Lingering(..), None) => {
                (Some(FlowWait::Finished), Some(FlowWait::Program))
            }
        };
        FlowStatus {
            session: engine.tag(),
            flow,
            label: self.label,
            age: engine.now().since(self.started),
            sent: self.sent,
            received: self.received,
            waiting: self.queue.remaining() as u64,
            stats,
            sending,
            receiving,
        }
    }

    /// Queues bytes for the local pipe. Says whether nothing new was to be written before.
    pub(super) fn deliver(&mut self, data: Bytes) -> bool {
        if self.pipe.is_none() {
            // It waits for its target, and must not keep a receive buffer alive meanwhile.
            self.queue.set_congested();
        }
        self.queue.push(data);
        !std::mem::replace(&mut self.listed, true)
    }

    /// Queues the peer's FIN. Says whether nothing new was to be written before.
    pub(super) fn deliver_fin(&mut self) -> bool {
        self.outward = Outward::Finishing;
        !std::mem::replace(&mut self.listed, true)
    }

    pub(super) fn recv(&mut self, room: u64) -> Given {
        if self.inward == Inward::Finished {
            return Given::Nothing;
        }
        if self.pipe.is_none() && self.rest.is_empty() {
            return Given::Nothing;
        }
        if room == 0 {
            self.inward = Inward::Paused;
            return Given::Nothing;
        }
        self.inward = Inward::Flowing;
        let mut cx = Context::from_waker(&self.waker);
        let room = room.min(CHUNK) as usize;
        if let Some(pipe) = self.pipe.as_mut().filter(|_| self.rest.is_empty()) {
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

    /// Gives the local pipe what it takes, and what follows that: the FIN, or a reset.
    pub(super) fn write(&mut self, now: Instant) -> Written {
        self.listed = false;
        match &mut self.stage {
            Stage::Waiting(_) | Stage::Opening(_) => Written::Nothing,
            Stage::Lingering(linger, end) => {
                let Some(pipe) = &mut self.pipe else { return Written::Ended(end.clone()) };
                let (queue, taken) = (&mut self.queue, &mut self.received);
                let mut cx = Context::from_waker(&self.waker);
                let next = linger.poll(&mut cx, &mut **pipe, queue, taken, now);
                next.map_or_else(|| Written::Ended(end.clone()), Written::Later)
            }
            Stage::Open(id) => {
                let id = *id;
                match self.send(now) {
                    Ok(true) => Written::Total(id, self.received),
                    Ok(false) => Written::Nothing,
                    Err(_) => Written::Broken,
                }
            }
            Stage::Closing => match self.send(now) {
                Err(_) => Written::Broken,
                Ok(_) if self.is_local_over() => Written::Ended(FlowEnd::Finished),
                Ok(_) => Written::Nothing,
            },
        }
    }

    /// Gives the local pipe what it takes, and then the FIN if that is due. Once both directions
    /// have finished, the pipe is closed. Says whether it has taken anything.
    fn send(&mut self, now: Instant) -> io::Result<bool> {
        let Some(pipe) = &mut self.pipe else { return Ok(false) };
        let mut cx = Context::from_waker(&self.waker);
        let before = self.received;
        let congested = loop {
            if self.queue.is_empty() {
                match pipe.poll_flush(&mut cx)? {
                    Poll::Ready(()) => {
                        self.queue.set_flowing();
                        break false;
                    }
                    Poll::Pending => break true,
                }
            }
            match poll_send_part(&mut **pipe, &mut cx, &mut self.queue)? {
                Poll::Ready(count) => {
                    self.queue.set_flowing();
                    self.received += count as u64;
                    self.progress = now;
                }
                Poll::Pending => break true,
            }
        };
        if congested && !self.queue.is_congested() {
            self.queue.set_congested();
            self.progress = now;
        }
        if self.queue.is_empty()
            && self.outward == Outward::Finishing
            && pipe.poll_finish(&mut cx)?.is_ready()
        {
            self.outward = Outward::Finished;
        }
        if self.is_local_over() {
            self.pipe = None;
        }
        Ok(self.received > before)
    }

    /// Both directions of the local pipe have finished.
    fn is_local_over(&self) -> bool {
        self.inward == Inward::Finished && self.outward == Outward::Finished
    }

    #[cfg(any(test, feature = "testing"))]
    pub(super) fn is_forgotten(&self) -> bool {
        matches!(self.stage, Stage::Closing) && self.is_local_over()
    }

    /// Whether nothing would be heard of a break of the local pipe.
    pub(super) fn is_unwatched(&self) -> bool {
        self.pipe.is_some()
            && match self.stage {
                Stage::Waiting(_) | Stage::Opening(_) => true,
                Stage::Open(_) | Stage::Closing => self.inward != Inward::Flowing,
                Stage::Lingering(..) => false,
            }
    }

    pub(super) fn check(&mut self) -> io::Result<()> {
        self.pipe.as_mut().map_or(Ok(()), |pipe| pipe.check())
    }

    /// The session has reset it. Gives the bytes that wait here, no longer accounted for by credit.
    pub(super) fn linger(&mut self, now: Instant, end: FlowEnd) -> u64 {
        self.stage = Stage::Lingering(Linger::new(now, self.progress), end);
        self.lingering = self.queue.remaining() as u64;
        self.lingering
    }

    pub(super) fn lingering_end(&self) -> Option<FlowEnd> {
        match &self.stage {
            Stage::Lingering(_, end) => Some(end.clone()),
            _ => None,
        }
    }

    /// Tells whoever waits how it ended, then breaks the local pipe unless that has finished.
    pub(super) fn conclude(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handover::oneshot;
    use crate::pipe::memory::memory_pipe;
    use crate::pipe::testing::recv_all;
    use std::time::Duration;

    #[test]
    fn a_local_pipe_gets_all_bytes_then_the_fin_and_is_closed_after_its_own() {
        let (now, id) = (Instant::ZERO, FlowId(1));
        let (waker, carried) = (Waker::noop().clone(), Box::new([(StripeId(1), 10)]));
        let mut end = LocalEnd::new(Stage::Open(id), None, None, waker, carried, now);
        assert!(end.deliver(Bytes::from_static(b"before ")), "it is new");
        assert!(!end.deliver(Bytes::from_static(b"the answer")), "the agenda knows already");
        let ((local, mut program), (report, mut reported)) = (memory_pipe(), oneshot());
        end.attach(Box::new(local), report);
        end.deliver_fin();
        assert!(matches!(end.write(now), Written::Total(FlowId(1), 17)));
        assert_eq!(smol::block_on(recv_all(&mut program)).unwrap(), b"before the answer");
        assert!(matches!(end.recv(100), Given::Nothing) && end.is_attached());
        let mut cx = Context::from_waker(Waker::noop());
        assert!(program.poll_finish(&mut cx).is_ready());
        assert!(matches!(end.recv(100), Given::Fin));
        end.stage = Stage::Closing;
        assert!(matches!(end.write(now), Written::Ended(FlowEnd::Finished)));
        assert!(!end.is_attached());
        let carried = [(StripeId(1), 15), (StripeId(2), 7), (StripeId(3), 0)];
        end.conclude(FlowEnd::Finished, now + Duration::from_secs(1), carried);
        let report = reported.try_take().unwrap();
        assert_eq!((report.sent, report.received, report.end), (0, 17, FlowEnd::Finished));
        assert_eq!(report.best_stripe, 7, "what it carried before does not count");
    }
}
