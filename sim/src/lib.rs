//! The simulator: two real [`striper_core::Session`]s, joined by modelled TCP connections, in
//! virtual time.
//!
//! Its parts are six floors. Each imports only itself and the floors before it in this list:
//!
//! - `base` has words and tools.
//! - `net` is the model: the links between the sessions, the programs behind them, the faults, and
//!   an oracle that knows the best of all schedulers.
//! - `run` runs one world and checks everything after every step.
//! - `search` draws or enumerates worlds and looks for one that fails.
//! - `show` measures, draws, compares and explains.
//! - `command` reads the command line.
//!
//! ```
#![doc = include_str!("../examples/transfer.rs")]
//! ```

#![expect(missing_docs, reason = "a program: its library is for the tests of this repository")]

mod base;
mod command;
mod net;
mod run;
mod search;
mod show;

pub use base::{Kind, Rate, Side, files, scheduler, write_percent, write_rate};
pub use command::{Command, bless::renew, parse};
pub use net::{
    Answer, Control, EndState, Ending, Fault, FlowPlan, LinkSpec, Pipe, ReadPlan, SendPlan, Start,
    Told, fluid_time,
};
pub use run::{Checks, Path, Setup, Transfer, World, driver, steady};
pub use search::swarm;
pub use show::{picture, replay};

use std::process::ExitCode;

pub fn main() -> ExitCode {
    run_command().unwrap_or_else(|message| {
        eprintln!("sim: {message}");
        ExitCode::from(2)
    })
}

fn run_command() -> Result<ExitCode, String> {
    let command = parse(std::env::args_os().skip(1))?;
    let elsewhere = command.bug().map_or(Ok(None), search::bugs::activate)?;
    Ok(elsewhere.unwrap_or_else(|| command.run()))
}
