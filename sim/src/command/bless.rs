//! `sim bless` makes the traces of the simulator anew.
//!
//! Invariant: a trace depends only on the command in its header.

use super::measure;
use super::swarm::{Run, Script};
use crate::base::files;
use crate::base::files::FileKind;
use crate::run::NamedTrace;
use crate::search::swarm;
use crate::search::swarm::{keep, terse};
use lexopt::Parser;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use striper_core::Role;
use striper_core::trace::Trace;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Bless {
    folder: PathBuf,
}

impl Bless {
    pub fn parse(words: &[OsString]) -> Result<Bless, String> {
        match words {
            [folder] if !folder.to_string_lossy().starts_with('-') => {
                Ok(Bless { folder: folder.into() })
            }
            _ => Err("bless takes one folder, such as: sim bless tests/traces".into()),
        }
    }

    /// Makes all traces of the folder anew that have a scenario. Comments at the top stay.
    pub fn run(&self) -> Result<String, String> {
        let folder = self.folder.display();
        let fail = |error: std::io::Error| format!("{folder}: {error}\n");
        let mut files: Vec<PathBuf> = fs::read_dir(&self.folder)
            .map_err(fail)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
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
                    let kind = FileKind { name: "the trace that was read", begins: &old };
                    files::write(&file, kind, &new).map_err(|error| format!("{error}\n"))?;
                    "made anew"
                }
            };
            let _ = writeln!(report, "{name}: {verdict}");
        }
        if report.is_empty() {
            Err(format!("{folder}: there are no traces in it\n"))
        } else {
            Ok(report)
        }
    }
}

/// `None` if it has no scenario. The header is read even of a trace that no longer fits.
pub fn renew(old: &str) -> Result<Option<String>, String> {
    let trace = Trace::read(old).map_err(|error| error.to_string())?;
    let Some(command) = &trace.header.scenario else { return Ok(None) };
    let new = record_again(command, trace.header.role)?;
    let story = old.lines().take_while(|line| line.starts_with('#'));
    Ok(Some(story.flat_map(|line| [line, "\n"]).collect::<String>() + &new))
}

/// Records the session that a command names, or else the only one of this side.
fn record_again(command: &str, role: Role) -> Result<String, String> {
    let words = words_of(command);
    let (traces, name) = match words.first().map(String::as_str) {
        Some("run") => record_scenario(command, &words[1..])?,
        Some(word) if !word.starts_with('-') => return Err(not_one(command)),
        _ => record_transfer(command, &words, role)?,
    };
    let named = traces.into_iter().find(|trace| trace.name == name).map(|trace| trace.text);
    named.ok_or_else(|| format!("there is no session \"{name}\" any more in \"{command}\""))
}

fn record_transfer(
    command: &str,
    words: &[String],
    role: Role,
) -> Result<(Vec<NamedTrace>, String), String> {
    let options = measure::Options::parse(&mut Parser::from_args(words));
    let options = options.map_err(|why| unreadable(command, &why))?;
    let transfer = options.ok_or_else(|| not_one(command))?.transfer;
    match (&transfer.stripes[..], &transfer.schedulers[..]) {
        ([stripes], [scheduler]) => {
            let side = if role == Role::Client { "client" } else { "server" };
            Ok((transfer.record(*stripes, *scheduler), side.to_owned()))
        }
        _ => Err(not_one(command)),
    }
}

fn record_scenario(command: &str, words: &[String]) -> Result<(Vec<NamedTrace>, String), String> {
    let run = Run::parse(&mut Parser::from_args(words));
    let run = run.map_err(|why| unreadable(command, &why))?.ok_or_else(|| not_one(command))?;
    let Run { script: Script::Inline(script), session: Some(session), bug: None, .. } = run else {
        return Err(format!("\"{command}\" names no --script and --session, or a bug"));
    };
    let scenario = terse::parse_line(&script).map_err(|why| unreadable(command, &why))?;
    Ok((swarm::record(&scenario, keep::scenario_of(&script)).1, session))
}

fn unreadable(command: &str, why: &str) -> String {
    format!("its scenario \"{command}\" can't be read: {why}")
}

fn not_one(command: &str) -> String {
    format!("\"{command}\" is not one scenario")
}

/// The words behind ` -- `. Text between quotation marks is one word.
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
    use crate::base::Failure;

    #[test]
    fn a_recorded_scenario_replays_follows_and_is_made_anew_the_same() {
        let command = "cargo run -p sim -- --caps 8mbps,2mbps --stripes 2 --size 256KiB --fault \
            100ms:1:silence";
        for role in [Role::Client, Role::Server { instance: 1 }] {
            let text = record_again(command, role).unwrap();
            let trace = Trace::read(&text).unwrap();
            trace.replay().unwrap_or_else(|divergence| panic!("{divergence}"));
            trace.follow().unwrap_or_else(|divergence| panic!("{divergence}"));
            let story = format!("# A story.\n{text}");
            assert_eq!(renew(&story), Ok(Some(story)));
        }
    }

    #[test]
    fn a_folder_that_is_missing_or_an_option_is_refused() {
        assert!(Bless::parse(&[]).unwrap_err().contains("one folder"));
        let text = Bless { folder: "/nowhere".into() }.run().unwrap_err();
        assert!(text.contains("/nowhere"), "{text}");
    }

    #[test]
    fn the_traces_of_a_failure_that_was_kept_are_made_anew_the_same() {
        let parent = std::env::temp_dir().join(format!("striper-bless-{}", std::process::id()));
        let failure = Failure { message: "one thing".into() };
        keep::keep(&parent, "swarm-3", &swarm::draw(3), &failure).expect("files");
        for side in ["client", "server"] {
            let trace = fs::read_to_string(parent.join(format!("swarm-3/failure.trace.{side}")));
            let trace = trace.expect("a trace");
            assert_eq!(renew(&trace), Ok(Some(trace)), "{side}");
        }
        fs::remove_dir_all(parent).expect("what was written");
    }
}
