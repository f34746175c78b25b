//! Gives a trace's inputs to a session again.

use super::alias::target_bytes;
use super::read::choice;
use super::write::output_lines;
use super::{Given, Run, Said, Step, Trace};
use crate::id::{FlowId, SessionId};
use crate::io::{Input, Output};
use crate::session::Session;
use crate::session::follow::{Choice, Unfit};
use crate::time::Instant;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use bytes::Bytes;
use core::fmt;

/// Sees what a played session is given and does, in order.
pub type Observer<'a> = &'a mut dyn FnMut(Instant, &Input, &[Output]);

/// The same, with the session as it is after the input.
type Watcher<'a> = &'a mut dyn FnMut(&Session, Instant, &Input, &[Output]);

/// A trace that fits.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Played {
    /// How many inputs it has.
    pub inputs: usize,
    /// How many lines of outputs.
    pub outputs: usize,
}

/// The first line of a trace that does not fit.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Divergence {
    /// Where, counted from 1.
    pub line: usize,
    /// The input that it happened at.
    pub input: String,
    /// The trace's line there; `None` if it has nothing more to this input.
    pub expected: Option<String>,
    /// The session's line there, or why it can't follow the trace; `None` if it does nothing more.
    pub got: Option<String>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nothing = "(nothing more)";
        write!(
            f,
            "line {}: after \"{}\"\n  expected: {}\n  got:      {}",
            self.line,
            self.input,
            self.expected.as_deref().unwrap_or(nothing),
            self.got.as_deref().unwrap_or(nothing)
        )
    }
}

impl core::error::Error for Divergence {}

#[derive(Clone, Copy, PartialEq, Eq)]
enum How {
    Choosing,
    Following,
}

impl Trace {
    /// Whether the code still does exactly this.
    pub fn replay(&self) -> Result<Played, Divergence> {
        self.replay_with(&mut |_, _, _| {})
    }

    /// [`Trace::replay`] under an observer's eyes.
    pub fn replay_with(&self, observer: Observer<'_>) -> Result<Played, Divergence> {
        self.play(How::Choosing, &mut |_, now, input, outputs| observer(now, input, outputs))
    }

    /// Whether the code can still do this: which frame goes on which stripe, and when, is taken
    /// from the trace. Pace is not compared.
    pub fn follow(&self) -> Result<Played, Divergence> {
        self.follow_with(&mut |_, _, _| {})
    }

    /// [`Trace::follow`] under an observer's eyes.
    pub fn follow_with(&self, observer: Observer<'_>) -> Result<Played, Divergence> {
        self.play(How::Following, &mut |_, now, input, outputs| observer(now, input, outputs))
    }

    /// With the feature `testing`: as [`Trace::follow`], under the eyes of one who sees the session
    /// after each input. Without a promise of stability.
    #[cfg(any(test, feature = "testing"))]
    pub fn follow_session(
        &self,
        observer: &mut dyn FnMut(Instant, &Session),
    ) -> Result<Played, Divergence> {
        self.play(How::Following, &mut |session, now, _, _| observer(now, session))
    }

    fn play(&self, how: How, watcher: Watcher<'_>) -> Result<Played, Divergence> {
        let header = &self.header;
        let id: SessionId = super::alias::session_id(1);
        let mut session = Session::new(header.role, id, header.config, header.birth);
        let mut outputs = Vec::new();
        let mut played = Played { inputs: 0, outputs: 0 };
        for (index, step) in self.steps.iter().enumerate() {
            let input = step.input();
            let stop = |line: usize, expected: Option<&str>, got: Option<String>| Divergence {
                line,
                input: step.text.clone(),
                expected: expected.map(ToString::to_string),
                got,
            };
            if let Some(why) = session.mistake(&input) {
                let got = format!("no session takes this: {why}");
                return Err(stop(step.line, Some(&step.text), Some(got)));
            }
            outputs.clear();
            // Of the last input something may be missing if the trace stops in the middle.
            let cut = self.end.is_none() && index + 1 == self.steps.len();
            let compared = match how {
                How::Choosing => {
                    session.handle(step.at, input.clone(), &mut outputs);
                    compare(&step.outputs, &output_lines(&outputs), cut)
                }
                How::Following => follow(&mut session, step, input.clone(), &mut outputs, cut),
            };
            watcher(&session, step.at, &input, &outputs);
            compared.map_err(|Gap { line, expected, got }| {
                let after = step.outputs.last().map_or(step.line, |said| said.line);
                Divergence { line: line.unwrap_or(after), ..stop(0, expected.as_deref(), got) }
            })?;
            played.inputs += 1;
            played.outputs += step.outputs.len();
        }
        Ok(played)
    }
}

