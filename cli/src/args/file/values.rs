//! The values that hold with a file, and their sources.

use super::peers::Peer;
use super::settings::{Setting, key_of, section_of};
use super::source::Source;
use super::stronger::{Stronger, limit_name};
use crate::args::environment;
use crate::args::limits;
use clap::{Arg, Command};
use std::ops::Range;

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
    peers: &[Peer],
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
    values.extend(peers.iter().flat_map(|peer| of_peer(peer, source)));
    values
}

/// A peer, and its rules.
fn of_peer<'a>(
    Peer { listed, span, rules }: &'a Peer,
    source: &'a Source,
) -> impl Iterator<Item = Value> + 'a {
    let value = |key, value, span: &Range<usize>| Value {
        key,
        value: Some(value),
        from: From::File(source.place(span.start)),
    };
    let itself = value("peers".into(), format!("{} {}", listed.key, listed.name), span);
    let rules = rules.iter().map(move |rule| {
        let key = format!("peers.{}.{}", listed.name, rule.name);
        value(key, rule.value.clone().unwrap_or_default(), &rule.span)
    });
    std::iter::once(itself).chain(rules)
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
