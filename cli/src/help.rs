//! The manual and the page of each command, from clap's definition, for `--help`.

use crate::args::{Cli, options};
use clap::{Arg, Command, CommandFactory};
use std::fmt::Write;

/// The page of a command, or else the manual.
pub(crate) fn page(topic: Option<&str>) -> String {
    let root = Cli::command();
    match topic.and_then(|topic| root.find_subcommand(topic)) {
        Some(command) => of_command(&root, command),
        None => manual(&root),
    }
}

fn manual(root: &Command) -> String {
    let [about, before, after] =
        [root.get_about(), root.get_long_about(), root.get_after_help()].map(text);
    let commands: String = root.get_subcommands().map(forms).collect();
    let help = columns("help [COMMAND]", "this manual, or the page of a command");
    let known = options(root);
    let known = known.iter().filter(|known| known.arg.get_long().is_some());
    let rows = known.map(|known| match known.takers.is_empty() {
        true => row(known.arg, ""),
        false => row(known.arg, &format!("{}: ", known.takers.join(", "))),
    });
    let rows: String = rows.collect();
    format!(
        "{} - {about}\n\n{before}\n\nCOMMANDS\n{commands}{help}\nOPTIONS (anywhere on the line; \
         each once, unless its text says otherwise)\n{rows}\n{after}\n",
        root.get_name()
    )
}

/// The forms of a command, and what it does.
fn forms(command: &Command) -> String {
    let usage = text(command.get_overridden_usage()).replace("striper-cli ", "");
    let (first, rest) = usage.split_once('\n').unwrap_or((&usage, ""));
    let rest: String = rest.lines().map(|form| format!("  {form}\n")).collect();
    columns(first, &text(command.get_about())) + &rest
}

fn of_command(root: &Command, command: &Command) -> String {
    let [usage, about, examples] =
        [command.get_overridden_usage(), command.get_long_about(), command.get_after_help()]
            .map(text);
    let usage: String = usage.lines().map(|line| format!("  {line}\n")).collect();
    // The first paragraph is for lists of commands.
    let about = about.split_once("\n\n").map_or(about.as_str(), |(_, about)| about);
    let about = wrapped(about, WIDTH).join("\n");
    let args = command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set());
    let rows: String = args.chain(root.get_arguments()).map(|arg| row(arg, "")).collect();
    format!(
        "USAGE\n{usage}\n{about}\n\nOPTIONS\n{rows}\n{examples}\n\nThe manual: striper-cli --help\n"
    )
}

pub(crate) fn text(styled: Option<&impl ToString>) -> String {
    styled.map(ToString::to_string).unwrap_or_default()
}

const INDENT: usize = 30;
const WIDTH: usize = 80;

fn row(arg: &Arg, before: &str) -> String {
    let names = match (arg.get_short(), arg.get_long()) {
        (Some(letter), Some(long)) => format!("-{letter}, --{long}"),
        (Some(letter), None) => format!("-{letter}"),
        (None, long) => format!("    --{}", long.unwrap_or_default()),
    };
    let values = arg.get_value_names().filter(|_| arg.get_action().takes_values());
    let value = values.map(|names| format!(" {}", names.join(" "))).unwrap_or_default();
    columns(&format!("{names}{value}"), &format!("{before}{}", text(arg.get_help())))
}

/// A name, and a text in a column beside it, or below it if the name is too long.
fn columns(name: &str, text: &str) -> String {
    let mut first = format!("  {name}");
    let mut row = String::new();
    if first.len() >= INDENT {
        row = std::mem::take(&mut first) + "\n";
    }
    for line in wrapped(text, WIDTH - INDENT) {
        let _ = writeln!(row, "{first:INDENT$}{line}");
        first.clear();
    }
    row
}

