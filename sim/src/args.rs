//! The command line.

mod help;

pub use help::HELP;

use crate::faults::Fault;
use crate::measure::{FAULTS, Transfer};
use crate::replay::{self, Task};
use crate::scheduler;
use crate::swarm::Size;
use crate::units::{BadUnit, parse_percent, parse_rates, parse_size, parse_time};
use lexopt::{Arg, Parser, ValueExt};
use std::ffi::OsString;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;
use striper_core::config::MAX_STRIPES;

/// What the user wants.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    /// Measure.
    Measure {
        /// What.
        scenario: Transfer,
        /// Print JSON.
        json: bool,
        /// Where to write a page about one run.
        html: Option<PathBuf>,
        /// Record the only transfer.
        trace: Option<PathBuf>,
    },
    /// Play traces or make them anew.
    Traces(Task),
    /// Random worlds with the production driver.
    Drive(crate::driver::command::Drive),
    /// Random worlds.
    Swarm(Swarm),
    /// One scenario of a swarm.
    Run(Run),
    /// Bugs on purpose, to be found.
    Selftest(crate::selftest::Options),
    /// Small worlds, enumerated completely.
    Exhaust(crate::exhaust::command::Options),
    /// Schedulers, compared.
    Bench(crate::bench::Bench),
    /// One more stripe, on random topologies.
    Topologies(crate::bench::Topologies),
    /// Show the help.
    Help,
}

impl Command {
    /// The planted bug with which it is to be done.
    pub fn bug(&self) -> Option<&str> {
        match self {
            Command::Swarm(Swarm { bug, .. })
            | Command::Run(Run { bug, .. })
            | Command::Traces(Task::Replay { bug, .. }) => bug.as_deref(),
            _ => None,
        }
    }
}

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
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Swarm {
            seeds: 0..1_000,
            size: Size::Small,
            threads,
            json: false,
            shrink: true,
            out: PathBuf::new(),
            bug: None,
        }
    }
}

/// Reads a command line, without the program's name. The error says what was wrong and what to do.
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Command, String> {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let rest = || args[1..].iter().cloned();
    match args.first().and_then(|word| word.to_str()) {
        Some("replay" | "bless") if args.iter().any(|word| word == "--help" || word == "-h") => {
            Ok(Command::Help)
        }
        Some("replay") => replay::parse_replay(&args[1..]).map(Command::Traces),
        Some("bless") => replay::parse_bless(&args[1..]).map(Command::Traces),
        Some("swarm") => parse_swarm(Parser::from_args(rest())),
        Some("drive") => crate::driver::command::parse(&mut Parser::from_args(rest())),
        Some("selftest") => {
            crate::selftest::Options::parse(&mut Parser::from_args(rest())).map(Command::Selftest)
        }
        Some("exhaust") => {
            let mut parser = Parser::from_args(rest());
            crate::exhaust::command::Options::parse(&mut parser).map(Command::Exhaust)
        }
        Some("bench-schedulers") => crate::bench::Bench::parse(&mut Parser::from_args(rest())),
        Some("run") => parse_run(Parser::from_args(rest())),
        _ => parse_measure(Parser::from_args(args)),
    }
}

fn parse_swarm(mut parser: Parser) -> Result<Command, String> {
    let mut options = Swarm::default();
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Long("seeds") => options.seeds = parse_seeds(&value(&mut parser, "seeds")?)?,
            Arg::Long("threads") => {
                let text = value(&mut parser, "threads")?;
                let threads = text.parse().ok().filter(|threads| (1..=256).contains(threads));
                options.threads = threads
                    .ok_or_else(|| format!("--threads: \"{text}\" is no number from 1 to 256"))?;
            }
            Arg::Long("large") => options.size = Size::Large,
            Arg::Long("json") => options.json = true,
            Arg::Long("no-shrink") => options.shrink = false,
            Arg::Long("out") => {
                let path = parser.value().ok().filter(|path| !path.is_empty());
                options.out = path.ok_or("--out needs a folder; see --help")?.into();
            }
            Arg::Long("bug") => options.bug = Some(value(&mut parser, "bug")?),
            Arg::Long(name) if OPTIONS.contains(&name) => {
                return Err(format!(
                    "--{name} has no meaning for swarm; see --help for what it takes"
                ));
            }
            arg => return Err(format!("{}; see --help for what there is", arg.unexpected())),
        }
    }
    Ok(Command::Swarm(options))
}

