//! `lab` measures the pair of proxies on the kernel's own TCP, beside bare connections and other
//! programs, and prints one table. The route of [`emulator`] joins two network namespaces. The file
//! docs/lab.md describes the measurements and the limits of the model.

mod args;
mod cases;
mod clock;
mod emulator;
mod load;
mod namespace;
mod peers;
mod picture;
mod report;
mod route;
mod routes;
mod segment;
mod shaper;
mod trial;
mod wan;

use args::Args;
use async_signal::{Signal, Signals};
use cases::Case;
use emulator::Way;
use namespace::Namespace;
use peers::{Key, Peer, Programs};
use report::{Row, Series, Table};
use smol::stream::StreamExt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio, exit};
use std::{env, thread};
use trial::Trial;

/// The exit code for a wrong command line or an unsuitable machine.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let args = args::read(env::args_os().skip(1)).and_then(|args| match args {
        Some(args) if args.routes && args.names == ["list"] => {
            println!("{}", routes::list());
            exit(0)
        }
        None => Ok(None),
        Some(args) => cases(&args).map(|cases| Some((args, cases))),
    });
    let (args, cases) = match args {
        Ok(Some(chosen)) => chosen,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("lab: {error}\nTry `lab --help`.");
            return ExitCode::from(UNUSABLE);
        }
    };
    let done = prepare(&args).and_then(|programs| match &args.picture {
        Some(file) => picture::draw(&programs, file).map(|()| true),
        None => Ok(measure(&args, &cases, &programs)),
    });
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab: {error}");
            ExitCode::from(UNUSABLE)
        }
    }
}

fn cases(args: &Args) -> Result<Vec<Case>, String> {
    match (args.routes, args.quick) {
        (true, _) => routes::cases(&args.names),
        (_, true) => Ok(cases::quick()),
        _ => cases::cases(&args.names),
    }
}

fn prepare(args: &Args) -> Result<Programs, String> {
    if !rustix::process::geteuid().is_root() {
        let cause = "it makes network namespaces and TUN devices, which only root may do";
        return Err(format!("{cause}: run it with sudo, or as root in a virtual machine"));
    }
    let ip = Command::new("ip").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if ip.is_err() {
        return Err("there is no `ip` command: install iproute2".to_owned());
    }
    let tun = OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    tun.map_err(|error| {
        format!(
            "/dev/net/tun: {error}: load the kernel's module (modprobe tun); \
             a container must be given the device (--device /dev/net/tun)"
        )
    })?;
    remove_all_on_signals()?;
    namespace::remove_left_over();
    let probe = Namespace::create("a");
    probe.map_err(|error| {
        format!(
            "cannot make a network namespace: {error}\nIn a container it needs to be \
            privileged (CAP_SYS_ADMIN, CAP_NET_ADMIN)."
        )
    })?;
    let key = args.key.clone().map_or(Key::None, Key::File);
    let mut programs =
        Programs { striper: program(args)?, congestion: args.congestion.clone(), key };
    if args.routes && args.key.is_none() {
        programs.key = programs.make_key()?;
    }
    Ok(programs)
}

/// The program to measure: the named one, or a fresh build if cargo runs the lab, or the program
/// beside it.
fn program(args: &Args) -> Result<PathBuf, String> {
    let beside = || Some(env::current_exe().ok()?.with_file_name("striper-cli"));
    let named = args.bin.clone().or_else(|| env::var_os("TESTED_STRIPER_CLI").map(PathBuf::from));
    let bin = match named {
        Some(bin) => bin,
        None if env::var_os("CARGO").is_some() => striper_tests::binary::path().to_owned(),
        None => beside().unwrap_or_default(),
    };
    let bin = bin.canonicalize().map_err(|error| {
        format!(
            "{}: {error}: build it (cargo build --release) or name another (--bin PATH)",
            bin.display()
        )
    })?;
    let version = Command::new(&bin).arg("--version").stdout(Stdio::null()).status();
    match version {
        Ok(status) if status.success() => Ok(bin),
        _ => Err(format!("{} is no striper-cli that runs here", bin.display())),
    }
}

