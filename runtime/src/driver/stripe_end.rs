//! A stripe's pipe in the pump: received from at any time, whether or not it takes anything.

use super::agenda::SLICE;
use crate::pipe::queue::OutQueue;
use crate::pipe::{Adapted, Carrier, Pipe, PipeInfo, Received, poll_send_part};
use crate::report::StripeLoss;
use crate::routes::{Pair, Routes, Seat};
use bytes::Bytes;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use striper_core::{Instant, StripeId};

/// How much is received at once, in bytes; as much of it as takes about a [`SLICE`] to be handled.
const CHUNK: RangeInclusive<usize> = 4 << 10..=256 << 10;

/// The same at first.
const FIRST_CHUNK: usize = 32 << 10;

/// How long a stripe that the session has closed may take to send the rest and to hear a FIN.
const CLOSING: Duration = Duration::from_secs(1);

/// Chunks that a stripe which the session has closed may bring before the others get their turn.
const CLOSING_BUDGET: usize = 4;

/// When stripes look at what the system says about their connection: forty times a second while
/// something is under way. An idle stripe is not woken for it. That is often enough to see lost
/// packets before they hold up the session, and about 60 µs of work in a second. How far apart two
/// looks at losses must be to say something is for the pipe to know.
const LOOK: Duration = Duration::from_millis(25);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct StripeFacts {
    pub id: StripeId,
    /// Its place among the session's stripes, from 1.
    pub place: usize,
    /// Client: to which of the server's addresses it goes.
    pub server: usize,
    /// The other end, as it was when the stripe came up: a broken socket no longer says it.
    pub peer: Option<SocketAddr>,
    pub since: Instant,
}

pub(super) struct StripeEnd {
    pub facts: StripeFacts,
    pipe: Box<dyn Pipe>,
    waker: Waker,
    /// There is something new to be sent, and the agenda knows.
    listed: bool,
    /// Its part in what is known of its route, if its congestion control is adapted to that.
    seat: Option<Seat>,
    /// It has the control for a route that loses packets without a queue.
    lossy: bool,
    next_look: Instant,
    /// Something was under way at the last look, or has been sent since.
    active: bool,
    /// How much to receive at once, in bytes.
    chunk: usize,
    queue: OutQueue,
    /// Bytes of our own HELLO that go first; the session does not count them.
    preamble: u64,
    /// Bytes that the pipe has taken, the HELLO included.
    sent: u64,
    /// Those of them that it has passed on and does not hold itself.
    written: u64,
    received: u64,
    closing: Option<Closing>,
}

/// The outcome of a look at a stripe's connection.
pub(super) struct Look {
    /// Frame bytes that have arrived, if some did behind a lost packet.
    pub arrived: Option<u64>,
    /// Whether the route is lossy, and what share of packets is lost, if that calls for another
    /// congestion control.
    pub route: Option<(bool, f64)>,
    /// When to look again, even if nothing is sent meanwhile.
    pub next: Option<Instant>,
}

struct Closing {
    until: Instant,
    /// Our FIN has gone out.
    finished: bool,
    /// The other end's FIN has come.
    ended: bool,
}

impl StripeEnd {
    /// After the handshake, but for `greeting`, which is still to be sent.
    pub(super) fn new(
        facts: StripeFacts,
        pipe: Box<dyn Pipe>,
        greeting: Bytes,
        waker: Waker,
    ) -> Self {
        let preamble = greeting.len() as u64;
        let mut queue = OutQueue::default();
        queue.push(greeting);
        StripeEnd {
            facts,
            pipe,
            waker,
            listed: false,
            seat: None,
            lossy: false,
            next_look: facts.since,
            active: false,
            chunk: FIRST_CHUNK,
            queue,
            preamble,
            sent: 0,
            written: 0,
            received: 0,
            closing: None,
        }
    }