/// A text in lines of at most `width`. A line that begins with a space stays as it is.
pub(crate) fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.lines() {
        if paragraph.starts_with(' ') {
            lines.push(paragraph.to_owned());
            continue;
        }
        let mut line = String::new();
        for word in paragraph.split(' ') {
            if line.is_empty() {
                word.clone_into(&mut line);
            } else if line.chars().count() + 1 + word.chars().count() > width {
                lines.push(std::mem::replace(&mut line, word.to_owned()));
            } else {
                line = format!("{line} {word}");
            }
        }
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{self, Known, VARIABLES, limit_defaults};
    use std::ffi::OsString;

    /// The name and the page of each command.
    fn commands() -> Vec<(String, String)> {
        let root = Cli::command();
        let names = root.get_subcommands().map(Command::get_name);
        names.map(|name| (name.to_owned(), page(Some(name)))).collect()
    }

    fn words(line: &str) -> impl Iterator<Item = OsString> {
        line.split(' ').map(OsString::from)
    }

    #[test]
    fn the_help_fits_a_terminal() {
        let pages = commands().into_iter().map(|(_, page)| page);
        for page in pages.chain([page(None)]) {
            for line in page.lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    #[test]
    fn the_help_has_each_limit_with_its_default() {
        let manual = page(None);
        for (name, default) in limit_defaults() {
            let is_there = |line: &str| {
                let words: Vec<_> = line.split_whitespace().take(2).collect();
                words == [name, &default]
            };
            assert!(manual.lines().any(is_there), "{name} {default} in the help");
        }
    }

    #[test]
    fn the_manual_has_every_variable_exit_code_and_note_of_the_status_line() {
        let manual = page(None);
        let variables = VARIABLES.iter().map(|name| format!("STRIPER_{name}"));
        let codes = (0..=8).map(|code| format!("\n  {code}  "));
        let others = ["NO_COLOR", "(kept until ", "(2 kept until ", "(may finish until "];
        for part in variables.chain(codes).chain(others.map(str::to_owned)) {
            assert!(manual.contains(&part), "{part}");
        }
    }

    /// Whether a page has a row for the option.
    fn has_row(page: &str, option: &Known<'_>) -> bool {
        let is_row = |line: &&str| line.starts_with("  ") && !line.contains("striper-cli");
        let has_it = |line: &str| line.split(' ').take(2).any(|word| word == option.name());
        page.lines().filter(is_row).map(str::trim_start).any(has_it)
    }

    #[test]
    fn the_manual_has_every_option_and_every_command() {
        let (root, manual) = (Cli::command(), page(None));
        for option in options(&root).iter().filter(|option| option.arg.get_long().is_some()) {
            assert!(has_row(&manual, option), "{}", option.name());
        }
        let lines: Vec<&str> = manual.lines().map(str::trim_start).collect();
        let names = root.get_subcommands().map(Command::get_name);
        for name in names.chain(["-s", "-c", "help"]) {
            assert!(lines.iter().any(|line| line.split(' ').next() == Some(name)), "{name}");
        }
    }

    #[test]
    fn a_page_has_the_options_that_its_command_takes_and_no_others() {
        let root = Cli::command();
        for (name, page) in commands() {
            let command = root.find_subcommand(&name).unwrap();
            let takes = |option: &Known<'_>| {
                let mut args = command.get_arguments().chain(root.get_arguments());
                args.any(|arg| arg.get_id() == option.arg.get_id() && !arg.is_hide_set())
            };
            for option in options(&root) {
                assert_eq!(has_row(&page, &option), takes(&option), "{} in {name}", option.name());
            }
        }
    }

    #[test]
    fn the_command_lines_of_the_readme_are_right() {
        let lines = include_str!("../../README.md").lines();
        let lines: Vec<String> = lines
            .filter_map(|line| line.strip_prefix("striper-cli "))
            .map(|line| line.replace('\'', ""))
            .collect();
        assert!(lines.len() >= 3, "{lines:?}");
        for line in lines {
            let read = args::parse(words(&line), |_| None);
            assert!(read.is_ok(), "{line}: {read:?}");
        }
    }

    #[test]
    fn the_examples_of_a_page_are_lines_of_its_command() {
        for (name, page) in commands() {
            let (_, examples) = page.split_once("\nEXAMPLES\n").expect("examples");
            let examples = examples.lines().map_while(|line| line.strip_prefix("  striper-cli "));
            let examples: Vec<String> = examples.map(|line| line.replace('\'', "")).collect();
            assert!(!examples.is_empty(), "{name}");
            for example in examples {
                if !example.contains(" -f ") {
                    let read = args::parse(words(&example), |_| None);
                    assert!(read.is_ok(), "{example}: {read:?}");
                }
                let help = args::parse(words(&format!("{example} --help")), |_| None).unwrap();
                assert_eq!(help.command, args::Command::Help(Some(name.clone())), "{example}");
            }
        }
    }
}