struct Gap {
    /// `None`: behind the last line of the input.
    line: Option<usize>,
    expected: Option<String>,
    got: Option<String>,
}

fn compare(said: &[Said], got: &[String], cut: bool) -> Result<(), Gap> {
    for index in 0..said.len().max(got.len()) {
        let (said, got) = (said.get(index), got.get(index));
        if said.map(|said| &said.text) == got || (cut && said.is_none()) {
            continue;
        }
        return Err(Gap {
            line: said.map(|said| said.line),
            expected: said.map(|said| said.text.clone()),
            got: got.cloned(),
        });
    }
    Ok(())
}

/// Lets a session do what the trace says, and compares the rest.
fn follow(
    session: &mut Session,
    step: &Step,
    input: Input,
    outputs: &mut Vec<Output>,
    cut: bool,
) -> Result<(), Gap> {
    let mut choices: Vec<Choice> = Vec::new();
    let (mut frames, mut rest) = (Vec::new(), Vec::new());
    for said in &step.outputs {
        match choice(&said.text) {
            Ok(Some(choice)) => {
                choices.push(choice);
                frames.push(said.clone());
            }
            Ok(None) if said.text.starts_with("pace ") => {}
            Ok(None) => rest.push(said.clone()),
            Err(problem) => {
                return Err(Gap {
                    line: Some(said.line),
                    expected: Some(said.text.clone()),
                    got: Some(format!("a line that can't be read: {problem}")),
                });
            }
        }
    }
    if let Err(Unfit { index, why }) = session.handle_following(step.at, input, &choices, outputs) {
        return Err(Gap {
            line: Some(frames[index].line),
            expected: Some(frames[index].text.clone()),
            got: Some(format!("this can't be followed: {why}")),
        });
    }
    let (got_frames, mut got_rest): (Vec<_>, Vec<_>) = output_lines(outputs)
        .into_iter()
        .filter(|line| !line.starts_with("pace "))
        .partition(|line| line.starts_with(|first: char| first.is_ascii_digit()));
    compare(&frames, &got_frames, cut)?;
    // Between frames these have no order that matters.
    rest.sort_by(|a, b| a.text.cmp(&b.text));
    got_rest.sort();
    if cut {
        let is_there = |said: &&Said| !got_rest.contains(&said.text);
        return match rest.iter().find(is_there) {
            None => Ok(()),
            Some(said) => {
                Err(Gap { line: Some(said.line), expected: Some(said.text.clone()), got: None })
            }
        };
    }
    compare(&rest, &got_rest, false)
}

impl Step {
    /// The input, with zeros for what is not in the trace.
    pub(super) fn input(&self) -> Input {
        match &self.given {
            Given::Input(input) => input.clone(),
            Given::Bytes { stripe, runs } => {
                Input::StripeBytes { stripe: *stripe, data: assemble(runs) }
            }
            Given::Data { flow, len } => {
                Input::FlowData { flow: FlowId(flow.0), data: zeros(*len) }
            }
            Given::Open { request, alias, len } => {
                Input::FlowOpen { request: *request, opaque: target_bytes(*alias, *len) }
            }
        }
    }
}

fn assemble(runs: &[Run]) -> Bytes {
    match runs {
        [Run::Payload(len)] => zeros(*len),
        [Run::Head(bytes)] => bytes.clone(),
        _ => {
            let mut all = Vec::new();
            for run in runs {
                match run {
                    Run::Head(bytes) => all.extend_from_slice(bytes),
                    Run::Payload(len) => all.resize(all.len() + *len as usize, 0),
                }
            }
            all.into()
        }
    }
}

/// Payload, whatever it was. At most [`super::MAX_INPUT`], which the reader has checked.
pub(super) fn zeros(len: u64) -> Bytes {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    match ZEROS.get(..len as usize) {
        Some(zeros) => Bytes::from_static(zeros),
        None => alloc::vec![0; len as usize].into(),
    }
}
