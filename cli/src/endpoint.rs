//! Addresses as they are typed: LISTEN (`PORT`, `ADDR:PORT`, `[v6]:PORT`) and CONNECT (`HOST:PORT`,
//! `[v6]:PORT`, or the two words `HOST PORT`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use striper_runtime::HostPort;

/// What is wrong with an address, and how to write it right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BadAddress {
    /// What is wrong.
    pub cause: String,
    /// How to write it right.
    pub cure: String,
}

fn bad<T>(cause: impl Into<String>, cure: impl Into<String>) -> Result<T, BadAddress> {
    Err(BadAddress { cause: cause.into(), cure: cure.into() })
}

/// Reads LISTEN. A bare port means loopback, so that nothing becomes public by leaving something
/// out. Port 0 lets the system choose.
pub fn listen(word: &str) -> Result<SocketAddr, BadAddress> {
    if word.bytes().all(|byte| byte.is_ascii_digit()) && !word.is_empty() {
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port(word, 0)?)));
    }
    if let Ok(address) = word.parse::<SocketAddr>() {
        return Ok(address);
    }
    if word.parse::<Ipv6Addr>().is_ok() {
        return bad(
            format!(
                "\"{word}\" is an IPv6 address without a port, or with one that can't be told apart"
            ),
            "write [ADDR]:PORT, such as [::1]:2222",
        );
    }
    if word.parse::<IpAddr>().is_ok() {
        return bad(format!("\"{word}\" has no port"), format!("write {word}:PORT"));
    }
    let Some((host, digits)) = word.rsplit_once(':') else {
        return bad(format!("\"{word}\" is no address to listen on"), LISTEN_FORMS);
    };
    let number = port(digits, 0)?;
    match host {
        "localhost" => Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, number))),
        _ if host.contains(':') && !host.starts_with('[') && !host.contains('/') => bad(
            format!("\"{word}\" has more than one colon"),
            "write where to listen alone, [ADDR:]PORT; the other side's CONNECT says where \
             connections go to",
        ),
        "" | "*" => bad(
            format!("\"{word}\" names no address"),
            format!(
                "write {number} for this machine only, 0.0.0.0:{number} or [::]:{number} for \
                 everybody"
            ),
        ),
        _ => bad(
            format!("\"{host}\" is no IP address"),
            format!("{LISTEN_FORMS}; names are only understood where striper connects to"),
        ),
    }
}

const LISTEN_FORMS: &str = "write PORT, ADDR:PORT or [V6ADDR]:PORT, such as 2222, 0.0.0.0:2222 \
                            or [::1]:2222 (a bare port is loopback)";
const CONNECT_FORMS: &str = "write HOST:PORT, [V6ADDR]:PORT or two words HOST PORT";

/// Reads CONNECT from one word.
pub fn connect(word: &str) -> Result<HostPort, BadAddress> {
    if let Some((scheme, rest)) = word.split_once("://") {
        let rest = rest.split('/').next().unwrap_or_default();
        let example = match (rest.contains(':'), scheme) {
            (true, _) => rest.to_owned(),
            (false, "https") => format!("{rest}:443"),
            (false, "http") => format!("{rest}:80"),
            (false, _) => format!("{rest}:PORT"),
        };
        return bad(
            format!("\"{word}\" is a URL"),
            format!("striper connects to a host and a port: {example}"),
        );
    }
    if let Some(rest) = word.strip_prefix('[') {
        let Some((inner, digits)) = rest.split_once("]:") else {
            return bad(format!("\"{word}\" has no port"), CONNECT_FORMS);
        };
        if !is_v6(inner) {
            return bad(format!("\"{inner}\" is no IPv6 address"), CONNECT_FORMS);
        }
        return target(inner, digits);
    }
    if word.contains(',') {
        return bad(
            format!("\"{word}\" has several addresses, and only one is understood here"),
            "name one; -c and client alone take a list, of one server's addresses",
        );
    }
    if !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit()) {
        return bad(
            format!("\"{word}\" is a port without a host"),
            format!("write HOST:{word}, such as localhost:{word}; it comes after LISTEN"),
        );
    }
    match word.split_once(':') {
        None => bad(format!("\"{word}\" has no port"), CONNECT_FORMS),
        Some((_, rest)) if rest.contains(':') => bad(
            format!("\"{word}\" has more than one colon"),
            "put an IPv6 address into brackets: [V6ADDR]:PORT",
        ),
        Some((name, digits)) => target(host(name)?, digits),
    }
}

