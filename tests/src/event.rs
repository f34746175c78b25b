//! One line of a proxy's JSON log.

use std::collections::BTreeMap;
use std::fmt;
use std::iter::Peekable;
use std::str::Chars;

/// A log line: an object whose values are texts and numbers. Any other line has the event `raw`.
#[derive(Clone, Debug)]
pub struct Event {
    fields: BTreeMap<String, String>,
    line: String,
}

impl Event {
    pub fn read(line: &str) -> Event {
        let fields = object(line)
            .unwrap_or_else(|| BTreeMap::from([("event".to_owned(), "raw".to_owned())]));
        Event { fields, line: line.to_owned() }
    }

    pub fn name(&self) -> &str {
        self.text("event")
    }

    pub fn is(&self, name: &str) -> bool {
        self.name() == name
    }

    /// Whether it is a panic or a failure of the program.
    pub fn is_error(&self) -> bool {
        self.is("raw") || self.text("level") == "error"
    }

    pub fn text(&self, field: &str) -> &str {
        self.fields.get(field).map_or("", String::as_str)
    }

    pub fn number(&self, field: &str) -> u64 {
        self.text(field).parse().unwrap_or_else(|_| panic!("no number {field:?} in {self}"))
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.line)
    }
}

/// An object of texts and numbers, without blanks between its parts.
fn object(line: &str) -> Option<BTreeMap<String, String>> {
    let mut rest = line.strip_prefix('{')?.strip_suffix('}')?.chars().peekable();
    let mut fields = BTreeMap::new();
    loop {
        let key = string(&mut rest)?;
        (rest.next()? == ':').then_some(())?;
        let value = match rest.peek()? {
            '"' => string(&mut rest)?,
            _ => std::iter::from_fn(|| rest.next_if(|c| *c != ',')).collect(),
        };
        fields.insert(key, value);
        match rest.next() {
            None => return Some(fields),
            Some(',') => {}
            Some(_) => return None,
        }
    }
}

fn string(rest: &mut Peekable<Chars<'_>>) -> Option<String> {
    (rest.next()? == '"').then_some(())?;
    let mut text = String::new();
    loop {
        match rest.next()? {
            '"' => return Some(text),
            '\\' => match rest.next()? {
                'n' => text.push('\n'),
                't' => text.push('\t'),
                'u' => {
                    let digits: String = rest.by_ref().take(4).collect();
                    text.push(char::from_u32(u32::from_str_radix(&digits, 16).ok()?)?);
                }
                c => text.push(c),
            },
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_numbers_are_read() {
        let event =
            Event::read(r#"{"event":"x","message":"\"a\", {b}\\ \u0007","count":12,"rate":1.500}"#);
        assert_eq!((event.name(), event.text("message")), ("x", "\"a\", {b}\\ \u{7}"));
        let values = (event.number("count"), event.text("rate"), event.text("none"));
        assert_eq!(values, (12, "1.500", ""));
        assert!(!event.is_error());
    }

    #[test]
    fn a_line_that_is_no_object_is_an_error() {
        for line in ["", "thread 'main' panicked", "{", r#"{"a":1"#, r#"{"a"}"#, r#"{"a":"b"c}"#] {
            assert!(Event::read(line).is_error(), "{line}");
        }
    }
}
