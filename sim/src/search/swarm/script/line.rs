//! A line of a script: words, then `name=value` pairs.

use crate::base::Side;
use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

/// The largest number but of seeds: more than a day in microseconds, 100 GB, 100 Gbit/s.
const MAX_NUMBER: u64 = 100_000_000_000;

/// The names of sets of sides, each with whether the client and the server are in it.
pub const WAYS: [(&str, [bool; 2]); 4] = [
    ("both", [true, true]),
    ("client", [true, false]),
    ("server", [false, true]),
    ("none", [false, false]),
];

/// A line, of which each word is taken once.
pub struct Line {
    words: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Line {
    /// Cuts a line into words. A name may stand once, and a number may not be too large.
    pub fn new(text: &str) -> Result<Self, String> {
        let (mut words, mut values) = (Vec::new(), BTreeMap::new());
        for word in text.split_whitespace() {
            match word.split_once('=') {
                None => words.push(word.to_owned()),
                Some((name, value)) => {
                    let is_any = ["seed", "a", "b", "c", "buggify"].contains(&name);
                    if !is_any && value.parse::<u64>().is_ok_and(|number| number > MAX_NUMBER) {
                        return Err(format!("{name}={value} is beyond {MAX_NUMBER}"));
                    }
                    if values.insert(name.to_owned(), value.to_owned()).is_some() {
                        return Err(format!("{name}= is there twice"));
                    }
                }
            }
        }
        words.reverse();
        Ok(Line { words, values })
    }

    /// The next word that is no pair; `what` says in an error what it should be.
    pub fn word(&mut self, what: &str) -> Result<String, String> {
        self.words.pop().ok_or_else(|| format!("{what} is missing"))
    }

    pub fn text(&mut self, name: &str) -> Option<String> {
        self.values.remove(name)
    }

    pub fn take<T: FromStr>(&mut self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| format!("{name}={text} can't be read"))
    }

    pub fn need<T: FromStr>(&mut self, name: &str) -> Result<T, String> {
        self.take(name)?.ok_or_else(|| format!("{name}= is missing"))
    }

    pub fn take_time(&mut self, name: &str) -> Result<Option<Duration>, String> {
        Ok(self.take(name)?.map(Duration::from_micros))
    }

    pub fn time(&mut self, name: &str) -> Result<Duration, String> {
        self.need(name).map(Duration::from_micros)
    }

    pub fn side(&mut self, name: &str) -> Result<Option<Side>, String> {
        self.text(name).map(|text| read_side(&text)).transpose()
    }

    /// The sides whose packets are meant. Both if nothing is said.
    pub fn ways(&mut self) -> Result<[bool; 2], String> {
        let name = self.text("from").unwrap_or_else(|| "both".to_owned());
        let way = WAYS.iter().find(|way| way.0 == name);
        way.map(|way| way.1)
            .ok_or_else(|| format!("from={name}: there are both, client and server"))
    }

    pub fn done(&self) -> Result<(), String> {
        match (self.words.last(), self.values.keys().next()) {
            (None, None) => Ok(()),
            (Some(word), _) => Err(format!("\"{word}\" is too much")),
            (None, Some(name)) => Err(format!("{name}= has no meaning here")),
        }
    }
}

pub fn read_side(text: &str) -> Result<Side, String> {
    let side = Side::BOTH.into_iter().find(|side| side_name(*side) == text);
    side.ok_or_else(|| format!("\"{text}\" is neither client nor server"))
}

pub fn side_name(side: Side) -> &'static str {
    ["client", "server"][side.index()]
}
