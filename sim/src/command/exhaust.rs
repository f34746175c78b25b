//! `sim exhaust`: which worlds, and how the search went.

use super::option;
use crate::base::{in_order, say};
use crate::search::exhaust::breadth::{Counts, Found, Violation};
use crate::search::exhaust::depth::Way;
use crate::search::exhaust::world::World;
use crate::search::exhaust::{breadth, depth, retrace, worlds};
use lexopt::{Arg, Parser};
use std::fmt::Write;

pub const HELP: &str = include_str!("help/exhaust.txt");

/// With more states the second search keeps ends: to live through all would take too long.
const LIVED: u64 = 100_000;

#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Options {
    quick: bool,
    world: Option<String>,
    limit: Option<usize>,
    path: Option<Vec<u32>>,
    list: bool,
    json: bool,
    help: bool,
}

impl Options {
    pub fn parse(parser: &mut Parser) -> Result<Self, String> {
        let mut options = Options::default();
        let value = |parser: &mut _, name| option::value_of(parser, name, "exhaust --help");
        while let Some(arg) = option::next(parser)? {
            let hint = "see exhaust --help for what there is";
            match arg {
                Arg::Short('h') | Arg::Long("help") => options.help = true,
                Arg::Long("quick") => options.quick = true,
                Arg::Long("list") => options.list = true,
                Arg::Long("json") => options.json = true,
                Arg::Long("world") => options.world = Some(value(parser, "world")?),
                Arg::Long("limit") => {
                    let limit = option::number(&value(parser, "limit")?, "limit", 1_000_000_000)?;
                    options.limit = Some(limit as usize);
                }
                Arg::Long("path") => {
                    let text = value(parser, "path")?;
                    let path: Result<_, _> = text.split('.').map(str::parse).collect();
                    let wrong = |_| format!("--path: \"{text}\" is no list such as 0.3.1");
                    options.path = Some(path.map_err(wrong)?);
                }
                Arg::Long(name) => return Err(format!("--{name} is unknown to exhaust; {hint}")),
                arg => return option::unexpected(arg, hint),
            }
        }
        if let Some(name) = &options.world
            && !worlds::all().iter().any(|world| world.name == name)
        {
            let known: Vec<_> = worlds::all().iter().map(|world| world.name).collect();
            return Err(format!("--world: \"{name}\" is unknown; there are {}", known.join(", ")));
        }
        if options.path.is_some() && options.world.is_none() {
            return Err("--path needs --world: a way through which world?".into());
        }
        Ok(options)
    }
}

/// Prints to standard output; `false` if there is a violation.
pub fn run(options: &Options) -> bool {
    if options.help {
        say(HELP);
        return true;
    }
    let chosen = |world: &World| match &options.world {
        Some(name) => world.name == name,
        None => !options.quick || world.is_quick,
    };
    let worlds: Vec<_> = worlds::all().into_iter().filter(chosen).collect();
    if options.list {
        worlds.iter().for_each(|world| say(describe(world)));
        return true;
    }
    // The report tells the violation: a backtrace for each panic would drown it.
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let is_well = match &options.path {
        Some(path) => go(&worlds[0], path),
        None => search_all(&worlds, options),
    };
    std::panic::set_hook(hook);
    is_well
}

fn describe(world: &World) -> String {
    let marks = [
        (world.plan.late_timers, "late"),
        (world.plan.coarse, "coarse"),
        (world.is_quick, "quick"),
    ];
    let marks: Vec<_> = marks.iter().filter(|(on, _)| *on).map(|(_, mark)| *mark).collect();
    format!("{:<16} {} [{}] {:?}\n", world.name, world.about, marks.join(", "), world.budget)
}

fn go(world: &World, path: &[u32]) -> bool {
    let mut number = 0;
    let mut tell = |line| {
        number += 1;
        say(format_args!("{number:>4}  {line}\n"));
    };
    let result = retrace::retrace(world, path, &mut tell);
    match &result {
        Ok(()) => say("nothing is wrong there\n"),
        Err(what) => say(format_args!("      {what}\n")),
    }
    result.is_ok()
}

