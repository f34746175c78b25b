//! Rules that look at one file at a time.

use super::code::{attributes, closing, name, words};
use super::{Crate, Fault, Source};

/// The most lines of a function, from its first word to its last brace.
const FUNCTION: usize = 70;

/// The most lines of a file without its tests.
const FILE: usize = 500;

const LINE: usize = 100;

/// Comments without information.
const EMPTY: [&str; 18] = [
    "Which.",
    "Which ones.",
    "Which one.",
    "What.",
    "Who.",
    "Whose.",
    "Why.",
    "Where.",
    "When.",
    "How.",
    "How much.",
    "How many.",
    "How long.",
    "It.",
    "This.",
    "The same.",
    "See above.",
    "Does it.",
];

/// The places and messages of a rule's faults in a file.
type Rule = fn(&Source) -> Vec<(usize, String)>;

const RULES: [(&str, Rule); 5] = [
    ("columns", columns),
    ("comments", comments),
    ("examples", examples),
    ("functions", functions),
    ("reasons", reasons),
];

pub fn rules(sources: &[Source]) -> Vec<Fault> {
    let faults = |source| {
        let each = RULES.iter().flat_map(move |(name, rule)| {
            rule(source).into_iter().map(move |(place, text)| Fault::at(name, source, place, &text))
        });
        each.collect::<Vec<_>>()
    };
    sources.iter().flat_map(faults).collect()
}

fn columns(source: &Source) -> Vec<(usize, String)> {
    let long = source.lines().map(|(place, line)| (place, line.chars().count()));
    let long = long.filter(|(_, columns)| *columns > LINE);
    long.map(|(place, columns)| (place, format!("{columns} columns of {LINE}"))).collect()
}

fn comments(source: &Source) -> Vec<(usize, String)> {
    let lines: Vec<(usize, &str)> =
        source.lines().map(|(place, line)| (place, line.trim())).collect();
    let is_comment = |number: Option<usize>| {
        number.and_then(|number| lines.get(number)).is_some_and(|(_, line)| line.starts_with("//"))
    };
    let says_nothing = |(number, (place, line)): (usize, &(usize, &str))| {
        let alone = !is_comment(number.checked_sub(1)) && !is_comment(Some(number + 1));
        let said = line.strip_prefix("//").filter(|_| alone)?.trim_start_matches(['/', '!']).trim();
        let is_empty = said.is_empty() || EMPTY.contains(&said);
        is_empty.then(|| (*place, format!("\"{line}\" says nothing")))
    };
    lines.iter().enumerate().filter_map(says_nothing).collect()
}

/// Examples within comments, which rustdoc would run. They must be files in `examples/`, which
/// tests run: documentation tests are off (`crate::skipped` has the reason).
fn examples(source: &Source) -> Vec<(usize, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    let lines: Vec<(usize, &str)> = source.lines().collect();
    for (number, (place, line)) in lines.iter().enumerate() {
        let line = line.trim_start();
        let comment = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"));
        let fence = comment.and_then(|comment| comment.trim_start().strip_prefix("```"));
        let Some(kind) = fence else { continue };
        let is_file = lines.get(number + 1).is_some_and(|(_, next)| next.contains("include_str!"));
        if !inside && !kind.starts_with("text") && !is_file {
            found.push((*place, "move this example to examples/".to_owned()));
        }
        inside = !inside;
    }
    found
}

/// Functions that are too long, tests included.
fn functions(source: &Source) -> Vec<(usize, String)> {
    let code = &source.code;
    let is_long = |place: usize| {
        let name = name(code, place + 2);
        let end = body_end(code, name.end).filter(|_| !name.is_empty())?;
        let lines = source.line(end) - source.line(place) + 1;
        let message = || format!("{} has {lines} lines of {FUNCTION}", &code[name.clone()]);
        (lines > FUNCTION).then(|| (place, message()))
    };
    words(code, "fn").filter_map(is_long).collect()
}

/// The end of the body that follows a function's name; `None` if it has none.
fn body_end(code: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        match code.as_bytes().get(at)? {
            b';' => return None,
            b'{' => return Some(closing(code, at) - 1),
            b'(' | b'[' => at = closing(code, at),
            _ => at += 1,
        }
    }
}

/// Attributes `allow` and `expect` that have neither a `reason` nor a comment right above them.
fn reasons(source: &Source) -> Vec<(usize, String)> {
    let (code, text) = (&source.code, &source.text);
    let is_unexplained = |attribute: &std::ops::Range<usize>| {
        let switched_off = ["allow", "expect"].iter().any(|name| {
            let mut places = words(&code[attribute.clone()], name);
            places.any(|place| code[attribute.start + place + name.len()..].starts_with('('))
        });
        let says = text[attribute.clone()].split_once("reason = \"");
        let says = says.is_some_and(|(_, why)| !why.starts_with('"'));
        switched_off && !says && !has_comment_above(text, attribute.start)
    };
    let message = "no reason = \"...\" and no comment right above it";
    let found = attributes(code).filter(is_unexplained);
    found.map(|attribute| (attribute.start, message.to_owned())).collect()
}

/// Whether the line before a place is a comment, but does not document an item.
fn has_comment_above(text: &str, place: usize) -> bool {
    let above = text[..place].lines().rev().skip_while(|line| line.trim().is_empty());
    let above = above.map(str::trim).next().unwrap_or_default();
    above.starts_with("//") && !above.starts_with("///") && !above.starts_with("//!")
}

