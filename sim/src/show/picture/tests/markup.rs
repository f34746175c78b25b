//! A small check that a page is well-formed XML, which is stricter than what browsers ask for.

/// Panics if a tag is not closed, an attribute is not quoted, or a character is not escaped.
pub fn assert_well_formed(page: &str) {
    let body = page.strip_prefix("<!DOCTYPE html>").expect("a document type");
    let mut open: Vec<&str> = Vec::new();
    let mut rest = body;
    while let Some(start) = rest.find('<') {
        assert_text(&rest[..start]);
        assert!(
            start == 0 || !open.is_empty() || rest[..start].trim().is_empty(),
            "text outside: {}",
            &rest[..start]
        );
        let end = start + tag_length(&rest[start..]);
        let tag = &rest[start + 1..end - 1];
        rest = &rest[end..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "the wrong end tag");
        } else {
            let name = assert_tag(tag.strip_suffix('/').unwrap_or(tag));
            if !tag.ends_with('/') {
                open.push(name);
            }
        }
    }
    assert!(open.is_empty(), "not closed: {open:?}");
    assert!(rest.trim().is_empty());
}

fn tag_length(text: &str) -> usize {
    let mut quoted = false;
    for (index, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '>' if !quoted => return index + 1,
            '<' if index > 0 => panic!("a bare < in {:.60}", text),
            _ => {}
        }
    }
    panic!("a tag that never ends: {text:.60}");
}

/// Checks a tag's attributes; its name.
fn assert_tag(tag: &str) -> &str {
    let (name, mut rest) = tag.split_once(char::is_whitespace).unwrap_or((tag, ""));
    assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()), "{name}");
    let mut seen = Vec::new();
    rest = rest.trim();
    while !rest.is_empty() {
        let (key, value) = rest.split_once("=\"").unwrap_or_else(|| panic!("no value: <{tag}>"));
        let (value, after) =
            value.split_once('"').unwrap_or_else(|| panic!("an open quote: <{tag}>"));
        assert!(key.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'), "{key} in <{tag}>");
        assert!(!seen.contains(&key), "{key} twice in <{tag}>");
        assert_text(value);
        assert!(!value.contains("NaN") && !value.contains("inf"), "<{tag}>");
        seen.push(key);
        rest = after.trim();
    }
    name
}

fn assert_text(text: &str) {
    for (index, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(
            known.iter().any(|entity| text[index..].starts_with(entity)),
            "a bare &: {:.40}",
            &text[index..]
        );
    }
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "a control character");
}

#[test]
fn broken_markup_is_found() {
    for bad in [
        "<p>",
        "<p></b>",
        "<p a=b></p>",
        "<p>&</p>",
        "<p a=\"1\" a=\"2\"/>",
        "</p>",
        "<p",
        "<p y=\"NaN\"/>",
    ] {
        let page = format!("<!DOCTYPE html>{bad}");
        assert!(std::panic::catch_unwind(|| assert_well_formed(&page)).is_err(), "{bad}");
    }
    assert_well_formed("<!DOCTYPE html>\n<p a=\"1 &lt; 2\">x &amp; y<br/></p>\n");
}
