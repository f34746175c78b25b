//! The hunts of `sim selftest`, and the process that starts them.

use super::bugs;
use crate::base::{Failure, catch, each, say};
use crate::run::{drain, driver, steady};
use crate::search::exhaust::{breadth, worlds};
use crate::search::swarm::{self, Size, draw_sized};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    pub(crate) bugs: Vec<String>,
    pub(crate) limit: u64,
    pub(crate) jobs: usize,
    pub(crate) list: bool,
    pub(crate) help: bool,
    /// Be the process that hunts this bug.
    pub(crate) hunt: Option<String>,
}

const CONTROL: &str = "none";

/// A scenario that takes this long never ends: sound ones take a tenth of it on a slow machine.
const ENDLESS: Duration = Duration::from_secs(10);

const STATES: usize = 100_000;

struct HuntResult {
    bug: String,
    took: Duration,
    /// The search, and its failure; `None` if nothing failed.
    found: Option<(String, String)>,
    hits: String,
}

pub fn run(options: &Options) -> Result<ExitCode, String> {
    if let Some(name) = &options.hunt {
        return hunt(name, Duration::from_secs(options.limit));
    }
    let bugs = bugs::all()?;
    let is_known = |name: &String| *name == CONTROL || bugs.iter().any(|bug| bug.name == *name);
    if let Some(name) = options.bugs.iter().find(|name| !is_known(name)) {
        return Err(format!("--bug: there is no bug \"{name}\"; --list prints them"));
    }
    if options.list {
        bugs.iter().for_each(|bug| say(bug.describe()));
        return Ok(ExitCode::SUCCESS);
    }
    let names: Vec<String> = if options.bugs.is_empty() {
        [CONTROL.to_owned()].into_iter().chain(bugs.into_iter().map(|bug| bug.name)).collect()
    } else {
        options.bugs.clone()
    };
    let results = hunt_all(&names, &bugs::build::program()?, options);
    say(summary(&results));
    let is_well = results.iter().all(|result| result.found.is_some() == (result.bug != CONTROL));
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Each hunt is a process of its own, so many at a time.
#[expect(clippy::disallowed_methods, reason = "how fast the simulator is, not what it simulates")]
fn hunt_all(names: &[String], program: &Path, options: &Options) -> Vec<HuntResult> {
    each(names.len(), options.jobs, |nth| {
        let began = Instant::now();
        let output = Command::new(program)
            .args(["selftest", "--hunt", &names[nth], "--limit", &options.limit.to_string()])
            .stderr(Stdio::null())
            .output();
        let said = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        let said = said.unwrap_or_default();
        let mut words = said.lines().next_back().unwrap_or_default().split('\t').map(str::to_owned);
        let hits = words.next().unwrap_or_default();
        let found = words.next().map(|way| (way, words.next().unwrap_or_default()));
        let result = HuntResult { bug: names[nth].clone(), took: began.elapsed(), found, hits };
        say(line(&result));
        result
    })
}

fn line(result: &HuntResult) -> String {
    let what = match &result.found {
        Some((way, what)) => format!("{way}: {}", what.chars().take(100).collect::<String>()),
        None if result.bug == CONTROL => "nothing found, as it should be".into(),
        None => format!("NOT FOUND; it had its chance {} times", result.hits),
    };
    format!("{:<32} {:>6.1} s  {what}\n", result.bug, result.took.as_secs_f64())
}

fn summary(results: &[HuntResult]) -> String {
    let bugs = results.iter().filter(|result| result.bug != CONTROL);
    let (found, missed): (Vec<_>, Vec<_>) = bugs.partition(|result| result.found.is_some());
    let mut times: Vec<Duration> = found.iter().map(|result| result.took).collect();
    times.sort_unstable();
    let missed: Vec<&str> = missed.iter().map(|result| result.bug.as_str()).collect();
    let at = |index: usize| times.get(index).map_or(0.0, Duration::as_secs_f64);
    let (found, median, longest) = (times.len(), at(times.len() / 2), at(times.len().max(1) - 1));
    let all = found + missed.len();
    let mut text =
        format!("{found} of {all} bugs found; median {median:.1} s, longest {longest:.1} s\n");
    if !missed.is_empty() {
        text += &format!("not found: {}\n", missed.join(" "));
    }
    text
}

/// When the present scenario began, in milliseconds since the hunt did.
static BEGAN: AtomicU64 = AtomicU64::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);

/// The process that hunts one bug. Its last line on standard output is the number of the bug's
/// chances and, if it was found, the search that found it.
#[expect(clippy::disallowed_methods, reason = "how fast the simulator is, not what it simulates")]
fn hunt(name: &str, limit: Duration) -> Result<ExitCode, String> {
    if name != CONTROL && bugs::activate(name)?.is_some() {
        return Err("--hunt is for a program with bugs in it".into());
    }
    // The hunt without a bug always runs to its limit. Nearly all bugs are found in less than this.
    let limit = if name == CONTROL { limit / 4 } else { limit };
    let began = Instant::now();
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let elapsed = began.elapsed();
            let scenario =
                elapsed.saturating_sub(Duration::from_millis(BEGAN.load(Ordering::Relaxed)));
            if scenario > ENDLESS {
                tell(Some(("endless", format!("seed {}", SEED.load(Ordering::Relaxed)))));
            } else if elapsed > limit {
                tell(None);
            } else {
                continue;
            }
            std::process::exit(0);
        }
    });
    let begin = |seed| {
        SEED.store(seed, Ordering::Relaxed);
        BEGAN.store(began.elapsed().as_millis() as u64, Ordering::Relaxed);
    };
    tell((0..).find_map(|round| look(round, &begin)));
    Ok(ExitCode::SUCCESS)
}

fn tell(found: Option<(&str, String)>) {
    let found = found.map(|(way, what)| format!("\t{way}\t{}", what.replace(['\t', '\n'], " ")));
    say(format_args!("{}{}\n", bugs::hits(), found.unwrap_or_default()));
}

/// One round through all searches, cheap ones first.
fn look(round: u64, begin: &dyn Fn(u64)) -> Option<(&'static str, String)> {
    let hunt = |way, count: u64, run: &dyn Fn(u64) -> Result<(), Failure>| {
        (round * count..(round + 1) * count).find_map(|seed| {
            begin(seed);
            let failure = run(seed).err()?;
            Some((way, format!("seed {seed}: {}", failure.message)))
        })
    };
    let swarm = |seed, size| swarm::run(&draw_sized(seed, size)).map(drop);
    let steady = |work: &dyn Fn()| {
        begin(round);
        catch(work).err().map(|failure| ("steady", failure.message))
    };
    let exhaust = || {
        worlds::all().iter().filter(|world| world.is_quick).find_map(|world| {
            begin(0);
            let violation = breadth::search(world, STATES).violation?;
            Some(("exhaust", format!("{}: {}", world.name, violation.what)))
        })
    };
    hunt("swarm", 1_000, &|seed| swarm(seed, Size::Small))
        .or_else(|| hunt("drive", 30, &|seed| catch(|| drop(driver::world::run(seed)))))
        .or_else(|| hunt("drain", 50, &|seed| catch(|| drain::check(seed))))
        .or_else(|| if round == 0 { steady(&steady::check_fairness) } else { None })
        .or_else(|| if round == 0 { exhaust() } else { None })
        .or_else(|| {
            let route = *steady::ROUTES.get(round as usize)?;
            steady(&|| steady::check_goodput(route))
        })
        .or_else(|| hunt("large", 3, &|seed| swarm(seed, Size::Large)))
}