/// Files that are too long without their tests. Files that only tests of their crate compile have
/// no limit.
pub fn files(sources: &[Source], crates: &[Crate]) -> Vec<Fault> {
    let is_test = |source: &Source| {
        let mut files = crates.iter().flat_map(Crate::files);
        source.is_test_file() || files.any(|(_, file, is_test)| is_test && file.path == source.path)
    };
    let is_long = |source: &Source| {
        let lines = source.lines().filter(|(place, _)| !source.is_test_item(*place)).count();
        let message = format!("{lines} lines of {FILE} without its tests");
        (lines > FILE).then(|| Fault::new("files", &source.path, message))
    };
    sources.iter().filter(|source| !is_test(source)).filter_map(is_long).collect()
}

/// The names of tests in the threat table of a document, in backticks, for which no source has a
/// function.
pub fn named_tests((name, text): (&str, &str), sources: &[Source]) -> Vec<Fault> {
    let rows = text.lines().filter(|line| line.starts_with('|'));
    let words = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
    let is_test = |word: &&str| {
        word.matches('_').count() > 1 && word.bytes().all(|byte| super::code::is_name(Some(byte)))
    };
    let is_missing =
        |word: &&str| !sources.iter().any(|source| source.code.contains(&format!("fn {word}(")));
    let missing = words.filter(is_test).filter(is_missing);
    missing.map(|word| Fault::new("tests", name, format!("there is no test `{word}`"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn function(lines: usize) -> String {
        let before = "trait T {\n    fn none(&self) -> [u8; 2];\n}\n";
        format!("{before}fn long(x: u8) {{{}}}\n", "\n".repeat(lines - 1))
    }

    #[test]
    fn each_rule_finds_its_faults_and_no_others() {
        let long = format!("\n// {}", "x".repeat(98));
        for (text, fault) in [
            (function(70), ""),
            (function(71), "functions: line 4: long has 71 lines of 70"),
            ("µ".repeat(100), ""),
            (long, "columns: line 2: 101 columns of 100"),
        ] {
            assert_eq!(found(&text), fault, "{text}");
        }
        for (text, fault) in [
            ("/// Which.\n", "comments: line 1: \"/// Which.\" says nothing"),
            ("    /// When.\n    at: u64,\n", "comments: line 1: \"/// When.\" says nothing"),
            ("x\n//\ny", "comments: line 2: \"//\" says nothing"),
            ("//! What.\n", "comments: line 1: \"//! What.\" says nothing"),
            ("/// Which flow.\n", ""),
            ("/// It is known\n/// Which.\n", ""),
            ("let x = \"// Which.\";", ""),
            ("/// ```\n/// let a = 1;\n/// ```\n", "examples: line 1: move this example"),
            ("//! ```text\n//! a picture\n//! ```\n", ""),
            ("//! ```\n#![doc = include_str!(\"../examples/a.rs\")]\n//! ```\n", ""),
            ("#[allow(x, reason = \"because\")]\n", ""),
            ("// Because.\n#[allow(x)]\n", ""),
            ("    // Because.\n    #[expect(x)]\n", ""),
            ("#[cfg(x)]\n#[should_panic(expected = \"y\")]\n", ""),
            ("#[allow(x)]\n", "reasons: line 1: no reason"),
            ("#![allow(x)]\n", "reasons: line 1: no reason"),
            ("#[allow(x, reason = \"\")]\n", "reasons: line 1: no reason"),
            ("/// An item.\n#[allow(x)]\n", "reasons: line 2: no reason"),
            ("// Another line.\nfn f() {}\n#[expect(x)]\n", "reasons: line 3: no reason"),
            ("#[cfg_attr(test, allow(x))]\n", "reasons: line 1: no reason"),
        ] {
            assert!(found(text).starts_with(fault), "{text}: {}", found(text));
            assert_eq!(found(text).is_empty(), fault.is_empty(), "{text}: {}", found(text));
        }
    }

    fn found(text: &str) -> String {
        let faults = rules(&[Source::new("a.rs", text)]);
        let shown = faults.iter().map(|fault| format!("{}: {}", fault.rule, fault.message));
        shown.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_file_of_501_lines_is_a_fault_and_its_tests_do_not_count() {
        let tests = format!("#[cfg(test)]\nmod tests {{{}}}\n", "\n".repeat(50));
        let text = |lines| "//\n".repeat(lines) + &tests;
        let source = |path: &str, lines| [Source::new(path, text(lines))];
        assert_eq!(files(&source("core/src/a.rs", FILE), &[]), []);
        let long = source("core/src/a.rs", FILE + 1);
        assert_eq!(files(&long, &[])[0].message, "501 lines of 500 without its tests");
        assert_eq!(files(&source("core/src/a/tests.rs", FILE + 1), &[]), []);
        let root = Source::new("core/src/lib.rs", "#[cfg(test)]\nmod a;");
        let both = [root, long[0].clone()];
        assert_eq!(files(&both, &[Crate::new("core/src", &both)]), []);
    }

    #[test]
    fn a_test_of_the_threat_table_that_does_not_exist_is_a_fault() {
        let sources = [Source::new("a.rs", "fn a_known_test() {}")];
        let table = |cell: &str| format!("`not_in_a_table`\n| threat | {cell} |\n");
        let found = |cell: &str| named_tests(("S.md", &table(cell)), &sources);
        assert_eq!(found("`a_known_test`, `attack crumbs`, `keys_read`, `tests/a.rs`"), []);
        let fault = &found("`a_known_test`, `a_lost_test`")[0];
        assert_eq!(fault.to_string(), "tests: S.md: there is no test `a_lost_test`");
    }
}
