//! A stripe's pipe in the pump: received from whenever it has something, whether or not it takes
//! anything.

use super::SLICE;
use crate::pipe::queue::OutQueue;
use crate::pipe::{Pipe, Received, poll_send_part};
use crate::report::StripeLoss;
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

/// How long a stripe that the session has closed may take to send what is left and to hear the
/// other end's FIN.
const CLOSING: Duration = Duration::from_secs(1);

/// Chunks that a stripe which the session has closed may bring before the others get their turn.
const CLOSING_BUDGET: usize = 4;

/// A stripe.
pub struct Stripe {
    pub id: StripeId,
    /// Its place among the session's stripes, from 1.
    pub place: usize,
    /// Which of the client's server addresses it goes to.
    pub server: usize,
    pub pipe: Box<dyn Pipe>,
    /// The other end, as it was when the stripe came up: a broken socket no longer says it.
    pub peer: Option<SocketAddr>,
    pub waker: Waker,
    /// When it came up.
    pub since: Instant,
    /// In the pump's list of pipes to be written.
    pub listed: bool,
    /// When to look at its losses; never if there is nothing to adapt.
    pub next_look: Option<Instant>,
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

/// The session has closed the stripe.
struct Closing {
    until: Instant,
    /// Our FIN has gone out.
    finished: bool,
    /// The other end's FIN has come.
    ended: bool,
}

impl Stripe {
    /// A stripe after its handshake, but for `greeting`, which is still to be sent.
    pub fn new(
        id: StripeId,
        place: usize,
        server: usize,
        pipe: Box<dyn Pipe>,
        greeting: Bytes,
        waker: Waker,
        now: Instant,
    ) -> Self {
        let preamble = greeting.len() as u64;
        let mut queue = OutQueue::default();
        queue.push(greeting);
        Stripe {
            id,
            place,
            server,
            peer: pipe.peer_addr(),
            pipe,
            waker,
            since: now,
            listed: false,
            next_look: Some(now),
            chunk: FIRST_CHUNK,
            queue,
            preamble,
            sent: 0,
            written: 0,
            received: 0,
            closing: None,
        }
    }

    /// What it has carried both ways, in bytes.
    pub fn carried(&self) -> u64 {
        self.sent + self.received
    }

    /// Appends to what is to be sent.
    pub fn push(&mut self, header: Bytes, payload: Bytes) {
        self.queue.push(header);
        self.queue.push(payload);
    }

    /// Receives what there is, one chunk. `None` if that is nothing.
    pub fn recv(&mut self) -> Option<Result<Bytes, StripeLoss>> {
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
    pub fn took(&mut self, len: usize, time: Duration) {
        let apt = if time > SLICE {
            (len as u128 * SLICE.as_nanos() / time.as_nanos()) as usize
        } else {
            self.chunk.saturating_mul(2)
        };
        self.chunk = apt.clamp(*CHUNK.start(), *CHUNK.end());
    }

    /// Sends what the pipe takes. Gives the count of frame bytes that have left in all, if that has
    /// changed. What the pipe still holds has not: the session must not take a datagram or a record
    /// half of which waits for a slow route for written.
    pub fn send(&mut self) -> Result<Option<u64>, StripeLoss> {
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
        self.written = self.written.max(self.sent.saturating_sub(self.pipe.held() as u64));
        Ok((self.written > before).then(|| self.written.saturating_sub(self.preamble)))
    }

    /// From now on only what is queued is sent. Says until when at most.
    pub fn close(&mut self, now: Instant) -> Instant {
        self.closing = Some(Closing { until: now + CLOSING, finished: false, ended: false });
        now + CLOSING
    }

    /// Whether the session has closed it.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Sends the rest, then the FIN, then waits for the other end's: closing with bytes unread
    /// would send a reset, which could overtake our last words. Says whether it is done.
    pub fn poll_close(&mut self, now: Instant) -> bool {
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
        // Who sends for ever must not keep the others waiting.
        self.waker.wake_by_ref();
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::testing::{Source, flood};
    use bytes::Buf;
    use std::cell::Cell;
    use std::io;
    use std::rc::Rc;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::Wake;

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

        fn held(&self) -> usize {
            if self.free.get() { 0 } else { 7 }
        }

        fn abort(&mut self) {}

        fn check(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn flushed(&mut self) -> bool {
            self.free.get()
        }
    }

    #[test]
    fn what_a_pipe_holds_counts_as_written_once_it_has_gone_and_goes_before_the_close() {
        let (free, finished) = (Rc::<Cell<bool>>::default(), Rc::<Cell<bool>>::default());
        let pipe = Box::new(Holding { free: free.clone(), finished: finished.clone() });
        let waker = Waker::noop().clone();
        let mut stripe = Stripe::new(StripeId(0), 1, 0, pipe, Bytes::new(), waker, Instant::ZERO);
        stripe.push(Bytes::from_static(b"last "), Bytes::from_static(b"words"));
        assert_eq!(stripe.send().unwrap(), Some(3));
        stripe.close(Instant::ZERO);
        assert!(!stripe.poll_close(Instant::ZERO), "closed while the pipe holds the last words");
        free.set(true);
        assert_eq!(stripe.send().unwrap(), Some(10));
        assert!(stripe.poll_close(Instant::ZERO) && finished.get());
    }

    #[test]
    fn what_takes_long_to_handle_is_received_in_smaller_chunks_and_what_does_not_in_larger_ones() {
        let asked = Rc::<Cell<usize>>::default();
        let told = asked.clone();
        let pipe = Box::new(Source(move |max| {
            told.set(max);
            Bytes::from(vec![0; max])
        }));
        let mut stripe = Stripe::new(
            StripeId(0),
            1,
            0,
            pipe,
            Bytes::new(),
            Waker::noop().clone(),
            Instant::ZERO,
        );
        let mut next = |took| {
            stripe.recv();
            stripe.took(asked.get(), took);
            asked.get()
        };
        assert_eq!([SLICE; 5].map(&mut next), [32, 64, 128, 256, 256].map(|kib| kib << 10));
        assert_eq!(
            [SLICE * 8, SLICE, SLICE * 1000, SLICE].map(next),
            [256, 32, 64, 4].map(|kib| kib << 10)
        );
    }

    #[derive(Default)]
    struct Flag(AtomicBool);

    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    #[test]
    fn who_floods_a_stripe_that_is_being_closed_waits_for_its_turn_and_is_cut_off_in_time() {
        let woken = Arc::<Flag>::default();
        let (pipe, waker) = (Box::new(flood(Bytes::from_static(b"more"))), woken.clone().into());
        let mut stripe = Stripe::new(StripeId(0), 1, 0, pipe, Bytes::new(), waker, Instant::ZERO);
        let until = stripe.close(Instant::ZERO);
        assert!(!stripe.poll_close(Instant::ZERO));
        assert!(woken.0.load(Ordering::Relaxed), "there is more to be received");
        assert!(stripe.poll_close(until));
    }
}
