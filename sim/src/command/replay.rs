//! `sim replay`: which traces, and what to do with them.

use super::option::{self, file, value};
use crate::base::parse_time;
use crate::show::explain;
use crate::show::replay::Task;
use lexopt::{Arg, Parser};
use std::path::PathBuf;

impl Task {
    pub fn parse(parser: &mut Parser) -> Result<Option<Task>, String> {
        let (mut follow, mut files, mut names) = (false, Vec::new(), Vec::new());
        let (mut html, mut bug, mut options) = (None, None, explain::Options::default());
        while let Some(arg) = option::next(parser)? {
            let name = match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long(name) => format!("--{name}"),
                Arg::Short(letter) => format!("-{letter}"),
                Arg::Value(path) => {
                    files.push(PathBuf::from(path));
                    continue;
                }
            };
            match name.as_str() {
                "--follow" => follow = true,
                "--html" => html = Some(file(parser, "html")?),
                "--bug" => {
                    let named = parser.value().ok().and_then(|name| name.into_string().ok());
                    bug = Some(named.ok_or("--bug needs a name; selftest --list prints them")?);
                }
                "--pauses" => {
                    let text = value(parser, "pauses")?;
                    let count = text.parse().ok().filter(|count| *count > 0);
                    let wrong = || format!("--pauses: \"{text}\" is no number from 1 on");
                    options.pauses = count.ok_or_else(wrong)?;
                }
                "--at-least" => {
                    let time = parse_time(&value(parser, "at-least")?);
                    options.at_least = time.map_err(|error| format!("--at-least: {error}"))?;
                }
                _ => {}
            }
            names.push(name);
        }
        let explains = names.iter().any(|name| name == "--explain");
        let (command, takes, hint) = if explains {
            let hint = "--pauses N, --at-least TIME and one or two traces";
            ("replay --explain", &["--explain", "--pauses", "--at-least"], hint)
        } else {
            let hint = "--follow, --html FILE or --explain, and the names of traces";
            ("replay", &["--follow", "--html", "--bug"], hint)
        };
        if let Some(name) = names.iter().find(|name| !takes.contains(&name.as_str())) {
            return Err(format!("{command} has no option {name}; it takes {hint}"));
        }
        match files.len() {
            0 if explains => Err("explain what? Write: sim replay --explain FILE.client \
                                  FILE.server, or one of them"
                .into()),
            1 | 2 if explains => Ok(Some(Task::Explain { files, options })),
            _ if explains => Err("--explain takes one trace, or both sides of one session".into()),
            0 => Err("replay what? Write: sim replay [--follow] FILE...".into()),
            count if count > 1 && html.is_some() => {
                Err("replay --html draws one trace; name only one".into())
            }
            _ => Ok(Some(Task::Replay { follow, files, html, bug })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::show::replay::Verdict;
    use std::fs;
    use std::path::Path;
    use std::time::Duration;

    fn parse(line: &str) -> Result<Task, String> {
        let task = Task::parse(&mut Parser::from_args(line.split_whitespace()));
        task.map(|task| task.expect("no question for help"))
    }

    #[test]
    fn a_trace_is_drawn_where_it_is_asked_for() {
        let page = std::env::temp_dir().join(format!("striper-replay-{}.html", std::process::id()));
        let traces = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/traces");
        let trace = traces.join("real-half-close.trace");
        let line = format!("{} --follow --html {}", trace.display(), page.display());
        let (text, verdict) = parse(&line).unwrap().run();
        assert_eq!(verdict, Verdict::Fits, "{text}");
        let drawn = fs::read_to_string(&page).unwrap();
        fs::remove_file(&page).unwrap();
        for part in ["Server to client", "real-half-close.trace --html run.html"] {
            assert!(drawn.contains(part), "{part}");
        }
    }

    #[test]
    fn mistakes_are_answered_with_a_cure() {
        for (line, part) in [
            ("", "replay what?"),
            ("--fast x", "--follow"),
            ("a b --html c", "only one"),
            ("a --html", "needs a file"),
            ("a --pauses 3", "replay has no option --pauses"),
            ("--explain", "explain what?"),
            ("--explain a b c", "one trace, or both sides"),
            ("--explain --follow a", "no option --follow"),
            ("--explain a --pauses 0", "\"0\" is no number from 1 on"),
            ("--explain a --pauses", "--pauses needs a value"),
            ("a --explain --at-least 5", "--at-least: \"5\" is no time"),
        ] {
            let refusal = parse(line).unwrap_err();
            assert!(refusal.contains(part), "{line}: {refusal}");
        }
        for line in ["/nowhere", "--explain /nowhere"] {
            let (text, verdict) = parse(line).unwrap().run();
            assert_eq!(verdict, Verdict::Unusable);
            assert!(text.contains("/nowhere: it can't be read"), "{text}");
        }
    }

    #[test]
    fn options_and_files_come_in_any_order() {
        let files = vec!["a".into(), "b".into()];
        let task = Task::Replay { follow: true, files: files.clone(), html: None, bug: None };
        assert_eq!(parse("a --follow b"), Ok(task));
        let options = explain::Options { pauses: 3, at_least: Duration::from_millis(20) };
        let task = Task::Explain { files, options };
        assert_eq!(parse("a --at-least 20ms --explain b --pauses 3"), Ok(task));
    }
}
