//! Environment variables: they replace options that a command line does not have.

use super::given::Given;
use super::invocation::{Command, Control, Options, Way};
use super::limits::{Changes, Limits};
use super::secrets;
use super::shared::{Connecting, Proxying, Striping};
use super::values::{
    Env, LOG_FORMATS, SCHEDULERS, SEE_HELP, chosen, congestion, did_you_mean, positive_time,
    stripes, switch, time,
};
use crate::failure::Failure;
use crate::log::{LogFormat, Verbosity};
use std::ffi::OsString;
use std::time::Duration;

const PREFIX: &str = "STRIPER_";

/// The known names without their prefix.
pub(crate) const VARIABLES: &[&str] = &[
    "STRIPES",
    "SCHEDULER",
    "LOG",
    "CONNECT_TIMEOUT",
    "DRAIN_TIMEOUT",
    "CONGESTION",
    "LIMITS",
    "QUIET",
    "VERBOSE",
    "KEY_FILE",
    "PEERS_FILE",
];

/// The variables that are set: the options that they stand for, their names and values.
pub(super) fn variables(env: Env<'_>) -> Vec<(String, String, String)> {
    let option = |name: &str| match name {
        "LIMITS" => "limit".to_owned(),
        "KEY_FILE" => "key".to_owned(),
        "PEERS_FILE" => "peers".to_owned(),
        name => name.to_lowercase().replace('_', "-"),
    };
    let read = |name: &&str| {
        let variable = format!("{PREFIX}{name}");
        let value = env(&variable)?.to_string_lossy().into_owned();
        // An empty variable of keys is an error, and any other counts as unset.
        let is_set = !value.is_empty() || name.ends_with("_FILE");
        is_set.then(|| (option(name), variable, value))
    };
    VARIABLES.iter().filter_map(read).collect()
}

/// The options that have a default, with it.
pub(crate) fn defaults() -> Vec<(&'static str, String)> {
    let options = complete(Given::default(), &Command::Demo { json: false }, &|_| None)
        .expect("defaults are right");
    let time = |time| humantime::format_duration(time).to_string();
    let name = |known: Option<&&'static str>| known.copied().unwrap_or_default().to_owned();
    let scheduler = SCHEDULERS.iter().find(|(_, value)| *value == options.scheduler);
    let log = LOG_FORMATS.iter().find(|(_, value)| *value == options.log);
    vec![
        ("stripes", options.stripes.to_string()),
        ("scheduler", name(scheduler.map(|(name, _)| name))),
        ("congestion", options.congestion.unwrap_or("auto".into())),
        ("connect-timeout", time(options.connect_timeout)),
        ("drain-timeout", time(options.drain_timeout)),
        ("log", name(log.map(|(name, _)| name))),
    ]
}

/// Names with the prefix that are not known, sorted.
pub(crate) fn misnamed(names: impl Iterator<Item = OsString>) -> Vec<String> {
    let names = names.map(|name| name.to_string_lossy().into_owned());
    let is_misnamed = |name: &String| {
        let Some((prefix, rest)) = name.split_at_checked(PREFIX.len()) else { return false };
        prefix.eq_ignore_ascii_case(PREFIX) && !(prefix == PREFIX && VARIABLES.contains(&rest))
    };
    let mut names: Vec<String> = names.filter(is_misnamed).collect();
    names.sort();
    names
}

pub(crate) fn about(name: &str) -> String {
    let near = name.get(PREFIX.len()..).and_then(|rest| did_you_mean(rest, VARIABLES));
    let cure = match near {
        Some(near) => format!("did you mean {PREFIX}{near}?"),
        None => "striper-cli --help lists all variables".to_owned(),
    };
    format!("the environment variable {name} is unknown; {cure}")
}