/// Searches two worlds at a time and prints them in their order. Whether all is well.
fn search_all(worlds: &[World], options: &Options) -> bool {
    if !options.json {
        say(format_args!(
            "{:<16} {:>11} {:>12} {:>8} {:>6} {:>9} {:>10}  second search\n",
            "world", "states", "transitions", "terminal", "depth", "ends", "inputs"
        ));
    }
    let work = |nth| {
        let world = &worlds[nth as usize];
        let found = breadth::search(world, options.limit.unwrap_or(15_000_000));
        let is_sound = found.is_whole && found.violation.is_none();
        let counts = found.counts;
        let way = if counts.states <= LIVED { Way::Living } else { Way::Kept };
        let again = is_sound.then(|| depth::count(world, way, counts.states as usize));
        let second = again.flatten();
        let show = if options.json { json } else { line };
        (found.is_whole && second == Some(counts), show(world, &found, second))
    };
    let mut is_well = true;
    in_order(worlds.len() as u64, 2, work, |(is_sound, text)| {
        is_well &= is_sound;
        say(text);
    });
    is_well
}

fn line(world: &World, found: &Found, second: Option<Counts>) -> String {
    let Counts { states, transitions, terminal } = found.counts;
    let way = if states <= LIVED { "lived through" } else { "depth first" };
    let second = match second {
        _ if found.violation.is_some() => "-".to_owned(),
        _ if !found.is_whole => "too large, not all of it was seen".to_owned(),
        Some(counts) if counts == found.counts => format!("the same, {way}"),
        other => format!("DIFFERS, {way}: {other:?}"),
    };
    let mut text = format!(
        "{:<16} {states:>11} {transitions:>12} {terminal:>8} {:>6} {:>9} {:>10}  {second}\n",
        world.name, found.depth, found.ends, found.inputs
    );
    if let Some(Violation { what, path }) = &found.violation {
        let _ = writeln!(text, "  VIOLATION after {} events: {what}", path.len() - 1);
        let mut number = 0;
        let mut tell = |line| {
            number += 1;
            let _ = writeln!(text, "  {number:>4}  {line}");
        };
        let again = retrace::retrace(world, path, &mut tell);
        let agrees =
            if again.is_err() { "" } else { " (but sessions that live through it find nothing)" };
        let (name, path) = (world.name, joined(path));
        let _ = writeln!(text, "  to repeat{agrees}: {COMMAND} --world {name} --path {path}");
    }
    text
}

fn joined(path: &[u32]) -> String {
    path.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

const COMMAND: &str = "cargo run --release -p sim -- exhaust";

fn json(world: &World, found: &Found, second: Option<Counts>) -> String {
    let Counts { states, transitions, terminal } = found.counts;
    let agrees = second == Some(found.counts);
    let violation = found.violation.as_ref().map_or("null".to_owned(), |violation| {
        let plain = |c: char| if c == '"' || c == '\\' || c.is_control() { '\'' } else { c };
        let what: String = violation.what.chars().map(plain).collect();
        format!("{{\"what\":\"{what}\",\"path\":\"{}\"}}", joined(&violation.path))
    });
    format!(
        "{{\"world\":\"{}\",\"states\":{states},\"transitions\":{transitions},\
         \"terminal\":{terminal},\"depth\":{},\"ends\":{},\"inputs\":{},\"whole\":{},\
         \"second_search_agrees\":{agrees},\"violation\":{violation}}}\n",
        world.name, found.depth, found.ends, found.inputs, found.is_whole
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options, String> {
        Options::parse(&mut Parser::from_args(line.split_whitespace()))
    }

    #[test]
    fn options_are_understood_and_mistakes_answered_with_a_cure() {
        let options = Options { quick: true, json: true, ..Options::default() };
        assert_eq!(parse("--quick --json"), Ok(options));
        assert_eq!(parse("--world 1x2x0 --path 0.12.3").unwrap().path, Some(vec![0, 12, 3]));
        for (line, hint) in [
            ("--world 9x9", "there are 1x2x0"),
            ("--path 0.1", "which world"),
            ("--world 1x2x0 --path 0,1", "such as 0.3.1"),
            ("--limit 0", "from 1 to 1000000000"),
            ("--limit", "needs a value"),
            ("--seed 1", "exhaust --help"),
            ("all", "exhaust --help"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }

    #[test]
    fn both_searches_count_the_same_and_find_nothing() {
        let quick = worlds::all().into_iter().filter(|world| world.is_quick);
        let small: Vec<_> = quick
            .map(|world| (breadth::search(&world, 20_000), world))
            .filter(|(found, _)| found.is_whole)
            .collect();
        assert!(small.len() >= 10, "{} worlds are small", small.len());
        for (found, world) in small {
            assert!(found.violation.is_none(), "{}: {:?}", world.name, found.violation);
            for way in [Way::Living, Way::Kept] {
                let counts = depth::count(&world, way, 20_000);
                assert_eq!(counts, Some(found.counts), "{}, {way:?}", world.name);
            }
        }
    }
}