fn parse_run(mut parser: Parser) -> Result<Command, String> {
    let (mut script, mut trace, mut session, mut bug) = (None, None, None, None);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        match arg {
            Arg::Short('h') | Arg::Long("help") => return Ok(Command::Help),
            Arg::Value(path) if script.is_none() => script = Some(Script::File(path.into())),
            Arg::Long("script") if script.is_none() => {
                script = Some(Script::Inline(value(&mut parser, "script")?));
            }
            Arg::Long("script") => return Err("one scenario at a time: a FILE, or --script".into()),
            Arg::Long("trace") => trace = Some(file(&mut parser, "trace")?),
            Arg::Long("session") => session = Some(value(&mut parser, "session")?),
            Arg::Long("bug") => bug = Some(value(&mut parser, "bug")?),
            arg => return Err(format!("{}; write: sim run FILE [--trace OUT]", arg.unexpected())),
        }
    }
    let script = script.ok_or("which scenario? Write: sim run FILE [--trace OUT]")?;
    Ok(Command::Run(Run { script, trace, session, bug }))
}

fn parse_measure(mut parser: Parser) -> Result<Command, String> {
    let mut scenario = Transfer::default();
    let (mut json, mut html, mut trace, mut stripes) = (false, None, None, None);
    while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
        let name = match &arg {
            Arg::Long(name) => OPTIONS.iter().copied().find(|known| known == name),
            _ => None,
        };
        match (arg, name) {
            (Arg::Short('h'), _) | (_, Some("help")) => return Ok(Command::Help),
            (_, Some("json")) => json = true,
            (_, Some("html")) => html = Some(file(&mut parser, "html")?),
            (_, Some("trace")) => trace = Some(file(&mut parser, "trace")?),
            (_, Some("check")) => scenario.check = true,
            (_, Some("stripes")) => stripes = Some(parse_stripes(&value(&mut parser, "stripes")?)?),
            (_, Some(name)) => read_option(&mut scenario, name, &value(&mut parser, name)?)?,
            (Arg::Long("seeds"), _) => {
                return Err(
                    "--seeds belongs to swarm; write --seed N, or: sim swarm --seeds A..B".into()
                );
            }
            (arg, None) => {
                return Err(format!("{}; see --help for what there is", arg.unexpected()));
            }
        }
    }
    if scenario.caps.is_empty() {
        return Err("how fast is a stripe? Give --caps, such as --caps 1mbps (see --help)".into());
    }
    scenario.stripes = stripes.unwrap_or_else(|| usual_counts(scenario.caps.len()));
    let most = scenario.stripes.iter().copied().max().unwrap_or(0);
    if let Some((_, stripe, _)) = scenario.faults.iter().find(|(_, stripe, _)| *stripe >= most) {
        return Err(format!(
            "--fault: there is no stripe {stripe}; they are counted from 0, and there are {most}"
        ));
    }
    if trace.is_some() && (scenario.stripes.len() > 1 || scenario.schedulers.len() > 1) {
        return Err(
            "--trace records one transfer: give one stripe count and one scheduler, such as --stripes 2"
                .into(),
        );
    }
    Ok(Command::Measure { scenario, json, html, trace })
}

const OPTIONS: [&str; 14] = [
    "help",
    "json",
    "html",
    "check",
    "trace",
    "fault",
    "stripes",
    "caps",
    "rtt",
    "loss",
    "idle",
    "size",
    "scheduler",
    "seed",
];

pub(crate) fn value(parser: &mut Parser, name: &str) -> Result<String, String> {
    let value = parser.value().map_err(|_| format!("--{name} needs a value; see --help"))?;
    value.string().map_err(|_| format!("--{name} has a value that is no text"))
}

fn file(parser: &mut Parser, name: &str) -> Result<PathBuf, String> {
    let path = parser.value().map_err(|_| format!("--{name} needs a file to write; see --help"))?;
    if path.is_empty() {
        Err(format!("--{name} needs a file to write; its name is empty"))
    } else {
        Ok(path.into())
    }
}

