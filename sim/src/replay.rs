//! `sim replay` plays traces, `sim bless` makes those of the simulator anew.

use crate::args::{self, Run, Script};
use crate::explain::{self, Source, explain};
use crate::failure::{Failure, catch};
use crate::files::{self, Kind};
use crate::picture::{PAGE, Summary, Timeline, render};
use crate::side::Side;
use crate::swarm::{self, keep, terse};
use crate::units::parse_time;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use striper_core::trace::Trace;
use striper_core::{Input, Output, Role};

/// What there is to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// Play traces.
    Replay {
        /// Take the choices from the traces.
        follow: bool,
        /// Which.
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
    /// Make the traces in a folder anew that have a scenario.
    Bless {
        /// Which folder.
        folder: PathBuf,
    },
}

/// Reads the words behind `replay`.
pub fn parse_replay(words: &[OsString]) -> Result<Task, String> {
    if words.iter().any(|word| word == "--explain") {
        return parse_explain(words);
    }
    let (mut follow, mut files, mut html, mut bug) = (false, Vec::new(), None, None);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match word.to_str() {
            Some("--follow") => follow = true,
            Some("--html") => {
                html = Some(words.next().ok_or("--html needs a file to write; see --help")?.into());
            }
            Some("--bug") => {
                let name = words.next().and_then(|name| name.to_str());
                bug =
                    Some(name.ok_or("--bug needs a name; selftest --list prints them")?.to_owned());
            }
            Some(option) if option.starts_with('-') => {
                return Err(format!(
                    "replay has no option {option}; it takes --follow, --html FILE or --explain, and the names of traces"
                ));
            }
            _ => files.push(PathBuf::from(word)),
        }
    }
    if files.is_empty() {
        return Err("replay what? Write: sim replay [--follow] FILE...".into());
    }
    if html.is_some() && files.len() > 1 {
        return Err("replay --html draws one trace; name only one".into());
    }
    Ok(Task::Replay { follow, files, html, bug })
}

/// Reads the words behind `replay` if `--explain` is among them.
fn parse_explain(words: &[OsString]) -> Result<Task, String> {
    let (mut files, mut options) = (Vec::new(), explain::Options::default());
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = |name: &str| {
            let text = words.next().and_then(|text| text.to_str());
            text.ok_or_else(|| format!("{name} needs a value; see --help"))
        };
        match word.to_str() {
            Some("--explain") => {}
            Some("--pauses") => {
                let text = value("--pauses")?;
                let count = text.parse().ok().filter(|count| *count > 0);
                options.pauses =
                    count.ok_or_else(|| format!("--pauses: \"{text}\" is no number from 1 on"))?;
            }
            Some("--at-least") => {
                options.at_least = parse_time(value("--at-least")?)
                    .map_err(|error| format!("--at-least: {error}"))?;
            }
            Some(option) if option.starts_with('-') => {
                return Err(format!(
                    "replay --explain has no option {option}; it takes --pauses N, --at-least TIME and one or two traces"
                ));
            }
            _ => files.push(PathBuf::from(word)),
        }
    }
    match files.len() {
        0 => {
            Err("explain what? Write: sim replay --explain FILE.client FILE.server, or one of them"
                .into())
        }
        1 | 2 => Ok(Task::Explain { files, options }),
        _ => Err("--explain takes one trace, or both sides of one session".into()),
    }
}

/// Reads the words behind `bless`.
pub fn parse_bless(words: &[OsString]) -> Result<Task, String> {
    match words {
        [folder] if !folder.to_string_lossy().starts_with('-') => {
            Ok(Task::Bless { folder: folder.into() })
        }
        _ => Err("bless takes one folder, such as: sim bless tests/traces".into()),
    }
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
            Task::Bless { folder } => match bless(folder) {
                Ok(text) => (text, Verdict::Fits),
                Err(text) => (text, Verdict::Unusable),
            },
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
                    "  stripes are chosen differently since this was recorded; play it with --follow\n"
                } else {
                    "  if stripes are chosen differently on purpose, see whether --follow still fits\n"
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

/// Makes all traces of a folder anew that have a scenario. Comments at the top stay.
fn bless(folder: &Path) -> Result<String, String> {
    let fail = |error: std::io::Error| format!("{}: {error}\n", folder.display());
    let mut files: Vec<PathBuf> =
        fs::read_dir(folder).map_err(fail)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|end| end == "trace"));
    files.sort();
    let mut report = String::new();
    for file in files {
        let name = file.display();
        let old = fs::read_to_string(&file).map_err(|error| format!("{name}: {error}\n"))?;
        let new = renew(&old).map_err(|why| format!("{name}: {why}\n"))?;
        let verdict = match new {
            None => "recorded from a real run, left alone",
            Some(new) if new == old => "the same as before",
            Some(new) => {
                // It may have a story at its top, which the new one has too.
                let kind = Kind { name: "the trace that was read", begins: &old };
                files::write(&file, kind, &new).map_err(|error| format!("{error}\n"))?;
                "made anew"
            }
        };
        let _ = writeln!(report, "{name}: {verdict}");
    }
    if report.is_empty() {
        Err(format!("{}: there are no traces in it\n", folder.display()))
    } else {
        Ok(report)
    }
}

