//! `status`, `drain`, `reload`, `close` and `trace`: commands that ask a running proxy.

use super::client::{self, Connection};
use super::request::{Done, MAX_FLOWS, Request};
use super::table;
use crate::args::Question;
use crate::failure::Failure;
use crate::output;
use crate::printable::{printable, printable_json};
use std::path::Path;

/// Asks the proxy with this socket, or else the only one, and prints the answer.
pub(crate) fn ask(question: &Question, socket: Option<&Path>) -> Result<(), Failure> {
    let path = client::find(socket, &|name| std::env::var_os(name))?;
    let mut connection = Connection::open(&path)?;
    let request = match question {
        Question::Status { json: false } => {
            return output::print(&table::text(&connection.status(MAX_FLOWS)?));
        }
        Question::Status { json: true } => Request::Status { flows: MAX_FLOWS },
        Question::Drain => Request::Drain,
        Question::Reload => Request::Reload,
        Question::Close(connection) => Request::Close { connection: *connection },
        Question::Trace(None) => Request::Trace { file: None },
        Question::Trace(Some(file)) => {
            // The proxy may run in another folder.
            let file = std::path::absolute(file).map_err(|error| {
                let cause = format!("trace: {}: {error}", file.display());
                Failure::usage(cause, "name the file from the root folder on")
            })?;
            Request::Trace { file: Some(file) }
        }
    };
    let answer = connection.ask(&request)?;
    match question {
        Question::Status { .. } => output::print(&printable_json(&format!("{answer:#}\n"))),
        _ => {
            let done: Done = serde_json::from_value(answer).map_err(|error| {
                Failure::unexpected(format!("{}: the answer is garbled: {error}", path.display()))
            })?;
            output::print(&format!("{}\n", printable(&done.text)))
        }
    }
}
