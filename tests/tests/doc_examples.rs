//! The documentation's examples are files in `examples/`, which tests run. An example within a
//! comment would be run by nobody: documentation tests are off, see `striper_tests::skipped`.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The lines that begin a block of code which rustdoc would run.
fn examples(text: &str) -> Vec<usize> {
    let mut inside = false;
    let mut found = Vec::new();
    let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
    for (number, line) in lines.iter().enumerate() {
        let comment = line.strip_prefix("//!").or_else(|| line.strip_prefix("///"));
        let Some(kind) = comment.and_then(|comment| comment.trim_start().strip_prefix("```"))
        else {
            continue;
        };
        let is_file = lines.get(number + 1).is_some_and(|next| next.contains("include_str!"));
        if !inside && !kind.starts_with("text") && !is_file {
            found.push(number + 1);
        }
        inside = !inside;
    }
    found
}

#[test]
fn every_example_in_the_documentation_is_a_file() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for package in ["core", "runtime", "sim", "cli", "tests"] {
        sources(&root.join(package).join("src"), &mut files);
    }
    assert!(files.len() > 100, "the sources are elsewhere");
    for file in files {
        let lines = examples(&fs::read_to_string(&file).unwrap());
        assert!(
            lines.is_empty(),
            "{}: move the example of line {lines:?} to examples/",
            file.display()
        );
    }
}

#[test]
fn an_example_within_a_comment_is_found() {
    assert_eq!(examples("/// ```\n/// let a = 1;\n/// ```\n"), [1]);
    assert_eq!(examples("//! ```text\n//! a picture\n//! ```\n"), []);
    assert_eq!(examples("//! ```\n#![doc = include_str!(\"../examples/a.rs\")]\n//! ```\n"), []);
}
