//! The hunts of `sim selftest`, and the process that starts them.

use super::bugs;
use crate::base::{catch, each, say};
use crate::run::{drain, driver, steady};
use crate::search::bugs::patch::Bug;
use crate::search::exhaust::{breadth, worlds};
use crate::search::swarm::{self, Size, draw_sized};
use std::ops::Range;
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

/// The name of the hunt without a bug.
const CONTROL: &str = "none";

/// A scenario that takes this long never ends: sound ones take a tenth of it on a slow machine.
const ENDLESS: Duration = Duration::from_secs(10);

/// The states of an enumerated world that a hunt looks at.
const STATES: usize = 100_000;

struct HuntResult {
    bug: String,
    took: Duration,
    /// The search, and its failure; `None` if nothing failed.
    found: Option<(String, String)>,
    /// The number of times that the bug had its chance.
    hits: String,
}

/// Hunts the bugs. Fails if there is no such bug, or no program with bugs could be built.
///
pub fn run(options: &Options) -> Result<ExitCode, String> {
    if let Some(name) = &options.hunt {
        return hunt(name, Duration::from_secs(options.limit));
    }
    let bugs = bugs::all()?;
    let is_known = |name: &String| *name == CONTROL || bugs.iter().any(|bug| bug.name() == name);
    if let Some(name) = options.bugs.iter().find(|name| !is_known(name)) {
        return Err(format!("--bug: there is no bug \"{name}\"; --list prints them"));
    }
    if options.list {
        bugs.iter().for_each(|bug| say(bug.describe()));
        return Ok(ExitCode::SUCCESS);
    }
    let names: Vec<String> = if options.bugs.is_empty() {
        [CONTROL].into_iter().chain(bugs.iter().map(Bug::name)).map(str::to_owned).collect()
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
    let bugs = || results.iter().filter(|result| result.bug != CONTROL);
    let mut times: Vec<Duration> =
        bugs().filter(|result| result.found.is_some()).map(|result| result.took).collect();
    times.sort_unstable();
    let missed: Vec<&str> =
        bugs().filter(|result| result.found.is_none()).map(|result| result.bug.as_str()).collect();
    let at = |index: usize| times.get(index).map_or(0.0, Duration::as_secs_f64);
    let mut text = format!(
        "{} of {} bugs found; median {:.1} s, longest {:.1} s\n",
        times.len(),
        bugs().count(),
        at(times.len() / 2),
        at(times.len().saturating_sub(1)),
    );
    if !missed.is_empty() {
        text += &format!("not found: {}\n", missed.join(" "));
    }
    text
}

/// When the present scenario began, in milliseconds since the hunt did.
static BEGAN: AtomicU64 = AtomicU64::new(0);
/// The seed of the present scenario.
static SEED: AtomicU64 = AtomicU64::new(0);

/// The process that hunts one bug. Its last line on standard output is the number of the bug's
/// chances and, if it was found, the search that found it.
#[expect(clippy::disallowed_methods, reason = "how fast the simulator is, not what it simulates")]
fn hunt(name: &str, limit: Duration) -> Result<ExitCode, String> {
    if name != CONTROL && bugs::activate(name)?.is_some() {
        return Err("--hunt is for a program with bugs in it".into());
    }
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
    let mut found = None;
    for round in 0.. {
        found = look(round, &|seed| {
            SEED.store(seed, Ordering::Relaxed);
            BEGAN.store(began.elapsed().as_millis() as u64, Ordering::Relaxed);
        });
        if found.is_some() {
            break;
        }
    }
    tell(found);
    Ok(ExitCode::SUCCESS)
}

fn tell(found: Option<(&str, String)>) {
    let found = found.map(|(way, what)| format!("\t{way}\t{}", what.replace(['\t', '\n'], " ")));
    say(format_args!("{}{}\n", bugs::hits(), found.unwrap_or_default()));
}

/// One round through all searches, cheap ones first.
fn look(round: u64, begin: &dyn Fn(u64)) -> Option<(&'static str, String)> {
    let swarm = |seeds: Range<u64>, size| {
        seeds.into_iter().find_map(|seed| {
            begin(seed);
            let failure = swarm::run(&draw_sized(seed, size)).err()?;
            Some(format!("seed {seed}: {}", failure.message))
        })
    };
    let caught = |seed, work: &dyn Fn()| {
        begin(seed);
        catch(work).err().map(|failure| failure.message)
    };
    if let Some(what) = swarm(round * 1_000..(round + 1) * 1_000, Size::Small) {
        return Some(("swarm", what));
    }
    for seed in round * 30..(round + 1) * 30 {
        if let Some(what) = caught(seed, &|| drop(driver::world::run(seed))) {
            return Some(("drive", format!("seed {seed}: {what}")));
        }
    }
    for seed in round * 50..(round + 1) * 50 {
        if let Some(what) = caught(seed, &|| drain::check(seed)) {
            return Some(("drain", format!("seed {seed}: {what}")));
        }
    }
    if round == 0 {
        if let Some(what) = caught(0, &steady::check_fairness) {
            return Some(("steady", what));
        }
        for world in worlds::all().iter().filter(|world| world.is_quick) {
            begin(0);
            if let Some(violation) = breadth::search(world, STATES).violation {
                return Some(("exhaust", format!("{}: {}", world.name, violation.what)));
            }
        }
    }
    if let Some(route) = steady::ROUTES.get(round as usize)
        && let Some(what) = caught(round, &|| steady::check_goodput(*route))
    {
        return Some(("steady", what));
    }
    swarm(round..round + 1, Size::Large).map(|what| ("large", what))
}