/// Reads a variable, unless an option has replaced it.
fn twin<T>(
    given: Option<T>,
    env: Env<'_>,
    name: &str,
    read: fn(&str) -> Result<T, String>,
) -> Result<Option<T>, Failure> {
    if given.is_some() {
        return Ok(given);
    }
    let name = format!("{PREFIX}{name}");
    // An empty variable counts as unset, so that a script can switch it off. Variables of keys are
    // read elsewhere: there an empty variable is an error, because it would let everybody in.
    let Some(raw) = env(&name).filter(|raw| !raw.is_empty()) else { return Ok(None) };
    let wrong = |why: String| {
        let is_secret = secrets::are_in(&raw.to_string_lossy());
        let why = if is_secret { secrets::CAUSE } else { &why };
        let cure = format!("correct it, or remove it: unset {name}; {SEE_HELP}");
        Failure::config(format!("the environment variable {name}: {why}"), cure)
    };
    let word = raw.to_str().ok_or_else(|| wrong("it is not UTF-8".into()))?;
    read(word).map(Some).map_err(wrong)
}

/// Fills in missing options from the environment, or else with their defaults.
pub(super) fn complete(given: Given, command: &Command, env: Env<'_>) -> Result<Options, Failure> {
    let mut limits = Limits::default();
    let changes = twin(None, env, "LIMITS", |list| {
        let mut changes = Changes::default();
        changes.add(list).map(|()| changes)
    })?;
    changes.unwrap_or_default().apply(&mut limits);
    given.limits.apply(&mut limits);
    let Given { stripes: count, proxy_users, rules, accept_proxy_protocol, .. } = given;
    let Given { proxy_protocol, striping, proxying, .. } = given;
    let Striping { scheduling, congestion: control, keys, trace } = striping;
    let Proxying { connecting, drain_timeout, control: socket, quiet, http_status } = proxying;
    let Connecting { connect_timeout, verbose, log } = connecting;
    if let Some(listen) = http_status.filter(|listen| listen.port() != 0)
        && command.listens_on().contains(&listen)
    {
        let cause = format!("{listen} is given twice: --http-status needs a port of its own");
        return Err(Failure::usage(cause, "choose another port for one of them"));
    }
    let keys = match command {
        Command::Server { .. } | Command::Client { .. } => keys.complete(env)?,
        _ => keys,
    };
    Ok(Options {
        file: None,
        stripes: twin(count, env, "STRIPES", stripes)?.unwrap_or(4),
        scheduler: twin(scheduling.scheduler, env, "SCHEDULER", |word| chosen(word, SCHEDULERS))?
            .unwrap_or_default(),
        verbosity: match verbosity(verbose, quiet, env)? {
            // The standard error is often that of another program, such as ssh.
            Verbosity::Normal if takes_stdio(command) => Verbosity::Quiet,
            verbosity => verbosity,
        },
        log: twin(log, env, "LOG", |word| chosen(word, LOG_FORMATS))?.unwrap_or(LogFormat::Human),
        connect_timeout: twin(connect_timeout, env, "CONNECT_TIMEOUT", positive_time)?
            .unwrap_or(Duration::from_secs(10)),
        drain_timeout: twin(drain_timeout, env, "DRAIN_TIMEOUT", time)?
            .unwrap_or(Duration::from_secs(30)),
        trace,
        congestion: twin(control, env, "CONGESTION", congestion)?,
        limits,
        keys,
        control: socket.unwrap_or(match takes_stdio(command) {
            // A program such as ssh starts many of these.
            true => Control::Off,
            false => Control::Somewhere,
        }),
        rules,
        proxy_users,
        accept_proxy_protocol,
        proxy_protocol,
        http_status,
    })
}

fn takes_stdio(command: &Command) -> bool {
    let Command::Client { ways, .. } = command else { return false };
    ways.iter().any(|way| matches!(way, Way::Stdio { .. }))
}

fn verbosity(verbose: bool, quiet: bool, env: Env<'_>) -> Result<Verbosity, Failure> {
    let (verbose, quiet) = match (verbose, quiet) {
        (false, false) => {
            let read = |name| Ok(twin(None, env, name, switch)?.unwrap_or(false));
            (read("VERBOSE")?, read("QUIET")?)
        }
        options => options,
    };
    match (verbose, quiet) {
        (true, true) => Err(Failure::config(
            "the environment variables STRIPER_VERBOSE and STRIPER_QUIET can't be used together",
            "remove one of them: unset STRIPER_QUIET",
        )),
        (true, false) => Ok(Verbosity::Verbose),
        (false, true) => Ok(Verbosity::Quiet),
        (false, false) => Ok(Verbosity::Normal),
    }
}
