//! `sim replay` plays traces, or says what their flows waited for.

mod options;

use crate::explain::{self, Source, explain};
use crate::failure::{Failure, catch};
use crate::files;
use crate::picture::{PAGE, Summary, Timeline, render};
use crate::side::Side;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use striper_core::trace::Trace;
use striper_core::{Input, Output};

/// What to do with traces.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// Play traces.
    Replay {
        /// Take the choices from the traces.
        follow: bool,
        /// The traces.
        files: Vec<PathBuf>,
        /// Where to draw the only one.
        html: Option<PathBuf>,
        /// Play them with this planted bug.
        bug: Option<String>,
    },
    /// Say what the flows of a session waited for.
    Explain {
        /// The trace of one side, or of both.
        files: Vec<PathBuf>,
        /// What to tell.
        options: explain::Options,
    },
}

impl Task {
    /// Does it. What to print, and the worst that came of a file.
    pub fn run(&self) -> (String, Verdict) {
        match self {
            Task::Replay { follow, files, html, .. } => {
                let results = files.iter().map(|file| replay(file, *follow, html.as_deref()));
                results.fold((String::new(), Verdict::Fits), |(all, worst), (text, verdict)| {
                    (all + &text, worst.max(verdict))
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

/// What came of a file.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Verdict {
    /// All is well.
    Fits,
    /// A trace does not fit any more.
    Differs,
    /// A file can't be read, or written, or is no trace.
    Unusable,
}

impl From<Verdict> for ExitCode {
    fn from(verdict: Verdict) -> ExitCode {
        ExitCode::from(verdict as u8)
    }
}

/// Plays one file. What to say, good or bad.
fn replay(file: &Path, follow: bool, html: Option<&Path>) -> (String, Verdict) {
    match play(file, follow, html) {
        Ok(text) => (text, Verdict::Fits),
        Err((text, verdict)) => (text, verdict),
    }
}

fn play(file: &Path, follow: bool, html: Option<&Path>) -> Result<String, (String, Verdict)> {
    let name = file.display();
    let (trace, note) =
        load(file).map_err(|why| (format!("{name}: {why}\n"), Verdict::Unusable))?;
    let unwritable = |error| (format!("--html: {error}\n"), Verdict::Unusable);
    html.map_or(Ok(()), |page| files::check(page, PAGE)).map_err(unwritable)?;
    let mut timeline = Timeline::new();
    let side = Side::from(trace.header.role);
    let mut inputs = 0;
    let watch = &mut |now, input: &Input, outputs: &[Output]| {
        timeline.observe(side, now, input, outputs);
        inputs += 1;
    };
    // A trace of a failure may well end with what the session dies of.
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
    let text = match std::str::from_utf8(&bytes) {
        Ok(text) => text,
        Err(_) => return Err("this is no trace: it is not text".into()),
    };
    let trace = Trace::read(text).map_err(|error| error.to_string())?;
    if trace.broken_off {
        note += "; its last line is broken off and left out";
    } else if trace.end.is_none() {
        note += "; it stops in the middle";
    }
    Ok((trace, note))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn a_trace_is_drawn_where_it_is_asked_for() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        let page = std::env::temp_dir().join(format!("striper-replay-{}.html", std::process::id()));
        let trace =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/traces/real-half-close.trace");
        let line = format!("{} --follow --html {}", trace.display(), page.display());
        let (text, verdict) = Task::parse(&words(&line)).unwrap().run();
        assert_eq!(verdict, Verdict::Fits, "{text}");
        let drawn = fs::read_to_string(&page).unwrap();
        fs::remove_file(&page).unwrap();
        assert!(
            drawn.contains("Server to client")
                && drawn.contains("real-half-close.trace --html run.html")
        );
        assert!(Task::parse(&words("a b --html c")).unwrap_err().contains("only one"));
        assert!(Task::parse(&words("a --html")).unwrap_err().contains("needs a file"));
    }

    #[test]
    fn replay_says_what_it_does_not_take() {
        assert!(Task::parse(&words("")).unwrap_err().contains("replay what?"));
        assert!(Task::parse(&words("--fast x")).unwrap_err().contains("--follow"));
        let task = Task::Replay {
            follow: true,
            files: vec!["a".into(), "b".into()],
            html: None,
            bug: None,
        };
        assert_eq!(Task::parse(&words("a --follow b")), Ok(task));
    }

    #[test]
    fn explain_says_what_it_does_not_take() {
        for (line, part) in [
            ("--explain", "explain what?"),
            ("--explain a b c", "one trace, or both sides"),
            ("--explain --follow a", "no option --follow"),
            ("--explain a --pauses 0", "\"0\" is no number from 1 on"),
            ("--explain a --pauses", "--pauses needs a value"),
            ("a --explain --at-least 5", "--at-least: \"5\" is no time"),
        ] {
            let refusal = Task::parse(&words(line)).unwrap_err();
            assert!(refusal.contains(part), "{line}: {refusal}");
        }
        let options =
            explain::Options { pauses: 3, at_least: std::time::Duration::from_millis(20) };
        let task = Task::Explain { files: vec!["a".into(), "b".into()], options };
        assert_eq!(Task::parse(&words("a --at-least 20ms --explain b --pauses 3")), Ok(task));
        let (text, verdict) = Task::parse(&words("--explain /nowhere")).unwrap().run();
        assert_eq!(verdict, Verdict::Unusable);
        assert!(text.contains("/nowhere: it can't be read"), "{text}");
    }

    #[test]
    fn what_is_no_trace_is_said_and_fails() {
        let (text, verdict) = Task::parse(&words("/nowhere")).unwrap().run();
        assert_eq!(verdict, Verdict::Unusable);
        assert!(text.contains("/nowhere: it can't be read"), "{text}");
    }
}
