//! Joins two pipes: data, congestion and FIN pass through, each direction for itself.
//!
//! Each direction holds at most one chunk: nothing is received while the other pipe is congested, and so
//! congestion reaches the sender. What breaks one pipe aborts the other.

use crate::clock::{Clock, SystemClock, Timer};
use crate::pipe::parting::Parting;
use crate::pipe::{Pipe, Received};
use crate::queue::OutQueue;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};
use std::time::Duration;
use striper_core::Instant;

/// How much is received at once.
const CHUNK: usize = 256 << 10;

/// How many chunks are passed on before other tasks get their turn.
const BUDGET: usize = 16;

/// How often a pipe that is not being received from is asked whether it has broken.
const CHECK: Duration = Duration::from_millis(500);

/// What passed in one direction.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Passed {
    /// Bytes.
    pub bytes: u64,
    /// How often the receiving pipe took less than there was.
    pub congestions: u64,
    /// Whether it ended with a FIN.
    pub finished: bool,
}

/// What became of a bridge.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BridgeReport {
    /// From the first pipe to the second.
    pub forth: Passed,
    /// From the second pipe to the first.
    pub back: Passed,
    /// What broke, unless both directions finished.
    pub broken: Option<io::ErrorKind>,
}

/// Passes on data in both directions until both have finished, or either pipe has broken: then the other one is aborted
/// after what it still had to get, within a second.
pub async fn bridge(a: &mut dyn Pipe, b: &mut dyn Pipe) -> BridgeReport {
    bridge_in(&SystemClock::new(), a, b).await
}

/// [`bridge`] with a clock of the caller's choice.
pub async fn bridge_in(clock: &dyn Clock, a: &mut dyn Pipe, b: &mut dyn Pipe) -> BridgeReport {
    let mut timer = clock.timer();
    let mut forth = Direction::default();
    let mut back = Direction::default();
    let mut check_at = None;
    let broken = poll_fn(|cx| {
        loop {
            let now = clock.now();
            let moved = match (forth.step(cx, a, b, now), back.step(cx, b, a, now)) {
                (Ok(one), Ok(other)) => one || other,
                (Err(broken), _) => return Poll::Ready(Some(broken)),
                (_, Err(broken)) => return Poll::Ready(Some(broken.turned())),
            };
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
                return Poll::Ready(Some(Broken { kind: error.kind(), first: true }));
            }
            if let Some(Err(error)) = unwatched[1].then(|| b.check()) {
                return Poll::Ready(Some(Broken { kind: error.kind(), first: false }));
            }
        }
    })
    .await;
    match broken {
        Some(Broken { first: true, .. }) => part(clock, &mut *timer, a, b, &mut forth).await,
        Some(Broken { first: false, .. }) => part(clock, &mut *timer, b, a, &mut back).await,
        None => {}
    }
    BridgeReport { forth: forth.passed, back: back.passed, broken: broken.map(|broken| broken.kind) }
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
    let mut parting = Parting::new(clock.now(), direction.progress);
    poll_fn(|cx| {
        let taken = &mut direction.passed.bytes;
        while let Some(next) = parting.poll(cx, to, &mut direction.held, taken, clock.now()) {
            if timer.poll_until(cx, next).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    })
    .await;
}

/// Which pipe broke, and how.
#[derive(Clone, Copy)]
struct Broken {
    kind: io::ErrorKind,
    /// The first pipe of the direction, or of the bridge, rather than the second.
    first: bool,
}

impl Broken {
    fn turned(self) -> Self {
        Broken { first: !self.first, ..self }
    }
}

/// One direction.
#[derive(Default)]
struct Direction {
    held: OutQueue,
    /// The sender's FIN has come.
    ended: bool,
    /// When the receiving pipe last took something.
    progress: Instant,
    passed: Passed,
}

