//! The values of options and their variables. An error is a text that follows the option's name.

use super::invocation::Control;
use super::secrets;
use crate::endpoint::BadAddress;
use crate::log::LogFormat;
use clap::builder::{OsStringValueParser, PossibleValuesParser, TypedValueParser};
use ipnet::IpNet;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::SchedulerKind;
use striper_runtime::ways::proxy_protocol::Version;

/// Looks a variable up.
pub(super) type Env<'a> = &'a dyn Fn(&str) -> Option<OsString>;

pub(super) const SEE_HELP: &str = "see striper-cli --help";

pub(super) fn stripes(word: &str) -> Result<usize, String> {
    let count = word.parse().ok().filter(|count| (1..=64).contains(count));
    count.ok_or_else(|| format!("\"{word}\" is not a number from 1 to 64"))
}

/// Names with their values.
pub(super) type Choices<T> = &'static [(&'static str, T)];

pub(super) const SCHEDULERS: Choices<SchedulerKind> = &[
    ("earliest", SchedulerKind::Earliest),
    ("uc", SchedulerKind::UntilCongested),
    ("rr", SchedulerKind::RoundRobin),
];

pub(super) const PROXY_PROTOCOLS: Choices<Version> = &[("v1", Version::V1), ("v2", Version::V2)];

pub(super) const LOG_FORMATS: Choices<LogFormat> =
    &[("human", LogFormat::Human), ("json", LogFormat::Json)];

/// Reads one of the names in an option. clap knows them all.
pub(super) fn one_of<T: Copy + Send + Sync + 'static>(
    choices: Choices<T>,
) -> impl TypedValueParser<Value = T> {
    let names = choices.iter().map(|(name, _)| *name);
    PossibleValuesParser::new(names).try_map(|word| chosen(&word, choices))
}

pub(super) fn chosen<T: Copy>(word: &str, choices: Choices<T>) -> Result<T, String> {
    let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
    let found = choices.iter().find(|(name, _)| *name == word);
    found.map(|(_, value)| *value).ok_or_else(|| choice(word, &names))
}

/// Reads the name of a file. An empty one is an error: it would stand for the current folder.
pub(super) fn file() -> impl TypedValueParser<Value = PathBuf> {
    let wrong = |cause: &str, cure: &str| BadAddress { cause: cause.into(), cure: cure.into() };
    OsStringValueParser::new().try_map(move |name| match name.to_string_lossy() {
        shown if shown.is_empty() => Err(wrong(
            "the name of the file is empty",
            "name a file; if you use a shell variable, make sure that it is set",
        )),
        shown if secrets::is_key(&shown) => Err(wrong(secrets::CAUSE, secrets::CURE)),
        _ => Ok(PathBuf::from(name)),
    })
}

pub(super) fn control() -> impl TypedValueParser<Value = Control> {
    file().map(|path| match path.to_str() {
        Some("off") => Control::Off,
        _ => Control::At(path),
    })
}

pub(super) fn congestion(word: &str) -> Result<String, String> {
    if word.is_empty()
        || word.len() > 15
        || !word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    {
        return Err(format!(
            "\"{word}\" is not the name of a congestion control, such as bbr, cubic or reno"
        ));
    }
    Ok(word.to_owned())
}

/// An address, or a block of addresses by its first one. None is IPv4-mapped.
pub(super) fn network(word: &str) -> Result<IpNet, String> {
    let address = word.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
    let block: IpNet = address.or_else(|_| word.parse()).map_err(|_| {
        format!("\"{word}\" is neither an address nor a block, such as 10.0.0.1 or 10.0.0.0/8")
    })?;
    let first = block.trunc();
    if first != block {
        let address = block.addr();
        return Err(format!(
            "{address} is not the first address of its block; write {first}, or {address} alone"
        ));
    }
    if matches!(first.addr(), IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some()) {
        return Err(format!("{word} is a block of IPv4 addresses; write it as such"));
    }
    Ok(block)
}

pub(super) fn switch(word: &str) -> Result<bool, String> {
    match word {
        "1" | "true" | "yes" => Ok(true),
        "0" | "false" | "no" => Ok(false),
        _ => Err(choice(word, &["1", "0"])),
    }
}

/// Why a word is none of the choices.
pub(super) fn choice(word: &str, choices: &[&str]) -> String {
    let near = did_you_mean(word, choices)
        .map(|near| format!("; did you mean {near}?"))
        .unwrap_or_default();
    format!("\"{word}\" is not one of {}{near}", choices.join(", "))
}

/// The longest time for a limit; a longer one is probably a typing error.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn time(word: &str) -> Result<Duration, String> {
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) && word != "0" {
        return Err(format!(
            "\"{word}\" has no unit; write {word}s for seconds or {word}ms for milliseconds"
        ));
    }
    let time = humantime::parse_duration(word).map_err(|_| {
        format!("\"{word}\" is not a time; write a number with its unit, such as 10s, 500ms or 2m")
    })?;
    if time > LONGEST {
        return Err(format!("{word} is more than a day"));
    }
    Ok(time)
}

pub(super) fn positive_time(word: &str) -> Result<Duration, String> {
    match time(word)? {
        Duration::ZERO => Err("it must be more than zero".into()),
        time => Ok(time),
    }
}

/// The nearest of `names`, if the word is probably a typing error of it.
pub(crate) fn did_you_mean<'a>(word: &str, names: &[&'a str]) -> Option<&'a str> {
    let word = word.to_lowercase();
    let near = |name: &str| {
        let name = name.to_lowercase();
        let prefix = word.len() >= 3 && name.starts_with(&word);
        if prefix { 0 } else { strsim::damerau_levenshtein(&word, &name) }
    };
    let best = names.iter().min_by_key(|name| near(name))?;
    (near(best) <= 1 + best.len() / 5).then_some(*best)
}