fn read_option(scenario: &mut Transfer, name: &str, text: &str) -> Result<(), String> {
    let say = |error: BadUnit| format!("--{name}: {error}");
    match name {
        "caps" => scenario.caps = parse_rates(text).map_err(say)?,
        "rtt" => scenario.rtt = parse_time(text).map_err(say)?,
        "loss" => scenario.loss = parse_percent(text).map_err(say)?,
        "idle" => scenario.idle = parse_time(text).map_err(say)?,
        "size" => scenario.size = parse_size(text).map_err(say)?,
        "fault" => scenario.faults.push(parse_fault(text)?),
        "seed" => {
            scenario.seed = text
                .parse()
                .map_err(|_| format!("--seed: \"{text}\" is no whole number from 0 to 2^64 - 1"))?;
        }
        _ => {
            scenario.schedulers = match (text, scheduler::named(text)) {
                ("all", _) => scheduler::ALL.to_vec(),
                (_, Some(scheduler)) => vec![scheduler],
                _ => {
                    return Err(format!(
                        "--scheduler: \"{text}\" is unknown; there are earliest, uc, rr and all"
                    ));
                }
            }
        }
    }
    Ok(())
}

fn parse_fault(text: &str) -> Result<(Duration, usize, Fault), String> {
    let mut parts = text.splitn(3, ':');
    let (time, stripe, what) = (parts.next(), parts.next(), parts.next());
    let names: Vec<&str> = FAULTS.iter().map(|(name, _)| *name).collect();
    let wrong = || {
        let names = names.join(", ");
        format!(
            "--fault: \"{text}\" is not TIME:STRIPE:WHAT, such as 500ms:0:silence; WHAT is one of {names}"
        )
    };
    let fault = FAULTS.iter().find(|(name, _)| Some(*name) == what).ok_or_else(wrong)?;
    let at = parse_time(time.unwrap_or_default()).map_err(|_| wrong())?;
    let stripe = stripe.and_then(|stripe| stripe.parse().ok()).ok_or_else(wrong)?;
    Ok((at, stripe, fault.1.clone()))
}

fn parse_stripes(text: &str) -> Result<Vec<usize>, String> {
    let count =
        |item: &str| item.trim().parse().ok().filter(|count| (1..=MAX_STRIPES).contains(count));
    text.split(',').map(count).collect::<Option<_>>().ok_or_else(|| {
        format!("--stripes: \"{text}\" is no list of numbers from 1 to {MAX_STRIPES}; write it like 1,2,4,8")
    })
}

pub(crate) fn parse_seeds(text: &str) -> Result<Range<u64>, String> {
    let bounds =
        text.split_once("..").and_then(|(from, to)| Some(from.parse().ok()?..to.parse().ok()?));
    bounds.filter(|seeds| !seeds.is_empty()).ok_or_else(|| {
        format!(
            "--seeds: \"{text}\" is no range of seeds; write it like 0..100, the end not included"
        )
    })
}

