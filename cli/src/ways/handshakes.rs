//! The bounds on handshakes of programs.

use crate::unfinished::{Lost, Unfinished};
use std::time::Duration;

/// The most handshakes at a time. Each has a file descriptor and at most 16 KiB.
const MOST: usize = 512;
/// The time for a handshake.
const LIMIT: Duration = Duration::from_secs(10);

/// The handshakes of one port.
pub(super) fn unfinished() -> Unfinished {
    Unfinished::new(MOST, LIMIT)
}

/// Why a handshake has no end.
pub(super) fn why(lost: Lost) -> String {
    match lost {
        Lost::Late => format!("its handshake took longer than {} s", LIMIT.as_secs()),
        Lost::Displaced => "too many others were in their handshakes".to_owned(),
    }
}
