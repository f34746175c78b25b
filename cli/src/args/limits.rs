//! `--limit NAME=VALUE` and `STRIPER_LIMITS`: the limits on callers and peers of a server.

use super::values::{did_you_mean, positive_time};
use Kind::{Count, Size, Time};
use std::ops::RangeInclusive;
use std::time::Duration;
use striper_core::Config;
use striper_core::limits::{INITIAL_FLOWS, MAX_STRIPES, MIN_CONTROL_BURST};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Limits {
    pub server: striper_runtime::Limits,
    /// The limits of each session, and the memory of all sessions.
    pub engine: Config,
    /// The most log lines for one cause within ten seconds.
    pub log_lines: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            server: striper_runtime::Limits::default(),
            engine: Config::default(),
            log_lines: crate::events::LINES,
        }
    }
}

enum Kind {
    Count(RangeInclusive<u64>, fn(&mut Limits, u64)),
    Size(RangeInclusive<u64>, fn(&mut Limits, u64)),
    Time(fn(&mut Limits, Duration)),
}

const MIB: u64 = 1 << 20;

/// More than the file descriptors of any process; a larger number is probably a typing error.
const MANY: u64 = 1 << 20;

/// Every session may use 2 MiB ([`Config::memory_limit`]); above the range, a typing error is
/// likelier.
const MEMORY: RangeInclusive<u64> = 2 * MIB..=1 << 40;

/// A session needs the lower end to begin; see [`MEMORY`] for the upper one.
const CONTROL: RangeInclusive<u64> = MIN_CONTROL_BURST..=1 << 40;

const LIMITS: &[(&str, Kind)] = &[
    ("handshakes", Count(1..=MANY, |limits, count| limits.server.handshakes = size(count))),
    (
        "handshakes-per-address",
        Count(1..=MANY, |limits, count| limits.server.handshakes_per_address = size(count)),
    ),
    ("handshake-time", Time(|limits, time| limits.server.handshake_time = time)),
    ("sessions", Count(1..=MANY, |limits, count| limits.server.sessions = size(count))),
    (
        "sessions-per-key",
        Count(1..=MANY, |limits, count| limits.server.sessions_per_key = size(count)),
    ),
    ("stripes", Count(1..=MAX_STRIPES as u64, |limits, count| limits.server.stripes = size(count))),
    ("flows", Count(INITIAL_FLOWS..=MANY, |limits, count| limits.engine.max_flows = count)),
    ("unanswered", Count(1..=MANY, |limits, count| limits.server.unanswered = size(count))),
    ("memory", Size(MEMORY, |limits, bytes| limits.engine.memory_limit = bytes)),
    (
        "memory-per-session",
        Size(MEMORY, |limits, bytes| limits.server.memory_per_session = Some(bytes)),
    ),
    ("opens-per-second", Count(1..=MANY, |limits, count| limits.engine.opens_per_second = count)),
    ("control-burst", Size(CONTROL, |limits, bytes| limits.engine.control_burst = bytes)),
    ("control-per-second", Size(CONTROL, |limits, bytes| limits.engine.control_per_second = bytes)),
    (
        "payload-per-control",
        Count(1..=MANY, |limits, count| limits.engine.payload_per_control = count),
    ),
    ("spare-files", Count(0..=MANY, |limits, count| limits.server.spare_files = count)),
    (
        "log-lines",
        Count(1..=MANY, |limits, count| {
            limits.log_lines = u32::try_from(count).unwrap_or(u32::MAX);
        }),
    ),
];

fn size(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// Changes of limits, at most one for each.
#[derive(Default)]
pub(crate) struct Changes(Vec<(&'static str, Change)>);

type Change = Box<dyn Fn(&mut Limits)>;

impl Changes {
    /// Adds the changes of a list: `NAME=VALUE`, with commas between several.
    pub(crate) fn add(&mut self, list: &str) -> Result<(), String> {
        list.split(',').try_for_each(|word| self.add_one(word.trim()))
    }

    pub(crate) fn apply(&self, limits: &mut Limits) {
        self.0.iter().for_each(|(_, change)| change(limits));
    }

    fn add_one(&mut self, word: &str) -> Result<(), String> {
        let Some((name, value)) = word.split_once('=') else {
            return Err(format!(
                "\"{word}\" does not have the form NAME=VALUE, such as sessions=100; {}",
                names()
            ));
        };
        let Some((name, kind)) = LIMITS.iter().find(|(known, _)| *known == name) else {
            let known: Vec<&str> = LIMITS.iter().map(|(name, _)| *name).collect();
            let near = did_you_mean(name, &known).map(|near| format!("did you mean {near}? "));
            return Err(format!(
                "there is no limit \"{name}\"; {}{}",
                near.unwrap_or_default(),
                names()
            ));
        };
        if self.0.iter().any(|(earlier, _)| earlier == name) {
            return Err(format!("{name} is given twice; leave one of them out"));
        }
        let change = kind.change(value).map_err(|why| format!("{name}: {why}"))?;
        self.0.push((name, change));
        Ok(())
    }
}

impl Kind {
    fn change(&self, value: &str) -> Result<Change, String> {
        Ok(match self {
            Count(range, set) => {
                let (set, count) = (*set, number(value, range)?);
                Box::new(move |limits| set(limits, count))
            }
            Size(range, set) => {
                let (set, size) = (*set, bytes(value, range)?);
                Box::new(move |limits| set(limits, size))
            }
            Time(set) => {
                let (set, time) = (*set, positive_time(value)?);
                Box::new(move |limits| set(limits, time))
            }
        })
    }
}

fn names() -> String {
    let names: Vec<&str> = LIMITS.iter().map(|(name, _)| *name).collect();
    format!("the limits are {}", names.join(", "))
}

fn number(word: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let number = word.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        format!("\"{word}\" is not a number from {} to {}", range.start(), range.end())
    })
}

fn bytes(word: &str, range: &RangeInclusive<u64>) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", MIB), ("GiB", 1 << 30)];
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("\"{word}\" has no unit; write {word}MiB (or KiB, GiB)"));
    }
    let found = units.iter().find_map(|(unit, bytes)| Some((word.strip_suffix(unit)?, bytes)));
    let Some(count) = found.and_then(|(count, unit)| count.parse::<u64>().ok()?.checked_mul(*unit))
    else {
        return Err(format!(
            "\"{word}\" is not a size; write a whole number with its unit, such as 64MiB or 1GiB"
        ));
    };
    if !range.contains(&count) {
        let [least, most] = [range.start(), range.end()].map(|bytes| shown(*bytes));
        return Err(format!("{word} is not between {least} and {most}"));
    }
    Ok(count)
}

