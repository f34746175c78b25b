//! The list of peers: their public keys, their names, and rules of their own.

use super::file::says_something;
use super::{BadLine, KeyError, MAX_PEERS, PUBLIC, PeerName, PublicKey, peer_name, unknown};
use crate::rules::{RuleError, Rules};
use std::ops::Range;
use std::str::FromStr;

/// The longest line with a rule in bytes, so that errors have a bounded length. A name has at most
/// 253, and few rules list a hundred ports.
const MAX_RULE: usize = 1024;

/// A peer in a list.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Listed {
    /// Its name, for logs.
    pub name: PeerName,
    /// The public half of its key.
    pub key: PublicKey,
    /// The rules that only it has. They are empty if it follows those for all.
    pub rules: Rules,
}

impl Listed {
    /// A peer without rules of its own.
    pub fn new(name: PeerName, key: PublicKey) -> Listed {
        Listed { name, key, rules: Rules::default() }
    }
}

/// The word of a rule, and what it does to a peer.
struct Keyword {
    word: &'static str,
    takes: Takes,
}

enum Takes {
    Nothing(fn(&mut Listed)),
    Value(fn(&mut Listed, &str) -> Result<(), RuleError>),
}

const KEYWORDS: [Keyword; 4] = [
    Keyword {
        word: "allow",
        takes: Takes::Value(|peer, text| read(text, |r| peer.rules.allow(r))),
    },
    Keyword { word: "deny", takes: Takes::Value(|peer, text| read(text, |r| peer.rules.deny(r))) },
    Keyword {
        word: "allow-listen",
        takes: Takes::Value(|peer, text| read(text, |r| peer.rules.allow_listen(r))),
    },
    Keyword { word: "allow-private", takes: Takes::Nothing(|peer| peer.rules.allow_private()) },
];

fn read<R: FromStr<Err = RuleError>>(text: &str, add: impl FnOnce(R)) -> Result<(), RuleError> {
    text.parse().map(add)
}

/// The words with which a rule in a list begins.
pub fn keywords() -> Vec<&'static str> {
    KEYWORDS.iter().map(|keyword| keyword.word).collect()
}

/// An error, and the bytes of the line that are wrong. None: the line may have a secret in it, so
/// it is not shown.
type Wrong = (KeyError, Option<Range<usize>>);

pub(super) fn peers(text: &str) -> Result<Vec<Listed>, KeyError> {
    let mut peers: Vec<Listed> = Vec::new();
    // Where the key of the next rule is a comment: the rule must not be one of the key above that.
    let mut hidden = None;
    for (number, line) in (1..).zip(text.lines()) {
        if !says_something(line) {
            hidden = hides_key(line).then_some(number).or(hidden);
            continue;
        }
        let read = match (is_rule(line), hidden) {
            (true, Some(above)) => {
                Err((KeyError::HiddenKeysRule(above), Some(places(line)[0].clone())))
            }
            (true, None) => add_rule(peers.last_mut(), line),
            (false, _) => {
                hidden = None;
                add_peer(&mut peers, line)
            }
        };
        read.map_err(|(error, range)| {
            let line = range.map(|range| (line.to_owned(), range));
            KeyError::Line(Box::new(BadLine { number, line, error }))
        })?;
        if peers.len() > MAX_PEERS {
            return Err(KeyError::TooMany);
        }
    }
    Ok(peers)
}

/// Whether a comment has a key in it, as that of a peer who was taken out.
fn hides_key(line: &str) -> bool {
    line.trim_start_matches(|c: char| c == '#' || c.is_whitespace()).starts_with(PUBLIC)
}

/// Whether a line is a rule: it is indented, and no key. Keys may be indented as well.
fn is_rule(line: &str) -> bool {
    let (word, _) = words(line);
    let is_key = word.to_ascii_lowercase().starts_with("striper-");
    line.starts_with(char::is_whitespace) && !is_key && unknown(word) == KeyError::Unknown
}

/// The first word of a line, and what follows it, without blanks around them.
fn words(line: &str) -> (&str, &str) {
    let line = line.trim();
    let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    (word, rest.trim_start())
}

/// The place in `line` of the first word, and of what follows it.
fn places(line: &str) -> [Range<usize>; 2] {
    let (word, rest) = words(line);
    let (start, end) = (line.len() - line.trim_start().len(), line.trim_end().len());
    [start..start + word.len(), end - rest.len()..end]
}

fn add_peer(peers: &mut Vec<Listed>, line: &str) -> Result<(), Wrong> {
    let [first, second] = places(line);
    let (word, _) = words(line);
    if KEYWORDS.iter().any(|keyword| keyword.word == word) {
        return Err((KeyError::NotIndented, Some(first)));
    }
    let (name, key) = peer(line.trim()).map_err(|error| {
        let place = matches!(error, KeyError::NoName | KeyError::BadName).then_some(second);
        (error, place)
    })?;
    if peers.iter().any(|known| known.key == key) {
        return Err((KeyError::Twice, Some(first)));
    }
    peers.push(Listed::new(name, key));
    Ok(())
}

fn peer(line: &str) -> Result<(PeerName, PublicKey), KeyError> {
    let (key, name) =
        line.split_once([' ', '\t']).ok_or_else(|| match line.parse::<PublicKey>() {
            Ok(_) => KeyError::NoName,
            Err(error) => error,
        })?;
    let key = key.parse()?;
    Ok((peer_name(name.trim())?, key))
}

fn add_rule(peer: Option<&mut Listed>, line: &str) -> Result<(), Wrong> {
    if line.len() > MAX_RULE {
        return Err((KeyError::LongRule, None));
    }
    let ((word, value), [first, second]) = (words(line), places(line));
    let Some(keyword) = KEYWORDS.iter().find(|keyword| keyword.word == word) else {
        return Err((KeyError::NoKeyword(word.to_owned()), Some(first)));
    };
    let Some(peer) = peer else { return Err((KeyError::NobodysRule, Some(first))) };
    match keyword.takes {
        Takes::Nothing(_) if !value.is_empty() => Err((KeyError::TakesNothing, Some(second))),
        Takes::Nothing(add) => {
            add(peer);
            Ok(())
        }
        Takes::Value(add) => add(peer, value).map_err(|error| {
            let Range { start, end } = error.range();
            let place = second.start + start..second.start + end;
            (KeyError::Rule(error), Some(place))
        }),
    }
}