/// The counts to measure when none are given.
fn usual_counts(caps: usize) -> Vec<usize> {
    if caps == 1 {
        return vec![1, 2, 4, 8];
    }
    let mut counts: Vec<usize> = std::iter::successors(Some(1), |count| Some(count * 2))
        .take_while(|count| *count < caps)
        .collect();
    counts.push(caps.min(MAX_STRIPES));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use striper_core::SchedulerKind;

    fn words(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace())
    }

    fn scenario(line: &str) -> Transfer {
        match words(line) {
            Ok(Command::Measure { scenario, .. }) => scenario,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_cap_is_measured_over_one_to_eight_stripes() {
        let scenario = scenario("--caps 1mbps");
        assert_eq!(scenario.stripes, [1, 2, 4, 8]);
        assert_eq!(scenario.caps, [1_000_000]);
        assert_eq!(scenario.size, 8 << 20);
    }

    #[test]
    fn a_list_of_caps_is_measured_up_to_its_length() {
        assert_eq!(scenario("--caps 20mbps,10mbps,5mbps,1mbps").stripes, [1, 2, 4]);
        assert_eq!(scenario("--caps 2mbps,1mbps,1mbps").stripes, [1, 2, 3]);
        assert_eq!(scenario("--caps 2mbps,1mbps --stripes 4,1").stripes, [4, 1]);
    }

    #[test]
    fn a_page_is_written_where_it_is_asked_for() {
        let Ok(Command::Measure { html, .. }) = words("--caps 1mbps --html out/run.html") else {
            panic!()
        };
        assert_eq!(html, Some(PathBuf::from("out/run.html")));
    }

    #[test]
    fn a_printed_command_reads_back() {
        let line = "--caps 20mbps,500kbps --stripes 2 --rtt 35ms --loss 0.5% --idle 2s --seed 9 --size 3MiB --scheduler rr --fault 500ms:1:silence-up --fault 2s:1:heal";
        let scenario = scenario(line);
        assert_eq!(
            scenario.command(2, SchedulerKind::RoundRobin),
            format!("cargo run -p sim -- {line}")
        );
    }

    #[test]
    fn mistakes_are_answered_with_what_to_do() {
        for (line, hint) in [
            ("", "Give --caps"),
            ("--caps 1MB/s", "--caps: \"1MB/s\" could mean bytes"),
            ("--caps", "--caps needs a value"),
            ("--caps 999999999999gbps", "rates are 1kbit to 100gbit"),
            ("--caps 1mbps --stripes 0", "numbers from 1 to 64"),
            ("--caps 1mbps --stripes 1,,2", "write it like"),
            ("--caps 1mbps --scheduler best", "there are earliest, uc, rr and all"),
            ("--caps 1mbps --seed -1", "no whole number"),
            ("--caps 1mbps --seeds 0..3", "belongs to swarm"),
            ("--cap 1mbps", "--help"),
            ("--caps 1mbps --html", "--html needs a file"),
            ("--html run.html", "Give --caps"),
            ("measure --caps 1mbps", "--help"),
            ("--caps 1mbps -x", "--help"),
            ("--caps 1mbps --json=1", "unexpected argument"),
            ("--caps 1mbps --fault 1s:0:magic", "WHAT is one of reset,"),
            ("--caps 1mbps --fault soon:0:reset", "is not TIME:STRIPE:WHAT"),
            ("--caps 1mbps --stripes 1,2 --fault 1s:2:reset", "there is no stripe 2"),
            ("--caps 1mbps --trace x", "one stripe count and one scheduler"),
            ("replay", "replay what?"),
            ("bless a b", "one folder"),
            ("swarm --caps 1mbps", "no meaning for swarm"),
            ("swarm --seeds 7", "write it like 0..100"),
            ("swarm --seeds 7..7", "write it like 0..100"),
            ("swarm --threads 0", "no number from 1 to 256"),
            ("swarm --fast", "--help"),
            ("drive --seeds 7", "write it like 0..100"),
            ("drive --threads 0", "no number from 1 to 256"),
            ("drive --caps 1mbps", "it takes --seeds and --threads"),
            ("drive 7", "--help"),
            ("run", "sim run FILE"),
            ("run a b", "sim run FILE"),
            ("run a --script b", "one scenario at a time"),
            ("run a --trace", "--trace needs a file"),
            ("run a --fast", "sim run FILE"),
            ("swarm --out", "--out needs a folder"),
            ("replay a --bug", "--bug needs a name"),
            ("exhaust --world none", "is unknown; there are"),
            ("exhaust --caps 1mbps", "exhaust --help"),
            ("--seed 1 exhaust", "--help"),
            ("selftest --bug", "--bug needs a value"),
            ("selftest --limit 0", "no number from 1 to 86400"),
            ("selftest --seeds 1..2", "selftest --help"),
        ] {
            let error = words(line).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }

    #[test]
    fn swarms_files_and_help_are_understood() {
        assert_eq!(words("swarm"), Ok(Command::Swarm(Swarm::default())));
        let options = Swarm {
            seeds: 5..9,
            size: Size::Large,
            threads: 3,
            json: true,
            shrink: false,
            out: "there".into(),
            bug: Some("fin-early".into()),
        };
        let line =
            "swarm --seeds 5..9 --large --threads 3 --json --no-shrink --out there --bug fin-early";
        let command = Command::Swarm(options);
        assert_eq!(command.bug(), Some("fin-early"));
        assert_eq!(words(line), Ok(command));
        let run = Run {
            script: Script::File("a.scenario".into()),
            trace: None,
            session: None,
            bug: None,
        };
        assert_eq!(words("run a.scenario"), Ok(Command::Run(run.clone())));
        let run = Run { trace: Some("t".into()), session: Some("server.2".into()), ..run };
        assert_eq!(words("run --trace t a.scenario --session server.2"), Ok(Command::Run(run)));
        assert_eq!(words("swarm --help"), Ok(Command::Help));
        assert_eq!(words("--caps nonsense --help"), Err(words("--caps nonsense").unwrap_err()));
        assert_eq!(words("-h"), Ok(Command::Help));
    }
}
