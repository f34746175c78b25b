//! The repository's source files, and which parts of them are test code.

use super::code::{attributes, closing, item_end, name, without_words, words};
use std::fs;
use std::ops::Range;
use std::path::Path;

#[derive(Clone, Debug)]
pub struct Source {
    /// The path from the repository's root.
    pub(super) path: String,
    pub(super) text: String,
    /// The text with blanks for comments and literals.
    pub(super) code: String,
    /// Items that only tests compile.
    tests: Vec<Range<usize>>,
}

impl Source {
    /// A file by its path from the repository's root, with `/` between folders.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Source {
        let text = text.into();
        let code = without_words(&text);
        let tests = test_items(&code);
        Source { path: path.into(), text, code, tests }
    }

    /// The lines, each with its place.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        let place = |line: &str| line.as_ptr() as usize - self.text.as_ptr() as usize;
        self.text.lines().map(move |line| (place(line), line))
    }

    /// The line of a place in the text, counted from 1.
    pub fn line(&self, place: usize) -> usize {
        self.text[..place].matches('\n').count() + 1
    }

    /// Whether a place is in an item that only tests compile.
    pub fn is_test_item(&self, place: usize) -> bool {
        self.tests.iter().any(|item| item.contains(&place))
    }

    /// Whether the whole file is test code by its name: below a package's `src` or `tests`, a file
    /// `tests.rs` or a folder `tests`.
    pub fn is_test_file(&self) -> bool {
        let mut parts = self.path.split('/').skip(1);
        parts.any(|part| part == "tests" || part == "tests.rs")
    }
}

/// The items behind `#[cfg(test)]`, and modules called `tests`.
fn test_items(code: &str) -> Vec<Range<usize>> {
    let behind_cfg = attributes(code).filter(|attribute| is_cfg_test(&code[attribute.clone()]));
    let behind_cfg = behind_cfg.map(|attribute| {
        let mut from = attribute.end;
        while let Some(next) = attributes(code)
            .find(|next| next.start >= from && code[from..next.start].trim().is_empty())
        {
            from = next.end;
        }
        attribute.start..item_end(code, from)
    });
    let modules = words(code, "mod").filter_map(|place| {
        let name = name(code, place + 3);
        let open = code[name.end..].trim_start().starts_with('{');
        let open = open.then(|| code[name.end..].find('{').expect("it was just seen") + name.end);
        (&code[name] == "tests").then_some(place..closing(code, open?))
    });
    behind_cfg.chain(modules).collect()
}

/// Items for tests that simulators compile too.
const TESTING: &str = "#[cfg(any(test, feature = ";

fn is_cfg_test(attribute: &str) -> bool {
    attribute.starts_with("#[cfg(")
        && words(attribute, "test").next().is_some()
        && !attribute.contains("not(test)")
        && (!attribute.contains("any(") || attribute.starts_with(TESTING))
}

pub fn repository() -> Vec<Source> {
    files(".rs")
}

pub fn documents() -> Vec<Source> {
    files(".md")
}

fn files(ending: &str) -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests have a parent");
    let mut sources = Vec::new();
    collect(root, "", ending, &mut sources);
    sources.sort_by(|one, other| one.path.cmp(&other.path));
    sources
}

fn collect(folder: &Path, prefix: &str, ending: &str, sources: &mut Vec<Source>) {
    for entry in fs::read_dir(folder).expect("a folder of the repository") {
        let entry = entry.expect("an entry");
        let name = entry.file_name().into_string().expect("a name that is text");
        let (path, file) = (entry.path(), format!("{prefix}{name}"));
        let kind = entry.file_type().expect("a kind of file");
        if kind.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, &format!("{file}/"), ending, sources);
        } else if kind.is_file() && name.ends_with(ending) {
            sources.push(Source::new(file, fs::read_to_string(&path).expect("text")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_items_of_tests_are_recognised() {
        let text = "fn a() {}\n#[cfg(test)]\n#[derive(X)]\nfn b() {}\nfn c() {}\nmod tests { x }\n\
                    #[cfg(not(test))]\nfn d() {}\n\
                    #[cfg(any(test, feature = \"testing\"))]\nfn e() {}\n\
                    #[cfg(any(test, unix))]\nfn f() {}\n";
        let source = Source::new("core/src/x.rs", text);
        let is_test = |word: &str| source.is_test_item(text.find(word).unwrap());
        assert!(is_test("fn b") && is_test("x }") && is_test("fn e"));
        assert!(!is_test("fn a") && !is_test("fn c") && !is_test("fn d"));
        assert!(!is_test("fn f"));
        for (path, expected) in [
            ("tests/src/lib.rs", false),
            ("tests/tests/proxy/keys.rs", true),
            ("core/src/wire/tests.rs", true),
            ("core/src/wire/tests/a.rs", true),
            ("core/tests/a.rs", true),
        ] {
            assert_eq!(Source::new(path, "").is_test_file(), expected, "{path}");
        }
    }

    #[test]
    fn the_repository_has_its_packages_and_no_build_files() {
        let all = repository();
        for package in ["core", "runtime", "sim", "cli", "tests"] {
            assert!(all.iter().any(|source| source.path.starts_with(&format!("{package}/src/"))));
        }
        assert!(all.iter().all(|source| !source.path.contains("target/")));
    }
}
