//! `lab` measures the pair of proxies on the kernel's own TCP, beside a direct connection, and
//! prints one table. The route of [`emulator`] joins two network namespaces. The file docs/lab.md
//! describes the measurements and the limits of the model.

mod args;
mod cases;
mod clock;
mod emulator;
mod load;
mod namespace;
mod picture;
mod report;
mod segment;
mod trial;
mod wan;

use args::Args;
use async_signal::{Signal, Signals};
use cases::Case;
use emulator::Way;
use namespace::Namespace;
use report::Row;
use smol::stream::StreamExt;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio, exit};
use std::{env, thread};
use trial::{Product, Trial};

/// The exit code for a wrong command line or an unsuitable machine.
const UNUSABLE: u8 = 2;

fn main() -> ExitCode {
    let args = match args::read(env::args_os().skip(1), &cases::TESTS) {
        Ok(Some(args)) => args,
        Ok(None) => {
            print!("{}", args::HELP);
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("lab: {error}\nTry `lab --help`.");
            return ExitCode::from(UNUSABLE);
        }
    };
    let done = prepare(&args).and_then(|product| match &args.picture {
        Some(file) => picture::draw(&product, file).map(|()| true),
        None => measure(&args, &product),
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

fn prepare(args: &Args) -> Result<Product, String> {
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
    Ok(Product { bin: program(args)?, congestion: args.congestion.clone(), key: args.key.clone() })
}

/// The program to measure: the named one, or a fresh build if cargo runs the lab, or the program
/// beside it.
fn program(args: &Args) -> Result<PathBuf, String> {
    let beside = || Some(env::current_exe().ok()?.with_file_name("striper-cli"));
    let named = args.bin.clone().or_else(|| env::var_os("STRIPER_CLI").map(PathBuf::from));
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
fn measure(args: &Args, product: &Product) -> Result<bool, String> {
    // Other programs should disturb as little as possible. The proxies inherit the priority.
    let _ = rustix::process::setpriority_process(None, -10);
    let (cases, runs) =
        if args.quick { (cases::quick(), 1) } else { (cases::cases(&args.tests), args.runs) };
    // A reader of the table may close the pipe early; the lab must still remove its namespaces.
    let print = |line: String| drop(writeln!(io::stdout(), "{line}"));
    if !args.json {
        print(report::head());
    }
    let mut good = true;
    for case in &cases {
        for direction in [Way::Up, Way::Down] {
            for row in rows(case, direction, product, runs)? {
                print(if args.json { row.json() } else { row.line() });
                good &= row.failed == 0;
            }
        }
    }
    Ok(good)
}

/// Runs a case in one direction: once directly, then so many times over the pair. Fails if the
/// set-up fails.
fn rows(case: &Case, direction: Way, product: &Product, runs: usize) -> Result<Vec<Row>, String> {
    let word = if direction == Way::Up { "up" } else { "down" };
    let once = |product: Option<&Product>, label: &str| {
        let trial = Trial::start(&case.paths, product)?;
        let values = (case.run)(&trial, direction);
        let shown = match &values {
            Ok(values) => {
                let show = |(of, value): (&report::Measure, &f64)| {
                    format!("{} {}", of.name, of.unit.show(*value))
                };
                case.measures.iter().zip(values).map(show).collect::<Vec<_>>().join(", ")
            }
            Err(error) => format!("FAILED: {error}"),
        };
        eprintln!("{} {} {word}, {label}: {shown}", case.test, case.name);
        Ok::<_, String>(values.ok())
    };
    let direct = if case.direct { once(None, "direct")? } else { None };
    let results = (1..=runs).map(|run| once(Some(product), &format!("run {run} of {runs}")));
    let results = results.collect::<Result<Vec<_>, _>>()?;
    let failed = results.iter().filter(|result| result.is_none()).count();
    let row = |(index, measure): (usize, &report::Measure)| Row {
        test: case.test,
        name: case.name,
        direction: word,
        measure: *measure,
        direct: direct.as_ref().map(|values| values[index]),
        ours: results.iter().flatten().map(|values| values[index]).collect(),
        failed,
    };
    Ok(case.measures.iter().enumerate().map(row).collect())
}
