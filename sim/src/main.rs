//! `cargo run -p sim -- --caps 1mbps`: see `--help`.

use sim::args::{self, Command};
use std::process::ExitCode;

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)) {
        Ok(Command::Help) => print!("{}", args::HELP),
        Ok(Command::Measure { scenario, json }) => print!("{}", scenario.report(json)),
        Ok(Command::Sweep { seeds }) => print!("{}", sim::sweep::run(seeds)),
        Err(message) => {
            eprintln!("sim: {message}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}
