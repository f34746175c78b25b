//! What `sim replay` can be told.

use super::Task;
use crate::explain;
use crate::units::parse_time;
use std::ffi::OsString;
use std::path::PathBuf;

impl Task {
    /// Reads the words behind `replay`.
    pub fn parse(words: &[OsString]) -> Result<Task, String> {
        if words.iter().any(|word| word == "--explain") {
            return parse_explain(words);
        }
        let (mut follow, mut files, mut html, mut bug) = (false, Vec::new(), None, None);
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match word.to_str() {
                Some("--follow") => follow = true,
                Some("--html") => {
                    html = Some(
                        words.next().ok_or("--html needs a file to write; see --help")?.into(),
                    );
                }
                Some("--bug") => {
                    let name = words.next().and_then(|name| name.to_str());
                    bug = Some(
                        name.ok_or("--bug needs a name; selftest --list prints them")?.to_owned(),
                    );
                }
                Some(option) if option.starts_with('-') => {
                    return Err(format!(
                        "replay has no option {option}; it takes --follow, --html FILE or \
                         --explain, and the names of traces"
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
                    "replay --explain has no option {option}; it takes --pauses N, --at-least TIME \
                     and one or two traces"
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