    pub(super) fn info(&self) -> PipeInfo<'_> {
        self.pipe.info()
    }

    pub(super) fn set_unsent_low_water(&mut self, bytes: u64) {
        if let Some(carrier) = self.info().carrier {
            carrier.set_unsent_low_water(usize::try_from(bytes).unwrap_or(usize::MAX));
        }
    }

    /// Whether the engine need not bound what it has under way.
    pub(super) fn is_rate_based(&self) -> bool {
        self.info().carrier.is_some_and(Carrier::is_rate_based)
    }

    /// Takes a seat at its route if its control is to be adapted, and the control that this needs.
    pub(super) fn take_seat(&mut self, routes: &Routes) {
        let adaptable = self.info().carrier.filter(|carrier| carrier.losses().is_some());
        if let Some(pair) = adaptable.and_then(Pair::of) {
            self.seat = Some(routes.join(pair, self.facts.since));
            // The stripe that has found the losses has told of them.
            self.adapt();
        }
    }

    pub(super) fn pair(&self) -> Option<Pair> {
        self.seat.as_ref().map(Seat::pair)
    }

    /// Looks at its connection if that is due.
    pub(super) fn look(&mut self, now: Instant) -> Option<Look> {
        if !self.active || now < self.next_look {
            return None;
        }
        self.next_look = now + LOOK;
        let unacknowledged = self.info().carrier.and_then(Carrier::unacknowledged);
        self.active = unacknowledged.is_some_and(|behind| behind.bytes > 0);
        let behind = unacknowledged.filter(|behind| behind.out_of_order > 0);
        let arrived = behind.map(|behind| {
            let missing = behind.bytes.saturating_sub(behind.out_of_order);
            self.written.saturating_sub(self.preamble).saturating_sub(missing)
        });
        Some(Look {
            arrived,
            route: self.ask_route(now),
            next: self.active.then_some(self.next_look),
        })
    }

    /// Tells its route the losses. Gives whether packets are lost there without a queue, and what
    /// share of them, if it has not the control for that.
    fn ask_route(&self, now: Instant) -> Option<(bool, f64)> {
        let seat = self.seat.as_ref()?;
        if seat.is_lossy() == self.lossy
            && let Some(losses) = self.info().carrier.and_then(Carrier::losses)
        {
            seat.hear(losses, now);
        }
        let lossy = seat.is_lossy();
        (lossy != self.lossy).then(|| (lossy, seat.lost()))
    }

    /// Takes the control that its route needs.
    pub(super) fn adapt(&mut self) -> Adapted {
        let (Some(seat), Some(carrier)) = (&self.seat, self.pipe.info().carrier) else {
            return Adapted::Kept;
        };
        let lossy = seat.is_lossy();
        let adapted = carrier.adapt(lossy);
        match adapted {
            Adapted::Denied { .. } => self.seat = None,
            Adapted::Kept | Adapted::Changed { .. } => self.lossy = lossy,
        }
        adapted
    }

    /// The bytes that it has carried both ways.
    pub(super) fn carried(&self) -> u64 {
        self.sent + self.received
    }

    /// Appends to what is to be sent. Says whether there was nothing new to be sent before.
    pub(super) fn push(&mut self, header: Bytes, payload: Bytes) -> bool {
        self.queue.push(header);
        self.queue.push(payload);
        !std::mem::replace(&mut self.listed, true)
    }

    /// Receives what there is, one chunk. `None` if that is nothing.
    pub(super) fn recv(&mut self) -> Option<Result<Bytes, StripeLoss>> {
        let mut cx = Context::from_waker(&self.waker);
        match self.pipe.poll_recv(&mut cx, self.chunk) {
            Poll::Ready(Ok(Received::Chunk(chunk))) => {
                self.received += chunk.len() as u64;
                Some(Ok(chunk))
            }
            Poll::Ready(Ok(Received::Fin)) => Some(Err(StripeLoss::ClosedByPeer)),
            Poll::Ready(Err(error)) => Some(Err(StripeLoss::Broken(error.kind()))),
            Poll::Pending => None,
        }
    }

    /// It took so long to handle the last chunk, of `len` bytes.
    pub(super) fn took(&mut self, len: usize, time: Duration) {
        let chunk = if time > SLICE {
            (len as u128 * SLICE.as_nanos() / time.as_nanos()) as usize
        } else {
            self.chunk.saturating_mul(2)
        };
        self.chunk = chunk.clamp(*CHUNK.start(), *CHUNK.end());
    }

    /// Sends what the pipe takes. Gives the frame bytes that have left in all, if more have. Bytes
    /// that the pipe holds have not left: a datagram or record counts when all of it has gone.
    pub(super) fn send(&mut self) -> Result<Option<u64>, StripeLoss> {
        self.listed = false;
        let mut cx = Context::from_waker(&self.waker);
        let broken = |error: io::Error| StripeLoss::Broken(error.kind());
        while !self.queue.is_empty() {
            match poll_send_part(&mut *self.pipe, &mut cx, &mut self.queue).map_err(broken)? {
                Poll::Ready(count) => self.sent += count as u64,
                Poll::Pending => break,
            }
        }
        let before = self.written;
        let _ = self.pipe.poll_flush(&mut cx).map_err(broken)?;
        self.written = self.written.max(self.sent.saturating_sub(self.pipe.info().held as u64));
        self.active |= self.written > before;
        Ok((self.written > before).then(|| self.written.saturating_sub(self.preamble)))
    }

    /// From now on only what is queued is sent. Says until when at most.
    pub(super) fn close(&mut self, now: Instant) -> Instant {
        self.closing = Some(Closing { until: now + CLOSING, finished: false, ended: false });
        now + CLOSING
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Sends the rest, then the FIN, then waits for the other end's: closing with bytes unread
    /// would send a reset, which could overtake our last words. Says whether it is done.
    pub(super) fn poll_close(&mut self, now: Instant) -> bool {
        let Some(until) = self.closing.as_ref().map(|closing| closing.until) else { return false };
        if now >= until || self.send().is_err() {
            return true;
        }
        let mut cx = Context::from_waker(&self.waker);
        let Some(closing) = self.closing.as_mut() else { return false };
        if self.queue.is_empty() && !closing.finished {
            match self.pipe.poll_finish(&mut cx) {
                Poll::Ready(Ok(())) => closing.finished = true,
                Poll::Ready(Err(_)) => return true,
                Poll::Pending => {}
            }
        }
        let (finished, ended) = (closing.finished, closing.ended);
        if ended {
            return finished;
        }
        for _ in 0..CLOSING_BUDGET {
            match self.recv() {
                Some(Ok(_)) => {}
                Some(Err(StripeLoss::ClosedByPeer)) => {
                    self.closing.iter_mut().for_each(|closing| closing.ended = true);
                    return finished;
                }
                Some(Err(_)) => return true,
                None => return false,
            }
        }
        // A peer that sends for ever must not keep the others waiting.
        self.waker.wake_by_ref();
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::Unacknowledged;
    use crate::pipe::testing::{Source, flood};
    use bytes::Buf;
    use std::cell::Cell;
    use std::io;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

    fn end(pipe: Box<dyn Pipe>, waker: Waker) -> StripeEnd {
        let (id, since) = (StripeId(0), Instant::ZERO);
        let facts = StripeFacts { id, place: 1, server: 0, peer: None, since };
        StripeEnd::new(facts, pipe, Bytes::new(), waker)
    }

    /// The other end has finished; what was sent waits in the pipe until the route is free.
    struct Holding {
        free: Rc<Cell<bool>>,
        finished: Rc<Cell<bool>>,
    }

    impl Pipe for Holding {
        fn poll_recv(&mut self, _: &mut Context<'_>, _: usize) -> Poll<io::Result<Received>> {
            Poll::Ready(Ok(Received::Fin))
        }

        fn poll_send(
            &mut self,
            _: &mut Context<'_>,
            data: &mut dyn Buf,
        ) -> Poll<io::Result<usize>> {
            let len = data.remaining();
            data.advance(len);
            Poll::Ready(Ok(len))
        }

        fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            if self.free.get() { Poll::Ready(Ok(())) } else { Poll::Pending }
        }

        fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            let flushed = self.poll_flush(cx);
            self.finished.set(flushed.is_ready());
            flushed
        }

        fn abort(&mut self) {}

        fn check(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn info(&self) -> PipeInfo<'_> {
            let held = if self.free.get() { 0 } else { 7 };
            PipeInfo { held, is_empty: held == 0, ..PipeInfo::default() }
        }
    }

    #[test]
    fn bytes_that_a_pipe_holds_count_as_written_once_they_have_gone() {
        let (free, finished) = (Rc::<Cell<bool>>::default(), Rc::<Cell<bool>>::default());
        let pipe = Box::new(Holding { free: free.clone(), finished: finished.clone() });
        let waker = Waker::noop().clone();
        let mut stripe = end(pipe, waker);
        stripe.push(Bytes::from_static(b"last "), Bytes::from_static(b"words"));
        assert_eq!(stripe.send().unwrap(), Some(3));
        stripe.close(Instant::ZERO);
        assert!(!stripe.poll_close(Instant::ZERO), "closed while the pipe holds the last words");
        free.set(true);
        assert_eq!(stripe.send().unwrap(), Some(10));
        assert!(stripe.poll_close(Instant::ZERO) && finished.get());
    }

    #[test]
    fn bytes_that_take_long_to_handle_are_received_in_smaller_chunks() {
        let asked = Rc::<Cell<usize>>::default();
        let told = asked.clone();
        let give = move |max| {
            told.set(max);
            Bytes::from(vec![0; max])
        };
        let mut stripe = end(Box::new(Source(give)), Waker::noop().clone());
        let mut next = |took| {
            stripe.recv();
            stripe.took(asked.get(), took);
            asked.get()
        };
        assert_eq!([SLICE; 5].map(&mut next), [32, 64, 128, 256, 256].map(|kib| kib << 10));
        let chunks = [SLICE * 8, SLICE, SLICE * 1000, SLICE].map(next);
        assert_eq!(chunks, [256, 32, 64, 4].map(|kib| kib << 10));
    }

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_peer_that_floods_a_closing_stripe_waits_and_is_cut_off_in_time() {
        let woken = Arc::<Flag>::default();
        let (pipe, waker) = (Box::new(flood(Bytes::from_static(b"more"))), woken.clone().into());
        let mut stripe = end(pipe, waker);
        let until = stripe.close(Instant::ZERO);
        assert!(!stripe.poll_close(Instant::ZERO));
        assert!(woken.0.load(Ordering::Relaxed), "there is more to be received");
        assert!(stripe.poll_close(until));
    }

    /// Takes all, and says what the peer's system has not acknowledged.
    struct Behind(Rc<Cell<Option<Unacknowledged>>>);

    impl Pipe for Behind {
        fn poll_recv(&mut self, _: &mut Context<'_>, _: usize) -> Poll<io::Result<Received>> {
            Poll::Pending
        }

        fn poll_send(
            &mut self,
            _: &mut Context<'_>,
            data: &mut dyn Buf,
        ) -> Poll<io::Result<usize>> {
            let len = data.remaining();
            data.advance(len);
            Poll::Ready(Ok(len))
        }

        fn poll_finish(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn abort(&mut self) {}

        fn check(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn info(&self) -> PipeInfo<'_> {
            PipeInfo::of(self)
        }
    }

    impl Carrier for Behind {
        fn flushed(&self) -> bool {
            true
        }

        fn unacknowledged(&self) -> Option<Unacknowledged> {
            self.0.get()
        }
    }

    #[test]
    fn a_stripe_is_looked_at_until_the_peers_system_has_everything() {
        let behind = Rc::new(Cell::new(None));
        let mut stripe = end(Box::new(Behind(behind.clone())), Waker::noop().clone());
        stripe.preamble = 100;
        let look = |stripe: &mut StripeEnd, millis: u64, unacknowledged| {
            behind.set(unacknowledged);
            let look = stripe.look(Instant::from_micros(millis * 1_000));
            look.map(|look| (look.arrived, look.next.map(|at| at.as_micros() / 1_000)))
        };
        let told = |bytes, out_of_order| Some(Unacknowledged { bytes, out_of_order });
        assert_eq!(look(&mut stripe, 0, told(900, 0)), None, "nothing was sent");
        let send = |stripe: &mut StripeEnd| {
            stripe.push(Bytes::from(vec![0; 1_000]), Bytes::new());
            assert!(stripe.send().unwrap().is_some());
        };
        send(&mut stripe);
        assert_eq!(look(&mut stripe, 1, told(900, 0)), Some((None, Some(26))), "in order");
        assert_eq!(look(&mut stripe, 25, told(900, 500)), None, "too early");
        // Of 900 bytes of frames 400 are missing.
        assert_eq!(look(&mut stripe, 26, told(900, 500)), Some((Some(500), Some(51))));
        assert_eq!(look(&mut stripe, 60, told(9_999, 1)), Some((Some(0), Some(85))));
        assert_eq!(look(&mut stripe, 85, told(0, 0)), Some((None, None)));
        assert_eq!(look(&mut stripe, 999, told(900, 0)), None, "everything has arrived");
        send(&mut stripe);
        assert_eq!(look(&mut stripe, 999, None), Some((None, None)), "the system does not say");
    }
}
