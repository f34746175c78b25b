//! `sim swarm` and `sim run`: random worlds, and one of them.

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

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    pub script: Script,
    /// Record every session to a file whose name begins so.
    pub trace: Option<PathBuf>,
    /// Print the trace of the session of this name.
    pub session: Option<String>,
    pub bug: Option<String>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Script {
    File(PathBuf),
    /// On the command line, its lines parted by semicolons.
    Inline(String),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Swarm {
    pub seeds: Range<u64>,
    pub size: Size,
    pub threads: usize,
    pub json: bool,
    /// Make the first failure smaller, and write it down.
    pub shrink: bool,
    /// The folder in which a failure's folder is made.
    pub out: PathBuf,
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
                Arg::Long(
                    name @ ("html" | "check" | "trace" | "fault" | "stripes" | "caps" | "rtt"
                    | "loss" | "idle" | "size" | "scheduler" | "seed"),
                ) => {
                    let hint = "see --help for what it takes";
                    return Err(format!("--{name} has no meaning for swarm; {hint}"));
                }
                arg => return option::unexpected(arg, "see --help for what there is"),
            }
        }
        Ok(Some(options))
    }
}

impl Run {
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
                arg => return option::unexpected(arg, "write: sim run FILE [--trace OUT]"),
            }
        }
        let script = script.ok_or("which scenario? Write: sim run FILE [--trace OUT]")?;
        Ok(Some(Run { script, trace, session, bug }))
    }
}

/// Scenarios that are tried to make a failing one smaller.
const SHRINK_BUDGET: usize = 4_000;

/// Exit code 1 after a failure, 2 if `out` is no folder.
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

/// Exit code 1 if it fails, 2 if there is none or if its traces can't be written.
pub fn run(run: &Run) -> ExitCode {
    match play(run) {
        Ok(Ok(())) => ExitCode::SUCCESS,
        Ok(Err(failure)) => {
            eprintln!("failed: {}", failure.message);
            ExitCode::FAILURE
        }
        Err(error) => complain(&error),
    }
}

/// The result of a scenario; the error says why it could not be run or recorded.
fn play(Run { script, trace, session, .. }: &Run) -> Result<Result<(), Failure>, String> {
    let (text, scenario) = read(script)?;
    let print = |outcome| say(format_args!("{outcome:#?}\n"));
    if trace.is_none() && session.is_none() {
        return Ok(swarm::run(&scenario).map(print));
    }
    let for_trace = |error| format!("--trace: {error}");
    trace.as_ref().map_or(Ok(()), |path| recordings::check(path)).map_err(for_trace)?;
    let (result, traces) = record(&scenario, keep::scenario_of(&text));
    if let Some(path) = trace {
        let files = recordings::write(path, &traces).map_err(for_trace)?;
        files.iter().for_each(|file| eprintln!("recorded {}", file.display()));
    }
    let Some(session) = session else { return Ok(result.map(print)) };
    let Some(trace) = traces.iter().find(|trace| trace.name == *session) else {
        let names: Vec<&str> = traces.iter().map(|trace| trace.name.as_str()).collect();
        let names = names.join(", ");
        return Err(format!(
            "--session: there is no session \"{session}\" in it; there are {names}"
        ));
    };
    say(&trace.text);
    Ok(result.map(drop))
}

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

fn complain(error: &str) -> ExitCode {
    eprintln!("sim: {error}");
    ExitCode::from(2)
}