/// Reads CONNECT from two words, the original's other spelling.
pub fn connect_words(name: &str, digits: &str) -> Result<HostPort, BadAddress> {
    let inner = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
    if is_v6(inner) {
        return target(inner, digits);
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
    target(host(name)?, digits)
}

/// Whether this is an IPv6 address, maybe with its interface behind a %.
fn is_v6(text: &str) -> bool {
    text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok())
}

/// A host and its port, which can be connected to.
fn target(host: &str, digits: &str) -> Result<HostPort, BadAddress> {
    let port = port(digits, 1)?;
    let stands_for_all = match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_unspecified(),
        // The system takes such a word for 0.0.0.0.
        Err(_) => host.bytes().all(|byte| b"0.".contains(&byte)),
    };
    if stands_for_all {
        return bad(
            format!("{host} stands for all addresses of this machine, and is none to connect to"),
            format!("write localhost:{port} for this machine; LISTEN comes before CONNECT"),
        );
    }
    Ok(HostPort { host: host.to_owned(), port })
}

/// Reads a comma list of CONNECTs: one server on several addresses.
pub fn servers(word: &str) -> Result<Vec<HostPort>, BadAddress> {
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

/// Whether connecting to `target` on this machine leads to a listener on `listen`. Only what the
/// words themselves say: names other than localhost, and this machine's public addresses behind an
/// unspecified one, are not looked up.
pub fn leads_back(listen: SocketAddr, target: &HostPort) -> bool {
    if listen.port() != target.port {
        return false;
    }
    let here = listen.ip().to_canonical();
    if matches!(target.host.to_ascii_lowercase().as_str(), "localhost" | "localhost.") {
        return here.is_loopback() || here.is_unspecified();
    }
    let Ok(there) = target.host.parse::<IpAddr>() else { return false };
    let there = there.to_canonical();
    // A listener on :: takes IPv4 too, one on 0.0.0.0 no IPv6.
    let all_of_its_kind = here.is_unspecified() && (here.is_ipv6() || there.is_ipv4());
    there == here || (there.is_loopback() && all_of_its_kind)
}

fn host(name: &str) -> Result<&str, BadAddress> {
    if name.is_empty() {
        return bad("the host is missing", CONNECT_FORMS);
    }
    if let Some((user, rest)) = name.split_once('@') {
        return bad(
            format!("\"{name}\" has a user name"),
            format!("leave \"{user}@\" to the program that uses the connection: {rest}:PORT"),
        );
    }
    // Names of the DNS and of /etc/hosts; a wider net would let options and paths through as hosts.
    if !name.chars().all(|c| c.is_alphanumeric() || "-_.%".contains(c)) || name.starts_with('-') {
        return bad(format!("\"{name}\" is no host name or address"), CONNECT_FORMS);
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
                format!("\"{digits}\" is no port")
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
    fn a_bare_port_listens_on_loopback() {
        assert_eq!(listen("2222").unwrap().to_string(), "127.0.0.1:2222");
        assert_eq!(listen("0").unwrap().to_string(), "127.0.0.1:0");
        assert_eq!(listen("localhost:22").unwrap().to_string(), "127.0.0.1:22");
    }

    #[test]
    fn listen_takes_addresses_of_both_families() {
        assert_eq!(listen("0.0.0.0:7650").unwrap().to_string(), "0.0.0.0:7650");
        assert_eq!(listen("[::1]:7650").unwrap().to_string(), "[::1]:7650");
        assert_eq!(listen("[::]:0").unwrap().to_string(), "[::]:0");
    }

    #[test]
    fn listen_explains_what_it_does_not_take() {
        for (word, part) in [
            ("", "no address"),
            ("70000", "from 0 to 65535"),
            ("127.0.0.1", "has no port"),
            ("::1", "[ADDR]:PORT"),
            (":80", "0.0.0.0:80"),
            ("*:80", "0.0.0.0:80"),
            ("example.org:80", "no IP address"),
            ("1.2.3.4:", "port is missing"),
            ("1.2.3.4:+5", "no port"),
            ("2222:there:22", "where to listen alone"),
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
    }

    #[test]
    fn connect_explains_what_it_does_not_take() {
        for (word, part) in [
            ("", "has no port"),
            ("22", "localhost:22"),
            ("localhost:22,localhost:23", "only one"),
            ("example.org", "has no port"),
            ("example.org:", "port is missing"),
            ("example.org:0", "from 1 to 65535"),
            ("example.org:ssh", "no port"),
            (":22", "host is missing"),
            ("::1:22", "into brackets"),
            ("[::1]22", "has no port"),
            ("[nonsense]:22", "no IPv6 address"),
            ("https://example.org/x", "example.org:443"),
            ("http://example.org:81/x", "a port: example.org:81"),
            ("me@example.org:22", "user name"),
            ("-x:22", "no host name"),
            ("a b:22", "no host name"),
            ("0.0.0.0:22", "write localhost:22"),
            ("0:22", "all addresses of this machine"),
            ("[::]:22", "all addresses of this machine"),
            ("[::ffff:0.0.0.0]:22", "all addresses of this machine"),
        ] {
            let BadAddress { cause, cure } = connect(word).unwrap_err();
            assert!(format!("{cause}; {cure}").contains(part), "{word}: {cause}; {cure}");
        }
        assert!(connect_words("a:1,", "b:2").unwrap_err().cure.contains("without spaces"));
        assert!(
            connect_words("example.org:22", "23").unwrap_err().cause.contains("has a port already")
        );
    }

    #[test]
    fn a_target_that_is_the_listener_is_recognised_in_every_disguise() {
        for (here, there) in [
            ("7650", "localhost:7650"),
            ("7650", "LocalHost:7650"),
            ("7650", "127.0.0.1:7650"),
            ("0.0.0.0:7650", "127.0.0.2:7650"),
            ("0.0.0.0:7650", "localhost:7650"),
            ("[::]:7650", "[::1]:7650"),
            ("[::]:7650", "127.0.0.1:7650"),
            ("192.0.2.1:7650", "192.0.2.1:7650"),
            ("192.0.2.1:7650", "[::ffff:192.0.2.1]:7650"),
        ] {
            assert!(leads_back(listen(here).unwrap(), &connect(there).unwrap()), "{here} {there}");
        }
    }

    #[test]
    fn a_target_beside_the_listener_is_another() {
        for (here, there) in [
            ("7650", "localhost:22"),
            ("0", "localhost:22"),
            ("7650", "example.org:7650"),
            ("7650", "192.0.2.1:7650"),
            ("127.0.0.1:7650", "127.0.0.2:7650"),
            ("127.0.0.1:7650", "[::1]:7650"),
            ("0.0.0.0:7650", "[::1]:7650"),
            ("192.0.2.1:7650", "localhost:7650"),
        ] {
            assert!(!leads_back(listen(here).unwrap(), &connect(there).unwrap()), "{here} {there}");
        }
    }

    #[test]
    fn several_servers_are_separated_by_commas() {
        assert_eq!(servers("a:1,b:2").unwrap().len(), 2);
        for word in ["a:1,", ",a:1", "a:1,,b:2"] {
            assert!(servers(word).unwrap_err().cause.contains("beside a comma"), "{word}");
        }
        assert!(servers("a:1,b:1,a:1").unwrap_err().cause.contains("a:1 is given twice"));
        assert!(servers("").unwrap_err().cause.contains("has no port"));
    }

    #[test]
    fn an_address_is_shown_as_it_is_typed() {
        for word in ["example.org:22", "[::1]:22"] {
            assert_eq!(connect(word).unwrap().to_string(), word);
        }
    }
}