fn remove_all_on_signals() -> Result<(), String> {
    let mut signals = Signals::new([Signal::Int, Signal::Term, Signal::Hup])
        .map_err(|error| format!("cannot listen to signals: {error}"))?;
    thread::spawn(move || {
        smol::block_on(signals.next());
        namespace::remove_own();
        eprintln!("lab: stopped");
        exit(130);
    });
    Ok(())
}

/// Measures and prints all cases. Returns whether all runs went well; a missed target is no
/// failure.
fn measure(args: &Args, cases: &[Case], programs: &Programs) -> bool {
    // Other programs should disturb as little as possible. The proxies inherit the priority.
    let _ = rustix::process::setpriority_process(None, -10);
    let usual: &[Peer] = if args.routes { &routes::PEERS } else { &[Peer::Direct, Peer::Ours] };
    let mut peers = args.peers.clone().unwrap_or_else(|| usual.to_vec());
    let missing: Vec<_> =
        peers.iter().filter_map(|peer| Some((*peer, programs.missing(*peer)?))).collect();
    peers.retain(|peer| missing.iter().all(|(skipped, _)| skipped != peer));
    let table = Table(peers);
    // A reader of the table may close the pipe early; the lab must still remove its namespaces.
    let print = |line: String| drop(writeln!(io::stdout(), "{line}"));
    if !args.json {
        print(table.head());
    }
    let runs = if args.quick { 1 } else { args.runs };
    let mut good = true;
    for case in cases {
        for direction in &args.directions {
            for row in rows(case, *direction, &table.0, programs, runs) {
                print(if args.json { row.json() } else { table.line(&row) });
                good &= row.results.iter().all(|(_, series)| series.failed() == 0);
            }
        }
    }
    for (peer, cause) in missing {
        let line = format!("{} is skipped: {cause}", peer.name());
        if args.json { eprintln!("{line}") } else { print(format!("\n{line}")) }
    }
    good
}

/// Runs a case in one direction: so many times over each peer in turn, but once over a direct
/// connection.
fn rows(case: &Case, direction: Way, peers: &[Peer], programs: &Programs, runs: usize) -> Vec<Row> {
    let peers = || peers.iter().copied().filter(|peer| case.peers.contains(peer));
    let mut results: Vec<(Peer, Vec<Option<Vec<f64>>>)> =
        peers().map(|peer| (peer, Vec::new())).collect();
    for run in 1..=runs {
        for (peer, results) in &mut results {
            if *peer != Peer::Direct || run == 1 {
                let label = format!("{}, run {run} of {runs}", peer.name());
                results.push(once(case, direction, *peer, programs, &label));
            }
        }
    }
    let row = |(index, measure): (usize, &report::Measure)| {
        let series = |runs: &[Option<Vec<f64>>]| {
            Series(runs.iter().map(|values| values.as_ref().map(|values| values[index])).collect())
        };
        Row {
            test: case.test,
            name: case.name.clone(),
            direction: direction.word(),
            measure: *measure,
            results: results.iter().map(|(peer, runs)| (*peer, series(runs))).collect(),
        }
    };
    case.measures.iter().enumerate().map(row).collect()
}

/// One run, which is shown. Returns its values, `None` if it failed.
fn once(
    case: &Case,
    direction: Way,
    peer: Peer,
    programs: &Programs,
    label: &str,
) -> Option<Vec<f64>> {
    let trial = Trial::start(&case.route, peer, programs);
    let values = trial.and_then(|trial| (case.run)(&trial, direction));
    let shown = match &values {
        Ok(values) => {
            let show = |(of, value): (&report::Measure, &f64)| {
                format!("{} {}", of.name, of.unit.show(*value))
            };
            case.measures.iter().zip(values).map(show).collect::<Vec<_>>().join(", ")
        }
        Err(error) => format!("FAILED: {error}"),
    };
    eprintln!("{} {} {}, {label}: {shown}", case.test, case.name, direction.word());
    values.ok()
}
