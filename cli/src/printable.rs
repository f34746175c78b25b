//! Text of others on a terminal: characters that could change what a person sees are escaped.

/// Whether a character could hide or move others. Beside control characters, these are breaks of
/// lines, characters without a width, and those that change the direction of text (UAX #9).
pub(crate) fn garbles(c: char) -> bool {
    let others = ['\u{61c}', '\u{feff}'];
    let ranges = ['\u{200b}'..='\u{200f}', '\u{2028}'..='\u{202e}', '\u{2060}'..='\u{206f}'];
    c.is_control() || others.contains(&c) || ranges.iter().any(|range| range.contains(&c))
}

/// A text with such characters escaped: the name of a file may have some.
pub(crate) fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            c if garbles(c) => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

/// The same for several lines, which stay lines.
pub(crate) fn printable_lines(text: &str) -> String {
    text.split('\n').map(printable).collect::<Vec<_>>().join("\n")
}

/// The same for JSON. Only its strings can have such characters, but for the ends of its lines.
pub(crate) fn printable_json(json: &str) -> String {
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        match c {
            c if c != '\n' && garbles(c) => shown.push_str(&json_escape(c)),
            c => shown.push(c),
        }
    }
    shown
}

/// RFC 8259, section 7. All characters that garble have four digits.
pub(crate) fn json_escape(c: char) -> String {
    format!("\\u{:04x}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A control sequence of eight bits, a change of direction, and a mark without a width.
    const HOSTILE: &str = "a\u{9b}2J\u{202e}b\u{feff}\tc\u{7f}é";

    #[test]
    fn characters_that_could_change_a_terminal_are_escaped() {
        assert_eq!(printable(HOSTILE), r"a\u{9b}2J\u{202e}b\u{feff}\tc\u{7f}é");
        assert_eq!(printable("a\nb"), r"a\nb");
        assert_eq!(printable_lines("a\u{9b}\n  ^\u{1b}"), "a\\u{9b}\n  ^\\u{1b}");
    }

    #[test]
    fn escaped_json_says_the_same() {
        let value = serde_json::json!({ "text": [HOSTILE, "\u{1b}\n"] });
        let shown = printable_json(&format!("{value:#}\n"));
        assert!(!shown.contains(|c| c != '\n' && garbles(c)), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
