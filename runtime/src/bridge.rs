//! Joins two pipes: data, congestion and FIN pass through, each direction for itself.
//!
//! Each direction holds at most one chunk: nothing is received while the other pipe is congested,
//! and so congestion reaches the sender. A break of one pipe aborts the other. Between two datagram
//! pipes each datagram stays one. Empty datagrams are not passed on: a program of the format's
//! first kind would take them for the end.

use crate::pipe::linger::Linger;
use crate::pipe::queue::OutQueue;
use crate::pipe::{Pipe, Received, poll_send_part};
use crate::ports::clock::{Clock, Timer};
use crate::system_clock::SystemClock;
use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use striper_core::Instant;

const CHUNK: usize = 256 << 10;

/// How many chunks are passed on before other tasks get their turn.
const BUDGET: usize = 16;

/// How often a pipe that is not being received from is asked whether it has broken.
const CHECK: Duration = Duration::from_millis(500);

/// The bytes that passed in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Passed {
    /// Bytes of payload.
    pub bytes: u64,
    /// How often the receiving pipe took less than there was.
    pub congestions: u64,
    /// Whether it takes nothing just now.
    pub congested: bool,
    /// Whether it ended with a FIN.
    pub finished: bool,
}

/// The bytes that have passed so far. They can be looked at while a bridge runs.
#[derive(Debug, Default)]
pub struct Legs {
    /// From the first pipe to the second.
    pub forth: Cell<Passed>,
    /// From the second pipe to the first.
    pub back: Cell<Passed>,
}

/// One of the two pipes of a bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Leg {
    /// The first.
    First,
    /// The second.
    Second,
}

impl Leg {
    fn other(self) -> Leg {
        match self {
            Leg::First => Leg::Second,
            Leg::Second => Leg::First,
        }
    }
}

/// How a bridge broke.
#[derive(Debug)]
pub struct Break {
    /// The pipe that broke.
    pub leg: Leg,
    /// The bytes that it sent.
    pub error: io::Error,
}

/// The end of a bridge.
#[derive(Debug)]
pub struct BridgeReport {
    /// From the first pipe to the second.
    pub forth: Passed,
    /// From the second pipe to the first.
    pub back: Passed,
    /// The break, unless both directions finished.
    pub broken: Option<Break>,
}

/// Passes on data in both directions until both have finished, or either pipe has broken. Then the
/// other pipe is aborted within a second, after the bytes that it still had to get.
pub async fn bridge(a: &mut dyn Pipe, b: &mut dyn Pipe) -> BridgeReport {
    bridge_in(&SystemClock::new(), a, b, &Legs::default()).await
}

