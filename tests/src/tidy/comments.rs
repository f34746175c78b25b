//! Comments that say nothing.

use super::{Fault, Source};

/// Comments that leave the reader as wise as before.
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

/// Comments that consist of a stock phrase alone.
pub fn comments(sources: &[Source]) -> Vec<Fault> {
    let mut faults = Vec::new();
    for source in sources {
        let lines: Vec<&str> = source.text().lines().map(str::trim).collect();
        let is_comment = |line: Option<&&str>| line.is_some_and(|line| line.starts_with("//"));
        for (number, line) in lines.iter().enumerate() {
            let alone = !is_comment(number.checked_sub(1).and_then(|before| lines.get(before)))
                && !is_comment(lines.get(number + 1));
            let Some(said) = line.strip_prefix("//").filter(|_| alone) else { continue };
            let said = said.trim_start_matches(['/', '!']).trim();
            if said.is_empty() || EMPTY.contains(&said) {
                let message = format!("line {}: \"{line}\" says nothing", number + 1);
                faults.push(Fault::new("comments", source.path(), message));
            }
        }
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stock_phrase_alone_is_a_fault() {
        let faults = |text: &str| comments(&[Source::new("core/src/a.rs", text)]);
        for bad in ["/// Which.\n", "    /// When.\n    at: u64,\n", "x\n//\ny", "//! What.\n"] {
            assert_eq!(faults(bad).len(), 1, "{bad}");
        }
        for good in ["/// Which flow.\n", "/// It is known\n/// Which.\n", "let x = \"// Which.\";"]
        {
            assert_eq!(faults(good), [], "{good}");
        }
    }
}
