//! The sections and keys of a file, as options and operands of a command.
//!
//! A section has the name of its command, and a key the long name of an option or, in small
//! letters, the name of an operand. So each new option is a key as well.

use super::peers::{self, Peer};
use super::source::Source;
use crate::args::invocation::{Control, Way};
use crate::args::limits::{Changes, defaults};
use crate::args::values::{choice, did_you_mean};
use crate::args::way;
use crate::failure::Failure;
use clap::{Arg, ArgAction, Command};
use std::any::TypeId;
use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use striper_runtime::Target;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The commands that a file can have.
const ROLES: [&str; 3] = ["server", "client", "relay"];

/// Keys of sections that are not named after a command, and the options that they stand for.
const SHARED: [(&str, &str, &str); 3] = [
    ("log", "format", "log"),
    ("metrics", "listen", "http-status"),
    ("control", "socket", "control"),
];

/// The key for `--verbose` and `--quiet`.
const LEVEL: (&str, &str) = ("log", "level");

/// In a file, each way of the option `--listen` of a client is a table of this name.
const FORWARD: (&str, &str) = ("forward", "listen");

/// The section and the key that stand for an option, unless it is in the command's own section.
pub(crate) fn section_of(option: &str) -> Option<(&'static str, &'static str)> {
    let shared = SHARED.iter().find(|(.., known)| *known == option);
    shared.map(|(section, key, _)| (*section, *key))
}

/// One value of an option or operand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Setting {
    pub name: String,
    /// None for a switch.
    pub value: Option<String>,
    /// Its bytes in the file.
    pub span: Range<usize>,
}

#[derive(Debug)]
pub(super) struct Document {
    /// The name of the command, and its place.
    pub role: Spanned<String>,
    pub settings: Vec<Setting>,
    pub peers: Vec<Peer>,
}

/// The name of an option or operand as a key. The short form of a command has none.
pub(crate) fn key_of(arg: &Arg) -> Option<String> {
    let operand = || arg.get_value_names().filter(|_| arg.is_positional());
    let operand = || operand().map(|names| names.concat().to_lowercase());
    arg.get_long().map(str::to_owned).or_else(operand)
}

pub(super) fn read(
    source: &Source,
    root: &Command,
    credentials: Option<&Path>,
) -> Result<Document, Failure> {
    let table = DeTable::parse(source.text()).map_err(|error| {
        let cause = error.message().lines().collect::<Vec<_>>().join(", ");
        let cure = match cause.as_str() {
            "duplicate key" => "write it once; several values stand in brackets, as in [1, 2]",
            _ => "correct it; a text stands in quotes (TOML, https://toml.io)",
        };
        source.failure(error.span().unwrap_or_default(), Failure::config(cause, cure))
    })?;
    let role = role(source, table.get_ref())?;
    let command = root.find_subcommand(role.get_ref()).expect("a role is a command");
    let mut reader = Reader { source, root, command, credentials, settings: Vec::new() };
    let mut peers = Vec::new();
    for (key, value) in entries(table.get_ref()) {
        match (key.get_ref().as_ref(), value.get_ref()) {
            ("peers", _) if reader.arg("peers").is_some() => peers = peers::read(source, value)?,
            (name, DeValue::Table(section)) if name == command.get_name() => {
                reader.role(section)?;
            }
            ("limits", DeValue::Table(section)) if reader.arg("limit").is_some() => {
                reader.limits(section)?;
            }
            (name, DeValue::Table(section)) if reader.sections().contains(&name) => {
                reader.shared(name, section)?;
            }
            _ => return Err(reader.no_section(key, value)),
        }
    }
    let settings = reader.settings;
    Ok(Document { role, settings, peers })
}

/// The keys of a table with their values, as they stand in the file.
pub(super) fn entries<'t, 'i>(
    table: &'t DeTable<'i>,
) -> Vec<(&'t Spanned<Cow<'i, str>>, &'t Spanned<DeValue<'i>>)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    entries
}

