//! A session's run as lines of text: recorded, read back, played again.
//!
//! A [`Recorder`] only watches: it sees each input with its time before [`Session::handle`], and
//! what came of it after. A [`Trace`] is the text, read back. [`Trace::replay`] gives the inputs to
//! a session again and names the first line that differs. [`Trace::follow`] takes the choices
//! (which frame on which stripe, and when) from the trace. So a trace of the field still tells
//! something once stripes are chosen differently. docs/traces.md has the format line by line.
//!
//! Outputs stand there in words and not as a hash, so that a difference has a name. They are as
//! short as a hash would be. Stripe bytes are runs: framing in hexadecimal, payload as a length,
//! for the engine never looks at payload. Targets, session ids and instances are replaced by
//! aliases: equal ones stay equal, lengths stay, nothing else does.
//!
//! A time is what the session's clock showed, so the header has that of its birth: estimates may
//! depend on where a clock begins.
//!
//! Invariant: no text makes any of this panic. Text that can't be read is an error with its line. A
//! mistake of the caller is found before it is made. A step that no longer fits is a
//! [`Divergence`].

mod alias;
mod framing;
mod header;
mod play;
mod read;
#[cfg(any(test, feature = "testing"))]
mod recall;
mod record;
#[cfg(test)]
mod tests;
mod write;

pub use header::Header;
pub use play::{Divergence, Observer, Played};
pub use record::Recorder;

use crate::time::Instant;
use alloc::string::String;
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

#[cfg(doc)]
use crate::session::Session;

/// How every trace begins, whatever its version. Comments may stand before it.
pub const BEGINS: &str = "striper trace ";

/// The first line of a trace of this version.
const MAGIC: &str = "striper trace 1";

/// The line between the header and the first input.
const BEGIN: &str = "begin";

/// The most bytes that one input may bring, so that a trace written by hand can't ask for all
/// memory.
const MAX_INPUT: u64 = 16 << 20;

/// A trace that was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Trace {
    /// The session that it is a trace of.
    pub header: Header,
    /// Its comments, without the marks.
    pub story: String,
    steps: Vec<Step>,
    /// The words of its last line about its end; `None` if it stops in the middle.
    pub end: Option<String>,
    /// Its last line is broken off.
    pub broken_off: bool,
}

/// One input and what came of it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Step {
    /// Where it stands, counted from 1.
    line: usize,
    at: Instant,
    text: String,
    given: Given,
    outputs: Vec<Said>,
}

/// One output.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Said {
    line: usize,
    text: String,
}

/// An input as a trace has it.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Given {
    /// As it is.
    Input(crate::io::Input),
    /// `StripeBytes`.
    Bytes { stripe: crate::id::StripeId, runs: Vec<Run> },
    /// `FlowData` of this length.
    Data { flow: crate::id::FlowId, len: u64 },
    /// `FlowOpen` with an alias of this length.
    Open { request: u64, alias: u64, len: usize },
}

/// A part of a stripe's bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Run {
    /// Framing, as it is.
    Head(Bytes),
    /// This many bytes that the engine does not look at.
    Payload(u64),
}

/// A trace that can't be read.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct TraceError {
    /// Where, counted from 1.
    pub line: usize,
    /// The mistake.
    pub problem: String,
}

impl fmt::Display for TraceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl core::error::Error for TraceError {}

impl Trace {
    /// How many inputs it has.
    pub fn inputs(&self) -> usize {
        self.steps.len()
    }

    /// From its session's birth to its last input.
    pub fn duration(&self) -> core::time::Duration {
        self.steps
            .last()
            .map_or(core::time::Duration::ZERO, |step| step.at.since(self.header.birth))
    }
}
