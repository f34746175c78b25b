//! Plays traces, or explains the waits of their flows.

use crate::base::{Failure, Side, catch, files};
use crate::show::explain;
use crate::show::explain::{Source, explain};
use crate::show::picture::{PAGE, Summary, Timeline, render};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use striper_core::trace::Trace;
use striper_core::{Input, Output};

#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    Replay {
        follow: bool,
        files: Vec<PathBuf>,
        /// Where to draw the only one.
        html: Option<PathBuf>,
        bug: Option<String>,
    },
    Explain {
        files: Vec<PathBuf>,
        options: explain::Options,
    },
}

impl Task {
    pub fn run(&self) -> (String, Verdict) {
        match self {
            Task::Replay { follow, files, html, .. } => {
                files.iter().fold((String::new(), Verdict::Fits), |(all, worst), file| {
                    match play(file, *follow, html.as_deref()) {
                        Ok(text) => (all + &text, worst),
                        Err((text, verdict)) => (all + &text, worst.max(verdict)),
                    }
                })
            }
            Task::Explain { files, options } => {
                let load = |file: &PathBuf| {
                    let name = file.display().to_string();
                    let (trace, note) = load(file).map_err(|why| format!("{name}: {why}\n"))?;
                    Ok(Source { name, trace, note })
                };
                let sources: Result<Vec<Source>, String> = files.iter().map(load).collect();
                match sources.and_then(|sources| explain(&sources, options)) {
                    Ok(text) => (text, Verdict::Fits),
                    Err(text) => (text, Verdict::Unusable),
                }
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    Fits,
    Differs,
    /// A file can't be read, or written, or is no trace.
    Unusable,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> ExitCode {
        ExitCode::from(verdict as u8)
    }
}

fn play(file: &Path, follow: bool, html: Option<&Path>) -> Result<String, (String, Verdict)> {
    let name = file.display();
    let (trace, note) =
        load(file).map_err(|why| (format!("{name}: {why}\n"), Verdict::Unusable))?;
    let unwritable = |error| (format!("--html: {error}\n"), Verdict::Unusable);
    html.map_or(Ok(()), |page| files::check(page, PAGE)).map_err(unwritable)?;
    let mut timeline = Timeline::default();
    let side = Side::from(trace.header.role);
    let mut inputs = 0;
    let watch = &mut |now, input: &Input, outputs: &[Output]| {
        timeline.observe(side, now, input, outputs);
        inputs += 1;
    };
    // A trace of a failure may end with the input that the session dies of.
    let played = catch(|| if follow { trace.follow_with(watch) } else { trace.replay_with(watch) });
    if let Some(page) = html {
        let command = format!(
            "cargo run -p sim -- replay {}{name} --html run.html",
            if follow { "--follow " } else { "" }
        );
        let summary = Summary::of(&timeline, &name.to_string(), "A trace of one side.", &command);
        files::write(page, PAGE, &render(&timeline, &summary)).map_err(unwritable)?;
    }
    let played = played.map_err(|Failure { message }| {
        let text = format!(
            "{name}: the session panics at input {} of {}\n  {message}\n",
            inputs + 1,
            trace.inputs()
        );
        (text, Verdict::Differs)
    })?;
    match played {
        Ok(played) => Ok(format!(
            "{name}: {} {} inputs and {} lines of outputs over {:.3} s{note}\n",
            if follow { "follows," } else { "replays," },
            played.inputs,
            played.outputs,
            trace.duration().as_secs_f64()
        )),
        Err(divergence) => {
            let mut text = format!("{name}: diverges at {divergence}\n");
            if !follow {
                text += if trace.header.follow_only {
                    "  stripes are chosen differently since this was recorded; play it with \
                     --follow\n"
                } else {
                    "  if stripes are chosen differently on purpose, see whether --follow still \
                     fits\n"
                };
            }
            Err((text + &note, Verdict::Differs))
        }
    }
}

fn load(file: &Path) -> Result<(Trace, String), String> {
    let bytes = fs::read(file).map_err(|error| format!("it can't be read: {error}"))?;
    let mut note = String::new();
    let text = std::str::from_utf8(&bytes).map_err(|_| "this is no trace: it is not text")?;
    let trace = Trace::read(text).map_err(|error| error.to_string())?;
    if trace.broken_off {
        note += "; its last line is broken off and left out";
    } else if trace.end.is_none() {
        note += "; it stops in the middle";
    }
    Ok((trace, note))
}
