//! Source text without comments and literals, and its brackets.
//!
//! Invariant: a place in the result is the same place in the text.

use std::ops::Range;

/// The text with a blank for each byte of a comment or literal. Line ends stay.
pub fn without_words(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        match word_end(bytes, at) {
            None => at += 1,
            Some(end) => {
                let word = code[at..end].iter_mut().filter(|byte| **byte != b'\n');
                word.for_each(|byte| *byte = b' ');
                at = end;
            }
        }
    }
    String::from_utf8(code).expect("whole characters were replaced")
}

/// The end of the comment or literal that begins here.
fn word_end(bytes: &[u8], at: usize) -> Option<usize> {
    let find = |from: usize, what: &[u8]| {
        let found = bytes[from..].windows(what.len()).position(|window| window == what);
        found.map_or(bytes.len(), |place| from + place + what.len())
    };
    match &bytes[at..] {
        [b'/', b'/', ..] => Some(find(at, b"\n")),
        [b'/', b'*', ..] => Some(find(at, b"*/")),
        [b'"', ..] => Some(string_end(bytes, at + 1)),
        [b'\'', ..] => char_end(bytes, at),
        [b'r', rest @ ..] if !is_name(bytes.get(at.wrapping_sub(1)).copied()) => {
            raw_quote(rest).map(|hashes| find(at + hashes + 2, &closing_quote(hashes)))
        }
        [b'b', b'r', rest @ ..] => {
            raw_quote(rest).map(|hashes| find(at + hashes + 3, &closing_quote(hashes)))
        }
        _ => None,
    }
}

fn raw_quote(rest: &[u8]) -> Option<usize> {
    let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
    (rest.get(hashes) == Some(&b'"')).then_some(hashes)
}

fn closing_quote(hashes: usize) -> Vec<u8> {
    [b"\"".as_slice(), &vec![b'#'; hashes]].concat()
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() && bytes[at] != b'"' {
        at += if bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// The end of a character literal; `None` for a lifetime.
fn char_end(bytes: &[u8], at: usize) -> Option<usize> {
    if bytes.get(at + 1) == Some(&b'\\') {
        let end = bytes[at + 3..].iter().position(|byte| *byte == b'\'')?;
        return Some(at + 3 + end + 1);
    }
    let text = std::str::from_utf8(&bytes[at + 1..]).ok()?;
    let len = text.chars().next()?.len_utf8();
    (bytes.get(at + 1 + len) == Some(&b'\'')).then_some(at + len + 2)
}

pub fn is_name(byte: Option<u8>) -> bool {
    byte.is_some_and(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The place behind the bracket that closes the one at `open`.
pub fn closing(code: &str, open: usize) -> usize {
    let mut depth = 0usize;
    for (place, byte) in code.bytes().enumerate().skip(open) {
        match byte {
            b'{' | b'(' | b'[' => depth += 1,
            b'}' | b')' | b']' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return place + 1;
        }
    }
    code.len()
}

/// The places at which a whole word stands.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(place, _)| place).filter(move |place| {
        let before = place.checked_sub(1).map(|before| bytes[before]);
        !is_name(before) && !is_name(bytes.get(place + word.len()).copied())
    })
}

/// The name that begins at or behind a place, and its range.
pub fn name(code: &str, from: usize) -> Range<usize> {
    let bytes = code.as_bytes();
    let blank = code[from..].bytes().take_while(u8::is_ascii_whitespace).count();
    let start = from + blank;
    let len = bytes[start..].iter().take_while(|byte| is_name(Some(**byte))).count();
    start..start + len
}

/// The end of the item that begins at a place: behind its block, or its semicolon.
pub fn item_end(code: &str, from: usize) -> usize {
    let mut at = from;
    while at < code.len() {
        match code.as_bytes()[at] {
            b';' => return at + 1,
            b'{' => return closing(code, at),
            b'(' | b'[' => at = closing(code, at),
            _ => at += 1,
        }
    }
    code.len()
}

/// The attributes `#[...]` and `#![...]`, each with its brackets.
pub fn attributes(code: &str) -> impl Iterator<Item = Range<usize>> + '_ {
    code.match_indices('#').filter_map(|(place, _)| {
        let open = code[place..].find('[').filter(|skip| *skip <= 2)? + place;
        code[place + 1..open].trim_matches('!').is_empty().then(|| place..closing(code, open))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blank_and_places_stay() {
        for (text, code) in [
            ("a // b {\nc", "a       \nc"),
            ("a /* {\n */ b", "a     \n    b"),
            ("f(\"\\\"{\", 'x', '\\'', '{')", "f(     ,    ,     ,    )"),
            ("fn f<'a>(x: &'a str)", "fn f<'a>(x: &'a str)"),
            ("r#\"{ \" }\"# br\"{\" r#type", "                 r#type"),
            ("\"ä\" x", "     x"),
        ] {
            assert_eq!(without_words(text), code, "{text}");
        }
    }

    #[test]
    fn brackets_and_items_end_where_they_should() {
        assert_eq!(closing("a{b(c)d[e]}f", 1), 11);
        assert_eq!(item_end("fn f(x: [u8; 2]) { a; } b", 0), 23);
        assert_eq!(item_end("use a::b; c", 0), 9);
        let code = "#![allow(x)] #[cfg(a)] #x";
        let found: Vec<&str> = attributes(code).map(|range| &code[range]).collect();
        assert_eq!(found, ["#![allow(x)]", "#[cfg(a)]"]);
    }
}
