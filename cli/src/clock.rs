//! The two clocks of the command line: one for time spans, one for the time of day in log lines.

use std::time::{Instant, SystemTime};

/// Monotone time, for spans.
#[expect(
    clippy::disallowed_methods,
    reason = "spans that only a person reads; the engine's time is the runtime's"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// Time of day, for log lines.
#[expect(clippy::disallowed_methods, reason = "the time of day is for log lines alone")]
pub fn time_of_day() -> SystemTime {
    SystemTime::now()
}
