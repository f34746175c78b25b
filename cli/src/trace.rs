//! `--trace FILE`: the library records sessions. A trace begins before the first stripe and is
//! complete when the program ends.

use crate::args::Options;
use crate::failure::Failure;
use crate::log::Log;
use std::sync::Arc;
use std::time::Duration;
use striper_runtime::Traces;

const PROGRAM: &str = concat!("striper-cli ", env!("CARGO_PKG_VERSION"));

/// The time that the end of the program waits for the disk.
const LIMIT: Duration = Duration::from_secs(2);

pub(crate) fn begin(options: &Options) -> Result<Option<Arc<Traces>>, Failure> {
    let Some(path) = &options.trace else { return Ok(None) };
    let failure = |error| Failure::record("--trace", path, "trace", &error);
    Traces::create(path, PROGRAM).map(Some).map_err(failure)
}

pub(crate) fn finish(log: &Log, traces: Option<&Traces>) {
    if traces.is_some_and(|traces| !traces.flush(LIMIT)) {
        let text = "the trace is incomplete: its file takes no data at the moment";
        log.warn("trace_incomplete", text, &[]);
    }
}
