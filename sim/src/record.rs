//! Traces of a simulated world: one of each session, from its first input to its end or to that of
//! the world.
//!
//! Nothing is lost by a failure: an input is written down before the session is given it, and what
//! was recorded outlives a world that panics.

use crate::files::{self, Draft, Kind};
use crate::observe::{Observer, Seen};
use crate::side::Side;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use striper_core::trace::{self, Header, Recorder};

/// A trace as it was recorded. A trace with a comment at its top is somebody's work.
const TRACE: Kind<'static> = Kind { name: "a trace as recorded", begins: trace::BEGINS };

/// What traces of this program say of who wrote them.
const PROGRAM: &str = concat!("sim ", env!("CARGO_PKG_VERSION"));

/// What a trace can hold of a failure's words, in characters.
const LONGEST_REASON: usize = 200;

/// A world's traces under way.
pub struct Tapes(Rc<RefCell<Recording>>);

/// The trace of one session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reel {
    /// Its name: `client` and `server` for the first of each side, then `server.2` and so on.
    pub name: String,
    /// The trace.
    pub text: String,
}

struct Recording {
    scenario_of: Box<dyn Fn(&str) -> String>,
    /// By the session's number, which is the order of birth.
    tapes: BTreeMap<usize, Tape>,
}

struct Tape {
    name: String,
    recorder: Recorder,
    text: String,
    /// It has been given an input, and what comes of it is not known yet.
    in_doubt: bool,
}

impl Tapes {
    /// Nothing is recorded yet. `scenario_of` is the command that makes the trace of a name anew.
    pub fn new(scenario_of: impl Fn(&str) -> String + 'static) -> Tapes {
        let scenario_of = Box::new(scenario_of);
        Tapes(Rc::new(RefCell::new(Recording { scenario_of, tapes: BTreeMap::new() })))
    }

    /// What is to watch a world in which nothing has happened yet.
    pub fn observer(&self) -> Observer {
        let recording = Rc::clone(&self.0);
        Box::new(move |seen| recording.borrow_mut().take(seen))
    }

    /// What was recorded, in the order in which the sessions were born, up to a failure if there
    /// was one.
    pub fn finish(self, failure: Option<&str>) -> Vec<Reel> {
        let tapes = std::mem::take(&mut self.0.borrow_mut().tapes);
        tapes.into_values().map(|tape| tape.finish(failure)).collect()
    }
}

impl Recording {
    fn take(&mut self, seen: &Seen) {
        if !self.tapes.contains_key(&seen.life) {
            let name = self.name(seen.side);
            let tape = Tape::begin(seen, &(self.scenario_of)(&name), name);
            self.tapes.insert(seen.life, tape);
        }
        self.tapes.get_mut(&seen.life).expect("a tape that was begun").take(seen);
    }

    /// The name of a side's next session.
    fn name(&self, side: Side) -> String {
        let side = ["client", "server"][side.index()];
        let before = self.tapes.values().filter(|tape| tape.name.starts_with(side)).count();
        if before == 0 { side.into() } else { format!("{side}.{}", before + 1) }
    }
}

impl Tape {
    fn begin(seen: &Seen, scenario: &str, name: String) -> Tape {
        let mut header = Header::of(seen.session, PROGRAM);
        header.scenario = (!scenario.is_empty()).then(|| scenario.to_owned());
        let mut text = String::new();
        let recorder =
            Recorder::begin(seen.session, &header, &mut text).expect("writing to a String");
        Tape { name, recorder, text, in_doubt: false }
    }

    fn take(&mut self, seen: &Seen) {
        let Tape { recorder, text, .. } = self;
        let written = match seen.outputs {
            None => recorder.input(seen.now, seen.input, text),
            Some(outputs) => recorder.outputs(outputs, text),
        };
        written.expect("writing to a String");
        self.in_doubt = seen.outputs.is_none();
    }

    fn finish(mut self, failure: Option<&str>) -> Reel {
        let reason = |failure: &str| -> String {
            failure.lines().next().unwrap_or_default().chars().take(LONGEST_REASON).collect()
        };
        match failure {
            // Without an end: the last input's outputs are missing, and a player expects no more of
            // it.
            Some(failure) if self.in_doubt => {
                self.text += &format!("# The session panics here: {}\n", reason(failure));
            }
            Some(failure) => self.end(&format!("failed: {}", reason(failure))),
            None => self.end("recorded"),
        }
        Reel { name: self.name, text: self.text }
    }

    fn end(&mut self, how: &str) {
        self.recorder.end(how, &mut self.text).expect("writing to a String");
    }
}

/// Writes traces to PATH.client, PATH.server, PATH.server.2 and so on. All are written whole before
/// the first gets its name. Earlier traces are replaced. Returns the names of the files, or what
/// went wrong.
pub fn write(path: &Path, reels: &[Reel]) -> Result<Vec<PathBuf>, String> {
    let files: Vec<PathBuf> = reels.iter().map(|reel| file(path, &reel.name)).collect();
    let drafts = files.iter().zip(reels);
    let drafts = drafts.map(|(file, reel)| Draft::write(file, TRACE, &reel.text));
    let drafts: Vec<Draft> = drafts.collect::<Result<_, _>>()?;
    drafts.into_iter().try_for_each(Draft::keep)?;
    Ok(files)
}

/// Says whether the traces of both sides can be written.
pub fn check(path: &Path) -> Result<(), String> {
    ["client", "server"].iter().try_for_each(|name| files::check(&file(path, name), TRACE))
}

fn file(path: &Path, name: &str) -> PathBuf {
    let mut file = path.to_path_buf().into_os_string();
    file.push(".");
    file.push(name);
    file.into()
}
