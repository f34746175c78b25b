//! Addresses as they are typed: LISTEN (`PORT`, `ADDR:PORT`, `[v6]:PORT`) and CONNECT (`HOST:PORT`,
//! `[v6]:PORT`, or the two words `HOST PORT`).

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use striper_runtime::HostPort;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BadAddress {
    pub cause: String,
    pub cure: String,
}

impl fmt::Display for BadAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.cause, self.cure)
    }
}

impl std::error::Error for BadAddress {}

fn bad<T>(cause: impl Into<String>, cure: impl Into<String>) -> Result<T, BadAddress> {
    Err(BadAddress { cause: cause.into(), cure: cure.into() })
}

/// Reads LISTEN. A bare port means loopback, so that an omission makes nothing public. With port 0
/// the system chooses.
pub(crate) fn listen(word: &str) -> Result<SocketAddr, BadAddress> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port(word, 0)?)));
    }
    if let Ok(address) = word.parse::<SocketAddr>() {
        return Ok(address);
    }
    if word.parse::<Ipv6Addr>().is_ok() {
        return bad(
            format!(
                "\"{word}\" is an IPv6 address without a port, or with a port that is not clear"
            ),
            "write [ADDR]:PORT, such as [::1]:2222",
        );
    }
    if word.parse::<IpAddr>().is_ok() {
        return bad(format!("\"{word}\" has no port"), format!("write {word}:PORT"));
    }
    if word.contains("://") {
        return bad(format!("\"{word}\" is a URL, and no address to listen on"), LISTEN_FORMS);
    }
    let Some((host, digits)) = word.rsplit_once(':') else {
        return bad(format!("\"{word}\" is not an address to listen on"), LISTEN_FORMS);
    };
    let number = port(digits, 0)?;
    match host {
        "localhost" => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, number))),
        _ if host.contains(':') && !host.starts_with('[') && !host.contains('/') => bad(
            format!("\"{word}\" has more than one colon"),
            "write only the address to listen on, [ADDR:]PORT; the target is CONNECT of the \
             server",
        ),
        "" | "*" => bad(
            format!("\"{word}\" has no address"),
            format!(
                "write {number} for this machine only, 0.0.0.0:{number} or [::]:{number} for all"
            ),
        ),
        _ => bad(
            format!("\"{host}\" is not an IP address"),
            format!("{LISTEN_FORMS}; only an address to connect to may be a name"),
        ),
    }
}

const LISTEN_FORMS: &str = "write PORT, ADDR:PORT or [V6ADDR]:PORT, such as 2222, 0.0.0.0:2222 \
                            or [::1]:2222 (a bare port is loopback)";

/// The place of an address. The cure of a mistake has only what may stand there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// A word of the command line, behind LISTEN.
    Word,
    /// The target in an option.
    Option,
}

impl Place {
    fn forms(self) -> &'static str {
        match self {
            Place::Word => "write HOST:PORT, [V6ADDR]:PORT or two words HOST PORT",
            Place::Option => "write HOST:PORT, [V6ADDR]:PORT or unix:/PATH",
        }
    }
}

/// Reads CONNECT.
pub(crate) fn connect(word: &str) -> Result<HostPort, BadAddress> {
    read(word, Place::Word)
}

/// Reads the target in an option.
pub(crate) fn named(word: &str) -> Result<HostPort, BadAddress> {
    read(word, Place::Option)
}

fn read(word: &str, place: Place) -> Result<HostPort, BadAddress> {
    if let Some((scheme, rest)) = word.split_once("://") {
        let rest = rest.split('/').next().unwrap_or_default();
        let example = match (rest.contains(':'), scheme) {
            (true, _) => rest.to_owned(),
            (false, "https") => format!("{rest}:443"),
            (false, "http") => format!("{rest}:80"),
            (false, _) => format!("{rest}:PORT"),
        };
        return bad(format!("\"{word}\" is a URL"), format!("write a host and a port: {example}"));
    }
    if let Some(rest) = word.strip_prefix('[') {
        let Some((inner, digits)) = rest.split_once("]:") else {
            return bad(format!("\"{word}\" has no port"), place.forms());
        };
        if !is_v6(inner) {
            return bad(format!("\"{inner}\" is not an IPv6 address"), place.forms());
        }
        return target(inner, digits, place);
    }
    if word.contains(',') {
        return bad(
            format!("\"{word}\" has several addresses, and only one is allowed here"),
            "name one address; only -c and client take a list, of one server's addresses",
        );
    }
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        let order = if place == Place::Word { "; it comes after LISTEN" } else { "" };
        return bad(
            format!("\"{word}\" is a port without a host"),
            format!("write HOST:{word}, such as localhost:{word}{order}"),
        );
    }
    match word.split_once(':') {
        None => bad(format!("\"{word}\" has no port"), place.forms()),
        Some((_, rest)) if rest.contains(':') => bad(
            format!("\"{word}\" has more than one colon"),
            "put an IPv6 address into brackets: [V6ADDR]:PORT",
        ),
        Some((name, digits)) => target(host(name, place)?, digits, place),
    }
}

