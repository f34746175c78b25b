//! `cargo run -p sim -- --caps 1mbps`: see `--help`.

use sim::args::{self, Command};
use sim::files;
use sim::measure::Transfer;
use sim::picture::PAGE;
use sim::say::say;
use sim::swarm::command;
use sim::{record, repeat, scheduler as schedulers};
use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = args::parse(std::env::args_os().skip(1));
    match command.and_then(|command| repeat::plant(command.bug()).map(|()| command)) {
        Ok(Command::Help) => say(args::HELP),
        Ok(Command::Measure { scenario, json, html, trace }) => {
            if let Err(message) = write(&scenario, json, [html.as_deref(), trace.as_deref()]) {
                eprintln!("sim: {message}");
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

/// Writes the page and the traces that are wanted, after it has seen that it can.
fn write(scenario: &Transfer, json: bool, [html, trace]: [Option<&Path>; 2]) -> Result<(), String> {
    let for_html = |error| format!("--html: {error}");
    let for_trace = |error| format!("--trace: {error}");
    html.map_or(Ok(()), |path| files::check(path, PAGE)).map_err(for_html)?;
    trace.map_or(Ok(()), record::check).map_err(for_trace)?;
    html.map_or(Ok(()), |path| draw(scenario, json, path)).map_err(for_html)?;
    trace.map_or(Ok(()), |path| scenario.write_traces(path)).map_err(for_trace)
}

/// Writes the page of one run; says which on standard output, or beside it when JSON is wanted
/// there.
fn draw(scenario: &Transfer, json: bool, path: &Path) -> Result<(), String> {
    let (stripes, scheduler) = scenario.drawn();
    files::write(path, PAGE, &scenario.draw(stripes, scheduler))?;
    let (name, plural) = (schedulers::name(scheduler), if stripes == 1 { "" } else { "s" });
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
