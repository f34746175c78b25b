//! `cargo run -p sim -- --caps 1mbps`: see `--help`.

use sim::command;
use sim::search::bugs;
use std::process::ExitCode;

fn main() -> ExitCode {
    run().unwrap_or_else(|message| {
        eprintln!("sim: {message}");
        ExitCode::from(2)
    })
}

fn run() -> Result<ExitCode, String> {
    let command = command::parse(std::env::args_os().skip(1))?;
    let elsewhere = command.bug().map_or(Ok(None), bugs::activate)?;
    Ok(elsewhere.unwrap_or_else(|| command.run()))
}
