//! Traces of a simulated world, one of each session.
//!
//! A failure loses nothing: an input is written down before the session is given it, and the
//! recording outlives a world that panics.

use crate::base::files::{self, Draft, FileKind};
use crate::run::{Observer, Seen};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use striper_core::trace::{self, Header, Recorder};

/// A trace as it was recorded. A trace with a comment at its top is somebody's work.
const TRACE: FileKind<'static> = FileKind { name: "a trace as recorded", begins: trace::BEGINS };
const PROGRAM: &str = concat!("sim ", env!("CARGO_PKG_VERSION"));
const LONGEST_REASON: usize = 200;

pub struct Recordings(Rc<RefCell<State>>);

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedTrace {
    pub name: String,
    pub text: String,
}

struct State {
    scenario_of: Box<dyn Fn(&str) -> String>,
    /// By the session's number, which is the order of birth.
    recordings: BTreeMap<usize, Recording>,
}

struct Recording {
    name: String,
    recorder: Recorder,
    text: String,
    in_doubt: bool,
}

impl Recordings {
    /// `scenario_of` is the command that makes the trace of a name anew.
    pub fn new(scenario_of: impl Fn(&str) -> String + 'static) -> Recordings {
        let scenario_of = Box::new(scenario_of);
        Recordings(Rc::new(RefCell::new(State { scenario_of, recordings: BTreeMap::new() })))
    }

    pub fn observer(&self) -> Observer {
        let state = Rc::clone(&self.0);
        Box::new(move |seen| state.borrow_mut().take(seen))
    }

    /// The traces in the order in which the sessions were born, up to a failure if there was one.
    pub fn finish(self, failure: Option<&str>) -> Vec<NamedTrace> {
        let recordings = std::mem::take(&mut self.0.borrow_mut().recordings);
        recordings.into_values().map(|recording| recording.finish(failure)).collect()
    }
}

impl State {
    fn take(&mut self, seen: &Seen) {
        if !self.recordings.contains_key(&seen.life) {
            let side = ["client", "server"][seen.side.index()];
            let of_side = |recording: &&Recording| recording.name.starts_with(side);
            let before = self.recordings.values().filter(of_side).count();
            let name = if before == 0 { side.into() } else { format!("{side}.{}", before + 1) };
            let recording = Recording::begin(seen, &(self.scenario_of)(&name), name);
            self.recordings.insert(seen.life, recording);
        }
        self.recordings.get_mut(&seen.life).expect("a recording that was begun").take(seen);
    }
}

impl Recording {
    fn begin(seen: &Seen, scenario: &str, name: String) -> Recording {
        let mut header = Header::of(seen.session, PROGRAM);
        header.scenario = (!scenario.is_empty()).then(|| scenario.to_owned());
        let mut text = String::new();
        let recorder =
            Recorder::begin(seen.session, &header, &mut text).expect("writing to a String");
        Recording { name, recorder, text, in_doubt: false }
    }

    fn take(&mut self, seen: &Seen) {
        let Recording { recorder, text, .. } = self;
        let written = match seen.outputs {
            None => recorder.input(seen.now, seen.input, text),
            Some(outputs) => recorder.outputs(outputs, text),
        };
        written.expect("writing to a String");
        self.in_doubt = seen.outputs.is_none();
    }

    fn finish(mut self, failure: Option<&str>) -> NamedTrace {
        let reason = |failure: &str| -> String {
            failure.lines().next().unwrap_or_default().chars().take(LONGEST_REASON).collect()
        };
        match failure {
            // Without an end: the last input's outputs are missing, and a player expects no more.
            Some(failure) if self.in_doubt => {
                self.text += &format!("# The session panics here: {}\n", reason(failure));
            }
            Some(failure) => self.end(&format!("failed: {}", reason(failure))),
            None => self.end("recorded"),
        }
        NamedTrace { name: self.name, text: self.text }
    }

    fn end(&mut self, how: &str) {
        self.recorder.end(how, &mut self.text).expect("writing to a String");
    }
}

/// Writes traces to PATH.client, PATH.server, PATH.server.2 and so on, first all, then names.
pub fn write(path: &Path, traces: &[NamedTrace]) -> Result<Vec<PathBuf>, String> {
    let files: Vec<PathBuf> = traces.iter().map(|trace| file(path, &trace.name)).collect();
    let drafts = files.iter().zip(traces);
    let drafts = drafts.map(|(file, trace)| Draft::write(file, TRACE, &trace.text));
    let drafts: Vec<Draft> = drafts.collect::<Result<_, _>>()?;
    drafts.into_iter().try_for_each(Draft::keep)?;
    Ok(files)
}

pub fn check(path: &Path) -> Result<(), String> {
    ["client", "server"].iter().try_for_each(|name| files::check(&file(path, name), TRACE))
}

fn file(path: &Path, name: &str) -> PathBuf {
    let mut file = path.to_path_buf().into_os_string();
    file.push(".");
    file.push(name);
    file.into()
}
