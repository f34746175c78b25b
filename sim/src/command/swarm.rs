//! `sim swarm` and `sim run`: random worlds, and one of them.

use super::measure::OPTIONS;
use super::option::{self, file, value};
use crate::base::{Failure, all_cores, say};
use crate::run::record as recordings;
use crate::search::swarm;
use crate::search::swarm::sweep::sweep;
use crate::search::swarm::{Scenario, Size, draw_sized, keep, record, script, shrink, terse};
use lexopt::{Arg, Parser};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Which scenario, and what to record of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// The scenario.
    pub script: Script,
    /// Record every session to a file whose name begins so.
    pub trace: Option<PathBuf>,
    /// Print the trace of the session of this name.
    pub session: Option<String>,
    /// Do it with this planted bug.
    pub bug: Option<String>,
}

/// Where a script is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Script {
    /// In a file.
    File(PathBuf),
    /// On the command line, its lines parted by semicolons.
    Inline(String),
}

/// Which random worlds, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Swarm {
    /// One a seed.
    pub seeds: Range<u64>,
    /// How large.
    pub size: Size,
    /// How many at a time.
    pub threads: usize,
    /// Print JSON.
    pub json: bool,
    /// Make the first failure smaller, and write it down.
    pub shrink: bool,
    /// The folder in which a failure's folder is made.
    pub out: PathBuf,
    /// Do it with this planted bug.
    pub bug: Option<String>,
}

impl Default for Swarm {
    fn default() -> Self {
        Swarm {
            seeds: 0..1_000,
            size: Size::Small,
            threads: all_cores(),
            json: false,
            shrink: true,
            out: PathBuf::new(),
            bug: None,
        }
    }
}

impl Swarm {
    /// Reads what follows `swarm` on the command line; `None` if it asks for the help.
    pub fn parse(parser: &mut Parser) -> Result<Option<Swarm>, String> {
        let mut options = Swarm::default();
        while let Some(arg) = option::next(parser)? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("seeds") => options.seeds = option::seeds(&value(parser, "seeds")?)?,
                Arg::Long("threads") => options.threads = option::threads(parser)?,
                Arg::Long("large") => options.size = Size::Large,
                Arg::Long("json") => options.json = true,
                Arg::Long("no-shrink") => options.shrink = false,
                Arg::Long("out") => {
                    let path = parser.value().ok().filter(|path| !path.is_empty());
                    options.out = path.ok_or("--out needs a folder; see --help")?.into();
                }
                Arg::Long("bug") => options.bug = Some(value(parser, "bug")?),
                Arg::Long(name) if OPTIONS.contains(&name) => {
                    return Err(format!(
                        "--{name} has no meaning for swarm; see --help for what it takes"
                    ));
                }
                arg => return Err(format!("{}; see --help for what there is", arg.unexpected())),
            }
        }
        Ok(Some(options))
    }
}

impl Run {
    /// Reads what follows `run` on the command line; `None` if it asks for the help.
    pub fn parse(parser: &mut Parser) -> Result<Option<Run>, String> {
        let (mut script, mut trace, mut session, mut bug) = (None, None, None, None);
        while let Some(arg) = option::next(parser)? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Value(path) if script.is_none() => script = Some(Script::File(path.into())),
                Arg::Long("script") if script.is_none() => {
                    script = Some(Script::Inline(value(parser, "script")?));
                }
                Arg::Long("script") => {
                    return Err("one scenario at a time: a FILE, or --script".into());
                }
                Arg::Long("trace") => trace = Some(file(parser, "trace")?),
                Arg::Long("session") => session = Some(value(parser, "session")?),
                Arg::Long("bug") => bug = Some(value(parser, "bug")?),
                arg => {
                    return Err(format!("{}; write: sim run FILE [--trace OUT]", arg.unexpected()));
                }
            }
        }
        let script = script.ok_or("which scenario? Write: sim run FILE [--trace OUT]")?;
        Ok(Some(Run { script, trace, session, bug }))
    }
}

