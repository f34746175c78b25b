//! `cargo run -p sim -- --caps 1mbps`: see `--help`.

use sim::{args, repeat};
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = args::parse(std::env::args_os().skip(1));
    match command.and_then(|command| repeat::plant(command.bug()).map(|()| command)) {
        Ok(command) => command.run(),
        Err(message) => {
            eprintln!("sim: {message}");
            ExitCode::from(2)
        }
    }
}