pub(crate) fn connect_words(name: &str, digits: &str) -> Result<HostPort, BadAddress> {
    let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    if is_v6(inner) {
        return target(inner, digits, Place::Word);
    }
    if name.contains(',') {
        return bad(
            format!("\"{name}\" is the beginning of a list, but \"{digits}\" follows"),
            "write a list as one word: A:PORT,B:PORT without spaces",
        );
    }
    if name.contains(':') {
        return bad(
            format!("\"{name}\" has a port already, but \"{digits}\" follows"),
            "write either HOST:PORT or HOST PORT",
        );
    }
    target(host(name, Place::Word)?, digits, Place::Word)
}

fn is_v6(text: &str) -> bool {
    text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

fn target(host: &str, digits: &str, place: Place) -> Result<HostPort, BadAddress> {
    let port = port(digits, 1)?;
    let stands_for_all = match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_unspecified(),
        // The system takes such a word for 0.0.0.0.
        Err(_) => host.bytes().all(|byte| b"0.".contains(&byte)),
    };
    if stands_for_all {
        return bad(
            format!(
                "{host} means all addresses of this machine, and is not an address to connect to"
            ),
            match place {
                Place::Word => {
                    format!("write localhost:{port} for this machine; LISTEN comes before CONNECT")
                }
                Place::Option => {
                    format!("write localhost:{port} for the server's machine, or name the host")
                }
            },
        );
    }
    Ok(HostPort { host: host.to_owned(), port })
}

pub(crate) fn servers(word: &str) -> Result<Vec<HostPort>, BadAddress> {
    let one = |word: &str| match word {
        "" => bad("an address is missing beside a comma", "write A:PORT,B:PORT without spaces"),
        word => connect(word),
    };
    if word.is_empty() {
        return connect(word).map(|server| vec![server]);
    }
    let servers: Vec<HostPort> = word.split(',').map(one).collect::<Result<_, _>>()?;
    let twice = |(nth, server): (usize, &HostPort)| servers[..nth].contains(server);
    match servers.iter().enumerate().find(|nth| twice(*nth)) {
        Some((_, server)) => bad(format!("{server} is given twice"), "leave one of them out"),
        None => Ok(servers),
    }
}

/// Whether a connection to `target` from this machine reaches a listener on `listen`. Nothing is
/// looked up: neither names other than localhost, nor this machine's public addresses.
pub(crate) fn leads_back(listen: SocketAddr, target: &HostPort) -> bool {
    if listen.port() != target.port {
        return false;
    }
    let here = listen.ip().to_canonical();
    if matches!(target.host.to_ascii_lowercase().as_str(), "localhost" | "localhost.") {
        return here.is_loopback() || here.is_unspecified();
    }
    let Ok(there) = target.host.parse::<IpAddr>() else { return false };
    let there = there.to_canonical();
    // A listener on :: takes IPv4 too. A listener on 0.0.0.0 takes no IPv6.
    let all_of_its_kind = here.is_unspecified() && (here.is_ipv6() || there.is_ipv4());
    there == here || (there.is_loopback() && all_of_its_kind)
}

fn host(name: &str, place: Place) -> Result<&str, BadAddress> {
    if name.is_empty() {
        return bad("the host is missing", place.forms());
    }
    if let Some((user, rest)) = name.split_once('@') {
        return bad(
            format!("\"{name}\" has a user name"),
            format!("leave \"{user}@\" to the program that uses the connection: {rest}:PORT"),
        );
    }
    // Names of the DNS and of /etc/hosts, but no options and no paths.
    if !name.chars().all(|c| c.is_alphanumeric() || "-_.%".contains(c)) || name.starts_with('-') {
        return bad(format!("\"{name}\" is not a host name or address"), place.forms());
    }
    Ok(name)
}