/// Scenarios that are tried to make a failing one smaller.
const SHRINK_BUDGET: usize = 4_000;

/// Runs a range of seeds and prints what came of it. Exit code 1 after a failure, 2 if `out` is no
/// folder.
pub fn swarm(Swarm { seeds, size, threads, json, shrink, out, .. }: Swarm) -> ExitCode {
    if out.exists() && !out.is_dir() {
        return complain(&format!("--out: {} is no folder; name a folder", out.display()));
    }
    let summary = sweep(seeds, size, threads);
    say(if json { summary.json() } else { summary.text() });
    if let Some((seed, failure)) = summary.failures.first() {
        eprint!("{}", if json { summary.failure_text() } else { String::new() });
        if shrink {
            let large = if size == Size::Large { "large-" } else { "" };
            keep_smallest(&out, &format!("swarm-{large}{seed}"), &draw_sized(*seed, size), failure);
        }
    }
    if summary.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn keep_smallest(parent: &Path, name: &str, scenario: &Scenario, failure: &Failure) {
    eprintln!("making the first failure smaller; --no-shrink leaves that out");
    let (smallest, failure) = shrink(scenario, failure, SHRINK_BUDGET);
    let reason = failure.message.lines().next().unwrap_or_default();
    eprint!("# {reason}\n{}", terse::write(&smallest));
    match keep::keep(parent, name, &smallest, &failure) {
        Ok(text) => eprint!("{text}"),
        Err(error) => {
            eprintln!("sim: {error}; the script above is all there is (--out names another folder)")
        }
    }
}

/// Runs one scenario. Exit code 1 if it fails, 2 if there is none or if its traces can't be
/// written.
pub fn run(Run { script, trace, session, .. }: &Run) -> ExitCode {
    let (text, scenario) = match read(script) {
        Ok(read) => read,
        Err(error) => return complain(&error),
    };
    if trace.is_none() && session.is_none() {
        return tell(swarm::run(&scenario).map(|outcome| say(format_args!("{outcome:#?}\n"))));
    }
    if let Some(Err(error)) = trace.as_ref().map(|path| recordings::check(path)) {
        return complain(&format!("--trace: {error}"));
    }
    let (result, traces) = record(&scenario, keep::scenario_of(&text));
    if let Some(path) = trace {
        match recordings::write(path, &traces) {
            Ok(files) => files.iter().for_each(|file| eprintln!("recorded {}", file.display())),
            Err(error) => return complain(&format!("--trace: {error}")),
        }
    }
    let Some(session) = session else {
        return tell(result.map(|outcome| say(format_args!("{outcome:#?}\n"))));
    };
    match traces.iter().find(|trace| trace.name == *session) {
        Some(trace) => say(&trace.text),
        None => {
            let names: Vec<&str> = traces.iter().map(|trace| trace.name.as_str()).collect();
            return complain(&format!(
                "--session: there is no session \"{session}\" in it; there are {}",
                names.join(", ")
            ));
        }
    }
    tell(result.map(drop))
}

/// A script as it is written, and what it says.
fn read(script: &Script) -> Result<(String, Scenario), String> {
    match script {
        Script::Inline(text) => {
            let scenario = terse::parse_line(text).map_err(|error| format!("--script: {error}"))?;
            Ok((text.clone(), scenario))
        }
        Script::File(file) => {
            let text = std::fs::read_to_string(file)
                .map_err(|error| format!("can't read {}: {error}", file.display()))?;
            let scenario =
                script::parse(&text).map_err(|error| format!("{}: {error}", file.display()))?;
            Ok((text, scenario))
        }
    }
}

fn tell(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("failed: {}", failure.message);
            ExitCode::FAILURE
        }
    }
}

fn complain(error: &str) -> ExitCode {
    eprintln!("sim: {error}");
    ExitCode::from(2)
}
