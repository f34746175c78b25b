//! The options of all commands, looked up in clap's definition. clap itself looks only at the
//! command that a line chooses.

use super::values::did_you_mean;
use clap::{Arg, Command};

/// An option, with the commands that take it.
pub(crate) struct Known<'a> {
    pub arg: &'a Arg,
    /// None if every command takes it.
    pub takers: Vec<String>,
}

/// Each option once: first those of few commands.
pub(crate) fn options(root: &Command) -> Vec<Known<'_>> {
    let mut known: Vec<Known<'_>> = Vec::new();
    for command in root.get_subcommands() {
        for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
            match known.iter_mut().find(|known| known.arg.get_id() == arg.get_id()) {
                Some(known) => known.takers.push(spelled(command, arg)),
                None => known.push(Known { arg, takers: vec![spelled(command, arg)] }),
            }
        }
    }
    known.sort_by_key(|known| known.takers.len());
    known.extend(root.get_arguments().map(|arg| Known { arg, takers: Vec::new() }));
    known
}

/// The shortest name of a command that takes the option: `-s` for `server`.
fn spelled(command: &Command, arg: &Arg) -> String {
    let mut hidden = command.get_arguments().filter(|arg| arg.is_hide_set());
    let is_excluded = hidden.any(|short| command.get_arg_conflicts_with(short).contains(&arg));
    let short = command.get_short_flag().filter(|_| !is_excluded);
    short.map_or(command.get_name().to_owned(), |letter| format!("-{letter}"))
}

/// The long option that a word is probably a typing error of.
pub(super) fn nearest<'a>(known: &[Known<'a>], word: &str) -> Option<&'a str> {
    let names: Vec<&str> = known.iter().filter_map(|known| known.arg.get_long()).collect();
    did_you_mean(word, &names)
}

impl Known<'_> {
    pub(crate) fn takes_value(&self) -> bool {
        self.arg.get_action().takes_values()
    }

    /// Its long name, or else its letter, with dashes.
    pub(crate) fn name(&self) -> String {
        let letter = || format!("-{}", self.arg.get_short().unwrap_or_default());
        self.arg.get_long().map_or_else(letter, |long| format!("--{long}"))
    }
}