fn port(digits: &str, least: u16) -> Result<u16, BadAddress> {
    match digits.parse::<u16>() {
        Ok(number) if number >= least && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
            Ok(number)
        }
        _ => bad(
            if digits.is_empty() {
                "the port is missing".into()
            } else {
                format!("\"{digits}\" is not a port")
            },
            format!("a port is a number from {least} to 65535"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(host: &str, port: u16) -> Result<HostPort, BadAddress> {
        Ok(HostPort { host: host.into(), port })
    }

    #[test]
    fn listen_takes_addresses_of_both_families_and_a_bare_port_is_loopback() {
        for (word, address) in [
            ("2222", "127.0.0.1:2222"),
            ("0", "127.0.0.1:0"),
            ("localhost:22", "127.0.0.1:22"),
            ("0.0.0.0:7650", "0.0.0.0:7650"),
            ("[::1]:7650", "[::1]:7650"),
            ("[::]:0", "[::]:0"),
        ] {
            assert_eq!(listen(word).unwrap().to_string(), address);
        }
    }

    #[test]
    fn a_wrong_address_to_listen_on_has_its_reason() {
        for (word, part) in [
            ("", "not an address"),
            ("70000", "from 0 to 65535"),
            ("127.0.0.1", "has no port"),
            ("::1", "[ADDR]:PORT"),
            (":80", "0.0.0.0:80"),
            ("*:80", "0.0.0.0:80"),
            ("socks5://localhost:1080", "is a URL"),
            ("example.org:80", "not an IP address"),
            ("1.2.3.4:", "port is missing"),
            ("1.2.3.4:+5", "not a port"),
            ("2222:there:22", "only the address to listen on"),
        ] {
            let BadAddress { cause, cure } = listen(word).unwrap_err();
            assert!(format!("{cause}; {cure}").contains(part), "{word}: {cause}; {cure}");
        }
    }

    #[test]
    fn connect_takes_both_spellings() {
        assert_eq!(connect("example.org:22"), at("example.org", 22));
        assert_eq!(connect("10.0.0.1:22"), at("10.0.0.1", 22));
        assert_eq!(connect("[::1]:22"), at("::1", 22));
        assert_eq!(connect_words("example.org", "22"), at("example.org", 22));
        assert_eq!(connect_words("::1", "22"), at("::1", 22));
        assert_eq!(connect_words("[::1]", "22"), at("::1", 22));
        assert_eq!(connect("[fe80::1%eth0]:22"), at("fe80::1%eth0", 22));
        for word in ["example.org:22", "[::1]:22"] {
            assert_eq!(connect(word).unwrap().to_string(), word);
        }
    }

    #[test]
    fn a_wrong_address_to_connect_to_has_its_reason() {
        for (word, part) in [
            ("", "has no port"),
            ("22", "localhost:22"),
            ("localhost:22,localhost:23", "only one is allowed"),
            ("example.org", "has no port"),
            ("example.org:", "port is missing"),
            ("example.org:0", "from 1 to 65535"),
            ("example.org:ssh", "not a port"),
            (":22", "host is missing"),
            ("::1:22", "into brackets"),
            ("[::1]22", "has no port"),
            ("[nonsense]:22", "not an IPv6 address"),
            ("https://example.org/x", "example.org:443"),
            ("http://example.org:81/x", "a port: example.org:81"),
            ("me@example.org:22", "user name"),
            ("-x:22", "not a host name"),
            ("a b:22", "not a host name"),
            ("0.0.0.0:22", "write localhost:22"),
            ("0:22", "all addresses of this machine"),
            ("[::]:22", "all addresses of this machine"),
            ("[::ffff:0.0.0.0]:22", "all addresses of this machine"),
        ] {
            let BadAddress { cause, cure } = connect(word).unwrap_err();
            assert!(format!("{cause}; {cure}").contains(part), "{word}: {cause}; {cure}");
        }
        assert!(connect_words("a:1,", "b:2").unwrap_err().cure.contains("without spaces"));
        let twice = connect_words("example.org:22", "23").unwrap_err();
        assert!(twice.cause.contains("has a port already"));
    }

    #[test]
    fn a_target_that_is_the_listener_is_recognised_in_every_spelling() {
        for (here, there, is_same) in [
            ("7650", "localhost:7650", true),
            ("7650", "LocalHost:7650", true),
            ("7650", "127.0.0.1:7650", true),
            ("0.0.0.0:7650", "127.0.0.2:7650", true),
            ("0.0.0.0:7650", "localhost:7650", true),
            ("[::]:7650", "[::1]:7650", true),
            ("[::]:7650", "127.0.0.1:7650", true),
            ("192.0.2.1:7650", "192.0.2.1:7650", true),
            ("192.0.2.1:7650", "[::ffff:192.0.2.1]:7650", true),
            ("7650", "localhost:22", false),
            ("0", "localhost:22", false),
            ("7650", "example.org:7650", false),
            ("7650", "192.0.2.1:7650", false),
            ("127.0.0.1:7650", "127.0.0.2:7650", false),
            ("127.0.0.1:7650", "[::1]:7650", false),
            ("0.0.0.0:7650", "[::1]:7650", false),
            ("192.0.2.1:7650", "localhost:7650", false),
        ] {
            let found = leads_back(listen(here).unwrap(), &connect(there).unwrap());
            assert_eq!(found, is_same, "{here} {there}");
        }
    }

    #[test]
    fn several_addresses_are_separated_by_commas() {
        assert_eq!(servers("a:1,b:2").unwrap().len(), 2);
        for word in ["a:1,", ",a:1", "a:1,,b:2"] {
            assert!(servers(word).unwrap_err().cause.contains("beside a comma"), "{word}");
        }
        assert!(servers("a:1,b:1,a:1").unwrap_err().cause.contains("a:1 is given twice"));
        assert!(servers("").unwrap_err().cause.contains("has no port"));
    }
}
