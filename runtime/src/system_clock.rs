//! The machine's clock: the only place that reads it.

use crate::ports::clock::{Clock, Timer};
use smol::Timer as SystemSleep;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use striper_core::Instant;

/// The machine's monotonic clock; its origin is when it was made.
#[derive(Clone, Debug)]
pub struct SystemClock {
    origin: std::time::Instant,
}

impl SystemClock {
    /// A clock that starts at zero now.
    #[expect(clippy::disallowed_methods, reason = "this is where time comes from")]
    pub fn new() -> Self {
        SystemClock { origin: std::time::Instant::now() }
    }

    /// The same, to be shared.
    pub fn shared() -> Rc<dyn Clock> {
        Rc::new(Self::new())
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        Instant::from_micros(u64::try_from(self.origin.elapsed().as_micros()).unwrap_or(u64::MAX))
    }

    fn timer(&self) -> Box<dyn Timer> {
        Box::new(SystemTimer { clock: self.clone(), sleep: SystemSleep::never(), armed: None })
    }
}

/// Arming costs several system calls, so an alarm earlier than needed stays and goes off in vain.
struct SystemTimer {
    clock: SystemClock,
    sleep: SystemSleep,
    armed: Option<Instant>,
}

impl Timer for SystemTimer {
    fn poll_until(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        loop {
            if self.clock.now() >= at {
                return Poll::Ready(());
            }
            if self.armed.is_none_or(|armed| armed > at) {
                let after_origin = at.since(Instant::ZERO);
                self.sleep.set_at(self.clock.origin + after_origin);
                self.armed = Some(at);
            }
            if Pin::new(&mut self.sleep).poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_timer_armed_too_early_still_waits_for_the_last_call() {
        smol::block_on(async {
            let clock = SystemClock::new();
            let start = clock.now();
            let mut timer = clock.timer();
            let mut armed = false;
            std::future::poll_fn(|cx| {
                if !std::mem::replace(&mut armed, true) {
                    assert!(timer.poll_until(cx, start + Duration::from_secs(60)).is_pending());
                    assert!(timer.poll_until(cx, start + Duration::from_millis(5)).is_pending());
                }
                timer.poll_until(cx, start + Duration::from_millis(20))
            })
            .await;
            assert!(clock.now().since(start) >= Duration::from_millis(20));
        });
    }
}
