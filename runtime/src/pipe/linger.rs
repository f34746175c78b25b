//! Aborting a pipe without destroying what was sent before.
//!
//! A reset overtakes whatever the operating system still holds. So the pipe is aborted once
//! everything has left, but not much later: a consumer that has stopped would make it wait forever.

use super::queue::OutQueue;
use super::{Pipe, poll_send_part};
use std::task::{Context, Poll};
use std::time::Duration;
use striper_core::Instant;

/// A reset waits at most this long for earlier bytes.
const LIMIT: Duration = Duration::from_secs(1);

/// A consumer that has taken nothing for this long has stopped.
const STOPPED: Duration = Duration::from_millis(250);

/// Nothing tells when a socket's send queue has become empty. So it is looked at after this time,
/// then after twice that, and so on up to `SLOWEST_LOOK`.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const SLOWEST_LOOK: Duration = Duration::from_millis(50);

/// A pipe on its way to be aborted.
#[derive(Debug)]
pub(crate) struct Linger {
    until: Instant,
    /// When the pipe last took something.
    progress: Instant,
    look: Duration,
}

impl Linger {
    /// Begins now; the pipe has last taken something at `progress`.
    pub(crate) fn new(now: Instant, progress: Instant) -> Self {
        Linger { until: now + LIMIT, progress, look: FIRST_LOOK }
    }

    /// Sends what is left, and aborts the pipe when that has gone or waiting has become pointless.
    /// Otherwise says when to try again. Adds the bytes that the pipe took to `taken`.
    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        pipe: &mut dyn Pipe,
        queue: &mut OutQueue,
        taken: &mut u64,
        now: Instant,
    ) -> Option<Instant> {
        while !queue.is_empty() {
            match poll_send_part(pipe, cx, queue) {
                Poll::Ready(Ok(count)) => {
                    *taken += count as u64;
                    self.progress = now;
                }
                Poll::Ready(Err(_)) => queue.clear(),
                Poll::Pending => break,
            }
        }
        let gone = queue.is_empty() && pipe.poll_flush(cx).is_ready() && pipe.info().is_flushed();
        // Bytes that the pipe itself holds may go on in parts, unseen: they have the whole limit.
        let stopped = !queue.is_empty() && now.since(self.progress) >= STOPPED;
        if gone || stopped || now >= self.until {
            pipe.abort();
            return None;
        }
        let next = now + self.look;
        self.look = (self.look * 2).min(SLOWEST_LOOK);
        Some(next.min(self.until))
    }
}
