//! The values that hold with a file, and their sources.

use super::settings::{Setting, key_of, section_of};
use super::source::Source;
use super::stronger::{Stronger, limit_name};
use crate::args::environment;
use crate::args::limits;
use clap::{Arg, Command};
use std::ops::Range;
use striper_runtime::keys::Listed;

/// One value. An option with several has one of these for each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Value {
    /// Its place in a file: `client.stripes`.
    pub key: String,
    /// None if it is not set, and has no default.
    pub value: Option<String>,
    pub from: From,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum From {
    /// The command line.
    Option,
    /// This variable.
    Environment(String),
    /// The file, at this place: `striper.toml:3`.
    File(String),
    Default,
}

/// The values of all options and operands of a command.
pub(super) fn of(
    command: &Command,
    source: &Source,
    stronger: &Stronger<'_>,
    settings: &[&Setting],
    peers: &[(Listed, Range<usize>)],
) -> Vec<Value> {
    let mut values = Vec::new();
    for arg in command.get_arguments() {
        match key_of(arg) {
            Some(name) if name == "limit" => {}
            Some(name) => values.extend(of_option(arg, &name, command, source, stronger, settings)),
            None => {}
        }
    }
    if command.get_arguments().any(|arg| arg.get_long() == Some("limit")) {
        let limits = limits::defaults().into_iter();
        values.extend(
            limits.map(|(name, default)| of_limit(name, default, source, stronger, settings)),
        );
    }
    values.extend(peers.iter().map(|(peer, at)| Value {
        key: "peers".into(),
        value: Some(format!("{} {}", peer.key, peer.name)),
        from: From::File(source.place(at.start)),
    }));
    values
}

fn of_option(
    arg: &Arg,
    name: &str,
    command: &Command,
    source: &Source,
    stronger: &Stronger<'_>,
    settings: &[&Setting],
) -> Vec<Value> {
    let key = match section_of(name) {
        Some((section, key)) => format!("{section}.{key}"),
        None => format!("{}.{name}", command.get_name()),
    };
    let value = |value: String, from| Value { key: key.clone(), value: Some(value), from };
    let options = stronger.options.iter().filter(|(option, _)| option == name);
    let options = options.map(|(_, given)| value(given.clone(), From::Option));
    let variables = stronger.variables.iter().filter(|(option, ..)| option == name);
    let variables = variables
        .map(|(_, variable, given)| value(given.clone(), From::Environment(variable.clone())));
    let of_file = settings.iter().filter(|setting| setting.name == name).map(|setting| {
        let given = setting.value.clone().unwrap_or("true".into());
        value(given, From::File(source.place(setting.span.start)))
    });
    let values: Vec<Value> = options.chain(variables).chain(of_file).collect();
    if !values.is_empty() {
        return values;
    }
    let default = match arg.get_action().takes_values() {
        true => environment::defaults().into_iter().find(|(option, _)| *option == name),
        false => Some((name, "false".to_owned())),
    };
    vec![Value { key, value: default.map(|(_, value)| value), from: From::Default }]
}

fn of_limit(
    name: &str,
    default: String,
    source: &Source,
    stronger: &Stronger<'_>,
    settings: &[&Setting],
) -> Value {
    let in_file = settings.iter().find_map(|setting| {
        let (limit, value) = setting.value.as_deref()?.split_once('=')?;
        let is_it = setting.name == "limit" && limit_name(limit) == name;
        is_it.then(|| (value.to_owned(), From::File(source.place(setting.span.start))))
    });
    let (value, from) = match (stronger.limit(name), in_file) {
        (Some((value, None)), _) => (value, From::Option),
        (Some((value, Some(variable))), _) => (value, From::Environment(variable.to_owned())),
        (None, Some(in_file)) => in_file,
        (None, None) => (default, From::Default),
    };
    Value { key: format!("limits.{name}"), value: Some(value), from }
}
