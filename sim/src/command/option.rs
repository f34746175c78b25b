//! The values of options. Each error says what is wrong and what to do.

use lexopt::{Arg, Parser, ValueExt};
use std::ops::Range;
use std::path::PathBuf;

pub fn next(parser: &mut Parser) -> Result<Option<Arg<'_>>, String> {
    parser.next().map_err(|error| error.to_string())
}

pub fn value(parser: &mut Parser, name: &str) -> Result<String, String> {
    value_of(parser, name, "--help")
}

pub fn value_of(parser: &mut Parser, name: &str, help: &str) -> Result<String, String> {
    let value = parser.value().map_err(|_| format!("--{name} needs a value; see {help}"))?;
    value.string().map_err(|_| format!("--{name} has a value that is no text"))
}

pub fn file(parser: &mut Parser, name: &str) -> Result<PathBuf, String> {
    let path = parser.value().map_err(|_| format!("--{name} needs a file to write; see --help"))?;
    if path.is_empty() {
        Err(format!("--{name} needs a file to write; its name is empty"))
    } else {
        Ok(path.into())
    }
}

/// A range of seeds such as `0..100`, the end not included.
pub fn seeds(text: &str) -> Result<Range<u64>, String> {
    let bounds =
        text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    bounds.filter(|seeds| !seeds.is_empty()).ok_or_else(|| {
        format!(
            "--seeds: \"{text}\" is no range of seeds; write it like 0..100, the end not included"
        )
    })
}

/// A number from 1 to `most`.
pub fn number(text: &str, name: &str, most: u64) -> Result<u64, String> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    number.ok_or_else(|| format!("--{name}: \"{text}\" is no number from 1 to {most}"))
}

pub fn threads(parser: &mut Parser) -> Result<usize, String> {
    number(&value(parser, "threads")?, "threads", 256).map(|threads| threads as usize)
}

/// An option or value that a command does not take, and the way to what it takes.
pub fn unexpected<T>(arg: Arg, hint: &str) -> Result<T, String> {
    Err(format!("{}; {hint}", arg.unexpected()))
}
