//! The words of the control socket: a request and its answer are one line of JSON each.

use crate::failure::Failure;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The longest request in bytes. A file name has at most 4,096 bytes.
pub(crate) const MAX_REQUEST: u64 = 8 << 10;

/// The flows that an answer lists at most. Each takes about 400 bytes.
pub(crate) const MAX_FLOWS: usize = 16_384;

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// The state, with at most so many flows.
    Status {
        #[serde(default = "all_flows")]
        flows: usize,
    },
    /// Takes no new connections and lets open ones finish, then ends.
    Drain,
    /// Reads keys, rules and users again.
    Reload,
    /// Resets the connection with this number in the log.
    Close { connection: u64 },
    /// Records new sessions to this file; without one, records nothing any more.
    Trace { file: Option<PathBuf> },
}

fn all_flows() -> usize {
    MAX_FLOWS
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer<T> {
    Ok(T),
    Error(Trouble),
}

/// The outcome, for a person.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Done {
    pub text: String,
}

/// The reason why a request has not been carried out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Trouble {
    /// The exit code of a command that asked for it.
    pub code: u8,
    pub cause: String,
    pub cure: Option<String>,
    /// Lines of a file with carets under what is wrong.
    #[serde(default)]
    pub excerpt: Option<String>,
}

impl Trouble {
    fn of(failure: Failure) -> Self {
        let Failure { code, cause, cure, excerpt } = failure;
        Trouble { code, cause, cure, excerpt }
    }

    pub(crate) fn into_failure(self) -> Failure {
        let Trouble { code, cause, cure, excerpt } = self;
        Failure { code, cause, cure, excerpt }
    }
}

/// Reads a request without its end of line.
pub(crate) fn read(line: &[u8]) -> Result<Request, Failure> {
    serde_json::from_slice(line).map_err(|error| {
        Failure::usage(
            format!("this is no request: {error}"),
            "write one line of JSON, such as {\"command\":\"status\"}; docs/OPERATING.md has all",
        )
    })
}

/// The failure of a request that has more bytes than [`MAX_REQUEST`].
pub(crate) fn too_long() -> Failure {
    let cause = format!("this is no request: it has more than {MAX_REQUEST} bytes");
    Failure::usage(cause, "write one line of JSON, and read its answer")
}

/// An answer with its end of line.
pub(crate) fn write<T: Serialize>(answer: Result<T, Failure>) -> Vec<u8> {
    let answer = match answer {
        Ok(value) => Answer::Ok(value),
        Err(failure) => Answer::Error(Trouble::of(failure)),
    };
    // Only a map with keys that are no text can't be written, and there is none.
    let mut line = serde_json::to_vec(&answer).unwrap_or_default();
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_a_line_with_its_command() {
        for (line, request) in [
            (r#"{"command":"status"}"#, Request::Status { flows: MAX_FLOWS }),
            (r#"{"command":"status","flows":0}"#, Request::Status { flows: 0 }),
            (r#"{"command":"drain"}"#, Request::Drain),
            (r#"{"command":"reload"}"#, Request::Reload),
            (r#"{"command":"close","connection":7}"#, Request::Close { connection: 7 }),
            (r#"{"command":"trace","file":"/x"}"#, Request::Trace { file: Some("/x".into()) }),
            (r#"{"command":"trace","file":null}"#, Request::Trace { file: None }),
        ] {
            assert_eq!(read(line.as_bytes()), Ok(request.clone()), "{line}");
            let text = serde_json::to_string(&request).unwrap();
            assert_eq!(read(text.as_bytes()), Ok(request), "{text}");
        }
    }

    #[test]
    fn another_line_has_an_answer_that_says_what_is_wrong() {
        for (line, part) in [
            ("", "EOF"),
            ("status", "expected value"),
            (r#"{"command":"stop"}"#, "unknown variant `stop`"),
            (r#"{"command":"close"}"#, "missing field `connection`"),
            (r#"{"command":"close","connection":-1}"#, "invalid value"),
            (r#"{"command":"trace","file":"/x","on":true}"#, "unknown field `on`"),
            ("\u{0}\u{1}", "expected value"),
        ] {
            let failure = read(line.as_bytes()).unwrap_err();
            assert!(failure.cause.contains(part), "{line}: {failure}");
            let answer = String::from_utf8(write::<()>(Err(failure))).unwrap();
            assert!(answer.starts_with(r#"{"error":{"code":2,"cause":"#), "{answer}");
            assert!(answer.ends_with("}\n") && answer.matches('\n').count() == 1, "{answer}");
        }
    }
}
