//! The connections of a long-running command, and its orderly end.

use crate::failure::code;
use crate::log::Log;
use crate::signals::Stop;
use crate::sockets::Sockets;
use crate::upgrade::{self, Successor};
use crate::{clock, supervisor, units};
use smol::future::or;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};
use striper_runtime::local::Server;

/// The time for resets to go out at the end.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// The open connections. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Connections(Rc<Inner>);

#[derive(Default)]
struct Inner {
    live: Cell<usize>,
    begun: Cell<u64>,
    /// The time for open connections after a signal.
    drain: Cell<Duration>,
    deadline: Cell<Option<Instant>>,
    cut: Cell<usize>,
    waiting: RefCell<Option<Waker>>,
    ends: RefCell<BTreeMap<u64, Ends>>,
}

/// The two ends of a connection, as far as they are known.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub(crate) struct Ends {
    pub from: Option<String>,
    pub target: Option<String>,
}

/// One connection, until this is dropped.
pub(crate) struct Entry {
    all: Connections,
    number: u64,
}

impl Entry {
    /// Counts from 1; the log names connections by it.
    ///
    /// This is no public field: a closure that used it alone would capture a copy of it, and the
    /// entry would end.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

impl Connections {
    /// With `--drain-timeout`.
    pub(crate) fn draining(drain: Duration) -> Self {
        let connections = Connections::default();
        connections.set_drain(drain);
        connections
    }

    pub(crate) fn begin(&self) -> Entry {
        let inner = &self.0;
        inner.live.set(inner.live.get() + 1);
        inner.begun.set(inner.begun.get() + 1);
        Entry { all: self.clone(), number: inner.begun.get() }
    }

    /// The ends of an open connection are known now.
    pub(crate) fn describe(&self, number: u64, ends: Ends) {
        self.0.ends.borrow_mut().insert(number, ends);
    }

    pub(crate) fn ends(&self, number: u64) -> Ends {
        self.0.ends.borrow().get(&number).cloned().unwrap_or_default()
    }

    pub(crate) fn live(&self) -> usize {
        self.0.live.get()
    }

    /// How many have begun so far.
    pub(crate) fn begun(&self) -> u64 {
        self.0.begun.get()
    }

    /// `--drain-timeout`.
    pub(crate) fn set_drain(&self, drain: Duration) {
        self.0.drain.set(drain);
    }

    /// The open connections may go on for this long.
    pub(crate) fn stop_within(&self, drain: Duration) {
        self.0.deadline.set(Some(clock::now() + drain));
    }

    pub(crate) fn may_finish_within(&self) -> Option<Duration> {
        Some(self.0.deadline.get()?.saturating_duration_since(clock::now()))
    }

