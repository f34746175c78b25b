//! Reads a command line word by word. Other modules check whether its parts fit together.

use super::given::Given;
use super::invocation::{Framing, Verb};
use super::options::{self, Declared, Takes};
use super::values::{SEE_HELP, did_you_mean};
use crate::failure::Failure;
use lexopt::{Arg, Parser};
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Chosen {
    pub verb: Verb,
    pub name: String,
    /// The side of a datagram proxy, if it is known already.
    pub side: Option<Framing>,
}

#[derive(Default)]
pub(super) struct Line {
    pub chosen: Option<Chosen>,
    pub words: Vec<String>,
    pub options: Vec<&'static Declared>,
    pub given: Given,
}

impl Line {
    pub(super) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Line, Failure> {
        let mut parser = Parser::from_args(args);
        let mut line = Line::default();
        let mut only_words = false;
        let mut raw = String::new();
        loop {
            // Between several letters behind one dash, the parser shows no raw word.
            if let Some(args) = parser.try_raw_args() {
                raw = args.peek().unwrap_or_default().to_string_lossy().into_owned();
            }
            only_words |= raw == "--";
            if let Some(long) = options::with_one_dash(&raw).filter(|_| !only_words) {
                return Err(Failure::usage(
                    format!("there is no option {raw}"),
                    format!("did you mean --{long}?"),
                ));
            }
            let option = match parser.next().map_err(from_lexopt)? {
                None => return Ok(line),
                Some(Arg::Value(word)) => {
                    line.word(text(word)?)?;
                    continue;
                }
                Some(Arg::Short('s')) => {
                    line.choose(Verb::Server, "-s")?;
                    continue;
                }
                Some(Arg::Short('c')) => {
                    line.choose(Verb::Client, "-c")?;
                    continue;
                }
                Some(Arg::Short(letter)) => {
                    Declared::by_letter(letter).ok_or_else(|| unknown_letter(letter, &raw))?
                }
                Some(Arg::Long(name)) => Declared::by_name(name).ok_or_else(|| {
                    if name.contains(' ') {
                        return in_quotes(&raw);
                    }
                    let near = options::nearest(name).map(|near| format!("--{near}"));
                    unknown(&format!("--{name}"), near)
                })?,
            };
            line.option(option, &mut parser)?;
        }
    }

    fn option(&mut self, option: &'static Declared, parser: &mut Parser) -> Result<(), Failure> {
        let name = format!("--{}", option.long);
        let earlier = self.options.iter().any(|earlier| earlier.long == option.long);
        self.options.push(option);
        let given = &mut self.given;
        match option.takes {
            Takes::Nothing(set) => {
                set(given);
                return Ok(());
            }
            Takes::Text(_, set) => {
                let word = text(operand(parser, &name)?)?;
                set(given, &word)
                    .map_err(|why| Failure::usage(format!("{name}: {why}"), SEE_HELP))?;
            }
            Takes::File(set) => set(given, file(parser, &name)?),
        }
        if earlier && !option.repeats {
            let cure = "leave one of them out";
            return Err(Failure::usage(format!("{name} is given twice"), cure));
        }
        Ok(())
    }

    fn word(&mut self, word: String) -> Result<(), Failure> {
        // Word processors and web pages turn - into such dashes.
        let dashes = |c: char| ('\u{2010}'..='\u{2015}').contains(&c) || c == '\u{2212}';
        if let Some(rest) = word.strip_prefix(dashes) {
            let name = rest.trim_start_matches(|c| c == '-' || dashes(c));
            let dashes = if name.chars().count() == 1 { "-" } else { "--" };
            return Err(Failure::usage(
                format!("\"{word}\" begins with a typographic dash instead of \"-\""),
                format!("type it again: {dashes}{name}"),
            ));
        }
        match (word.as_str(), &self.chosen) {
            ("help", _) if self.words.is_empty() => self.given.help = true,
            (_, Some(_)) => self.words.push(word),
            ("version", None) => self.given.version = true,
            _ => {
                let verb = Verb::ALL.iter().find(|verb| verb.word() == word);
                let verb = *verb.ok_or_else(|| unknown_command(&word))?;
                self.chosen = Some(Chosen { verb, name: word, side: None });
            }
        }
        Ok(())
    }

