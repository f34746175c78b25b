//! The house rules, each checked on the sources of the repository.
//!
//! A rule looks at [`Source`]s and returns [`Fault`]s. It reads code as text without comments and
//! literals (`code`), which is enough for braces, attributes and paths.

mod circles;
mod code;
mod imports;
mod layers;
mod prose;
mod rules;
mod source;

pub use circles::circles;
pub use imports::Crate;
pub use layers::layers;
pub use prose::{document_columns, sentences};
pub use rules::{files, named_tests, rules};
pub use source::{Source, documents, repository};

use std::fmt;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fault {
    pub rule: &'static str,
    /// The file or folder, from the repository's root.
    pub path: String,
    /// The place, the fault and the right form.
    pub message: String,
}

impl Fault {
    fn new(rule: &'static str, path: &str, message: String) -> Fault {
        Fault { rule, path: path.into(), message }
    }

    /// A fault in a line of a file, given a place in its text.
    fn at(rule: &'static str, source: &Source, place: usize, message: &str) -> Fault {
        let message = format!("line {}: {message}", source.line(place));
        Fault::new(rule, &source.path, message)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.rule, self.path, self.message)
    }
}
