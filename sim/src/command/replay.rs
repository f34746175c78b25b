//! `sim replay`: which traces, and what to do with them.

use crate::base::parse_time;
use crate::show::explain;
use crate::show::replay::Task;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::replay::Verdict;
    use std::ffi::OsString;
    use std::fs;
    use std::path::Path;

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
