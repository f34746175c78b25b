//! How long functions, files and lines may be.

use super::code::{closing, name, words};
use super::{Crate, Fault, Source};

/// Lines of a function, from its first word to its last brace.
const FUNCTION: usize = 70;

/// Lines of a file without its tests.
const FILE: usize = 500;

/// Characters of a line.
const LINE: usize = 100;

/// Functions that are too long, tests included.
pub fn functions(sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in sources {
        let code = source.code();
        for place in words(code, "fn") {
            let name = name(code, place + 2);
            let Some(end) = body_end(code, name.end).filter(|_| !name.is_empty()) else { continue };
            let lines = source.line(end) - source.line(place) + 1;
            if lines > FUNCTION {
                let message = format!("{} has {lines} lines of {FUNCTION}", &code[name]);
                faults.push(Fault::at("functions", source, place, &message));
            }
        }
    }
    faults
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

/// Files that are too long without their tests. A file that only tests of its crate compile is
/// none.
pub fn files(sources: &[Source], crates: &[Crate]) -> Vec<Fault> {
    let mut faults = Vec::new();
    let is_test = |source: &Source| {
        let mut files = crates.iter().flat_map(Crate::files);
        source.is_test_file()
            || files.any(|(_, file, is_test)| is_test && file.path() == source.path())
    };
    for source in sources.iter().filter(|source| !is_test(source)) {
        let all = source.text().lines().count();
        let mut test_lines = vec![false; all + 2];
        for item in source.test_items() {
            let lines = source.line(item.start)..=source.line(item.end - 1);
            lines.for_each(|line| test_lines[line] = true);
        }
        let lines = all - test_lines.iter().filter(|is_test| **is_test).count();
        if lines > FILE {
            let message = format!("{lines} lines of {FILE} without its tests");
            faults.push(Fault::new("files", source.path(), message));
        }
    }
    faults
}

/// Lines that are too long.
pub fn columns(sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in sources {
        for (number, line) in source.text().lines().enumerate() {
            let columns = line.chars().count();
            if columns > LINE {
                let message = format!("line {}: {columns} columns of {LINE}", number + 1);
                faults.push(Fault::new("columns", source.path(), message));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: String) -> [Source; 1] {
        [Source::new("core/src/a.rs", text)]
    }

    fn function(lines: usize) -> String {
        format!(
            "trait T {{\n    fn none(&self) -> [u8; 2];\n}}\nfn long(x: u8) {{{}}}\n",
            "\n".repeat(lines - 1)
        )
    }

    #[test]
    fn a_function_of_71_lines_is_a_fault() {
        assert_eq!(functions(&source(function(FUNCTION))), []);
        let found = functions(&source(function(FUNCTION + 1)));
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].message, "line 4: long has 71 lines of 70");
    }

    #[test]
    fn a_file_of_501_lines_is_a_fault_and_its_tests_do_not_count() {
        let tests = format!("#[cfg(test)]\nmod tests {{{}}}\n", "\n".repeat(50));
        let text = |lines| "//\n".repeat(lines) + &tests;
        assert_eq!(files(&source(text(FILE)), &[]), []);
        let long = source(text(FILE + 1));
        assert_eq!(files(&long, &[])[0].message, "501 lines of 500 without its tests");
        assert_eq!(files(&[Source::new("core/src/a/tests.rs", text(FILE + 1))], &[]), []);
        let root = Source::new("core/src/lib.rs", "#[cfg(test)]\nmod a;");
        let both = [root, long[0].clone()];
        assert_eq!(files(&both, &[Crate::new("core/src", &both)]), []);
    }

    #[test]
    fn a_line_of_101_characters_is_a_fault() {
        assert_eq!(columns(&source("µ".repeat(LINE))), []);
        let found = columns(&source(format!("\n// {}", "x".repeat(98))));
        assert_eq!(found[0].message, "line 2: 101 columns of 100");
    }
}
