//! The command line: which command, and its settings.

pub mod bless;
mod compare;
mod drive;
mod exhaust;
pub mod measure;
mod option;
mod replay;
mod selftest;
mod swarm;

use crate::base::say;
use crate::search::hunts;
use crate::show::bench;
use crate::show::replay::Task;
use bless::Bless;
use drive::Drive;
use lexopt::Parser;
use std::ffi::OsString;
use std::process::ExitCode;
use swarm::{Run, Swarm};

pub const HELP: &str = include_str!("help/main.txt");

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Command {
    Measure(Box<measure::Options>),
    Replay(Task),
    Bless(Bless),
    Drive(Drive),
    Swarm(Swarm),
    Run(Run),
    Selftest(hunts::Options),
    Exhaust(exhaust::Options),
    Bench(bench::Task),
    Help,
}

impl Command {
    pub fn bug(&self) -> Option<&str> {
        match self {
            Command::Swarm(Swarm { bug, .. })
            | Command::Run(Run { bug, .. })
            | Command::Replay(Task::Replay { bug, .. }) => bug.as_deref(),
            _ => None,
        }
    }

    pub fn run(self) -> ExitCode {
        match self {
            Command::Help => tell(HELP.into(), ExitCode::SUCCESS),
            Command::Measure(options) => options.run(),
            Command::Replay(task) => {
                let (text, verdict) = task.run();
                tell(text, verdict.into())
            }
            Command::Bless(bless) => match bless.run() {
                Ok(text) => tell(text, ExitCode::SUCCESS),
                Err(text) => tell(text, ExitCode::from(2)),
            },
            Command::Swarm(options) => swarm::swarm(options),
            Command::Run(run) => swarm::run(&run),
            Command::Selftest(options) => options.run(),
            Command::Exhaust(options) => success_if(exhaust::run(&options)),
            Command::Drive(drive) => match drive.run() {
                Ok(text) => tell(text, ExitCode::SUCCESS),
                Err(message) => {
                    eprintln!("sim: {message}");
                    ExitCode::FAILURE
                }
            },
            Command::Bench(task) => {
                let (text, good) = task.report();
                tell(text, success_if(good))
            }
        }
    }
}

fn tell(text: String, code: ExitCode) -> ExitCode {
    say(text);
    code
}

fn success_if(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads a command line, without the program's name. The error says what was wrong and what to do.
pub fn parse(args: impl IntoIterator<Item = impl Into<OsString>>) -> Result<Command, String> {
    let args: Vec<OsString> = args.into_iter().map(Into::into).collect();
    let command = args.first().and_then(|word| word.to_str()).unwrap_or_default();
    let asks_for_help = || args.iter().any(|word| word == "--help" || word == "-h");
    let rest = &mut Parser::from_args(args.iter().skip(1));
    match command {
        "bless" if asks_for_help() => Ok(Command::Help),
        "replay" => or_help(Task::parse(rest), Command::Replay),
        "bless" => Bless::parse(&args[1..]).map(Command::Bless),
        "selftest" => hunts::Options::parse(rest).map(Command::Selftest),
        "exhaust" => exhaust::Options::parse(rest).map(Command::Exhaust),
        "swarm" => or_help(Swarm::parse(rest), Command::Swarm),
        "drive" => or_help(Drive::parse(rest), Command::Drive),
        "bench-schedulers" => or_help(bench::Bench::parse(rest), Command::Bench),
        "run" => or_help(Run::parse(rest), Command::Run),
        _ => {
            let all = &mut Parser::from_args(&args);
            or_help(measure::Options::parse(all), |options| Command::Measure(Box::new(options)))
        }
    }
}

/// A command, or the help that its line asks for.
fn or_help<T>(
    parsed: Result<Option<T>, String>,
    command: fn(T) -> Command,
) -> Result<Command, String> {
    parsed.map(|settings| settings.map_or(Command::Help, command))
}

#[cfg(test)]
mod tests {
    use super::swarm::Script;
    use super::*;
    use crate::search::swarm::Size;

    fn words(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace())
    }

    #[test]
    fn mistakes_are_answered_with_a_cure() {
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
        let script = Script::File("a.scenario".into());
        let run = Run { script, trace: None, session: None, bug: None };
        assert_eq!(words("run a.scenario"), Ok(Command::Run(run.clone())));
        let run = Run { trace: Some("t".into()), session: Some("server.2".into()), ..run };
        assert_eq!(words("run --trace t a.scenario --session server.2"), Ok(Command::Run(run)));
        assert_eq!(words("swarm --help"), Ok(Command::Help));
        assert_eq!(words("--caps nonsense --help"), Err(words("--caps nonsense").unwrap_err()));
        assert_eq!(words("-h"), Ok(Command::Help));
    }
}
