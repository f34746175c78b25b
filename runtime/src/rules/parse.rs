//! The text of a rule, read part by part. A mistake is shown with its place and a cure.

mod host;
mod ports;

use super::rule::{Rule, Subject};
use std::fmt;
use std::net::Ipv6Addr;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

const UNIX: &str = "unix:";

/// A text that is no rule: the place of the mistake, its cause and a cure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RuleError {
    range: Range<usize>,
    cause: String,
    cure: String,
}

impl RuleError {
    /// The error that all of a text is wrong.
    pub(super) fn of_all(text: &str, cause: &str, cure: &str) -> RuleError {
        Part { start: 0, text }.wrong(cause, cure)
    }

    /// The same error in a text that lacks these first bytes.
    pub(super) fn shifted(self, bytes: usize) -> RuleError {
        let Range { start, end } = self.range;
        let range = start.saturating_sub(bytes)..end.saturating_sub(bytes);
        RuleError { range, ..self }
    }

    /// The bytes of the text that are wrong. The range is empty where something is missing.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }

    /// The mistake, in words.
    pub fn cause(&self) -> &str {
        &self.cause
    }

    /// The way to mend it.
    pub fn cure(&self) -> &str {
        &self.cure
    }
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.cure)
    }
}

impl std::error::Error for RuleError {}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let whole = Part { start: 0, text };
        let rule = |subject, ports| Rule::new(text, subject, ports);
        if text.is_empty() {
            return Err(whole.wrong("the rule is empty", "write HOST:PORTS or unix:/path"));
        }
        if let Some(path) = text.strip_prefix(UNIX) {
            return Ok(rule(Subject::Unix(whole.tail(path).path()?), Vec::new()));
        }
        if let Some((scheme, rest)) = text.split_once("://") {
            let host = rest.split(['/', ':']).next().unwrap_or(rest);
            let cure = format!("write the host and its ports, as in {}:443", or_example(host));
            let scheme = Part { start: 0, text: &text[..scheme.len() + 3] };
            return Err(scheme.wrong("a rule is no URL", cure));
        }
        let (host, ports) = whole.host_and_ports()?;
        let subject = host.subject()?;
        Ok(rule(subject, ports.ports()?))
    }
}

/// A host for a hint: the user's, if it can be one.
fn or_example(host: &str) -> &str {
    let is_name = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if !host.is_empty() && host.chars().all(is_name) { host } else { "example.org" }
}

/// A part of a rule's text, and where it begins.
#[derive(Clone, Copy)]
struct Part<'a> {
    start: usize,
    text: &'a str,
}

impl<'a> Part<'a> {
    fn end(&self) -> usize {
        self.start + self.text.len()
    }

