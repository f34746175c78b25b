//! The names of options in texts, as keys of a file.

use super::settings::{key_of, section_of};
use clap::{Arg, Command};

/// The text with the names of keys instead of options and operands: `key` for `--key` and `-k`.
pub(crate) fn in_keys(command: &Command, text: &str) -> String {
    let name = |word: &str| {
        let is_it = |arg: &&Arg| match word.strip_prefix("--") {
            Some(long) => arg.get_long() == Some(long),
            None if arg.is_positional() => {
                key_of(arg).is_some_and(|key| key.to_uppercase() == word)
            }
            None => arg.get_short().is_some_and(|letter| word == format!("-{letter}")),
        };
        let key = command.get_arguments().find(is_it).and_then(key_of);
        let full = |key: String| match section_of(&key) {
            Some((section, key)) => format!("{section}.{key}"),
            None => key,
        };
        key.map_or(word.to_owned(), full)
    };
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut renamed = String::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (between, from) = rest.split_at(rest.find(is_part).unwrap_or(rest.len()));
        let (word, after) = from.split_at(from.find(|c| !is_part(c)).unwrap_or(from.len()));
        renamed += between;
        renamed += &name(word);
        rest = after;
    }
    renamed
}
