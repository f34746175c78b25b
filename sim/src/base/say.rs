//! Prints to a reader that may leave early, such as `head`. Then the program ends without a word,
//! and not with a panic.

use std::fmt::Display;
use std::io::{ErrorKind, Write, stdout};
use std::process::exit;

/// A shell's code for a program that SIGPIPE ends. It is no success: not everything was checked.
const CLOSED: i32 = 141;

/// Prints to standard output. Does not return if nobody reads it any more.
pub fn say(text: impl Display) {
    let mut out = stdout().lock();
    match write!(out, "{text}").and_then(|()| out.flush()) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::BrokenPipe => exit(CLOSED),
        Err(error) => {
            eprintln!("sim: can't print: {error}");
            exit(1)
        }
    }
}
