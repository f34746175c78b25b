//! `cargo run -p sim -- --caps 1mbps`: see `--help`.

use sim::args::{self, Command};
use sim::repeat;
use sim::report::{Scenario, scheduler_name};
use sim::say::say;
use sim::swarm::command;
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = args::parse(std::env::args_os().skip(1));
    match command.and_then(|command| repeat::plant(command.bug()).map(|()| command)) {
        Ok(Command::Help) => say(args::HELP),
        Ok(Command::Measure { scenario, json, html, trace }) => {
            // First, so that a long measurement does not end in vain.
            if let Some(Err(message)) = html.map(|path| draw(&scenario, json, &path)) {
                eprintln!("sim: --html: {message}");
                return ExitCode::from(2);
            }
            if let Some(Err(message)) = trace.map(|path| scenario.write_traces(&path)) {
                eprintln!("sim: --trace: {message}");
                return ExitCode::from(2);
            }
            say(scenario.report(json));
        }
        Ok(Command::Traces(task)) => {
            let (text, verdict) = task.run();
            say(text);
            return verdict.into();
        }
        Ok(Command::Swarm(options)) => return command::swarm(options),
        Ok(Command::Run(run)) => return command::run(&run),
        Ok(Command::Selftest(options)) => return options.run(),
        Ok(Command::Exhaust(options)) => {
            if !sim::exhaust::command::run(&options) {
                return ExitCode::FAILURE;
            }
        }
        Ok(Command::Drive(drive)) => match drive.run() {
            Ok(text) => say(text),
            Err(message) => {
                eprintln!("sim: {message}");
                return ExitCode::FAILURE;
            }
        },
        Ok(Command::Bench(bench)) => say(bench.report()),
        Ok(Command::Topologies(topologies)) => {
            let (text, good) = topologies.report();
            say(text);
            if !good {
                return ExitCode::FAILURE;
            }
        }
        Err(message) => {
            eprintln!("sim: {message}");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// Writes the page of one run; says which on standard output, or beside it when JSON is wanted there.
fn draw(scenario: &Scenario, json: bool, path: &Path) -> Result<(), String> {
    let (stripes, scheduler) = scenario.drawn();
    std::fs::write(path, "").map_err(|error| format!("can't write {}: {error}", path.display()))?;
    let page = scenario.draw(stripes, scheduler);
    std::fs::write(path, page).map_err(|error| format!("can't write {}: {error}", path.display()))?;
    let (name, plural) = (scheduler_name(scheduler), if stripes == 1 { "" } else { "s" });
    let said = format!(
        "{}: {name} over {stripes} stripe{plural} (--stripes and --scheduler choose another)\n",
        path.display()
    );
    if json {
        eprint!("{said}")
    } else {
        say(format_args!("{said}\n"))
    }
    Ok(())
}