impl Direction {
    /// Passes on what there is, up to a budget. Says whether it has used that up.
    fn step(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut dyn Pipe,
        to: &mut dyn Pipe,
        now: Instant,
    ) -> Result<bool, Broken> {
        for _ in 0..BUDGET {
            while !self.held.is_empty() {
                match to.poll_send(cx, &mut self.held) {
                    Poll::Ready(Ok(taken)) => {
                        self.held.set_flowing();
                        self.passed.bytes += taken as u64;
                        self.progress = now;
                    }
                    Poll::Ready(Err(error)) => return Err(Broken { kind: error.kind(), first: false }),
                    Poll::Pending => {
                        if !self.held.is_congested() {
                            self.passed.congestions += 1;
                            self.held.set_congested();
                            self.progress = now;
                        }
                        return Ok(false);
                    }
                }
            }
            if self.ended {
                if !self.passed.finished {
                    match to.poll_finish(cx) {
                        Poll::Ready(Ok(())) => self.passed.finished = true,
                        Poll::Ready(Err(error)) => return Err(Broken { kind: error.kind(), first: false }),
                        Poll::Pending => {}
                    }
                }
                return Ok(false);
            }
            match from.poll_recv(cx, CHUNK) {
                Poll::Ready(Ok(Received::Chunk(chunk))) => self.held.push(chunk),
                Poll::Ready(Ok(Received::Fin)) => self.ended = true,
                Poll::Ready(Err(error)) => return Err(Broken { kind: error.kind(), first: true }),
                Poll::Pending => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Whether nothing would be heard of a reset by the sender.
    fn unwatched(&self) -> bool {
        self.ended || !self.held.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipe::memory::{MemoryPipe, memory_pipe};
    use crate::pipe::testing::{finish, recv, recv_all, send};
    use smol::future::zip;

    /// Two outer ends whose inner ends are bridged.
    fn bridged() -> (MemoryPipe, MemoryPipe, impl Future<Output = BridgeReport>) {
        let (a, mut inner_a) = memory_pipe();
        let (b, mut inner_b) = memory_pipe();
        (a, b, async move { bridge(&mut inner_a, &mut inner_b).await })
    }

    #[test]
    fn an_answer_comes_after_the_question_has_ended() {
        smol::block_on(async {
            let (mut a, mut b, run) = bridged();
            let talk = async {
                send(&mut a, b"question").await.unwrap();
                finish(&mut a).await.unwrap();
                assert_eq!(recv_all(&mut b).await.unwrap(), b"question");
                let answer = vec![5; 1_000_000];
                let sent = async {
                    send(&mut b, &answer).await.unwrap();
                    finish(&mut b).await.unwrap();
                };
                let (_, got) = zip(sent, recv_all(&mut a)).await;
                assert!(got.unwrap() == answer);
            };
            let (_, report) = zip(talk, run).await;
            assert_eq!(report.broken, None);
            assert_eq!((report.forth.bytes, report.back.bytes), (8, 1_000_000));
        });
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
                send(&mut b, b"still flows").await.unwrap();
                assert_eq!(recv(&mut a).await.unwrap(), Received::Chunk("still flows".into()));
                drop((a, b));
            };
            let (_, report) = zip(talk, run).await;
            assert!(report.forth.congestions >= 1);
            assert_eq!(report.back.congestions, 0);
            assert!(report.broken.is_some());
        });
    }

    #[test]
    fn a_reset_passes_through_after_the_data_and_never_as_fin() {
        smol::block_on(async {
            let (mut a, mut b, run) = bridged();
            let talk = async {
                send(&mut a, b"half").await.unwrap();
                drop(a);
                assert_eq!(recv(&mut b).await.unwrap(), Received::Chunk("half".into()));
                assert!(recv(&mut b).await.is_err());
            };
            let (_, report) = zip(talk, run).await;
            assert!(report.broken.is_some());
            assert!(!report.forth.finished);
        });
    }

    #[test]
    fn a_reset_is_noticed_while_its_sender_is_not_being_read() {
        smol::block_on(async {
            let (mut a, mut b, run) = bridged();
            let talk = async {
                send(&mut a, b"question").await.unwrap();
                finish(&mut a).await.unwrap();
                assert_eq!(recv_all(&mut b).await.unwrap(), b"question");
                a.abort();
            };
            let (_, report) = zip(talk, run).await;
            assert!(report.broken.is_some());
            assert!(send(&mut b, b"answer").await.is_err());
        });
    }
}
