//! A command line, and the errors of clap about it as failures in our own words.

use super::known::{Known, nearest};
use super::values::{SEE_HELP, choice, did_you_mean};
use crate::endpoint::BadAddress;
use crate::failure::Failure;
use clap::Command;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use std::error::Error;
use std::ffi::OsString;

pub(super) struct Line<'a> {
    pub root: &'a Command,
    pub known: Vec<Known<'a>>,
    /// All words as they were typed.
    pub typed: Vec<OsString>,
    /// The command as it was typed, such as `-s` or `datagram -c`; empty if there is none.
    pub name: String,
    /// The name of the command in clap's definition, or a word in its place.
    pub command: Option<String>,
    /// Whether the words come from a configuration file.
    pub is_file: bool,
}

impl Line<'_> {
    /// The failure of a command whose words do not have its form.
    pub(super) fn wrong(&self, cause: impl Into<String>) -> Failure {
        if self.is_file {
            let cure = format!("striper-cli config example {} has all keys", self.name);
            return Failure::usage(cause, cure);
        }
        let usage = self.definition().and_then(Command::get_overridden_usage);
        let usage = usage.map(ToString::to_string).unwrap_or_default();
        let begin = format!("striper-cli {}", self.name);
        let forms: Vec<&str> = usage.lines().filter(|form| form.starts_with(&begin)).collect();
        Failure::usage(cause, format!("usage: {}", forms.join(", or ")))
    }

    fn definition(&self) -> Option<&Command> {
        self.root.find_subcommand(self.command.as_ref()?)
    }
}

pub(super) fn failure(error: &clap::Error, line: &Line<'_>) -> Failure {
    let args = texts(error, ContextKind::InvalidArg);
    let arg = args.first().map(|arg| bare(arg)).unwrap_or_default();
    let value = texts(error, ContextKind::InvalidValue).concat();
    let about_value = |why: &str, cure: &str| Failure::usage(format!("{arg}: {why}"), cure);
    match error.kind() {
        ErrorKind::UnknownArgument => not_taken(&args.concat(), line),
        ErrorKind::MissingRequiredArgument => {
            let args: Vec<String> = args.iter().map(|arg| bare(arg)).collect();
            let args = args.join(" and ");
            // TARGET of the command server is CONNECT in its short form.
            let args = if line.name == "-s" { args.replace("TARGET", "CONNECT") } else { args };
            line.wrong(format!("{} needs {args}", line.name))
        }
        ErrorKind::ArgumentConflict => {
            let others = texts(error, ContextKind::PriorArg);
            let others: Vec<String> = others.iter().map(|other| bare(other)).collect();
            match others.join(" or ") {
                other if other == arg => {
                    Failure::usage(format!("{arg} is given twice"), "leave one of them out")
                }
                other if [&arg, &other].contains(&&"-c".to_owned()) => {
                    let way = if arg == "-c" { other } else { arg };
                    let cause = format!("{way} is for the command client, not for -c");
                    Failure::usage(cause, "striper-cli client SERVER -L [ADDR:]PORT")
                }
                other => together(&arg, &other),
            }
        }
        ErrorKind::InvalidValue if value.is_empty() => no_value(&arg, line),
        ErrorKind::InvalidValue => {
            about_value(&choice(&value, &texts(error, ContextKind::ValidValue)), SEE_HELP)
        }
        ErrorKind::ValueValidation => {
            let why = error.source().map(ToString::to_string).unwrap_or_default();
            let bad = error.source().and_then(|source| source.downcast_ref::<BadAddress>());
            bad.map_or(about_value(&why, SEE_HELP), |bad| about_value(&bad.cause, &bad.cure))
        }
        ErrorKind::TooManyValues => joined(&arg, &value),
        kind => Failure::usage(kind.to_string(), SEE_HELP),
    }
}

fn texts(error: &clap::Error, kind: ContextKind) -> Vec<&str> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text],
        Some(ContextValue::Strings(texts)) => texts.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    }
}

/// An option without its value, or the name of an operand or a choice without brackets: `--key` of
/// `--key <FILE>`, `FILE` of `[FILE]`, `-c or -s` of `<-c|-s>`.
fn bare(arg: &str) -> String {
    match arg.split_once(' ') {
        Some((option, _)) => option.to_owned(),
        None => arg.trim_matches(['<', '>', '[', ']', '.']).replace('|', " or "),
    }
}

