//! `--trace FILE`: the library records sessions. A trace begins before the first stripe and is
//! complete when the program ends. The control socket turns it on and off.

use crate::args::Options;
use crate::failure::Failure;
use crate::log::Log;
use crate::sockets::Sockets;
use std::cell::RefCell;
use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use striper_runtime::Traces;

const PROGRAM: &str = concat!("striper-cli ", env!("CARGO_PKG_VERSION"));

/// The time that the end of the program waits for the disk.
const LIMIT: Duration = Duration::from_secs(2);

/// The file to which new sessions are recorded, if there is one. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Tracing(Rc<RefCell<Option<Recorded>>>);

/// A file, and what writes to it.
type Recorded = (PathBuf, Arc<Traces>);

impl Tracing {
    /// As the options say.
    pub(crate) fn new(options: &Options, sockets: &Sockets) -> Result<Self, Failure> {
        let tracing = Tracing::default();
        if let Some(path) = &options.trace {
            tracing.create(&sockets.own_file(path), "--trace")?;
        }
        Ok(tracing)
    }

    /// Records to this file from now on, and no longer to the one before.
    pub(crate) fn begin(&self, path: &Path) -> Result<Arc<Traces>, Failure> {
        self.create(path, "trace")
    }

    fn create(&self, path: &Path, what: &str) -> Result<Arc<Traces>, Failure> {
        let traces = Traces::create(path, PROGRAM);
        let traces = traces.map_err(|error| match error.kind() {
            ErrorKind::ResourceBusy if self.path().is_some_and(|ours| is_same(&ours, path)) => {
                let cause = format!("{what}: this process records to {} already", path.display());
                Failure::usage(cause, "name another file, or end that first: striper-cli trace off")
            }
            _ => Failure::record(what, path, "trace", &error),
        })?;
        self.0.replace(Some((path.to_owned(), traces.clone())));
        Ok(traces)
    }

    pub(crate) fn end(&self) {
        self.0.take();
    }

    pub(crate) fn path(&self) -> Option<PathBuf> {
        self.0.borrow().as_ref().map(|(path, _)| path.clone())
    }

    pub(crate) fn traces(&self) -> Option<Arc<Traces>> {
        self.0.borrow().as_ref().map(|(_, traces)| traces.clone())
    }

    /// The program ends: waits until the file is complete, but not for ever.
    pub(crate) fn finish(&self, log: &Log) {
        if self.traces().is_some_and(|traces| !traces.flush(LIMIT)) {
            let text = "the trace is incomplete: its file takes no data at the moment";
            log.warn("trace_incomplete", text, &[]);
        }
    }
}

/// Whether two names are those of one file.
fn is_same(one: &Path, other: &Path) -> bool {
    let identity = |path| fs::metadata(path).map(|file| (file.dev(), file.ino())).ok();
    identity(one).is_some_and(|one| identity(other) == Some(one))
}
