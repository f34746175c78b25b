//! `striper-cli`: carries TCP connections over several parallel TCP connections. See [`help`] for what it does.

mod args;
mod clock;
mod congestion;
mod demo;
mod endpoint;
mod entrance;
mod exit;
mod failure;
mod files;
mod help;
mod keys;
mod live;
mod log;
mod narrate;
mod record;
mod relay;
mod service;
mod signals;
mod status;
mod units;

use args::{Command, Invocation, LogFormat};
use failure::{Failure, code};
use log::Log;
use std::io::Write;
use std::process::ExitCode;
use std::rc::Rc;
use striper_runtime::Executor;

// Cargo gives a feature to every member that is built together: this says so before it harms anybody.
const _: () = assert!(
    !striper_core::FOR_SIMULATION_ONLY,
    "striper-core has rare turns or planted bugs in it, for simulation alone: build only sim with them (-p sim)"
);

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1), |name| std::env::var_os(name)) {
        Ok(invocation) => ExitCode::from(run(invocation)),
        Err(failure) => {
            // The log's form is not known yet: plain words it is.
            let cure = failure.cure.map(|cure| format!("\n  {cure}")).unwrap_or_default();
            let _ = writeln!(std::io::stderr(), "striper-cli: {}{cure}", failure.cause);
            ExitCode::from(failure.code)
        }
    }
}

/// Does what is asked, and returns the exit code.
fn run(invocation: Invocation) -> u8 {
    let format = invocation.options.log;
    let log = Log::new(invocation.options.verbosity, format);
    let ex: Executor = Rc::new(smol::LocalExecutor::new());
    // What an executor is run for is polled again whenever any task is woken: let that be no more than waiting for one.
    let command = ex.spawn(carry_out(ex.clone(), log.clone(), invocation));
    let code = smol::block_on(ex.run(command)).unwrap_or_else(|failure| fail(&log, format, &failure));
    log.flush();
    code
}

async fn carry_out(ex: Executor, log: Log, invocation: Invocation) -> Result<u8, Failure> {
    let Invocation { command, options } = &invocation;
    match command {
        Command::Help => Ok(print(help::HELP)),
        Command::Version => Ok(print(help::VERSION)),
        Command::Keygen { file, kind } => keys::keygen(&log, file, *kind),
        Command::Pubkey { file } => keys::pubkey(file),
        Command::Demo => demo::run(&ex, &log, options).await,
        Command::Server { listen, target } => {
            files::raise_limit();
            exit::run(&ex, &log, options, *listen, target).await
        }
        Command::Client { listens, servers } => {
            files::raise_limit();
            entrance::run(&ex, &log, options, listens, servers).await
        }
        Command::Relay { listen, target, framing } => {
            files::raise_limit();
            relay::run(&ex, &log, options, *listen, target, *framing).await
        }
    }
}

fn fail(log: &Log, format: LogFormat, failure: &Failure) -> u8 {
    match (format, &failure.cure) {
        (LogFormat::Human, Some(cure)) => log.error("failed", format!("{}; {cure}", failure.cause), &[]),
        _ => log.error(
            "failed",
            &failure.cause,
            &[
                ("code", u64::from(failure.code).into()),
                ("cure", failure.cure.clone().unwrap_or_default().into()),
            ],
        ),
    }
    failure.code
}

/// Prints a text on stdout. A reader that has seen enough (`| head`) is no failure.
fn print(text: &str) -> u8 {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => code::UNEXPECTED,
        _ => 0,
    }
}