fn role(source: &Source, table: &DeTable<'_>) -> Result<Spanned<String>, Failure> {
    let is_role = |key: &str| ROLES.contains(&key);
    let mut roles =
        entries(table).into_iter().map(|(key, _)| key).filter(|key| is_role(key.get_ref()));
    match (roles.next(), roles.next()) {
        (Some(role), None) => Ok(Spanned::new(role.span(), role.get_ref().to_string())),
        (Some(one), Some(other)) => {
            let cause = format!(
                "[{}] and [{}] can't be in one file: a process is one of them",
                one.get_ref(),
                other.get_ref()
            );
            let cure = "make a file for each, and run both";
            Err(source.failure(other.span(), Failure::config(cause, cure)))
        }
        (None, _) => Err(no_role(source, table)),
    }
}

fn no_role(source: &Source, table: &DeTable<'_>) -> Failure {
    let cause = "there is no section [server], [client] or [relay]";
    for (key, _) in entries(table) {
        if let Some(near) = did_you_mean(key.get_ref(), &ROLES) {
            let failure = Failure::config(cause, format!("did you mean [{near}]?"));
            return source.failure(key.span(), failure);
        }
    }
    let cure = "add the section of the command that this file is for; striper-cli config example \
                server shows one";
    source.wrong(cause, cure)
}

struct Reader<'a> {
    source: &'a Source,
    root: &'a Command,
    command: &'a Command,
    /// The folder of systemd's credentials for this process.
    credentials: Option<&'a Path>,
    settings: Vec<Setting>,
}

