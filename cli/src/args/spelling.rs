//! The spellings of a command line that clap does not know, put into its order.
//!
//! `-s` stands for `server` and `-c` for `client`, at any place. A command may follow options, and
//! `help` may stand before or behind it. So clap reads a line twice: first the options of all
//! commands and the words, then the command with both.

use super::known::{Known, nearest, options};
use super::refusal::{self, Line, together, unknown, unknown_command};
use super::values::{SEE_HELP, did_you_mean};
use crate::failure::Failure;
use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};
use std::borrow::Cow;
use std::ffi::OsString;

/// Reads a line. The second part is the words in clap's order, with the program's name.
pub(super) fn read(
    typed: Vec<OsString>,
    root: &Command,
) -> Result<(Line<'_>, Vec<OsString>), Failure> {
    let known = options(root);
    let mut line = Line { root, known, typed, name: String::new(), command: None, is_file: false };
    let before_words = line.typed.iter().take_while(|word| *word != "--");
    for word in before_words.filter_map(|word| word.to_str()) {
        if let Some(long) = with_one_dash(&line.known, word) {
            return Err(unknown(word, Some(format!("--{long}"))));
        }
    }
    let all = of_all_commands(&line.known).try_get_matches_from(&line.typed);
    let all = all.map_err(|error| refusal::failure(&error, &line))?;
    let mut words: Vec<OsString> = all.get_many("words").into_iter().flatten().cloned().collect();
    words.iter().try_for_each(|word| check_dash(&word.to_string_lossy()))?;
    let helps = choose(&mut line, &all, &mut words)?;
    let mut ordered = vec![OsString::from("striper-cli")];
    ordered.extend(line.command.iter().map(OsString::from));
    ordered.extend(helps.then(|| "--help".into()));
    line.known.iter().for_each(|known| ordered.extend(again(known, &all)));
    ordered.push("--".into());
    ordered.extend(words);
    Ok((line, ordered))
}

/// A command with the options of all commands and any number of words.
pub(super) fn of_all_commands(known: &[Known<'_>]) -> Command {
    let args = known.iter().map(|Known { arg, .. }| {
        let id = arg.get_id();
        // A command in its short form excludes other options than the side of a datagram proxy.
        let is_short = arg.is_hide_set();
        let arg = if is_short { Arg::new(id).short(arg.get_short()) } else { (*arg).clone() };
        let arg = arg.required(false);
        match arg.get_action().takes_values() && !is_short {
            true => arg,
            false => arg.action(ArgAction::SetTrue).overrides_with(id),
        }
    });
    let words = Arg::new("words").num_args(0..).value_parser(value_parser!(OsString));
    let command = Command::new("striper-cli").no_binary_name(true);
    command.disable_help_flag(true).disable_version_flag(true).args(args).arg(words)
}

/// An option with each of its values, as often as it was given.
fn again(known: &Known<'_>, all: &ArgMatches) -> Vec<OsString> {
    let id = known.arg.get_id().as_str();
    if !known.takes_value() {
        return all.get_flag(id).then(|| known.name().into()).into_iter().collect();
    }
    let with =
        |value| [OsString::from(known.name() + "="), OsString::from(value)].join("".as_ref());
    all.get_raw(id).into_iter().flatten().map(with).collect()
}

/// Finds the command, and takes it and `help` out of the words.
fn choose(
    line: &mut Line<'_>,
    all: &ArgMatches,
    words: &mut Vec<OsString>,
) -> Result<bool, Failure> {
    let commands: Vec<&str> = line.root.get_subcommands().map(Command::get_name).collect();
    let mut take = |is: &dyn Fn(&str) -> bool| {
        let first = words.first()?.to_str().filter(|word| is(word))?.to_owned();
        words.remove(0);
        Some(first)
    };
    let mut helps = take(&|word| word == "help").is_some();
    let command = take(&|word| commands.contains(&word));
    helps |= take(&|word| word == "help").is_some() || all.get_flag("help");
    let short = match (all.get_flag("s"), all.get_flag("c")) {
        (true, true) => return Err(together("-s", "-c")),
        (true, _) => Some(("server", "-s")),
        (_, true) => Some(("client", "-c")),
        _ => None,
    };
    let first = words.first().map(|word| word.to_string_lossy());
    let is_mistyped =
        |word: &&Cow<'_, str>| short.is_none() || did_you_mean(word, &commands).is_some();
    (line.command, line.name) = match (command, short, first.as_ref().filter(is_mistyped)) {
        (Some(command), Some((_, short)), _) if command == "datagram" => {
            let name = format!("{command} {short}");
            (Some(command), name)
        }
        (Some(command), Some((_, short)), _) => return Err(together(&command, short)),
        (Some(command), None, _) => (Some(command.clone()), command),
        (None, _, Some(word)) => return Err(unknown_command(word, &commands)),
        (None, Some((command, short)), None) => (Some(command.to_owned()), short.to_owned()),
        (None, None, None) if helps || all.get_flag("version") => (None, String::new()),
        (None, None, None) => {
            return Err(Failure::usage(
                "the command is missing",
                "striper-cli demo shows what the program does; ".to_owned() + SEE_HELP,
            ));
        }
    };
    Ok(helps)
}

/// Word processors and web pages turn `-` into such dashes.
fn check_dash(word: &str) -> Result<(), Failure> {
    let is_dash = |c: char| ('\u{2010}'..='\u{2015}').contains(&c) || c == '\u{2212}';
    let Some(rest) = word.strip_prefix(is_dash) else { return Ok(()) };
    let name = rest.trim_start_matches(|c| c == '-' || is_dash(c));
    let dashes = if name.chars().count() == 1 { "-" } else { "--" };
    Err(Failure::usage(
        format!("\"{word}\" begins with a typographic dash instead of \"-\""),
        format!("type it again: {dashes}{name}"),
    ))
}

/// The name of the long option that a word with a single dash stands for: `-key`, `-key=FILE`.
fn with_one_dash<'a>(known: &[Known<'a>], word: &str) -> Option<&'a str> {
    let name = word.strip_prefix('-')?.split('=').next()?;
    let exact = known.iter().filter_map(|known| known.arg.get_long()).find(|long| *long == name);
    // -s and -c take no value, so several letters behind them are no value.
    let long = name.len() > 3 && name.starts_with(['s', 'c']);
    exact.or_else(|| nearest(known, name).filter(|_| long))
}
