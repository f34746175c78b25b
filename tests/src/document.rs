//! The fenced blocks of a document, which tests run as a user would.

/// The blocks of a document, or of one of its sections.
pub struct Document {
    blocks: Vec<String>,
}

impl Document {
    pub fn new(text: &str) -> Document {
        let (mut blocks, mut block): (Vec<String>, Option<String>) = (Vec::new(), None);
        for line in text.lines() {
            match (&mut block, line.starts_with("```")) {
                (None, true) => block = Some(String::new()),
                (None, false) => {}
                (Some(_), true) => blocks.extend(block.take()),
                (Some(block), false) => block.extend([line, "\n"]),
            }
        }
        assert_eq!(block, None, "a block without an end");
        Document { blocks }
    }

    /// The part below the heading `## TITLE`, up to the next heading of its kind.
    pub fn section(text: &str, title: &str) -> Document {
        let (_, section) = text.split_once(&format!("\n## {title}\n")).expect("a section");
        Document::new(section.split_once("\n## ").map_or(section, |(section, _)| section))
    }

    /// Panics unless each of these is in one block of its own, and no block is left. So the tests
    /// that run the blocks by these parts run all of them.
    pub fn assert_has(&self, parts: &[&str]) {
        parts.iter().for_each(|part| _ = self.block(part));
        let tested = |block: &String| parts.iter().any(|part| block.contains(part));
        let untested: Vec<_> = self.blocks.iter().filter(|block| !tested(block)).collect();
        assert!(untested.is_empty(), "blocks that no test runs: {untested:#?}");
        assert_eq!(self.blocks.len(), parts.len(), "blocks that two parts name");
    }

    /// The lines of the only block that has this in it.
    pub fn block(&self, with: &str) -> Vec<String> {
        let mut found = self.blocks.iter().filter(|block| block.contains(with));
        let (Some(block), None) = (found.next(), found.next()) else {
            panic!("not exactly one block has {with:?} in it");
        };
        block.lines().map(str::to_owned).collect()
    }

    /// The same, of a block with so many lines.
    pub fn lines<const N: usize>(&self, with: &str) -> [String; N] {
        let lines = self.block(with);
        lines.try_into().unwrap_or_else(|lines| panic!("not {N} lines: {lines:?}"))
    }
}

/// Replaces each part of a line. All must be there.
pub fn with(line: &str, table: &[(&str, &str)]) -> String {
    table.iter().fold(line.to_owned(), |line, (from, to)| {
        assert!(line.contains(from), "{line} has no {from}");
        line.replace(from, to)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\n## A\n```\none\n```\n\n## B\nx\n```sh\ntwo\nthree\n```\n```\nfour\n```\n";

    #[test]
    fn blocks_are_found_by_a_part_within_their_section() {
        let all = Document::new(TEXT);
        all.assert_has(&["one", "two", "four"]);
        assert_eq!(all.block("three"), ["two", "three"]);
        let [first, second] = Document::section(TEXT, "B").lines("two");
        assert_eq!((&*first, &*second), ("two", "three"));
        Document::section(TEXT, "A").assert_has(&["one"]);
    }

    #[test]
    #[should_panic(expected = "blocks that no test runs")]
    fn a_block_that_no_test_names_is_found() {
        Document::new(TEXT).assert_has(&["one", "four"]);
    }
}