/// [`bridge`] with a clock of the caller's choice, and counts that can be looked at meanwhile.
pub async fn bridge_in(
    clock: &dyn Clock,
    a: &mut dyn Pipe,
    b: &mut dyn Pipe,
    legs: &Legs,
) -> BridgeReport {
    let mut timer = clock.timer();
    let mut forth = Direction::between(a, b);
    let mut back = Direction::between(b, a);
    let mut check_at = None;
    let broken = poll_fn(|cx| {
        loop {
            let now = clock.now();
            let moved = match (forth.step(cx, a, b, now), back.step(cx, b, a, now)) {
                (Ok(one), Ok(other)) => one || other,
                (Err(broken), _) => return Poll::Ready(Some(broken)),
                (_, Err(Break { leg, error })) => {
                    return Poll::Ready(Some(Break { leg: leg.other(), error }));
                }
            };
            legs.forth.set(forth.passed);
            legs.back.set(back.passed);
            if forth.passed.finished && back.passed.finished {
                return Poll::Ready(None);
            }
            if moved {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let unwatched = [forth.unwatched(), back.unwatched()];
            if unwatched == [false, false] {
                check_at = None;
                return Poll::Pending;
            }
            let at = *check_at.get_or_insert(now + CHECK);
            if timer.poll_until(cx, at).is_pending() {
                return Poll::Pending;
            }
            check_at = None;
            if let Some(Err(error)) = unwatched[0].then(|| a.check()) {
                return Poll::Ready(Some(Break { leg: Leg::First, error }));
            }
            if let Some(Err(error)) = unwatched[1].then(|| b.check()) {
                return Poll::Ready(Some(Break { leg: Leg::Second, error }));
            }
        }
    })
    .await;
    match broken.as_ref().map(|broken| broken.leg) {
        Some(Leg::First) => part(clock, &mut *timer, a, b, &mut forth).await,
        Some(Leg::Second) => part(clock, &mut *timer, b, a, &mut back).await,
        None => {}
    }
    legs.forth.set(forth.passed);
    legs.back.set(back.passed);
    BridgeReport { forth: forth.passed, back: back.passed, broken }
}

/// Aborts `from`, which has broken, and then `to`, once it has got what came before.
async fn part(
    clock: &dyn Clock,
    timer: &mut dyn Timer,
    from: &mut dyn Pipe,
    to: &mut dyn Pipe,
    direction: &mut Direction,
) {
    from.abort();
    let mut linger = Linger::new(clock.now(), direction.progress);
    poll_fn(|cx| {
        let taken = &mut direction.passed.bytes;
        while let Some(next) = linger.poll(cx, to, &mut direction.held, taken, clock.now()) {
            if timer.poll_until(cx, next).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    })
    .await;
}

struct Direction {
    held: OutQueue,
    /// Each chunk is a datagram and stays one.
    whole: bool,
    /// The sender's FIN has come.
    ended: bool,
    /// When the receiving pipe last took something.
    progress: Instant,
    passed: Passed,
}

impl Direction {
    fn between(from: &dyn Pipe, to: &dyn Pipe) -> Self {
        Direction {
            held: OutQueue::default(),
            whole: from.info().is_datagram && to.info().is_datagram,
            ended: false,
            progress: Instant::default(),
            passed: Passed::default(),
        }
    }

    /// Passes on up to a budget. Says whether it is used up. Breaks are named from this direction.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut dyn Pipe,
        to: &mut dyn Pipe,
        now: Instant,
    ) -> Result<bool, Break> {
        let there = |error| Break { leg: Leg::Second, error };
        for _ in 0..BUDGET {
            if self.pass(cx, to, now).map_err(there)?.is_pending() {
                if !self.passed.congested {
                    self.passed.congestions += 1;
                    self.passed.congested = true;
                    self.held.set_congested();
                    self.progress = now;
                }
                return Ok(false);
            }
            if self.ended {
                if !self.passed.finished {
                    self.passed.finished = to.poll_finish(cx).map_err(there)?.is_ready();
                }
                return Ok(false);
            }
            match from.poll_recv(cx, CHUNK) {
                Poll::Ready(Ok(Received::Chunk(chunk))) => self.held.push(chunk),
                Poll::Ready(Ok(Received::Fin)) => self.ended = true,
                Poll::Ready(Err(error)) => return Err(Break { leg: Leg::First, error }),
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Gives the receiving pipe all that is held. Pending if it is congested.
    fn pass(
        &mut self,
        cx: &mut Context<'_>,
        to: &mut dyn Pipe,
        now: Instant,
    ) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let taken = if self.whole {
                ready!(to.poll_send(cx, &mut self.held))?
            } else {
                ready!(poll_send_part(to, cx, &mut self.held))?
            };
            self.flow(now);
            self.passed.bytes += taken as u64;
        }
        ready!(to.poll_flush(cx))?;
        if self.passed.congested {
            self.flow(now);
        }
        Poll::Ready(Ok(()))
    }

    fn flow(&mut self, now: Instant) {
        self.held.set_flowing();
        self.passed.congested = false;
        self.progress = now;
    }

    /// Whether nothing would be heard of a reset by the sender.
    fn unwatched(&self) -> bool {
        self.ended || self.passed.congested
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::PipeExt;
    use crate::pipe::memory::{MemoryPipe, memory_pipe};
    use crate::pipe::testing::recv_all;
    use smol::future::zip;

    fn bridged() -> (MemoryPipe, MemoryPipe, impl Future<Output = BridgeReport>) {
        let (a, mut inner_a) = memory_pipe();
        let (b, mut inner_b) = memory_pipe();
        (a, b, async move { bridge(&mut inner_a, &mut inner_b).await })
    }

    #[test]
    fn a_consumer_that_waits_congests_its_direction_only() {
        smol::block_on(async {
            let (mut a, mut b, run) = bridged();
            let talk = async {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                let block = vec![0; 1 << 20];
                let mut sent = 0;
                for _ in 0..100 {
                    if let Poll::Ready(taken) = a.poll_send(&mut cx, &mut &block[..]) {
                        sent += taken.unwrap();
                    }
                    smol::future::yield_now().await;
                }
                assert!(sent < 1 << 20, "nobody reads, and yet {sent} bytes were taken");
                b.send(b"still flows").await.unwrap();
                assert_eq!(a.recv().await.unwrap(), Received::Chunk("still flows".into()));
                drop((a, b));
            };
            let (_, report) = zip(talk, run).await;
            assert!(report.forth.congestions >= 1);
            assert_eq!(report.back.congestions, 0);
            assert!(report.broken.is_some());
        });
    }

    #[test]
    fn a_reset_is_noticed_while_its_sender_is_not_being_read() {
        smol::block_on(async {
            let (mut a, mut b, run) = bridged();
            let talk = async {
                a.send(b"question").await.unwrap();
                a.finish().await.unwrap();
                assert_eq!(recv_all(&mut b).await.unwrap(), b"question");
                a.abort();
            };
            let (_, report) = zip(talk, run).await;
            assert!(report.broken.is_some());
            assert!(b.send(b"answer").await.is_err());
        });
    }
}
