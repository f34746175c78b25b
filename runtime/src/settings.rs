//! Settings that can't be are an error, which names the setting and its range.

use crate::admission::limits::Limits;
use std::fmt;
use std::io;
use std::ops::RangeInclusive;
use std::time::Duration;
use striper_core::Config;
use striper_core::limits::{FLOW_FLOOR, INITIAL_FLOWS, MAX_STRIPES, MIN_CONTROL_BURST};

/// The least memory limit in bytes: the early credit of a peer has to fit in.
const MIN_MEMORY: u64 = 2 << 20;

/// The most that pipes add to a send, in bytes.
const MAX_OVERHEAD: u64 = 256;

/// The longest time that a setting may name, so that no sum of times overflows: ten years.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Below this, timers would do nothing but go off.
const SHORTEST: Duration = Duration::from_millis(10);

/// A setting is outside its range.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SettingsError {
    setting: &'static str,
    given: String,
    range: String,
}

impl SettingsError {
    /// The name of the setting, as the struct with the settings has it.
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// The values that it may have, in words.
    pub fn range(&self) -> &str {
        &self.range
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is {}, but must be {}", self.setting, self.given, self.range)
    }
}

impl std::error::Error for SettingsError {}

/// A client or server could not be started.
#[derive(Debug)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is outside its range.
    Settings(SettingsError),
    /// The operating system gives no port, no thread or no congestion control of that name.
    Io(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::Settings(error) => error.fmt(f),
            StartError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for StartError {}

impl From<SettingsError> for StartError {
    fn from(error: SettingsError) -> Self {
        StartError::Settings(error)
    }
}

impl From<io::Error> for StartError {
    fn from(error: io::Error) -> Self {
        StartError::Io(error)
    }
}

pub(crate) fn within<T: PartialOrd + fmt::Debug>(
    setting: &'static str,
    given: T,
    range: RangeInclusive<T>,
) -> Result<(), SettingsError> {
    if range.contains(&given) {
        return Ok(());
    }
    let range = format!("{:?} to {:?}", range.start(), range.end());
    Err(SettingsError { setting, given: format!("{given:?}"), range })
}

pub(crate) fn at_least<T: PartialOrd + fmt::Debug>(
    setting: &'static str,
    given: T,
    least: T,
) -> Result<(), SettingsError> {
    if given >= least {
        return Ok(());
    }
    let (given, range) = (format!("{given:?}"), format!("at least {least:?}"));
    Err(SettingsError { setting, given, range })
}

/// Whether a time is neither zero nor so long that sums of times overflow.
pub(crate) fn time(setting: &'static str, given: Duration) -> Result<(), SettingsError> {
    within(setting, given, Duration::from_millis(1)..=LONGEST)
}

pub(crate) fn check_session(config: &Config) -> Result<(), SettingsError> {
    within("stripes", config.stripes, 1..=MAX_STRIPES)?;
    at_least("memory_limit", config.memory_limit, MIN_MEMORY)?;
    at_least("window_limit", config.window_limit, FLOW_FLOOR)?;
    at_least("max_flows", config.max_flows, INITIAL_FLOWS)?;
    at_least("opens_per_second", config.opens_per_second, 1)?;
    at_least("control_burst", config.control_burst, MIN_CONTROL_BURST)?;
    at_least("payload_per_control", config.payload_per_control, 1)?;
    within("record_overhead", config.record_overhead, 0..=MAX_OVERHEAD)?;
    within("heartbeat", config.heartbeat, SHORTEST..=LONGEST)?;
    within("stall_limit", config.stall_limit, SHORTEST..=LONGEST)?;
    within("resume_limit", config.resume_limit, Duration::ZERO..=LONGEST)
}

pub(crate) fn check_limits(limits: &Limits) -> Result<(), SettingsError> {
    at_least("limits.handshakes", limits.handshakes, 1)?;
    at_least("limits.handshakes_per_address", limits.handshakes_per_address, 1)?;
    time("limits.handshake_time", limits.handshake_time)?;
    at_least("limits.sessions", limits.sessions, 1)?;
    at_least("limits.sessions_per_key", limits.sessions_per_key, 1)?;
    within("limits.stripes", limits.stripes, 1..=MAX_STRIPES)?;
    at_least("limits.unanswered", limits.unanswered, 1)
}