/// The same trace as today's code makes it; `None` if it has no scenario. The header is read even
/// of a trace that does not fit any more.
pub fn renew(old: &str) -> Result<Option<String>, String> {
    let trace = Trace::read(old).map_err(|error| error.to_string())?;
    let Some(command) = &trace.header.scenario else { return Ok(None) };
    let new = record_again(command, trace.header.role)?;
    let story: String = old
        .lines()
        .take_while(|line| line.starts_with('#'))
        .flat_map(|line| [line, "\n"])
        .collect();
    Ok(Some(story + &new))
}

/// Does what a scenario's command says, and records the session that it names or else the only one
/// of this side.
fn record_again(command: &str, role: Role) -> Result<String, String> {
    let (reels, name) = match args::parse(words_of(command)) {
        Ok(args::Command::Measure { scenario, .. })
            if scenario.stripes.len() == 1 && scenario.schedulers.len() == 1 =>
        {
            let side = if role == Role::Client { "client" } else { "server" };
            (scenario.record(scenario.stripes[0], scenario.schedulers[0]), side.to_owned())
        }
        Ok(args::Command::Run(run)) => {
            let Run { script: Script::Inline(script), session: Some(session), bug: None, .. } = run
            else {
                return Err(format!("\"{command}\" names no --script and --session, or a bug"));
            };
            let scenario = terse::parse_line(&script)
                .map_err(|why| format!("its scenario \"{command}\" can't be read: {why}"))?;
            (swarm::record(&scenario, keep::scenario_of(&script)).1, session)
        }
        Ok(_) => return Err(format!("\"{command}\" is not one scenario")),
        Err(why) => return Err(format!("its scenario \"{command}\" can't be read: {why}")),
    };
    let named = reels.into_iter().find(|reel| reel.name == name);
    named
        .map(|reel| reel.text)
        .ok_or_else(|| format!("there is no session \"{name}\" any more in \"{command}\""))
}

/// The words behind ` -- `; what stands between quotation marks is one.
fn words_of(command: &str) -> Vec<String> {
    let words = command.split_once(" -- ").map_or(command, |(_, words)| words);
    let mut parts = Vec::new();
    for (number, part) in words.split('"').enumerate() {
        match number % 2 {
            0 => parts.extend(part.split_whitespace().map(str::to_owned)),
            _ => parts.push(part.to_owned()),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (text, verdict) = parse_replay(&words(&line)).unwrap().run();
        assert_eq!(verdict, Verdict::Fits, "{text}");
        let drawn = fs::read_to_string(&page).unwrap();
        fs::remove_file(&page).unwrap();
        assert!(
            drawn.contains("Server to client")
                && drawn.contains("real-half-close.trace --html run.html")
        );
        assert!(parse_replay(&words("a b --html c")).unwrap_err().contains("only one"));
        assert!(parse_replay(&words("a --html")).unwrap_err().contains("needs a file"));
    }

    #[test]
    fn replay_and_bless_explain_what_they_do_not_take() {
        assert!(parse_replay(&words("")).unwrap_err().contains("replay what?"));
        assert!(parse_replay(&words("--fast x")).unwrap_err().contains("--follow"));
        assert!(parse_bless(&words("")).unwrap_err().contains("one folder"));
        let task = Task::Replay {
            follow: true,
            files: vec!["a".into(), "b".into()],
            html: None,
            bug: None,
        };
        assert_eq!(parse_replay(&words("a --follow b")), Ok(task));
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
            let refusal = parse_replay(&words(line)).unwrap_err();
            assert!(refusal.contains(part), "{line}: {refusal}");
        }
        let options =
            explain::Options { pauses: 3, at_least: std::time::Duration::from_millis(20) };
        let task = Task::Explain { files: vec!["a".into(), "b".into()], options };
        assert_eq!(parse_replay(&words("a --at-least 20ms --explain b --pauses 3")), Ok(task));
        let (text, verdict) = parse_replay(&words("--explain /nowhere")).unwrap().run();
        assert_eq!(verdict, Verdict::Unusable);
        assert!(text.contains("/nowhere: it can't be read"), "{text}");
    }

    #[test]
    fn what_is_no_trace_is_said_and_fails() {
        let (text, verdict) = parse_replay(&words("/nowhere")).unwrap().run();
        assert_eq!(verdict, Verdict::Unusable);
        assert!(text.contains("/nowhere: it can't be read"), "{text}");
        let (text, verdict) = Task::Bless { folder: "/nowhere".into() }.run();
        assert_eq!(verdict, Verdict::Unusable);
        assert!(text.contains("/nowhere"), "{text}");
    }

    #[test]
    fn a_recorded_scenario_replays_follows_and_is_made_anew_the_same() {
        let command = "cargo run -p sim -- --caps 8mbps,2mbps --stripes 2 --size 256KiB --fault 100ms:1:silence";
        for role in [Role::Client, Role::Server { instance: 1 }] {
            let text = record_again(command, role).unwrap();
            let trace = Trace::read(&text).unwrap();
            trace.replay().unwrap_or_else(|divergence| panic!("{divergence}"));
            trace.follow().unwrap_or_else(|divergence| panic!("{divergence}"));
            let story = format!("# A story.\n{text}");
            assert_eq!(renew(&story), Ok(Some(story)));
        }
    }
}
