//! What all long-running modes share: the connections under way, and the orderly end.

use crate::args::Options;
use crate::clock;
use crate::failure::code;
use crate::log::Log;
use crate::signals::Stop;
use crate::units;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

/// Time for resets to go out when everything must end at once.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// The connections under way. Clones are the same.
#[derive(Clone, Default)]
pub struct Connections(Rc<Inner>);

#[derive(Default)]
struct Inner {
    live: Cell<usize>,
    begun: Cell<u64>,
    /// When those that are left will be cut.
    deadline: Cell<Option<Instant>>,
    cut: Cell<usize>,
    waiting: RefCell<Option<Waker>>,
}

/// One connection, from its acceptance until this is dropped.
pub struct Entry {
    all: Connections,
    /// Counts up from 1, to tell connections apart in the log.
    pub number: u64,
}

impl Connections {
    /// A new connection.
    pub fn begin(&self) -> Entry {
        let inner = &self.0;
        inner.live.set(inner.live.get() + 1);
        inner.begun.set(inner.begun.get() + 1);
        Entry { all: self.clone(), number: inner.begun.get() }
    }

    /// How many there are now.
    pub fn live(&self) -> usize {
        self.0.live.get()
    }

    /// Those that are left may go on for this long.
    pub fn stop_within(&self, drain: Duration) {
        self.0.deadline.set(Some(clock::now() + drain));
    }

    /// How long those that are left may go on, once the program has been told to stop.
    pub fn may_finish_within(&self) -> Option<Duration> {
        Some(self.0.deadline.get()?.saturating_duration_since(clock::now()))
    }

    /// Waits until there is none.
    pub async fn idle(&self) {
        poll_fn(|cx| {
            if self.live() == 0 {
                return Poll::Ready(());
            }
            *self.0.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// How many were cut at the deadline, or are still there after it.
    fn cut(&self) -> usize {
        self.0.cut.get() + self.live()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let inner = &self.all.0;
        inner.live.set(inner.live.get() - 1);
        if inner.deadline.get().is_some_and(|deadline| clock::now() >= deadline) {
            inner.cut.set(inner.cut.get() + 1);
        }
        if inner.live.get() == 0
            && let Some(waker) = inner.waiting.take()
        {
            waker.wake();
        }
    }
}

/// Runs until the first signal, then ends in order, and returns the exit code.
///
/// `accepting` is dropped at the first signal. `end` must let connections finish for as long as it
/// is told, and then reset the rest; a second signal has it called again with no time at all.
pub async fn run(
    log: &Log,
    stop: &mut Stop,
    options: &Options,
    connections: &Connections,
    accepting: impl Future<Output = ()>,
    end: impl AsyncFn(Duration),
) -> u8 {
    let signal = smol::future::or(
        async {
            accepting.await;
            std::future::pending().await
        },
        stop.next(),
    )
    .await
    .0;
    let drain = options.drain_timeout;
    connections.stop_within(drain);
    let live = connections.live();
    let grace = match live {
        0 => String::new(),
        _ => format!(
            "; {} may finish until {}, a second signal stops at once",
            units::count(live, "connection"),
            clock::ahead(drain)
        ),
    };
    let fields = [
        ("signal", signal.to_owned().into()),
        ("connections", (live as u64).into()),
        ("seconds", drain.as_secs_f64().into()),
    ];
    log.info("stopping", format!("{signal}: no new connections{grace}"), &fields);
    let orderly = async {
        end(drain).await;
        within(LAST_WORDS, connections.idle()).await;
        None
    };
    let at_once = async {
        let (_, code) = stop.next().await;
        Some(code)
    };
    if let Some(code) = smol::future::or(orderly, at_once).await {
        within(LAST_WORDS, async {
            end(Duration::ZERO).await;
            connections.idle().await;
        })
        .await;
        log.warn(
            "stopped",
            "stopped at once by a second signal",
            &[("code", u64::from(code).into())],
        );
        return code;
    }
    let cut = connections.cut();
    let fields = [("cut", (cut as u64).into())];
    if cut > 0 {
        log.warn(
            "stopped",
            format!("stopped; {} had to be cut", units::count(cut, "connection")),
            &fields,
        );
        return code::CUT;
    }
    log.info("stopped", "stopped", &fields);
    0
}

/// Waits for a future, but not longer than this.
pub async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    smol::future::or(async { Some(future.await) }, async {
        smol::Timer::after(limit).await;
        None
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idleness_comes_with_the_end_of_the_last_connection() {
        let ex = smol::LocalExecutor::new();
        smol::block_on(ex.run(async {
            let connections = Connections::default();
            let (first, second) = (connections.begin(), connections.begin());
            assert_eq!((first.number, second.number, connections.live()), (1, 2, 2));
            drop(first);
            assert!(within(Duration::ZERO, connections.idle()).await.is_none());
            let waiting = ex.spawn({
                let connections = connections.clone();
                async move { connections.idle().await }
            });
            smol::future::yield_now().await;
            drop(second);
            assert!(within(Duration::from_secs(5), waiting).await.is_some());
            assert_eq!(connections.cut(), 0);
        }));
    }

    #[test]
    fn connections_that_outlast_the_deadline_count_as_cut() {
        let connections = Connections::default();
        let (early, _kept) = (connections.begin(), connections.begin());
        connections.stop_within(Duration::ZERO);
        drop(early);
        assert_eq!(connections.cut(), 2);
    }
}
