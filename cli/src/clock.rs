//! The two clocks of the command line: one for time spans, one for the time of day in log lines.

use std::time::{Duration, Instant, SystemTime};

#[expect(
    clippy::disallowed_methods,
    reason = "spans that only a person reads; the engine's time is the runtime's"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[expect(clippy::disallowed_methods, reason = "the time of day is for log lines alone")]
pub(crate) fn time_of_day() -> SystemTime {
    SystemTime::now()
}

pub(crate) fn ago(span: Duration) -> String {
    let now = time_of_day();
    now.checked_sub(span).map_or_else(|| "long ago".to_owned(), |at| shown(at, now))
}

/// The time of day after this span, as log lines show it. `span` is at most a few days.
pub(crate) fn ahead(span: Duration) -> String {
    let now = time_of_day();
    shown(now + span, now)
}

/// `12:03:10Z`, in whole seconds; another day than today has its date before that.
fn shown(at: SystemTime, now: SystemTime) -> String {
    let text = |time: SystemTime| humantime::format_rfc3339_seconds(time).to_string();
    let (at, now) = (text(at), text(now));
    match (at.split_once('T'), now.split_once('T')) {
        (Some((day, time)), Some((today, _))) if day == today => time.to_owned(),
        _ => at.replace('T', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_time_of_another_day_has_a_date() {
        let midnight = SystemTime::UNIX_EPOCH + Duration::from_secs(24 * 60 * 60 * 20_748);
        let noon = midnight + Duration::from_secs(12 * 60 * 60);
        assert_eq!(shown(noon + Duration::from_millis(190_999), noon), "12:03:10Z");
        assert_eq!(shown(midnight - Duration::from_secs(1), noon), "2026-10-21 23:59:59Z");
    }
}