impl<'a> Reader<'a> {
    fn arg(&self, name: &str) -> Option<&'a Arg> {
        arg(self.command, name)
    }

    fn wrong(
        &self,
        at: Range<usize>,
        cause: impl Into<String>,
        cure: impl Into<String>,
    ) -> Failure {
        self.source.failure(at, Failure::config(cause, cure))
    }

    /// The names of sections that stand for options of the command.
    fn sections(&self) -> Vec<&'static str> {
        let known = SHARED.iter().filter(|(_, _, option)| self.arg(option).is_some());
        known.map(|(section, ..)| *section).collect()
    }

    fn role(&mut self, section: &DeTable<'_>) -> Result<(), Failure> {
        for (key, value) in entries(section) {
            let name = match key.get_ref().as_ref() {
                name if name == FORWARD.0 => FORWARD.1,
                name => name,
            };
            match self.arg(name) {
                Some(arg) => self.option(arg, key.get_ref(), value)?,
                None => return Err(self.no_key(key)),
            }
        }
        Ok(())
    }

    fn shared(&mut self, section: &str, table: &DeTable<'_>) -> Result<(), Failure> {
        for (key, value) in entries(table) {
            let name = key.get_ref().as_ref();
            if (section, name) == LEVEL {
                self.level(value)?;
                continue;
            }
            let is_it = |shared: &&(&str, &str, &str)| (shared.0, shared.1) == (section, name);
            let Some((.., option)) = SHARED.iter().find(is_it) else {
                let names =
                    SHARED.iter().filter(|shared| shared.0 == section).map(|shared| shared.1);
                let level = (section == LEVEL.0).then_some(LEVEL.1);
                let names: Vec<&str> = names.chain(level).collect();
                return Err(unknown(self.source, &format!("[{section}]"), key, &names));
            };
            if let Some(arg) = self.arg(option) {
                self.option(arg, name, value)?;
            }
        }
        Ok(())
    }

    fn level(&mut self, value: &Spanned<DeValue<'_>>) -> Result<(), Failure> {
        const LEVELS: [&str; 3] = ["quiet", "normal", "verbose"];
        let level = word(self.source, "level", value)?;
        match level.as_str() {
            "normal" => {}
            "quiet" | "verbose" => {
                self.settings.push(Setting { name: level, value: None, span: value.span() });
            }
            _ => {
                let why = format!("level: {}", choice(&level, &LEVELS));
                return Err(self.wrong(value.span(), why, "write one of these"));
            }
        }
        Ok(())
    }

    fn limits(&mut self, section: &DeTable<'_>) -> Result<(), Failure> {
        for (key, value) in entries(section) {
            let name = key.get_ref();
            let known = defaults().iter().any(|(limit, _)| limit == name);
            let span = if known { value.span() } else { key.span() };
            self.limit(&format!("{name}={}", word(self.source, name, value)?), span)?;
        }
        Ok(())
    }

    fn limit(&mut self, list: &str, span: Range<usize>) -> Result<(), Failure> {
        let checked = Changes::default().add(list);
        checked.map_err(|why| self.wrong(span.clone(), why, "correct it, or leave it out"))?;
        for word in list.split(',') {
            let value = Some(word.trim().to_owned());
            self.settings.push(Setting { name: "limit".into(), value, span: span.clone() });
        }
        Ok(())
    }

    /// Reads the value or the list of an option.
    fn option(
        &mut self,
        arg: &Arg,
        key: &str,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(), Failure> {
        let span = value.span();
        let name = key_of(arg).unwrap_or_default();
        let takes_value = arg.get_action().takes_values();
        let values = match value.get_ref() {
            DeValue::Boolean(on) if !takes_value => {
                self.settings.extend(on.then_some(Setting { name, value: None, span }));
                return Ok(());
            }
            _ if !takes_value => {
                let cause = format!("{key} takes true or false");
                return Err(self.wrong(span, cause, "write true or false, without quotes"));
            }
            DeValue::Array(list) if matches!(arg.get_action(), ArgAction::Append) => {
                list.iter().collect()
            }
            DeValue::Array(_) => {
                let cause = format!("{key} takes one value, and this is a list");
                return Err(self.wrong(span, cause, "leave out the brackets, and all but one"));
            }
            _ => vec![value],
        };
        let mut words = Vec::new();
        for value in values {
            let word = match value.get_ref() {
                DeValue::Table(table) if is_way(arg) => self.way(key, table, &value.span())?,
                _ => word(self.source, key, value)?,
            };
            words.push((self.full_path(arg, word), value.span()));
        }
        if arg.is_positional() && words.len() > 1 {
            // Several addresses of one server are one word.
            let list: Vec<String> = words.into_iter().map(|(word, _)| word).collect();
            words = vec![(list.join(","), span)];
        }
        for (word, span) in words {
            if name == "limit" {
                self.limit(&word, span)?;
            } else {
                self.settings.push(Setting { name: name.clone(), value: Some(word), span });
            }
        }
        Ok(())
    }

    /// Reads a way of a client: where it listens, and maybe its target.
    fn way(&self, key: &str, table: &DeTable<'_>, span: &Range<usize>) -> Result<String, Failure> {
        let mut parts = [None, None];
        for (name, value) in entries(table) {
            let names = ["listen", "target"];
            let Some(part) = names.iter().position(|known| known == name.get_ref()) else {
                return Err(unknown(self.source, key, name, &names));
            };
            parts[part] = Some((word(self.source, name.get_ref(), value)?, value.span()));
        }
        let [listen, target] = parts;
        let Some((listen, at)) = listen else {
            let cause = format!("{key} has no listen");
            return Err(self.wrong(span.clone(), cause, "add where to listen: listen = \"PORT\""));
        };
        let Some((target, to)) = target else { return Ok(listen) };
        match way::forward(&listen) {
            Ok(Way::Forward { target: Target::Default, .. }) => {}
            Ok(_) => {
                let cause = format!("listen: \"{listen}\" has a target, and target is another");
                return Err(self.wrong(at, cause, "leave one of them out"));
            }
            Err(bad) => return Err(self.wrong(at, format!("listen: {}", bad.cause), bad.cure)),
        }
        match way::stdio(&target) {
            Ok(_) => Ok(format!("{listen}:{target}")),
            Err(bad) => Err(self.wrong(to, format!("target: {}", bad.cause), bad.cure)),
        }
    }

    /// The path from the root: a relative one goes from the folder of the file. The name of a
    /// credential stays as it is: keys are looked up there.
    fn full_path(&self, arg: &Arg, word: String) -> String {
        let is_file = arg.get_value_parser().type_id() == TypeId::of::<PathBuf>();
        let is_socket = arg.get_value_parser().type_id() == TypeId::of::<Control>();
        let is_path = is_file
            || (is_socket && word != "off")
            || word.starts_with("./")
            || word.starts_with("../");
        let holds_keys = ["key", "peers"].map(Some).contains(&arg.get_long());
        let is_credential = |folder: &Path| !word.contains('/') && folder.join(&word).exists();
        let is_credential = holds_keys && self.credentials.is_some_and(is_credential);
        if !is_path || word.is_empty() || is_credential {
            return word;
        }
        let path = self.source.folder().join(word.strip_prefix("./").unwrap_or(&word));
        path.to_string_lossy().into_owned()
    }

    fn no_key(&self, key: &Spanned<Cow<'_, str>>) -> Failure {
        let (name, role) = (key.get_ref().as_ref(), self.command.get_name());
        let others = ROLES.iter().filter(|other| **other != role);
        let has_it = |other: &&&str| {
            self.root.find_subcommand(other).is_some_and(|command| arg(command, name).is_some())
        };
        let others: Vec<String> = others.filter(has_it).map(|other| format!("[{other}]")).collect();
        let known: Vec<String> = self.command.get_arguments().filter_map(key_of).collect();
        let known = known.iter().map(String::as_str);
        let known: Vec<&str> = known.chain(self.arg(FORWARD.1).map(|_| FORWARD.0)).collect();
        let cure = match (others.is_empty(), did_you_mean(name, &known)) {
            (false, _) => format!("leave it out; it is for {}", others.join(" and ")),
            (true, Some(near)) => format!("did you mean {near}?"),
            (true, None) => format!("striper-cli config example {role} has all keys"),
        };
        self.wrong(key.span(), format!("[{role}] has no key {name}"), cure)
    }

    /// The failure for something at the top of the file that is no section of the command.
    fn no_section(&self, key: &Spanned<Cow<'_, str>>, value: &Spanned<DeValue<'_>>) -> Failure {
        let (name, role) = (key.get_ref().as_ref(), self.command.get_name());
        let mut known = self.sections();
        known.push(role);
        known.extend(self.arg("limit").map(|_| "limits"));
        known.extend(self.arg("peers").map(|_| "peers"));
        if known.contains(&name) {
            let cause = format!(
                "{name} is a section, and this is of the type {}",
                value.get_ref().type_str()
            );
            return self.wrong(key.span(), cause, format!("begin the section with [{name}]"));
        }
        if !value.get_ref().is_table() && self.arg(name).is_some() {
            let cause = format!("{name} is in no section");
            return self.wrong(key.span(), cause, format!("put it below [{role}]"));
        }
        let cure = match did_you_mean(name, &known) {
            Some(near) => format!("did you mean {near}?"),
            None => format!("the sections with [{role}] are {}", known.join(", ")),
        };
        self.wrong(key.span(), format!("there is no section {name} for a {role}"), cure)
    }
}

