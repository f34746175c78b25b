//! `-f FILE`: a configuration file, which is another spelling of the command line.
//!
//! Its keys become words for the same parser, and each word remembers its place in the file. An
//! option of the command line replaces the values of the file, and so does a variable.

mod names;
mod peers;
mod settings;
mod source;
mod stronger;
mod values;

pub(crate) use names::in_keys;
pub(crate) use settings::{key_of, section_of};
pub(crate) use values::{From, Value};

use super::cli::Cli;
use super::invocation::Invocation;
use super::known::options;
use super::refusal::{self, Line, together};
use super::spelling::of_all_commands;
use super::values::{Env, SEE_HELP};
use crate::failure::{Failure, code};
use clap::{Arg, Command, CommandFactory};
use settings::{Document, Setting, arg};
use source::Source;
use std::ffi::OsString;
use std::path::Path;
use stronger::{Stronger, option};

/// The commands that read a file. They take all options that the command in the file takes.
const READERS: [&str; 3] = ["run", "check", "config"];

/// Takes the options for the command in a file out of the words of a command that reads one.
pub(super) fn split(line: &Line<'_>, words: Vec<OsString>) -> (Vec<OsString>, Vec<OsString>) {
    let reader = line.command.as_deref().filter(|name| READERS.contains(name));
    let Some(reader) = reader.and_then(|name| line.root.find_subcommand(name)) else {
        return (words, Vec::new());
    };
    let is_own = |word: &OsString| {
        let own = |command: &Command| option(word).is_some_and(|name| arg(command, name).is_some());
        own(reader) || own(line.root) || option(word).is_none()
    };
    let end = words.iter().position(|word| word == "--").unwrap_or(words.len());
    let (mut own, mut overrides) = (Vec::new(), Vec::new());
    for (nth, word) in words.into_iter().enumerate() {
        let part = if nth >= end || is_own(&word) { &mut own } else { &mut overrides };
        part.push(word);
    }
    (own, overrides)
}

/// Reads the words of a line for a command.
pub(super) type Interpret<'a> = &'a dyn Fn(&Line<'_>, Vec<OsString>) -> Result<Invocation, Failure>;

/// The meaning of a file together with options and variables, and the source of each value.
pub(super) struct File {
    pub invocation: Invocation,
    pub values: Vec<Value>,
}

pub(super) fn read(
    path: &Path,
    overrides: &[OsString],
    env: Env<'_>,
    interpret: Interpret<'_>,
) -> Result<File, Failure> {
    combine(&Source::read(path)?, overrides, env, interpret)
}

fn combine(
    source: &Source,
    overrides: &[OsString],
    env: Env<'_>,
    interpret: Interpret<'_>,
) -> Result<File, Failure> {
    let root = Cli::command();
    let credentials = env("CREDENTIALS_DIRECTORY").filter(|folder| !folder.is_empty());
    let document = settings::read(source, &root, credentials.as_deref().map(Path::new))?;
    let role = document.role.get_ref().clone();
    let command = root.find_subcommand(&role).expect("a role is a command");
    let line = Line {
        root: &root,
        known: options(&root),
        typed: Vec::new(),
        name: role.clone(),
        command: Some(role),
        is_file: true,
    };
    for name in overrides.iter().filter_map(option) {
        if arg(command, name).is_none_or(Arg::is_positional) {
            return Err(refusal::not_taken(&format!("--{name}"), &line));
        }
    }
    let merger = Merger { source, document: &document, command, line, overrides, interpret };
    merger.check_values()?;
    merger.check_peers()?;
    let stronger = Stronger::new(command, overrides, env);
    let kept = |setting: &&Setting| !stronger.beats(setting);
    let settings: Vec<&Setting> = document.settings.iter().filter(kept).collect();
    let mut invocation =
        merger.merge(&settings, overrides).map_err(|failure| merger.explain(failure, &settings))?;
    let peers = match stronger.beats_option("peers") {
        true => &[][..],
        false => &document.peers[..],
    };
    invocation.options.keys.listed = peers.iter().map(|peer| peer.listed.clone()).collect();
    invocation.options.file = Some(source.path().to_owned());
    let values = values::of(command, source, &stronger, &settings, peers);
    Ok(File { invocation, values })
}

struct Merger<'a> {
    source: &'a Source,
    document: &'a Document,
    /// The command in the file.
    command: &'a Command,
    line: Line<'a>,
    overrides: &'a [OsString],
    interpret: Interpret<'a>,
}