fn shown(bytes: u64) -> String {
    if bytes.is_multiple_of(MIB) {
        format!("{}MiB", bytes / MIB)
    } else {
        format!("{}KiB", bytes >> 10)
    }
}

/// Each limit with its default, in the form of the help.
pub(crate) fn defaults() -> Vec<(&'static str, String)> {
    let limits = Limits::default();
    let Limits { server, engine, log_lines } = &limits;
    let defaults = [
        server.handshakes.to_string(),
        server.handshakes_per_address.to_string(),
        humantime::format_duration(server.handshake_time).to_string(),
        server.sessions.to_string(),
        server.sessions_per_key.to_string(),
        server.stripes.to_string(),
        engine.max_flows.to_string(),
        server.unanswered.to_string(),
        shown(engine.memory_limit),
        "half".to_owned(),
        engine.opens_per_second.to_string(),
        shown(engine.control_burst),
        shown(engine.control_per_second),
        engine.payload_per_control.to_string(),
        server.spare_files.to_string(),
        log_lines.to_string(),
    ];
    assert_eq!((LIMITS.len(), server.memory_per_session), (defaults.len(), None));
    LIMITS.iter().map(|(name, _)| *name).zip(defaults).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(list: &str) -> Limits {
        let (mut limits, mut changes) = (Limits::default(), Changes::default());
        changes.add(list).unwrap_or_else(|why| panic!("{list}: {why}"));
        changes.apply(&mut limits);
        limits
    }

    fn wrong(list: &str) -> String {
        Changes::default().add(list).expect_err(list)
    }

    #[test]
    fn every_limit_changes_a_setting_of_its_own() {
        let mut seen = vec![Limits::default()];
        for (name, kind) in LIMITS {
            let value = match kind {
                Count(..) => "70",
                Size(..) => "7MiB",
                Time(_) => "7s",
            };
            // A session may have 64.
            let value = if *name == "stripes" { "7" } else { value };
            let limits = set(&format!("{name}={value}"));
            assert!(!seen.contains(&limits), "{name}");
            seen.push(limits);
        }
    }

    #[test]
    fn a_list_sets_several() {
        let limits = set("memory=64MiB, sessions=10");
        assert_eq!((limits.server.sessions, limits.engine.memory_limit), (10, 64 * MIB));
    }

    #[test]
    fn a_wrong_limit_has_its_reason() {
        for (list, part) in [
            ("", "not have the form NAME=VALUE"),
            ("sessions", "not have the form NAME=VALUE"),
            ("session=3", "did you mean sessions?"),
            ("elephants=3", "the limits are handshakes, "),
            ("sessions=9,memory=64MiB,sessions=10", "sessions is given twice"),
            ("sessions=0", "sessions: \"0\" is not a number from 1 to"),
            ("sessions=-1", "not a number"),
            ("stripes=65", "from 1 to 64"),
            ("memory=64", "memory: \"64\" has no unit; write 64MiB"),
            ("memory=64MB", "such as 64MiB"),
            ("memory=1MiB", "not between 2MiB and 1048576MiB"),
            ("control-burst=63KiB", "not between 64KiB"),
            ("payload-per-control=0", "not a number from 1 to"),
            ("memory=99999999999999999999GiB", "not a size"),
            ("memory=18446744073709551615KiB", "not a size"),
            ("handshake-time=5", "write 5s"),
            ("handshake-time=0s", "handshake-time: it must be more than zero"),
        ] {
            let why = wrong(list);
            assert!(why.contains(part), "{list}: {why}");
        }
    }
}