    /// The last bytes of this part.
    fn tail(&self, text: &'a str) -> Part<'a> {
        Part { start: self.end() - text.len(), text }
    }

    /// The two parts around a separator of one byte.
    fn split(&self, (left, right): (&'a str, &'a str)) -> (Part<'a>, Part<'a>) {
        (Part { start: self.start, text: left }, self.tail(right))
    }

    fn wrong(&self, cause: impl Into<String>, cure: impl Into<String>) -> RuleError {
        RuleError { range: self.start..self.end(), cause: cause.into(), cure: cure.into() }
    }

    /// The same for what is missing behind this part.
    fn lacks(&self, cause: impl Into<String>, cure: impl Into<String>) -> RuleError {
        RuleError { range: self.end()..self.end(), cause: cause.into(), cure: cure.into() }
    }

    fn no_ports(&self) -> RuleError {
        let is_ports = |text: &str| text.bytes().all(|byte| b"0123456789,-".contains(&byte));
        if !self.text.is_empty() && is_ports(self.text) {
            let cure = format!("write HOST:{0}, or *:{0} for all hosts", self.text);
            return self.wrong("the rule has no host", cure);
        }
        if self.text.starts_with('/') {
            let cure = format!("write unix:{}", self.text.escape_debug());
            return self.wrong("a path begins with unix:", cure);
        }
        let cure = format!("add them, as in {0}:443, or {0}:* for all", self.text.escape_debug());
        self.lacks("the rule has no ports", cure)
    }

    fn path(&self) -> Result<PathBuf, RuleError> {
        let cure = "write the whole path, as in unix:/run/app.sock";
        match self.text {
            "" => Err(self.lacks("the path is missing", cure)),
            path if !path.starts_with('/') => {
                Err(self.wrong(format!("{path:?} doesn't begin with /"), cure))
            }
            path if path.contains('\0') => Err(self.wrong("a path has no zero byte", cure)),
            path => Ok(path.into()),
        }
    }

    /// Splits at the colon before the ports. The host keeps its brackets.
    fn host_and_ports(&self) -> Result<(Part<'a>, Part<'a>), RuleError> {
        let is_v6 = |text: &str| {
            text.split('/').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
        };
        if is_v6(self.text) {
            let cure = match self.text.rsplit_once(':') {
                Some((host, ports)) if is_v6(host) && !ports.contains('/') => {
                    format!("write [{host}]:{ports}")
                }
                _ => format!("write [{0}]:443, or [{0}]:* for all", self.text),
            };
            return Err(self.wrong("an IPv6 address stands in brackets, before its ports", cure));
        }
        if self.text.starts_with('[') {
            return match self.text.rsplit_once(':') {
                _ if !self.text.contains(']') => {
                    Err(self.lacks("the bracket is not closed", "write [IPV6]:PORTS"))
                }
                Some(parts) if parts.0.contains(']') => Ok(self.split(parts)),
                _ => Err(self.no_ports()),
            };
        }
        let Some(parts) = self.text.rsplit_once(':') else { return Err(self.no_ports()) };
        let (host, ports) = self.split(parts);
        match host.text {
            "" => Err(host.wrong("the host is missing", "write HOST:PORTS, or *:PORTS for all")),
            text if is_v6(text) => {
                let cure = format!("write [{text}]:{}", ports.text.escape_debug());
                Err(host.wrong("an IPv6 address stands in brackets", cure))
            }
            text if text.contains(':') && text.contains([',', ' ', '\t']) => {
                let cure = "repeat --allow or --deny for each; in a list of peers, the line";
                Err(self.wrong("these are several rules", cure))
            }
            text if text.contains(':') => {
                let cause = "a rule has one colon, before its ports";
                Err(host.wrong(cause, "write HOST:PORTS, and an IPv6 address in brackets"))
            }
            _ => Ok((host, ports)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quickcheck::quickcheck;
    use std::path::Path;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn block(text: &str) -> Subject {
        Subject::Block(text.parse().unwrap())
    }

    #[test]
    fn each_form_of_a_host_is_read() {
        for (text, subject) in [
            ("*:1", Subject::Any),
            ("example.org:1", Subject::Name("example.org".into())),
            ("EXAMPLE.Org.:1", Subject::Name("example.org".into())),
            ("localhost:1", Subject::Name("localhost".into())),
            ("_x-1.xn--p1ai:1", Subject::Name("_x-1.xn--p1ai".into())),
            ("1.2.3.4.in-addr.arpa:1", Subject::Name("1.2.3.4.in-addr.arpa".into())),
            ("*.Example.org:1", Subject::Below(".example.org".into())),
            ("10.0.0.1:1", block("10.0.0.1/32")),
            ("10.0.0.0/8:1", block("10.0.0.0/8")),
            ("0.0.0.0/0:1", block("0.0.0.0/0")),
            ("[2001:db8::1]:1", block("2001:db8::1/128")),
            ("[2001:db8::]/32:1", block("2001:db8::/32")),
            ("[2001:db8::/32]:1", block("2001:db8::/32")),
            ("[::]/0:1", block("::/0")),
            ("[::ffff:10.0.0.1]:1", block("10.0.0.1/32")),
            ("[::ffff:10.0.0.0]/104:1", block("10.0.0.0/8")),
            ("[::ffff:0:0/96]:1", block("0.0.0.0/0")),
        ] {
            assert_eq!(rule(text), Rule::new(text, subject, vec![1..=1]));
        }
        let rule = rule("unix:/run/a b:c.sock");
        assert_eq!(rule.subject(), &Subject::Unix("/run/a b:c.sock".into()));
        assert!(rule.has_path(Path::new("/run/a b:c.sock")) && !rule.has_path(Path::new("/run")));
        assert!(!rule.has_port(1) && !rule.has_name("/run") && !rule.has_address([1; 4].into()));
    }

    /// Checks the place of each mistake, as carets below the text, and its cause.
    #[track_caller]
    fn check(mistakes: &[(&str, &str, &str)]) {
        for (text, carets, cause) in mistakes {
            let error = text.parse::<Rule>().expect_err(text);
            let RuleError { range, cause: said, cure } = &error;
            let place = " ".repeat(range.start) + &"^".repeat(range.len().max(1));
            assert_eq!((place.as_str(), said.as_str()), (*carets, *cause), "{text}");
            assert!(!cure.is_empty() && error.to_string() == format!("{cause}; {cure}"));
        }
    }

    #[test]
    fn a_mistake_in_the_ports_is_shown_with_its_place() {
        check(&[
            ("example.org", "           ^", "the rule has no ports"),
            ("80", "^^", "the rule has no host"),
            ("80,443", "^^^^^^", "the rule has no host"),
            ("[::1]", "     ^", "the rule has no ports"),
            ("[::1]/128", "         ^", "the rule has no ports"),
            ("a:", "  ^", "the ports are missing"),
            ("a:0", "  ^", "no target has port 0"),
            ("a:80,0-9", "     ^", "no target has port 0"),
            ("a:65536", "  ^^^^^", "\"65536\" is no port"),
            ("a:+80", "  ^^^", "\"+80\" is no port"),
            ("a:80, 81", "     ^^^", "\" 81\" is no port"),
            ("a:http", "  ^^^^", "\"http\" is no port"),
            ("a:80,,81", "     ^", "a port is missing"),
            ("a:80,", "     ^", "a port is missing"),
            ("a:80-", "     ^", "a port is missing"),
            ("a:-80", "  ^", "a port is missing"),
            ("a:1-2-3", "    ^^^", "\"2-3\" is no port"),
            ("a:80,90-89", "     ^^^^^", "the range 90-89 ends before it begins"),
            ("a:80,*", "     ^", "the * for all ports stands alone"),
        ]);
    }

    #[test]
    fn a_mistake_in_a_name_is_shown_with_its_place() {
        check(&[
            ("", "^", "the rule is empty"),
            (":80", "^", "the host is missing"),
            ("https://a.org/x", "^^^^^^^^", "a rule is no URL"),
            ("a b:80", " ^", "' ' can't be in a name"),
            ("aä:80", " ^^", "'ä' can't be in a name"),
            ("a*.org:80", " ^", "'*' can't be in a name"),
            ("*.*:80", "  ^", "'*' can't be in a name"),
            ("*.:80", "  ^", "a part of the name is empty"),
            (".org:80", "^", "a part of the name is empty"),
            ("a..org:80", "  ^", "a part of the name is empty"),
            ("127.1:80", "^^^^^", "\"127.1\" is neither a name nor an IPv4 address"),
            ("*.0.1:80", "  ^^^", "\"0.1\" is neither a name nor an IPv4 address"),
            ("10.0.0.256:80", "^^^^^^^^^^", "\"10.0.0.256\" is neither a name nor an IPv4 address"),
            ("0X7f:80", "^^^^", "\"0X7f\" is neither a name nor an IPv4 address"),
        ]);
        let (label, name) = ("x".repeat(64), vec!["x".repeat(60); 5].join("."));
        let carets = ["  ".to_owned() + &"^".repeat(64), "^".repeat(304)];
        check(&[
            (&format!("a.{label}:1"), &carets[0], "a part of a name has at most 63 bytes"),
            (&format!("{name}:1"), &carets[1], "a name has at most 253 bytes"),
        ]);
    }

    #[test]
    fn a_cure_is_the_rule_that_was_probably_meant() {
        for (text, rule) in [
            ("80,443", "*:80,443"),
            ("::1", "[::1]:443"),
            ("::1:80", "[::1]:80"),
            ("fe80::/10", "[fe80::/10]:443"),
            ("fe80::/10:80", "[fe80::/10]:80"),
            ("/run/app.sock", "unix:/run/app.sock"),
        ] {
            let RuleError { cure, .. } = text.parse::<Rule>().expect_err(text);
            assert!(cure.contains(rule) && rule.parse::<Rule>().is_ok(), "{text}: {cure}");
        }
    }

    #[test]
    fn a_mistake_in_an_address_or_a_path_is_shown_with_its_place() {
        check(&[
            ("::1", "^^^", "an IPv6 address stands in brackets, before its ports"),
            (
                "2001:db8::/32",
                &"^".repeat(13),
                "an IPv6 address stands in brackets, before its ports",
            ),
            ("1:2:3:4:5:6:7:8:443", &"^".repeat(15), "an IPv6 address stands in brackets"),
            ("a:80:90", "^^^^", "a rule has one colon, before its ports"),
            ("a:80,b:90", "^^^^^^^^^", "these are several rules"),
            ("a:80 b:90,91", "^^^^^^^^^^^^", "these are several rules"),
            ("[::1:80", "       ^", "the bracket is not closed"),
            ("[a]:80", " ^", "\"a\" is no IPv6 address"),
            ("[]:80", " ^", "\"\" is no IPv6 address"),
            ("[10.0.0.1]:80", " ^^^^^^^^", "\"10.0.0.1\" is no IPv6 address"),
            ("[::1]x:80", "     ^", "\"x\" doesn't belong behind the bracket"),
            ("[::/8]/8:80", "      ^^", "\"/8\" doesn't belong behind the bracket"),
            ("[::]/129:80", "     ^^^", "\"129\" is no length of a prefix"),
            ("[::/]:80", "    ^", "\"\" is no length of a prefix"),
            ("10.0.0.0/33:80", "         ^^", "\"33\" is no length of a prefix"),
            ("10.0.0.0/+8:80", "         ^^", "\"+8\" is no length of a prefix"),
            (
                "10.0.0.0/255.0.0.0:80",
                "         ^^^^^^^^^",
                "\"255.0.0.0\" is no length of a prefix",
            ),
            ("a.org/8:80", "^^^^^", "\"a.org\" is no IPv4 address"),
            ("10.1.0.0/8:80", "^^^^^^^^^^", "10.1.0.0 is not the first address of its block"),
            ("[::1]/64:80", "^^^^^^^^", "::1 is not the first address of its block"),
            ("unix:", "     ^", "the path is missing"),
            ("unix:a.sock", "     ^^^^^^", "\"a.sock\" doesn't begin with /"),
            ("unix:/a\0", "     ^^^", "a path has no zero byte"),
        ]);
    }

    #[test]
    fn a_cure_has_what_the_user_meant() {
        for (text, cure) in [
            ("example.org", "add them, as in example.org:443, or example.org:* for all"),
            ("https://example.com/x", "write the host and its ports, as in example.com:443"),
            ("::1", "write [::1]:443, or [::1]:* for all"),
            ("1:2:3:4:5:6:7:8:443", "write [1:2:3:4:5:6:7:8]:443"),
            ("10.1.2.3/8:22", "write 10.0.0.0/8 for the block, or 10.1.2.3"),
            ("[2001:db8::1/32]:1", "write [2001:db8::]/32 for the block, or [2001:db8::1]"),
            ("a:9-8", "write 8-9"),
        ] {
            assert_eq!(text.parse::<Rule>().expect_err(text).cure(), cure, "{text}");
        }
    }

    /// Pieces of rules: texts of them reach further than texts of any characters.
    const PIECES: [&str; 28] = [
        "*",
        "*.",
        ".",
        ":",
        "[",
        "]",
        "/",
        "-",
        ",",
        "unix:",
        "://",
        "10.0.0.0",
        "10.1.2.3",
        "::",
        "2001:db8::",
        "::ffff:",
        "example.org",
        "localhost",
        "a",
        "ä",
        "\0",
        " ",
        "80",
        "443",
        "8",
        "0",
        "65536",
        "0x",
    ];

    fn check_text(text: &str) -> bool {
        match text.parse::<Rule>() {
            Ok(rule) => rule.to_string() == text && rule.to_string().parse() == Ok(rule),
            Err(error) => text.get(error.range()).is_some() && !error.cause().is_empty(),
        }
    }

    quickcheck! {
        fn any_text_is_a_rule_that_prints_it_or_an_error_with_a_place(text: String) -> bool {
            check_text(&text)
        }

        fn any_row_of_pieces_is_a_rule_or_an_error(row: Vec<usize>) -> bool {
            let row = row.iter().take(12);
            check_text(&row.map(|piece| PIECES[piece % PIECES.len()]).collect::<String>())
        }
    }
}
