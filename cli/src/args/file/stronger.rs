//! Options of the command line and variables, which replace values of a file.

use super::settings::{Setting, arg};
use crate::args::environment::variables;
use crate::args::values::Env;
use clap::Command;
use std::ffi::OsString;

/// The options that are given elsewhere, with their values.
pub(super) struct Stronger<'a> {
    command: &'a Command,
    /// Of the command line: the name, and the value if it takes one.
    pub options: Vec<(String, String)>,
    /// Of the environment: the name of the option, that of the variable, and its value.
    pub variables: Vec<(String, String, String)>,
}

impl<'a> Stronger<'a> {
    pub(super) fn new(command: &'a Command, overrides: &[OsString], env: Env<'_>) -> Stronger<'a> {
        let read = |word: &OsString| {
            let shown = word.to_string_lossy();
            let value = shown.split_once('=').map_or("true", |(_, value)| value);
            option(word).map(|name| (name.to_owned(), value.to_owned()))
        };
        let options: Vec<_> = overrides.iter().filter_map(read).collect();
        let mut stronger = Stronger { command, options, variables: Vec::new() };
        stronger.variables = variables(env)
            .into_iter()
            .filter(|(name, ..)| arg(command, name).is_some())
            .filter(|(name, ..)| name == "limit" || !stronger.beats_option(name))
            .collect();
        stronger
    }

    /// Whether an option is given elsewhere, or one that excludes it.
    pub(super) fn beats_option(&self, name: &str) -> bool {
        let options = self.options.iter().map(|(option, _)| option);
        let mut names = options.chain(self.variables.iter().map(|(option, ..)| option));
        names.any(|other| other == name || self.exclude(other, name))
    }

    pub(super) fn beats(&self, setting: &Setting) -> bool {
        match (&setting.value, setting.name.as_str()) {
            (Some(limit), "limit") => self.limit(limit_name(limit)).is_some(),
            (_, name) => self.beats_option(name),
        }
    }

    /// The value of a limit, and its variable unless it is that of an option.
    pub(super) fn limit(&self, limit: &str) -> Option<(String, Option<&str>)> {
        let of = |list: &str| {
            let mut words = list.split(',').map(str::trim);
            let word = words.find(|word| limit_name(word) == limit)?;
            word.split_once('=').map(|(_, value)| value.to_owned())
        };
        let mut options = self.options.iter().filter(|(name, _)| name == "limit");
        let mut variables = self.variables.iter().filter(|(name, ..)| name == "limit");
        let option = options.find_map(|(_, list)| of(list).map(|value| (value, None)));
        option.or_else(|| {
            variables.find_map(|(_, name, list)| of(list).map(|value| (value, Some(name.as_str()))))
        })
    }

    fn exclude(&self, one: &str, other: &str) -> bool {
        let excludes = |one: &str, other: &str| {
            let conflicts =
                arg(self.command, one).map(|one| self.command.get_arg_conflicts_with(one));
            conflicts
                .is_some_and(|conflicts| conflicts.iter().any(|arg| arg.get_long() == Some(other)))
        };
        excludes(one, other) || excludes(other, one)
    }
}

/// The long name of an option in a word such as `--key=FILE`.
pub(super) fn option(word: &OsString) -> Option<&str> {
    // The name of an option is ASCII, but its value may be any bytes.
    let bytes = word.as_encoded_bytes().strip_prefix(b"--")?;
    let end = bytes.iter().position(|byte| *byte == b'=').unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).ok().filter(|name| !name.is_empty())
}

/// `sessions` of `sessions=100`.
pub(super) fn limit_name(limit: &str) -> &str {
    limit.split('=').next().unwrap_or_default()
}