/// The failure for an option that the command does not take, or that there is not, or for a word
/// too many.
pub(super) fn not_taken(arg: &str, line: &Line<'_>) -> Failure {
    let Line { name, known, .. } = line;
    let by_letter = |letter: char| known.iter().find(|known| known.arg.get_short() == Some(letter));
    if let Some(option) = known.iter().find(|known| known.name() == arg) {
        let takers = match option.takers.split_last() {
            Some((last, rest)) if !rest.is_empty() => format!("{} or {last}", rest.join(", ")),
            _ => option.takers.concat(),
        };
        return Failure::usage(
            format!("{name} does not take {arg}"),
            format!("leave it out; it is for striper-cli {takers}"),
        );
    }
    let Some(letters) = arg.strip_prefix('-') else {
        let takes_words = line.definition().is_none_or(|it| it.get_positionals().next().is_some());
        return line.wrong(match takes_words {
            true => format!("\"{arg}\" is one word too many"),
            false => format!("{name} takes no \"{arg}\""),
        });
    };
    // Of several letters behind a dash, clap names only the wrong one.
    let typed = line.typed.iter().map(|word| word.to_string_lossy());
    let mut typed = typed.filter(|word| word.starts_with('-') && word.contains(letters));
    let word = typed.next().unwrap_or(arg.into());
    match letters.chars().next() {
        _ if letters.contains(' ') => in_quotes(&word),
        Some('-') => unknown(arg, nearest(known, &letters[1..]).map(|near| format!("--{near}"))),
        Some('=') => {
            let (option, value) = word.split_once('=').unwrap_or((&word, ""));
            joined(option, value)
        }
        Some(letter) => {
            let lower = letter.to_ascii_lowercase();
            let other = if letter == lower { letter.to_ascii_uppercase() } else { lower };
            let long = nearest(known, &word[1..]).filter(|_| word.len() > 2);
            let other = by_letter(other).map(|_| format!("-{other}"));
            unknown(arg, long.map(|long| format!("--{long}")).or(other))
        }
        None => unknown(arg, None),
    }
}

/// The failure for an option without its value. Another option is no value: `-k -v` lacks a file.
fn no_value(option: &str, line: &Line<'_>) -> Failure {
    let known = line.known.iter().find(|known| known.name() == option);
    let letter = known.and_then(|known| known.arg.get_short());
    let is_it = |word: &str| {
        let ends = letter.is_some_and(|letter| word.ends_with(letter));
        word == option || (word.starts_with('-') && !word.starts_with("--") && ends)
    };
    let pair = line.typed.windows(2).map(|pair| [0, 1].map(|nth| pair[nth].to_string_lossy()));
    match pair.into_iter().find(|[word, next]| is_it(word) && next.starts_with('-')) {
        Some([_, next]) => Failure::usage(
            format!("{option} needs a value, and {next} follows"),
            format!("put the value between them, or write {option}={next} if that is the value"),
        ),
        None => Failure::usage(format!("{option} needs a value"), SEE_HELP),
    }
}

pub(super) fn unknown(option: &str, near: Option<String>) -> Failure {
    let cure = near.map_or(SEE_HELP.into(), |near| format!("did you mean {near}?"));
    Failure::usage(format!("there is no option {option}"), cure)
}

pub(super) fn unknown_command(word: &str, commands: &[&str]) -> Failure {
    if word.contains(' ') {
        return in_quotes(word);
    }
    let cure = match did_you_mean(word, commands) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the commands are -s, -c, {}; {SEE_HELP}", commands.join(", ")),
    };
    Failure::usage(format!("there is no command \"{word}\""), cure)
}

fn in_quotes(word: &str) -> Failure {
    Failure::usage(
        format!("\"{word}\" is one word, with a space in it"),
        "leave out the quotes: each option, value and address is one word",
    )
}

pub(super) fn together(one: &str, other: &str) -> Failure {
    Failure::usage(format!("{one} and {other} can't be used together"), "choose one of them")
}

fn joined(option: &str, value: &str) -> Failure {
    Failure::usage(
        format!("{option} takes no value, and \"{value}\" is joined to it"),
        "leave that out, or put a space between them",
    )
}
