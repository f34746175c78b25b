//! The language of documents and comments: lines that fit, and sentences that are read once.

use super::{Fault, Source};

/// Characters of a line of Markdown outside tables and blocks of code.
const LINE: usize = 100;

/// Words of a sentence. The aim is 25; beyond this a sentence has to be read twice.
const WORDS: usize = 32;

/// Beginnings without a noun: "A peer that ..." is right.
const BARE: [&str; 8] =
    ["who", "whoever", "whatever", "what", "one that", "those that", "those who", "he who"];

pub fn document_columns(documents: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for document in documents {
        let mut is_code = false;
        for (number, line) in document.text.lines().enumerate() {
            is_code ^= line.trim_start().starts_with("```");
            let columns = line.chars().count();
            if columns > LINE && !is_code && !line.starts_with('|') {
                let message = format!("line {}: {columns} columns of {LINE}", number + 1);
                faults.push(Fault::new("columns", &document.path, message));
            }
        }
    }
    faults
}

/// Sentences of documents and comments that are too long or begin without a noun.
pub fn sentences(sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in sources {
        for (line, paragraph) in paragraphs(source) {
            for sentence in split(&paragraph) {
                let words = sentence.split_whitespace().count();
                let begin = sentence.trim_start_matches(['*', '"', '(', '[']).to_lowercase();
                let is_bare = !sentence.ends_with('?')
                    && BARE.iter().any(|bare| {
                        begin.strip_prefix(bare).is_some_and(|rest| rest.starts_with(' '))
                    });
                if words > WORDS || is_bare {
                    let why = if is_bare { "no noun".into() } else { format!("{words} words") };
                    let message = format!("line {line}: {why}: {sentence}");
                    faults.push(Fault::new("sentences", &source.path, message));
                }
            }
        }
    }
    faults
}

/// The prose of a file, each paragraph with its first line. Code, tables and headings are none.
fn paragraphs(source: &Source) -> Vec<(usize, String)> {
    let is_document = source.path.ends_with(".md");
    let (mut found, mut current, mut is_code) = (Vec::<(usize, String)>::new(), false, false);
    for (number, line) in source.text.lines().enumerate() {
        let is_indented = is_document && !current && line.starts_with("    ");
        let line = line.trim_start();
        let text = match line.strip_prefix("//") {
            Some(comment) if !is_document => comment.trim_start_matches(['/', '!']).trim(),
            None if is_document => line.trim_end(),
            _ => "",
        };
        is_code ^= text.starts_with("```");
        let is_prose =
            !is_code && !is_indented && !text.is_empty() && !text.starts_with(['|', '#', '`', '<']);
        let item = text.strip_prefix("- ").or_else(|| {
            let rest = text.trim_start_matches(|digit: char| digit.is_ascii_digit());
            rest.strip_prefix(". ").filter(|_| rest.len() < text.len())
        });
        match (is_prose, item, found.last_mut()) {
            (false, ..) => current = false,
            (true, None, Some((_, paragraph))) if current => {
                paragraph.push(' ');
                paragraph.push_str(text);
            }
            (true, item, _) => {
                found.push((number + 1, item.unwrap_or(text).to_owned()));
                current = true;
            }
        }
    }
    found
}

/// The sentences of a paragraph. A colon ends one too if a new sentence follows.
fn split(paragraph: &str) -> Vec<&str> {
    let mut sentences = Vec::new();
    let mut from = 0;
    for (place, _) in paragraph.match_indices(' ') {
        let is_end = paragraph[..place].ends_with(['.', '!', '?', ':', ';']);
        let next = paragraph[place + 1..].chars().next();
        let begins = next.is_some_and(|next| next.is_uppercase() || "`*\"([".contains(next));
        if is_end && begins {
            sentences.push(&paragraph[from..place]);
            from = place + 1;
        }
    }
    sentences.push(&paragraph[from..]);
    sentences
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        sentences(&[Source::new(path, text)]).len()
    }

    #[test]
    fn a_document_wraps_outside_tables_and_code() {
        let long = "x".repeat(LINE + 1);
        let faults = |text: String| document_columns(&[Source::new("a.md", text)]).len();
        assert_eq!(faults(format!("{long}\n")), 1);
        assert_eq!(faults(format!("| {long} |\n\n```\n{long}\n```\n")), 0);
    }

    #[test]
    fn a_long_sentence_is_a_fault_and_two_short_ones_are_none() {
        let half = "word ".repeat(WORDS / 2 + 1);
        let half = half.trim_end();
        assert_eq!(found("a.md", &format!("{half}\n{half}.\n")), 1);
        assert_eq!(found("a.md", &format!("{half}. Next\n{half}.\n")), 0);
        assert_eq!(found("a.rs", &format!("// {half}\n/// {half}.\nfn a() {{}}\n")), 1);
        assert_eq!(found("a.rs", &format!("let a = \"{half} {half}\";\n")), 0);
        assert_eq!(found("a.md", &format!("- {half}\n- {half}.\n")), 0);
    }

    #[test]
    fn a_sentence_begins_with_a_noun() {
        for bad in ["Who comes first waits.", "It is so. What came is kept.", "One that fails."] {
            assert_eq!(found("a.md", bad), 1, "{bad}");
        }
        for good in ["A peer that came first waits.", "What is it?", "Whole frames count."] {
            assert_eq!(found("a.md", good), 0, "{good}");
        }
    }
}