/// The option or operand with this key.
pub(super) fn arg<'c>(command: &'c Command, key: &str) -> Option<&'c Arg> {
    command.get_arguments().find(|arg| key_of(arg).as_deref() == Some(key))
}

fn is_way(arg: &Arg) -> bool {
    arg.get_value_parser().type_id() == TypeId::of::<Way>()
}

/// The failure for a key that is none of these.
pub(super) fn unknown(
    source: &Source,
    whose: &str,
    key: &Spanned<Cow<'_, str>>,
    names: &[&str],
) -> Failure {
    let name = key.get_ref();
    let cure = match did_you_mean(name, names) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the keys are {}", names.join(", ")),
    };
    source.failure(key.span(), Failure::config(format!("{whose} has no key {name}"), cure))
}

/// A text or a whole number.
pub(super) fn word(
    source: &Source,
    key: &str,
    value: &Spanned<DeValue<'_>>,
) -> Result<String, Failure> {
    match value.get_ref() {
        DeValue::String(text) => Ok(text.to_string()),
        DeValue::Integer(number) => Ok(number.to_string()),
        other => {
            let cause = format!(
                "{key} takes a text or a whole number, and this is of the type {}",
                other.type_str()
            );
            let cure = "write the value in quotes, as on a command line";
            Err(source.failure(value.span(), Failure::config(cause, cure)))
        }
    }
}
