//! The source of time: code takes a [`Clock`], so that all of it can also run in virtual time.

use std::task::{Context, Poll};
use striper_core::Instant;

/// Where time comes from.
pub trait Clock {
    /// The time. Never goes back.
    fn now(&self) -> Instant;

    /// A timer of this clock.
    fn timer(&self) -> Box<dyn Timer>;
}

/// Waits for one point in time.
pub trait Timer {
    /// Ready once the clock shows `at`. Only the last call counts. May wake early.
    fn poll_until(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()>;
}

/// Waits on a clock.
pub async fn sleep_until(clock: &dyn Clock, at: Instant) {
    let mut timer = clock.timer();
    std::future::poll_fn(|cx| timer.poll_until(cx, at)).await;
}