impl Merger<'_> {
    /// Reads a value after the other, so that an error has its place.
    fn check_values(&self) -> Result<(), Failure> {
        let mut parser = of_all_commands(&self.line.known);
        let mut check = |settings: &[&Setting]| {
            let words: Vec<String> = settings.iter().filter_map(|setting| word(setting)).collect();
            parser.try_get_matches_from_mut(words)
        };
        let is_option = |setting: &&Setting| {
            arg(self.command, &setting.name).is_some_and(|arg| !arg.is_positional())
        };
        let options: Vec<&Setting> = self.document.settings.iter().filter(is_option).collect();
        if check(&options).is_ok() {
            return Ok(());
        }
        for setting in options {
            if let Err(error) = check(&[setting]) {
                let failure = in_words_of(self.command, refusal::failure(&error, &self.line));
                return Err(self.source.failure(setting.span.clone(), failure));
            }
        }
        // An option that is given twice: the command's own parser finds it.
        Ok(())
    }

    /// Peers can't be listed here as well as in a file of their own, and not without a key.
    fn check_peers(&self) -> Result<(), Failure> {
        let excludes = |setting: &&Setting| ["peers", "plain"].contains(&setting.name.as_str());
        let other = self.document.settings.iter().find(excludes);
        match (self.document.peers.first(), other) {
            (Some(peer), Some(other)) => {
                Err(self.source.failure(peer.span.clone(), together(&other.name, "[[peers]]")))
            }
            _ => Ok(()),
        }
    }

    /// Reads the line that these settings and options make.
    fn merge(&self, settings: &[&Setting], options: &[OsString]) -> Result<Invocation, Failure> {
        let mut words: Vec<OsString> = vec!["striper-cli".into(), self.command.get_name().into()];
        words.extend(settings.iter().filter_map(|setting| {
            let arg = arg(self.command, &setting.name)?;
            word(setting).filter(|_| !arg.is_positional()).map(OsString::from)
        }));
        words.extend(options.iter().cloned());
        words.push("--".into());
        for operand in self.command.get_positionals() {
            let is_it = |setting: &&&Setting| key_of(operand).as_ref() == Some(&setting.name);
            let mut given = settings.iter().filter(is_it).peekable();
            if operand.is_required_set() && given.peek().is_none() {
                // The next operand would take its place.
                let name = key_of(operand).unwrap_or_default();
                return Err(self.line.wrong(format!("{} needs {name}", self.line.name)));
            }
            words.extend(given.filter_map(|setting| setting.value.clone()).map(OsString::from));
        }
        (self.interpret)(&self.line, words)
    }

    /// Gives a failure its place: that of the value without which it would be none, or another.
    fn explain(&self, failure: Failure, settings: &[&Setting]) -> Failure {
        let all: Vec<&Setting> = self.document.settings.iter().collect();
        let is_by_options = || !self.overrides.is_empty() && self.merge(&all, &[]).is_ok();
        // A variable of the environment has a code of its own.
        if failure.code != code::USAGE || is_by_options() {
            return failure;
        }
        let cause = in_keys(self.command, &failure.cause);
        let is_in = |part: &str| cause.contains(part);
        let is_named = |is_it: &dyn Fn(&Setting) -> bool| {
            let mut named = settings.iter().filter(|setting| is_it(setting));
            named.any(|Setting { name, value, .. }| {
                is_in(name) || value.as_deref().is_some_and(is_in)
            })
        };
        let without = |is_left: &dyn Fn(&Setting) -> bool| {
            let rest: Vec<&Setting> =
                settings.iter().filter(|setting| !is_left(setting)).copied().collect();
            match self.merge(&rest, self.overrides) {
                Ok(_) => 2,
                Err(other) => u8::from(other.cause != failure.cause && is_named(is_left)),
            }
        };
        // First all values of a name together: there may be very many.
        let mut names: Vec<&str> = settings.iter().map(|setting| setting.name.as_str()).collect();
        names.dedup();
        let worst = names.into_iter().max_by_key(|name| without(&|setting| setting.name == *name));
        let guilty = worst.filter(|name| without(&|setting| setting.name == *name) > 0);
        let ours = settings.iter().filter(|setting| Some(setting.name.as_str()) == guilty);
        let few = ours.take(MANY).collect::<Vec<_>>();
        let value = few.into_iter().max_by_key(|one| without(&|setting| setting == **one));
        let span = value.map_or_else(|| self.document.role.span(), |setting| setting.span.clone());
        self.source.failure(span, in_words_of(self.command, failure))
    }
}

/// The failure of a start, if what it says is in a file.
pub(crate) fn of_file(file: &Path, role: &str, failure: Failure) -> Failure {
    let root = Cli::command();
    match root.find_subcommand(role) {
        Some(command) if failure.code == code::USAGE => {
            let failure = in_words_of(command, failure);
            let cause = format!("{}: {}", file.display(), failure.cause);
            Failure { code: code::CONFIG, cause, ..failure }
        }
        _ => failure,
    }
}

fn in_words_of(command: &Command, failure: Failure) -> Failure {
    let cure = failure.cure.map(|cure| match cure.as_str() {
        SEE_HELP => format!("striper-cli config example {} explains it", command.get_name()),
        cure => in_keys(command, cure),
    });
    Failure { cause: in_keys(command, &failure.cause), cure, ..failure }
}

/// The most values of one name that are tried for the one that is wrong.
const MANY: usize = 64;

fn word(setting: &Setting) -> Option<String> {
    let Setting { name, value, .. } = setting;
    Some(match value {
        Some(value) => format!("--{name}={value}"),
        None => format!("--{name}"),
    })
}

#[cfg(test)]
mod tests;
