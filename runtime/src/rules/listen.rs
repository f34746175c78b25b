//! Rules for the addresses on which a server listens at the wish of its clients.

use super::parse::RuleError;
use super::rule::{Rule, Subject};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// The name that stands for both loopback addresses, and before ports alone.
const LOCALHOST: &str = "localhost";

/// Addresses on which clients may have the server listen: `[ADDR:]PORTS`. Without an address it is
/// about loopback. `*` is each address, and a block such as `10.0.0.0/8` is those of this machine
/// in it. Ports are as in a [`Rule`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenRule(Rule);

impl ListenRule {
    pub(super) fn fits(&self, address: SocketAddr) -> bool {
        let (rule, ip) = (&self.0, address.ip().to_canonical());
        let named = ip.is_loopback() && rule.has_name(LOCALHOST);
        // Port 0 may become each one.
        let has_port = match address.port() {
            0 => rule.has_all_ports(),
            port => rule.has_port(port),
        };
        has_port && (rule.has_address(ip) || named)
    }
}

impl fmt::Display for ListenRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ListenRule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let is_bare = text.starts_with(|c: char| c.is_ascii_digit() || c == '*')
            && !text.contains([':', '.', '/']);
        let rule: Rule = if is_bare {
            let prefix = LOCALHOST.len() + 1;
            let whole = format!("{LOCALHOST}:{text}");
            whole.parse().map_err(|error: RuleError| error.shifted(prefix))?
        } else {
            text.parse()?
        };
        match rule.subject() {
            Subject::Any | Subject::Block(_) => Ok(ListenRule(rule)),
            Subject::Name(name) if name == LOCALHOST => Ok(ListenRule(rule)),
            Subject::Name(_) | Subject::Below(_) | Subject::Unix(_) => Err(RuleError::of_all(
                text,
                "a server listens on an address, not on a name or a path",
                "write PORTS for loopback, ADDR:PORTS, or *:PORTS for all addresses",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(rule: &str, address: &str) -> bool {
        let rule: ListenRule = rule.parse().unwrap_or_else(|error| panic!("{rule}: {error}"));
        rule.fits(address.parse().unwrap())
    }

    #[test]
    fn ports_alone_are_about_loopback() {
        for address in ["127.0.0.1:8080", "127.1.2.3:8081", "[::1]:8080"] {
            assert!(fits("8080-8081,9000", address), "{address}");
            assert!(fits("localhost:8080-8081", address), "{address}");
        }
        for address in ["127.0.0.1:8082", "0.0.0.0:8080", "[::]:8080", "10.0.0.1:8080"] {
            assert!(!fits("8080-8081,9000", address), "{address}");
            assert!(!fits("localhost:8080-8081", address), "{address}");
        }
        assert!(fits("*", "127.0.0.1:1") && !fits("*", "0.0.0.0:1"));
    }

    #[test]
    fn an_address_a_block_or_a_star_says_which_addresses() {
        for (rule, address, expected) in [
            ("0.0.0.0:80", "0.0.0.0:80", true),
            ("0.0.0.0:80", "10.0.0.1:80", false),
            ("10.0.0.0/8:80", "10.0.0.1:80", true),
            ("10.0.0.0/8:80", "0.0.0.0:80", false),
            ("10.0.0.0/8:80", "[::ffff:10.0.0.1]:80", true),
            ("[2001:db8::1]:80", "[2001:db8::1]:80", true),
            ("*:80,443", "0.0.0.0:443", true),
            ("*:80,443", "[::]:80", true),
            ("*:80,443", "0.0.0.0:81", false),
        ] {
            assert_eq!(fits(rule, address), expected, "{rule} {address}");
        }
    }

    #[test]
    fn any_free_port_needs_a_rule_for_all_ports() {
        assert!(fits("*:*", "0.0.0.0:0") && fits("*", "127.0.0.1:0"));
        assert!(!fits("1-65534", "127.0.0.1:0"));
    }

    #[test]
    fn a_mistake_has_its_place_and_a_cure() {
        for (text, range, part) in [
            ("80,x", 3..4, "is no port"),
            ("70000", 0..5, "is no port"),
            ("example.org:80", 0..14, "not on a name"),
            ("unix:/run/x", 0..11, "not on a name"),
            ("", 0..0, "empty"),
        ] {
            let error = text.parse::<ListenRule>().unwrap_err();
            assert_eq!(error.range(), range, "{text}: {error}");
            assert!(error.to_string().contains(part), "{text}: {error}");
        }
    }
}
