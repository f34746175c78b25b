//! Standard output.

use crate::failure::Failure;
use std::io::{ErrorKind, Write};

/// Prints all of a text. A reader that closes the pipe early (`| head`) is no failure.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::unexpected(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
