//! The service manager: systemd, or another one that understands sd_notify(3). Without one nothing
//! happens, and nothing wakes the program.

use crate::log::Log;
use sd_notify::NotifyState;
use std::time::Duration;

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
        tell(log, &[NotifyState::Watchdog, NotifyState::Status(&status())]);
        // As sd_watchdog_enabled(3) recommends.
        smol::Timer::after(limit / 2).await;
    }
}

fn tell(log: &Log, states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        let text = format!("cannot tell the service manager (NOTIFY_SOCKET): {error}");
        log.warn("supervisor_unreachable", text, &[("reason", error.to_string().into())]);
    }
}
