//! `striper-cli`: carries TCP connections over several parallel TCP connections. [`help`] describes
//! it.

#![warn(unreachable_pub)]

mod answer;
mod args;
mod client;
mod clock;
mod config;
mod congestion;
mod control;
mod counts;
mod demo;
mod endpoint;
mod events;
mod excerpt;
mod failure;
mod files;
mod granted;
mod help;
mod http_status;
mod key_log;
mod keys;
mod listeners;
mod live;
mod log;
mod lookups;
mod output;
mod packages;
mod policy;
mod printable;
mod reach;
mod records;
mod relay;
mod reload;
mod server;
mod service;
mod signals;
mod socket;
mod sockets;
mod state;
mod status;
mod supervisor;
#[cfg(feature = "top")]
mod top;
mod trace;
mod unfinished;
mod units;
mod upgrade;
mod version;
mod ways;

use args::{Command, Invocation};
use failure::Failure;
use log::{Log, LogFormat, Verbosity};
use sockets::Sockets;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use striper_runtime::local::Executor;

// Cargo gives a feature to every package that is built together. Without this check, users would
// get a program with the simulator's rare turns.
const _: () = assert!(
    !striper_core::FOR_SIMULATION_ONLY,
    "striper-core has rare turns in it, for simulation alone: build only sim with them (-p sim)"
);

fn main() -> ExitCode {
    ExitCode::from(args::of_process().and_then(run).unwrap_or_else(|failure| {
        failure.tell();
        failure.code
    }))
}

/// Carries out a command, and returns the exit code. A failure is not printed yet.
fn run(invocation: Invocation) -> Result<u8, Failure> {
    let Invocation { command, options } = &invocation;
    match command {
        Command::Help(topic) => output::print(&help::page(topic.as_deref()))?,
        Command::Version => output::print(&version::text())?,
        Command::Man(topic) => output::print(&packages::man(topic.as_deref())?)?,
        Command::Completions(shell) => output::print(&packages::completions(*shell)?)?,
        Command::Keygen { file, kind } => {
            keys::keygen(file, *kind, options.verbosity == Verbosity::Quiet)?;
        }
        Command::Pubkey { file } => keys::pubkey(file)?,
        Command::Check(checked) => config::check(checked, options)?,
        Command::Example(role) => output::print(&config::example(role))?,
        Command::Values { values, json } => output::print(&config::values(values, *json))?,
        Command::Top { socket, no_color } => return top(socket.as_deref(), *no_color),
        Command::Ask { question, socket } => control::commands::ask(question, socket.as_deref())?,
        Command::Demo { .. }
        | Command::Server { .. }
        | Command::Client { .. }
        | Command::Relay { .. } => return serve(invocation),
    }
    Ok(0)
}

#[cfg(feature = "top")]
fn top(socket: Option<&Path>, no_color: bool) -> Result<u8, Failure> {
    top::run(socket, no_color)
}

#[cfg(not(feature = "top"))]
fn top(_socket: Option<&Path>, _no_color: bool) -> Result<u8, Failure> {
    let cause = "this build has no top (Cargo's feature of this name); striper-cli status shows \
                 the same, once";
    Err(Failure { code: failure::code::USAGE, ..Failure::unexpected(cause) })
}

fn serve(invocation: Invocation) -> Result<u8, Failure> {
    let sockets = Sockets::begin()?;
    files::check_threads()?;
    let demo = matches!(invocation.command, Command::Demo { .. });
    let (file, role) = (invocation.options.file.clone(), invocation.command.role());
    let format = invocation.options.log;
    let log = Log::new(invocation.options.verbosity, format);
    let log = if demo { log.untimed() } else { log };
    for name in args::misnamed(std::env::vars_os().map(|(name, _)| name)) {
        log.warn("unknown_variable", args::about(&name), &[("variable", name.into())]);
    }
    let room = match &invocation.command {
        Command::Demo { .. } => files::make_room(files::FOR_THE_DEMO, 0),
        Command::Client { .. } => files::make_room(files::FOR_A_PROXY, invocation.options.stripes),
        _ => files::make_room(files::FOR_A_PROXY, 0),
    };
    let ended = room.and_then(|()| {
        let ex: Executor = Rc::new(smol::LocalExecutor::new());
        // The executor polls this future whenever any task is woken, so it only waits for a task.
        let command = ex.spawn(carry_out(ex.clone(), log.clone(), sockets, invocation));
        smol::block_on(ex.run(command))
    });
    let ended = ended.map_err(|failure| match &file {
        Some(file) => args::of_file(file, role, failure),
        None => failure,
    });
    let ended = match ended {
        // The demo has its failures on the screen and not in a log, unless that is JSON.
        Err(failure) if !demo || format == LogFormat::Json => Ok(fail(&log, format, &failure)),
        ended => ended,
    };
    log.flush();
    ended
}

async fn carry_out(
    ex: Executor,
    log: Log,
    sockets: Sockets,
    invocation: Invocation,
) -> Result<u8, Failure> {
    sockets.inherit().await?;
    let Invocation { command, options } = &invocation;
    let ended = match command {
        Command::Server { listen, target } => {
            server::run(&ex, &log, &sockets, options, *listen, target.as_ref()).await
        }
        Command::Client { ways, servers } => {
            client::run(&ex, &log, &sockets, options, ways, servers).await
        }
        Command::Relay { listen, target, framing } => {
            relay::run(&ex, &log, &sockets, options, *listen, target, *framing).await
        }
        Command::Demo { json } => demo::run(&ex, &log, options, *json).await,
        _ => unreachable!("other commands need no executor"),
    };
    sockets.release();
    // Tasks that were released end in their next turn.
    smol::future::yield_now().await;
    ended
}

fn fail(log: &Log, format: LogFormat, failure: &Failure) -> u8 {
    let mut fields = vec![("code", u64::from(failure.code).into())];
    fields.extend(failure.cure.as_deref().map(|cure| ("cure", cure.into())));
    fields.extend(failure.excerpt_field());
    match format {
        LogFormat::Human => log.error("failed", failure, &[]),
        LogFormat::Json => log.error("failed", &failure.cause, &fields),
    }
    log.below(failure.excerpt.as_deref());
    failure.code
}
