//! The head of a trace, before the first input.
//!
//! A field that this version does not know may change what a session does, so it is refused and not
//! skipped.

use super::{BEGIN, MAGIC};
use crate::config::{Config, MAX_STRIPES, SchedulerKind};
use crate::id::Role;
use crate::session::Session;
use crate::time::Instant;
use alloc::format;
use alloc::string::{String, ToString};
use core::fmt::{self, Write};
use core::time::Duration;

/// The most of anything that a configuration may name: no sum of a few such numbers overflows.
const MAX_NUMBER: u64 = 1 << 56;

/// The session that a trace is of.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Header {
    /// The program that wrote it, and its version.
    pub program: String,
    /// The command that makes it anew, if it is from the simulator.
    pub scenario: Option<String>,
    /// The choices of stripes are not made this way any more: only [`super::Trace::follow`] fits.
    pub follow_only: bool,
    /// Whose side it is. The instance is an alias.
    pub role: Role,
    /// The session's birth on its own clock.
    pub birth: Instant,
    /// The session's settings.
    pub config: Config,
}

impl Header {
    /// That of a session that has had no input yet.
    pub fn of(session: &Session, program: &str) -> Header {
        let role = match session.role() {
            Role::Client => Role::Client,
            Role::Server { .. } => Role::Server { instance: 1 },
        };
        let (birth, config) = (session.now(), session.config());
        Header { program: program.into(), role, birth, config, ..Header::empty() }
    }

    pub(super) fn write(&self, to: &mut dyn Write) -> fmt::Result {
        // A field that is added to it must be written and read here.
        let Config {
            stripes,
            scheduler,
            memory_limit,
            window_limit,
            max_flows,
            opens_per_second,
            control_burst,
            control_per_second,
            payload_per_control,
            record_overhead,
            heartbeat,
            stall_limit,
            resume_limit,
            #[cfg(feature = "buggify")]
            buggify,
        } = self.config;
        writeln!(to, "{MAGIC}")?;
        // One line, whatever it is.
        writeln!(to, "program: {}", self.program.lines().next().unwrap_or_default())?;
        if let Some(scenario) = &self.scenario {
            writeln!(to, "scenario: {}", scenario.lines().next().unwrap_or_default())?;
        }
        if self.follow_only {
            writeln!(to, "choices: follow-only")?;
        }
        writeln!(to, "role: {}", if self.role == Role::Client { "client" } else { "server" })?;
        writeln!(to, "birth: {}", self.birth.as_micros())?;
        writeln!(to, "stripes: {stripes}")?;
        writeln!(to, "scheduler: {}", scheduler_name(scheduler))?;
        writeln!(to, "memory-limit: {memory_limit}")?;
        writeln!(to, "window-limit: {window_limit}")?;
        writeln!(to, "max-flows: {max_flows}")?;
        let usual = Config::default();
        for (name, value, usual) in [
            ("opens-per-second", opens_per_second, usual.opens_per_second),
            ("control-burst", control_burst, usual.control_burst),
            ("control-per-second", control_per_second, usual.control_per_second),
            ("payload-per-control", payload_per_control, usual.payload_per_control),
            ("record-overhead", record_overhead, usual.record_overhead),
        ] {
            // Programs that know none of these play what stays within the usual ones.
            if value != usual {
                writeln!(to, "{name}: {value}")?;
            }
        }
        writeln!(to, "heartbeat: {}", heartbeat.as_micros())?;
        writeln!(to, "stall-limit: {}", stall_limit.as_micros())?;
        writeln!(to, "resume-limit: {}", resume_limit.as_micros())?;
        #[cfg(feature = "buggify")]
        writeln!(to, "buggify: {buggify}")?;
        writeln!(to, "{BEGIN}")
    }

    pub(super) fn empty() -> Header {
        Header {
            program: String::new(),
            scenario: None,
            follow_only: false,
            role: Role::Client,
            birth: Instant::ZERO,
            config: Config::default(),
        }
    }

    pub(super) fn read(&mut self, line: &str) -> Result<(), String> {
        let (name, value) = line.split_once(": ").ok_or("no header field, and no \"begin\"")?;
        let number = || {
            let number = value.parse::<u64>().ok().filter(|number| *number <= MAX_NUMBER);
            number.ok_or_else(|| format!("{name}: \"{value}\" is no number from 0 to {MAX_NUMBER}"))
        };
        match name {
            "program" => self.program = value.to_string(),
            "scenario" => self.scenario = Some(value.to_string()),
            "choices" if value == "follow-only" => self.follow_only = true,
            "role" if value == "client" => self.role = Role::Client,
            "role" if value == "server" => self.role = Role::Server { instance: 1 },
            "birth" => self.birth = Instant::from_micros(number()?),
            "stripes" => {
                self.config.stripes = usize::try_from(number()?)
                    .ok()
                    .filter(|stripes| *stripes <= MAX_STRIPES)
                    .ok_or_else(|| format!("{name}: at most {MAX_STRIPES}"))?;
            }
            "scheduler" => {
                self.config.scheduler =
                    scheduler(value).ok_or_else(|| format!("there is no scheduler \"{value}\""))?;
            }
            "memory-limit" => self.config.memory_limit = number()?,
            "window-limit" => self.config.window_limit = number()?,
            "max-flows" => self.config.max_flows = number()?,
            "opens-per-second" => self.config.opens_per_second = number()?,
            "control-burst" => self.config.control_burst = number()?,
            "control-per-second" => self.config.control_per_second = number()?,
            "payload-per-control" => self.config.payload_per_control = number()?,
            "record-overhead" => self.config.record_overhead = number()?,
            "heartbeat" => self.config.heartbeat = Duration::from_micros(number()?),
            "stall-limit" => self.config.stall_limit = Duration::from_micros(number()?),
            "resume-limit" => self.config.resume_limit = Duration::from_micros(number()?),
            // A seed has all bits.
            #[cfg(feature = "buggify")]
            "buggify" => {
                self.config.buggify =
                    value.parse().map_err(|_| format!("{name}: \"{value}\" is no number"))?;
            }
            #[cfg(not(feature = "buggify"))]
            "buggify" if value == "0" => {}
            #[cfg(not(feature = "buggify"))]
            "buggify" => {
                return Err("this was recorded with rare turns taken on purpose, which this \
                     program has not; \
                            play it with: cargo run -p sim --features buggify -- replay FILE"
                    .into());
            }
            "choices" | "role" => return Err(format!("{name} can't be \"{value}\"")),
            _ => {
                return Err(format!(
                    "this version does not know the field \"{name}\": it may change what a \
                     session does; \
                     play the trace with the version that wrote it ({})",
                    if self.program.is_empty() { "it does not say which" } else { &self.program }
                ));
            }
        }
        Ok(())
    }
}

fn scheduler_name(kind: SchedulerKind) -> &'static str {
    match kind {
        SchedulerKind::Earliest => "earliest",
        SchedulerKind::UntilCongested => "uc",
        SchedulerKind::RoundRobin => "rr",
    }
}

fn scheduler(name: &str) -> Option<SchedulerKind> {
    [SchedulerKind::Earliest, SchedulerKind::UntilCongested, SchedulerKind::RoundRobin]
        .into_iter()
        .find(|kind| scheduler_name(*kind) == name)
}
