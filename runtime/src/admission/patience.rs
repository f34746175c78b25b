//! Accepting connections, whatever happens.

use crate::events::Events;
use crate::ports::clock::{Clock, sleep_until};
use crate::report::Event;
use std::cell::Cell;
use std::io;
use std::time::Duration;

/// How long to wait when the process has no file descriptor left.
const PAUSE: Duration = Duration::from_millis(75);

/// Goes on accepting after errors, and tells of them once.
pub(crate) struct Patience {
    events: Events,
    failing: Cell<bool>,
}

impl Patience {
    pub(crate) fn new(events: Events) -> Self {
        Patience { events, failing: Cell::new(false) }
    }

    pub(crate) async fn accept<T>(
        &self,
        clock: &dyn Clock,
        attempt: impl AsyncFn() -> io::Result<T>,
    ) -> T {
        loop {
            let error = match attempt().await {
                Ok(caller) => {
                    self.failing.set(false);
                    return caller;
                }
                Err(error) => error,
            };
            // Troubles of that connection alone. Any other may pass: a lack of resources.
            if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted)
            {
                continue;
            }
            if !self.failing.replace(true) {
                self.events.tell(Event::AcceptFailed { error });
            }
            sleep_until(clock, clock.now() + PAUSE).await;
        }
    }
}