    pub(crate) async fn idle(&self) {
        poll_fn(|cx| {
            if self.live() == 0 {
                return Poll::Ready(());
            }
            *self.0.waiting.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// How many ended after the deadline.
    pub(crate) fn cut(&self) -> usize {
        self.0.cut.get()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let inner = &self.all.0;
        inner.live.set(inner.live.get() - 1);
        inner.ends.borrow_mut().remove(&self.number);
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

/// The time that connections have after another process has taken the sockets: longer than any
/// machine runs.
const UNLIMITED: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Runs until the first signal, then ends in order, and returns the exit code.
///
/// `accepting` is dropped at the first signal. `end` must let connections finish for the given time
/// and then reset the rest. It is called again if a signal shortens the time. It hears whether
/// another process has taken the sockets. That process passes stripes on to `server`.
pub(crate) async fn run(
    log: &Log,
    sockets: &Sockets,
    stop: &mut Stop,
    connections: &Connections,
    server: Option<&Server>,
    accepting: impl Future<Output = ()>,
    end: impl AsyncFn(Duration, bool),
) -> u8 {
    let status = || units::count(connections.live(), "connection");
    let working = async {
        if !upgrade::tell_predecessor(sockets).await {
            supervisor::serving(log);
        }
        work(log, sockets, stop, accepting).await
    };
    let beat = async {
        supervisor::beat(log, status).await;
        std::future::pending().await
    };
    let signal = match or(working, beat).await {
        Worked::Until(signal) => signal,
        Worked::Replaced(successor) => {
            tell_replaced(log, connections, &successor);
            let all = async {
                end(UNLIMITED, true).await;
                connections.idle().await;
                None
            };
            let remote = stop.remote();
            let attending = async {
                successor.attend(log, server, &remote).await;
                None
            };
            let signal = async { Some(stop.next().await.0) };
            match or(or(all, attending), signal).await {
                Some(signal) => signal,
                None => {
                    log.info("stopped", "stopped", &[("connections", 0u64.into())]);
                    return 0;
                }
            }
        }
    };
    supervisor::stopping(log, &status());
    drain(log, stop, connections, end, signal).await
}

/// How the time with new connections ended.
enum Worked {
    /// By a signal, with its name.
    Until(&'static str),
    Replaced(Successor),
}

async fn work(
    log: &Log,
    sockets: &Sockets,
    stop: &mut Stop,
    accepting: impl Future<Output = ()>,
) -> Worked {
    let mut accepting = std::pin::pin!(async {
        accepting.await;
        std::future::pending().await
    });
    loop {
        let signal = async { stop.next_or_upgrade().await.map(|(signal, _)| signal) };
        if let Some(signal) = or(&mut accepting, signal).await {
            return Worked::Until(signal);
        }
        log.info("upgrading", "SIGUSR2: starting the process that takes over", &[]);
        let begun = async { Ok(upgrade::begin(log, sockets).await) };
        let signal = async {
            loop {
                if let Some((signal, _)) = stop.next_or_upgrade().await {
                    return Err(signal);
                }
                log.info(
                    "upgrading",
                    "SIGUSR2: a process that takes over is starting already",
                    &[],
                );
            }
        };
        let upgrade = or(begun, signal);
        let waiting = async {
            let never: Option<&'static str> = (&mut accepting).await;
            Err(never.unwrap_or_default())
        };
        match or(upgrade, waiting).await {
            Err(signal) => return Worked::Until(signal),
            Ok(Ok(successor)) => return Worked::Replaced(successor),
            Ok(Err(error)) => {
                let text =
                    format!("the new process does not take over, and this one stays: {error}");
                log.warn("upgrade_failed", text, &[("reason", error.to_string().into())]);
            }
        }
    }
}

fn tell_replaced(log: &Log, connections: &Connections, successor: &Successor) {
    let live = connections.live();
    let rest = match live {
        0 => String::new(),
        _ => format!("; {} may go on here", units::count(live, "connection")),
    };
    let fields = [("successor", u64::from(successor.pid).into()), ("connections", live.into())];
    log.info("replaced", format!("process {} has taken over{rest}", successor.pid), &fields);
}

/// Ends in order after a signal, and returns the exit code.
async fn drain(
    log: &Log,
    stop: &mut Stop,
    connections: &Connections,
    end: impl AsyncFn(Duration, bool),
    signal: &str,
) -> u8 {
    let drain = connections.0.drain.get();
    connections.stop_within(drain);
    let live = connections.live();
    let grace = match live {
        0 => String::new(),
        _ => format!(
            "; {} may finish until {}; a second signal stops at once",
            units::count(live, "connection"),
            clock::ahead(drain)
        ),
    };
    let fields = [
        ("signal", signal.into()),
        ("connections", live.into()),
        ("drain_timeout_seconds", drain.as_secs_f64().into()),
    ];
    log.info("stopping", format!("{signal}: no new connections{grace}"), &fields);
    let orderly = async {
        end(drain, false).await;
        within(LAST_WORDS, connections.idle()).await;
        None
    };
    let at_once = async {
        let (_, code) = stop.next().await;
        Some(code)
    };
    if let Some(code) = or(orderly, at_once).await {
        within(LAST_WORDS, async {
            end(Duration::ZERO, false).await;
            connections.idle().await;
        })
        .await;
        let fields = [("code", u64::from(code).into())];
        log.warn("stopped", "stopped at once by a second signal", &fields);
        return code;
    }
    let cut = connections.cut() + connections.live();
    let fields = [("connections", cut.into())];
    if cut > 0 {
        log.warn("stopped", format!("stopped; {} reset", units::were(cut, "connection")), &fields);
        return code::CUT;
    }
    log.info("stopped", "stopped", &fields);
    0
}

pub(crate) async fn within<T>(limit: Duration, future: impl Future<Output = T>) -> Option<T> {
    or(async { Some(future.await) }, async {
        smol::Timer::after(limit).await;
        None
    })
    .await
}

/// The room, in bytes, that what `make` makes takes in a task. Nothing is called.
#[cfg(test)]
pub(crate) fn room<T>(_make: impl Fn() -> T) -> usize {
    size_of::<T>()
}

/// Stands for an argument within [`room`].
#[cfg(test)]
pub(crate) fn any<T>() -> T {
    unreachable!("nothing is called")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_idle_when_the_last_connection_has_ended() {
        let ex = smol::LocalExecutor::new();
        smol::block_on(ex.run(async {
            let connections = Connections::default();
            let (first, second) = (connections.begin(), connections.begin());
            assert_eq!((first.number(), second.number(), connections.live()), (1, 2, 2));
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
    fn the_ends_of_a_connection_are_known_while_it_is_open() {
        let connections = Connections::default();
        let (entry, _other) = (connections.begin(), connections.begin());
        let ends = Ends { from: Some("a:1".into()), target: None };
        connections.describe(entry.number(), ends.clone());
        assert_eq!((connections.ends(1), connections.ends(2)), (ends, Ends::default()));
        drop(entry);
        assert_eq!(connections.ends(1), Ends::default());
    }

    #[test]
    fn connections_that_outlast_the_deadline_count_as_cut() {
        let connections = Connections::default();
        let (early, _kept) = (connections.begin(), connections.begin());
        connections.stop_within(Duration::ZERO);
        drop(early);
        assert_eq!((connections.cut(), connections.live()), (1, 1));
    }
}
