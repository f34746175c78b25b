//! A line of a file with carets under the part that is wrong.

use crate::printable::printable;
use std::ops::Range;

/// The most characters that are shown before and behind the beginning of the wrong part.
const AROUND: usize = 36;

/// Two lines: the line, and carets under these bytes of it, at least one. Of a long line only the
/// surroundings of the carets are shown.
pub(crate) fn excerpt(line: &str, wrong: Range<usize>) -> String {
    // A tab has no width of its own, so carets could not stand under what follows it.
    let show = |text: &str| printable(&text.replace('\t', " "));
    let part = |range: Range<usize>| show(line.get(range).unwrap_or_default());
    let before = part(0..wrong.start);
    let before = before.trim_start();
    let cut = before.chars().count().saturating_sub(AROUND);
    let before: String = if cut == 0 {
        before.to_owned()
    } else {
        "…".chars().chain(before.chars().skip(cut)).collect()
    };
    let rest = show(line.get(wrong.start..).unwrap_or_default().trim_end());
    let behind: String = match rest.chars().count() > AROUND {
        true => rest.chars().take(AROUND).chain(['…']).collect(),
        false => rest,
    };
    let carets = part(wrong).chars().count().clamp(1, behind.chars().count().max(1));
    let blanks = " ".repeat(before.chars().count());
    format!("    {before}{behind}\n    {blanks}{}", "^".repeat(carets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_under_the_wrong_part() {
        for (line, wrong, shown) in [
            ("\tallow a:x ", 9..10, "    allow a:x\n            ^"),
            ("  alow a:1", 2..6, "    alow a:1\n    ^^^^"),
            ("  deny a", 8..8, "    deny a\n          ^"),
            ("  allow\tä\u{1b}:1", 8..11, "    allow ä\\u{1b}:1\n          ^^^^^^^"),
            ("", 0..0, "    \n    ^"),
        ] {
            assert_eq!(excerpt(line, wrong), shown, "{line}");
        }
    }

    #[test]
    fn of_a_long_line_the_part_around_the_carets_is_shown() {
        let line = format!("{}!{}", "a".repeat(500), "b".repeat(500));
        for (wrong, count) in [(500..501, 1), (500..1001, 37)] {
            let shown = excerpt(&line, wrong);
            let (first, second) = shown.split_once('\n').unwrap();
            let around = [first.chars().filter(|c| *c == 'a').count(), first.chars().count()];
            assert_eq!(around, [AROUND, 4 + 1 + AROUND + AROUND + 1]);
            assert_eq!(second, format!("{}{}", " ".repeat(4 + 1 + AROUND), "^".repeat(count)));
        }
    }
}
