//! The service manager: systemd, or another one that understands sd_notify(3). Without one nothing
//! happens, and nothing wakes the program.
//!
//! Nothing here waits for the manager. If it does not read its messages, those about the state wait
//! for it in another thread, and others are dropped.

use crate::log::Log;
use sd_notify::NotifyState;
use socket2::{Domain, SockAddr, Socket, Type};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// The most messages that wait. A reload has two of them.
const WAITING: usize = 16;

struct Manager {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Messages that the manager has not taken, the oldest first.
    late: VecDeque<String>,
    /// Whether a thread waits until the manager takes one.
    waiting: bool,
    /// Whether the log says that the manager can't be told.
    warned: bool,
}

/// The state as `systemctl status` shows it.
pub(crate) fn serving(log: &Log) {
    tell(log, &[NotifyState::Ready, NotifyState::Status("serving")]);
}

/// Another process of this service takes its place, and serves.
pub(crate) fn replaced(log: &Log, successor: u32) {
    tell(log, &[NotifyState::MainPid(successor), NotifyState::Ready]);
}

/// Carries out a reload between the two messages that belong to it.
pub(crate) async fn reloading<T>(log: &Log, reload: impl Future<Output = T>) {
    // The manager tells this reload from an earlier one by the time.
    if let Ok(now) = NotifyState::monotonic_usec_now() {
        tell(log, &[NotifyState::Reloading, now]);
    }
    reload.await;
    tell(log, &[NotifyState::Ready]);
}

pub(crate) fn stopping(log: &Log, status: &str) {
    let text = format!("stopping, {status}");
    tell(log, &[NotifyState::Stopping, NotifyState::Status(&text)]);
}

/// Tells a watchdog, if there is one, that the executor makes progress. Never ready.
pub(crate) async fn beat(log: &Log, status: impl Fn() -> String) {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| *limit > Duration::ZERO) else {
        return std::future::pending().await;
    };
    loop {
        // As sd_watchdog_enabled(3) recommends. READY=1 counts as the first beat, and a process
        // that takes over is not heard before the manager knows it.
        smol::Timer::after(limit / 2).await;
        tell(log, &[NotifyState::Watchdog, NotifyState::Status(&status())]);
    }
}

/// The manager of this process, if there is one.
fn manager() -> Option<&'static Manager> {
    static MANAGER: OnceLock<Option<Manager>> = OnceLock::new();
    let named = || {
        let mut path = std::env::var_os("NOTIFY_SOCKET")?.into_vec();
        let first = path.first_mut()?;
        // An abstract socket. Its name for the system begins with a zero.
        if *first == b'@' {
            *first = 0;
        }
        Some(Manager { path: OsString::from_vec(path).into(), state: Mutex::default() })
    };
    MANAGER.get_or_init(named).as_ref()
}

fn tell(log: &Log, states: &[NotifyState<'_>]) {
    let Some(manager) = manager() else { return };
    let is_beat = states.iter().any(|state| matches!(state, NotifyState::Watchdog));
    let message: String = states.iter().map(|state| format!("{state}\n")).collect();
    let (mut told, mut state) = (Err(ErrorKind::WouldBlock.into()), manager.lock());
    if !state.waiting {
        told = manager.send(&message, false);
    }
    match told {
        Ok(()) => state.warned = false,
        Err(error) => {
            let is_late = error.kind() == ErrorKind::WouldBlock;
            if is_late && !is_beat {
                manager.send_later(&mut state, message);
            }
            if !std::mem::replace(&mut state.warned, true) {
                let reason = match is_late {
                    true => "it does not read its messages".to_owned(),
                    false => error.to_string(),
                };
                let text = format!("cannot tell the service manager (NOTIFY_SOCKET): {reason}");
                log.warn("supervisor_unreachable", text, &[("reason", reason.into())]);
            }
        }
    }
}

impl Manager {
    /// No invariant spans a panic, so a poisoned lock can be used.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `patient`: waits until the manager takes the message.
    fn send(&self, message: &str, patient: bool) -> io::Result<()> {
        let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
        socket.set_nonblocking(!patient)?;
        socket.connect(&SockAddr::unix(&self.path)?)?;
        socket.send(message.as_bytes()).map(drop)
    }

    fn send_later(&'static self, state: &mut State, message: String) {
        if state.late.len() == WAITING {
            state.late.pop_front();
        }
        state.late.push_back(message);
        if !std::mem::replace(&mut state.waiting, true) {
            smol::unblock(|| self.send_late()).detach();
        }
    }

    /// Sends what waits. It may take until the end of the program.
    fn send_late(&self) {
        loop {
            let mut state = self.lock();
            let Some(message) = state.late.pop_front() else {
                state.waiting = false;
                return;
            };
            drop(state);
            // After an error that is not a full queue, the next message says what is wrong.
            let _ = self.send(&message, true);
        }
    }
}
