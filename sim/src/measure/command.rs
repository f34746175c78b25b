//! What `sim --caps` does.

use super::{Options, Transfer};
use crate::files;
use crate::picture::PAGE;
use crate::record;
use crate::say::say;
use crate::scheduler as schedulers;
use std::path::Path;
use std::process::ExitCode;

impl Options {
    /// Writes the files that are wanted, and prints the table or JSON. Exit code 2 if a file can't
    /// be written.
    pub fn run(&self) -> ExitCode {
        let Options { transfer, json, html, trace } = self;
        if let Err(message) = write(transfer, *json, [html.as_deref(), trace.as_deref()]) {
            eprintln!("sim: {message}");
            return ExitCode::from(2);
        }
        say(transfer.report(*json));
        ExitCode::SUCCESS
    }
}

/// Writes the page and the traces that are wanted, after it has seen that it can.
fn write(transfer: &Transfer, json: bool, [html, trace]: [Option<&Path>; 2]) -> Result<(), String> {
    let for_html = |error| format!("--html: {error}");
    let for_trace = |error| format!("--trace: {error}");
    html.map_or(Ok(()), |path| files::check(path, PAGE)).map_err(for_html)?;
    trace.map_or(Ok(()), record::check).map_err(for_trace)?;
    html.map_or(Ok(()), |path| draw(transfer, json, path)).map_err(for_html)?;
    trace.map_or(Ok(()), |path| transfer.write_traces(path)).map_err(for_trace)
}

/// Writes the page of one run; says which on standard output, or beside it when JSON is wanted
/// there.
fn draw(transfer: &Transfer, json: bool, path: &Path) -> Result<(), String> {
    let (stripes, scheduler) = transfer.drawn();
    files::write(path, PAGE, &transfer.draw(stripes, scheduler))?;
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
