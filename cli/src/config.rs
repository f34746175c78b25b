//! `check` and `config`: a configuration file looked at, without a start.

mod example;

pub(crate) use example::example;

use crate::args::{Command, From, Options, Value, of_file};
use crate::failure::Failure;
use crate::log::Log;
use crate::printable::printable;
use crate::{client, output, server};
use serde_json::json;
use std::fmt::Write;
use std::path::Path;

/// Reads and checks all that a start would, but for the addresses to listen on and other machines.
pub(crate) fn check(command: &Command, options: &Options) -> Result<(), Failure> {
    let log = Log::new(options.verbosity, options.log).untimed();
    let checked = match command {
        Command::Server { listen, target } => {
            server::prepare(&log, options, *listen, target.as_ref()).map(drop)
        }
        Command::Client { ways, servers } => {
            client::prepare(&log, options, ways, servers).map(drop)
        }
        _ => Ok(()),
    };
    log.flush();
    let file = options.file.as_deref().unwrap_or(Path::new(""));
    checked.map_err(|failure| of_file(file, command.role(), failure))?;
    output::print(&format!("{}: no mistake found\n", file.display()))
}

/// One line for each value, or JSON.
pub(crate) fn values(values: &[Value], json: bool) -> String {
    if json {
        let one = |value: &Value| {
            let (source, place) = source(&value.from);
            json!({ "key": value.key, "value": value.value, "source": source, "place": place })
        };
        let list: Vec<_> = values.iter().map(one).collect();
        return format!("{:#}\n", json!({ "values": list }));
    }
    // A long value moves only its own line.
    let width = |text: &str| text.chars().count().min(40);
    let keys = values.iter().map(|value| width(&value.key)).max().unwrap_or_default();
    let shown = |value: &Value| printable(value.value.as_deref().unwrap_or("-"));
    let most = values.iter().map(|value| width(&shown(value))).max().unwrap_or_default();
    let mut lines = String::new();
    for value in values {
        let (source, place) = source(&value.from);
        let line = format!("{:keys$}  {:most$}  {source}", value.key, shown(value));
        let place = place.map(|place| format!(" {}", printable(place))).unwrap_or_default();
        let _ = writeln!(lines, "{line}{place}");
    }
    lines
}

/// The kind of the source of a value, and the variable or the line of a file.
fn source(from: &From) -> (&'static str, Option<&str>) {
    match from {
        From::Option => ("option", None),
        From::Environment(variable) => ("environment", Some(variable)),
        From::File(place) => ("file", Some(place)),
        From::Default => ("default", None),
    }
}