    /// Takes `-s` or `-c`: a command, or the side of a datagram proxy.
    fn choose(&mut self, verb: Verb, name: &str) -> Result<(), Failure> {
        match &mut self.chosen {
            Some(chosen) if chosen.verb == Verb::Datagram && chosen.side.is_none() => {
                let far = verb == Verb::Client;
                chosen.side = Some(if far { Framing::Far } else { Framing::Near });
                chosen.name = format!("datagram {name}");
            }
            Some(Chosen { name: earlier, .. }) if earlier.split(' ').next_back() == Some(name) => {}
            Some(Chosen { name: earlier, .. }) => {
                let cause = format!("{earlier} and {name} can't be used together");
                return Err(Failure::usage(cause, "choose one of them"));
            }
            none => *none = Some(Chosen { verb, name: name.to_owned(), side: None }),
        }
        Ok(())
    }
}

fn unknown_command(word: &str) -> Failure {
    if word.contains(' ') {
        return in_quotes(word);
    }
    let verbs = Verb::ALL.iter().map(|verb| verb.word());
    let commands: Vec<&str> = verbs.chain(["help", "version"]).collect();
    let cure = match did_you_mean(word, &commands) {
        Some(near) => format!("did you mean {near}?"),
        None => format!("the commands are -s, -c, {}; {SEE_HELP}", commands.join(", ")),
    };
    Failure::usage(format!("there is no command \"{word}\""), cure)
}

fn unknown(option: &str, near: Option<String>) -> Failure {
    let cure = near.map_or(SEE_HELP.into(), |near| format!("did you mean {near}?"));
    Failure::usage(format!("there is no option {option}"), cure)
}

/// The failure for a letter that is no option, in a word such as `-K` or `-sripes`.
fn unknown_letter(letter: char, raw: &str) -> Failure {
    if letter == ' ' {
        return in_quotes(raw);
    }
    let lower = letter.is_ascii_lowercase();
    let other = if lower { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() };
    let known = Declared::by_letter(other).is_some() || ['s', 'c'].contains(&other);
    let long = Some(raw.trim_start_matches('-')).filter(|name| name.len() > 2);
    let long = long.and_then(options::nearest).map(|name| format!("--{name}"));
    unknown(&format!("-{letter}"), long.or(known.then(|| format!("-{other}"))))
}

fn in_quotes(word: &str) -> Failure {
    Failure::usage(
        format!("\"{word}\" is one word, with a space in it"),
        "leave out the quotes: each option, value and address is one word",
    )
}

fn file(parser: &mut Parser, name: &str) -> Result<PathBuf, Failure> {
    let file = operand(parser, name)?;
    if file.is_empty() {
        return Err(Failure::usage(
            format!("{name}: the name of the file is empty"),
            "name a file; if you use a shell variable, make sure that it is set",
        ));
    }
    Ok(file.into())
}

/// The value of an option. Another option is no value: `-k -v` lacks a file.
fn operand(parser: &mut Parser, name: &str) -> Result<OsString, Failure> {
    if let Some(attached) = parser.optional_value() {
        return Ok(attached);
    }
    let next = parser.try_raw_args().and_then(|args| args.peek().map(OsStr::to_owned));
    match next.as_ref().map(|next| next.to_string_lossy()) {
        Some(next) if next.starts_with('-') && next.len() > 1 => Err(Failure::usage(
            format!("{name} needs a value, and {next} follows"),
            format!("put the value between them, or write {name}={next} if that is the value"),
        )),
        _ => parser.value().map_err(|_| Failure::usage(format!("{name} needs a value"), SEE_HELP)),
    }
}

fn text(word: OsString) -> Result<String, Failure> {
    word.into_string().map_err(|word| Failure::usage(format!("{word:?} is not UTF-8"), SEE_HELP))
}

fn from_lexopt(error: lexopt::Error) -> Failure {
    match error {
        lexopt::Error::UnexpectedValue { option, value } => Failure::usage(
            format!("{option} takes no value, and {value:?} is joined to it"),
            "leave that out, or put a space between them",
        ),
        error => Failure::usage(error.to_string(), SEE_HELP),
    }
}
