//! Keeps a failure: its script and the traces of its sessions go into a folder of their own.

use super::{Scenario, record, terse};
use crate::base::Failure;
use crate::run::record as recordings;
use crate::search::bugs::repeat;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// The number of folders of the same name, told apart by a number, before [`keep`] gives up.
const MOST_FOLDERS: usize = 1_000;

/// The command that makes the trace of a session anew, for a script of any form.
pub fn scenario_of(script: &str) -> impl Fn(&str) -> String + 'static {
    let line = terse::one_line(script);
    move |session| repeat(false, &format!("run --session {session} --script \"{line}\""))
}

/// Writes a failing scenario and its traces into a new folder, such as `swarm-7` below `parent`, or
/// `swarm-7.2` if there is one already. The text, or the error, is for people.
pub fn keep(
    parent: &Path,
    name: &str,
    scenario: &Scenario,
    failure: &Failure,
) -> Result<String, String> {
    let script = terse::write(scenario);
    let (again, traces) = record(scenario, scenario_of(&script));
    let folder = new_folder(parent, name)?;
    let file = folder.join("failure.scenario");
    let reason = failure.message.lines().next().unwrap_or_default();
    let written = fs::write(&file, format!("# {reason}\n{script}"))
        .map_err(|error| format!("can't write {}: {error}", file.display()))
        .and_then(|()| recordings::write(&folder.join("failure.trace"), &traces));
    let traces = written.inspect_err(|_| {
        // Half a failure would look like a whole one.
        let _ = fs::remove_dir_all(&folder);
    })?;
    let names: Vec<String> = traces.iter().map(|trace| trace.display().to_string()).collect();
    let run = repeat(true, &format!("run {}", file.display()));
    let replay = repeat(true, &format!("replay {}", names.join(" ")));
    let mut text = format!(
        "written to {}; repeat it with:\n  {run}\n\
         traces of its sessions up to the failure are in {}; play them with:\n  {replay}\n",
        file.display(),
        folder.display()
    );
    if again.as_ref().err() != Some(failure) {
        text += "it did not fail in the same way once more: the simulator depends on something but \
            its seed\n";
    }
    Ok(text)
}

fn new_folder(parent: &Path, name: &str) -> Result<PathBuf, String> {
    let say =
        |folder: &Path, error| format!("cannot make the folder {}: {error}", folder.display());
    fs::create_dir_all(parent).map_err(|error| say(parent, error))?;
    for number in 1..=MOST_FOLDERS {
        let folder =
            parent.join(if number == 1 { name.to_owned() } else { format!("{name}.{number}") });
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(say(&folder, error)),
            Ok(()) => return Ok(folder),
        }
    }
    let path = parent.join(name);
    Err(format!("there are {MOST_FOLDERS} folders {}.N already; remove some", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::swarm::{draw, script};

    fn failure() -> Failure {
        Failure { message: "here.rs:1: one thing\nand another".into() }
    }

    #[test]
    fn a_failure_is_kept_beside_an_earlier_one_and_never_over_it() {
        let parent = std::env::temp_dir().join(format!("striper-keep-{}/deep", std::process::id()));
        let scenario = draw(3);
        for name in ["swarm-3", "swarm-3.2", "swarm-3.3"] {
            let text = keep(&parent, "swarm-3", &scenario, &failure()).expect("files");
            let folder = parent.join(name);
            let command = format!("run {}/failure.scenario\n", folder.display());
            assert!(text.contains(&command), "{text}");
            // The failure is made up.
            assert!(text.contains("did not fail in the same way"), "{text}");
            let kept = fs::read_to_string(folder.join("failure.scenario")).expect("a script");
            assert!(kept.starts_with("# here.rs:1: one thing\nhonest "), "{kept}");
            assert_eq!(script::parse(&kept), Ok(scenario.clone()));
            for side in ["client", "server"] {
                assert!(folder.join(format!("failure.trace.{side}")).is_file(), "{side}");
            }
        }
        fs::remove_dir_all(parent.parent().expect("a parent")).expect("what was written");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named() {
        let error =
            keep(Path::new("/dev/null"), "swarm-3", &draw(3), &failure()).expect_err("no folder");
        assert!(error.contains("/dev/null"), "{error}");
    }
}
