//! One rule, and the hosts, ports and paths that it matches.

use ipnet::IpNet;
use std::fmt;
use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

/// Targets that a server may connect to, or must not. It reads and prints these forms:
///
/// - `example.org:443` is a name. Case and a dot at its end don't matter.
/// - `*.example.org:443` is each name below `example.org`, but not that name itself.
/// - `10.0.0.1:22` and `[2001:db8::1]:22` are addresses.
/// - `10.0.0.0/8:22` and `[2001:db8::]/32:22` are blocks of addresses.
/// - `*:443` is each host.
/// - `unix:/run/app.sock` is a unix socket.
///
/// Ports are `443`, `8000-8999`, a list such as `80,443,8000-8999`, or `*`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rule {
    text: String,
    subject: Subject,
    /// Empty for a unix socket.
    ports: Vec<RangeInclusive<u16>>,
}

/// The hosts of a rule. Names are in lower case and without a dot at the end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Subject {
    Any,
    Name(String),
    /// The names that end with this. It begins with a dot.
    Below(String),
    /// Never a block of IPv4-mapped addresses: that is the IPv4 block.
    Block(IpNet),
    Unix(PathBuf),
}

impl Rule {
    /// The rule that this text stands for.
    pub(super) fn new(text: &str, subject: Subject, ports: Vec<RangeInclusive<u16>>) -> Rule {
        Rule { text: text.to_owned(), subject, ports }
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(super) fn has_port(&self, port: u16) -> bool {
        self.ports.iter().any(|ports| ports.contains(&port))
    }

    pub(super) fn has_all_ports(&self) -> bool {
        self.ports.contains(&(1..=u16::MAX))
    }

    /// Whether this is a rule for a name, as [`plain_name`] gives it, whatever its addresses are.
    pub(super) fn has_name(&self, name: &str) -> bool {
        match &self.subject {
            Subject::Any => true,
            Subject::Name(own) => own == name,
            Subject::Below(end) => name.strip_suffix(end).is_some_and(|below| !below.is_empty()),
            Subject::Block(_) | Subject::Unix(_) => false,
        }
    }

    /// Whether this is a rule for a canonical address, whatever name led to it.
    pub(super) fn has_address(&self, address: IpAddr) -> bool {
        match &self.subject {
            Subject::Any => true,
            Subject::Block(block) => block.contains(&address),
            Subject::Name(_) | Subject::Below(_) | Subject::Unix(_) => false,
        }
    }

    pub(super) fn has_path(&self, path: &Path) -> bool {
        matches!(&self.subject, Subject::Unix(own) if own == path)
    }
}

/// The form of a name that rules compare.
pub(super) fn plain_name(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn names_below_a_name_fit_but_not_the_name_or_a_longer_word() {
        let rule = rule("*.example.org:*");
        for (name, fits) in [
            ("a.example.org", true),
            ("b.a.example.org", true),
            ("example.org", false),
            (".example.org", false),
            ("badexample.org", false),
            ("example.org.evil.net", false),
        ] {
            assert_eq!(rule.has_name(name), fits, "{name}");
        }
    }

    #[test]
    fn ports_are_one_a_range_a_list_or_all() {
        for (text, inside, outside) in [
            ("a:*", &[1, 443, 65535][..], &[0][..]),
            ("a:443", &[443], &[442, 444]),
            ("a:1-65535", &[1, 65535], &[0]),
            ("a:7-7", &[7], &[6, 8]),
            ("a:80,443,8000-8999", &[80, 443, 8000, 8999], &[79, 81, 442, 444, 7999, 9000]),
        ] {
            let rule = rule(text);
            assert!(inside.iter().all(|port| rule.has_port(*port)), "{text}");
            assert!(!outside.iter().any(|port| rule.has_port(*port)), "{text}");
        }
    }
}
