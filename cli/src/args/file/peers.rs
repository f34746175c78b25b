//! `[[peers]]`: the list of peers as a part of the file.

use super::settings::{Setting, entries, unknown, word};
use super::source::Source;
use crate::failure::Failure;
use std::ops::Range;
use std::str::FromStr;
use striper_runtime::keys::{KeyError, Listed, MAX_PEERS, PublicKey, keywords, peer_name};
use striper_runtime::{ListenRule, Rule, RuleError};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

#[derive(Debug)]
pub(super) struct Peer {
    pub listed: Listed,
    /// Its place in the file.
    pub span: Range<usize>,
    /// The words of its rules.
    pub rules: Vec<Setting>,
}

pub(super) fn read(source: &Source, value: &Spanned<DeValue<'_>>) -> Result<Vec<Peer>, Failure> {
    let wrong = |at: Range<usize>, cause: &str, cure: &str| {
        source.failure(at, Failure::config(cause, cure))
    };
    let no_tables = || {
        let cure = "begin each peer with a line [[peers]]; the name of a list belongs to a \
                    command: peers = \"FILE\"";
        wrong(value.span(), "peers is a section for each peer", cure)
    };
    let DeValue::Array(list) = value.get_ref() else { return Err(no_tables()) };
    let mut peers: Vec<Peer> = Vec::new();
    for value in list {
        let DeValue::Table(table) = value.get_ref() else { return Err(no_tables()) };
        let peer = peer(source, table, value.span())?;
        if peers.iter().any(|known| known.listed.key == peer.listed.key) {
            let at = place(table, "key").unwrap_or_else(|| value.span());
            return Err(wrong(at, "this key is listed twice", "remove one of the two peers"));
        }
        peers.push(peer);
        if peers.len() > MAX_PEERS {
            let cause = format!("there are more than {MAX_PEERS} peers");
            return Err(wrong(value.span(), &cause, "shorten the list"));
        }
    }
    Ok(peers)
}

fn place(table: &DeTable<'_>, name: &str) -> Option<Range<usize>> {
    entries(table).into_iter().find(|(key, _)| key.get_ref() == name).map(|(_, value)| value.span())
}

fn peer(source: &Source, table: &DeTable<'_>, span: Range<usize>) -> Result<Peer, Failure> {
    let wrong = |at, error: &KeyError| {
        let cure = match error {
            KeyError::BadName => {
                "a name has 1 to 64 letters, digits, \".\", \"_\", \"-\" or \"@\"".into()
            }
            error => error.cure(),
        };
        source.fixed_failure(at, Failure::config(error.to_string(), cure))
    };
    let required = |name: &str| {
        let found = entries(table).into_iter().find(|(key, _)| key.get_ref() == name);
        found.map(|(_, value)| Ok((word(source, name, value)?, value.span()))).unwrap_or_else(
            || {
                let cure = "a peer has the key and the name that striper-cli pubkey KEY prints";
                let cause = format!("this peer has no {name}");
                Err(source.failure(span.clone(), Failure::config(cause, cure)))
            },
        )
    };
    let (key, at) = required("key")?;
    let key: PublicKey = key.parse().map_err(|error| wrong(at, &error))?;
    let (name, at) = required("name")?;
    let mut listed = Listed::new(peer_name(&name).map_err(|error| wrong(at, &error))?, key);
    let mut words = Vec::new();
    for (key, value) in entries(table) {
        let key_name = key.get_ref().as_ref();
        let rules = &mut listed.rules;
        match (key_name, value.get_ref()) {
            ("key" | "name", _) | ("allow-private", DeValue::Boolean(false)) => {}
            ("allow-private", DeValue::Boolean(true)) => {
                rules.allow_private();
                words.push(setting(key_name, "true", value));
            }
            ("allow-private", _) => {
                let failure = Failure::config("allow-private takes true or false", "write true");
                return Err(source.failure(value.span(), failure));
            }
            ("allow", _) => {
                words.extend(list(source, key_name, value, |rule: Rule| rules.allow(rule))?);
            }
            ("deny", _) => {
                words.extend(list(source, key_name, value, |rule: Rule| rules.deny(rule))?);
            }
            ("allow-listen", _) => {
                let add = |rule: ListenRule| rules.allow_listen(rule);
                words.extend(list(source, key_name, value, add)?);
            }
            _ => {
                let names = [&["key", "name"][..], &keywords()].concat();
                return Err(unknown(source, "a peer", key, &names));
            }
        }
    }
    Ok(Peer { listed, span, rules: words })
}

fn setting(name: &str, word: &str, value: &Spanned<DeValue<'_>>) -> Setting {
    Setting { name: name.to_owned(), value: Some(word.to_owned()), span: value.span() }
}

/// Reads one rule, or a list of rules. Gives their words.
fn list<R: FromStr<Err = RuleError>>(
    source: &Source,
    name: &str,
    value: &Spanned<DeValue<'_>>,
    mut add: impl FnMut(R),
) -> Result<Vec<Setting>, Failure> {
    let values = match value.get_ref() {
        DeValue::Array(list) => list.iter().collect(),
        _ => vec![value],
    };
    let mut words = Vec::new();
    for value in values {
        let word = word(source, name, value)?;
        let rule = word.parse().map_err(|error: RuleError| {
            let cause = format!("{name}: {}", error.cause());
            source.failure(value.span(), Failure::config(cause, error.cure()))
        })?;
        add(rule);
        words.push(setting(name, &word, value));
    }
    Ok(words)
}
