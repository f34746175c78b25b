//! Reads the ways in of a client: `-L`, `-D`, `-T` and `-W`.

use super::invocation::{Place, Way};
use crate::endpoint::{self, BadAddress};
use std::path::PathBuf;
use striper_runtime::Target;

/// Reads `-L`: where to listen, and maybe the target after another colon.
pub(super) fn forward(word: &str) -> Result<Way, BadAddress> {
    if let Some((before, _)) = word.split_once("://") {
        let scheme = before.rsplit(':').next().unwrap_or_default();
        return Err(BadAddress {
            cause: format!("\"{word}\" has a URL in it"),
            cure: format!("leave out \"{scheme}://\": write [ADDR:]PORT or [ADDR:]PORT:HOST:PORT"),
        });
    }
    if let Some((listen, path)) = word.split_once(":unix:") {
        let listen = match listen.starts_with(['/', '.']) {
            true => Place::Unix(PathBuf::from(listen)),
            false => Place::Tcp(endpoint::listen(listen)?),
        };
        return Ok(Way::Forward { listen, target: unix(path)? });
    }
    if word.starts_with(['/', '.']) {
        let (path, target) = match word.split_once(':') {
            Some((path, target)) => (path, Target::Host(endpoint::named(target)?)),
            None => (word, Target::Default),
        };
        return Ok(Way::Forward { listen: Place::Unix(PathBuf::from(path)), target });
    }
    let parts = fields(word);
    let (listen, target) = match parts[..] {
        // A port is no address to listen on: the target lacks its own.
        [port, target] if is_number(port) => (port, Target::Host(endpoint::named(target)?)),
        [_] | [_, _] => (word, Target::Default),
        [port, ..] if parts.len() == 3 => {
            (port, Target::Host(endpoint::named(&word[port.len() + 1..])?))
        }
        [address, port, ..] if parts.len() == 4 => {
            let listen = address.len() + 1 + port.len();
            (&word[..listen], Target::Host(endpoint::named(&word[listen + 1..])?))
        }
        _ => {
            return Err(BadAddress {
                cause: format!("\"{word}\" has too many colons"),
                cure: "write [ADDR:]PORT or [ADDR:]PORT:HOST:PORT, with IPv6 addresses in \
                       brackets"
                    .into(),
            });
        }
    };
    Ok(Way::Forward { listen: Place::Tcp(endpoint::listen(listen)?), target })
}

/// Reads `-D`.
pub(super) fn proxy(word: &str) -> Result<Way, BadAddress> {
    if word.contains('@') {
        return Err(BadAddress {
            cause: "-D takes only [ADDR:]PORT, and no users".into(),
            cure: "write USER:PASSWORD into a file, and name that: --proxy-users FILE".into(),
        });
    }
    let listen = endpoint::listen(word).map_err(|bad| without_target("-D", word, bad))?;
    Ok(Way::Proxy { listen })
}

/// Reads `-T`.
pub(super) fn transparent(word: &str) -> Result<Way, BadAddress> {
    let listen = endpoint::listen(word).map_err(|bad| without_target("-T", word, bad))?;
    Ok(Way::Transparent { listen })
}

/// The mistake of a way that takes no target.
fn without_target(option: &str, word: &str, bad: BadAddress) -> BadAddress {
    match forward(word) {
        Ok(Way::Forward { target: Target::Host(_) | Target::Unix(_), .. }) => BadAddress {
            cause: format!("\"{word}\" has a target, but {option} takes only [ADDR:]PORT"),
            cure: format!("leave the target out, or write -L {word} for this target alone"),
        },
        _ => bad,
    }
}

/// Reads `-R`.
pub(super) fn remote(word: &str) -> Result<Way, BadAddress> {
    let wrong = |cause: &str| BadAddress {
        cause: format!("\"{word}\" {cause}"),
        cure: "write [ADDR:]PORT:HOST:PORT: an address of the server, then a target of this side"
            .into(),
    };
    match forward(word)? {
        Way::Forward { target: Target::Default, .. } => Err(wrong("names no target")),
        Way::Forward { listen: Place::Tcp(listen), target } => Ok(Way::Remote { listen, target }),
        _ => Err(wrong("names no TCP port of the server")),
    }
}

/// Reads `-W`.
pub(super) fn stdio(word: &str) -> Result<Way, BadAddress> {
    let target = match word.strip_prefix("unix:") {
        Some(path) => unix(path)?,
        None => Target::Host(endpoint::named(word)?),
    };
    Ok(Way::Stdio { target })
}

fn unix(path: &str) -> Result<Target, BadAddress> {
    let target = Target::Unix(path.to_owned());
    target.check().map_err(|_| BadAddress {
        cause: format!("\"{path}\" is not the path of a Unix socket"),
        cure: "write unix:/PATH, an absolute path of at most 107 bytes without blanks".into(),
    })?;
    Ok(target)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit())
}

/// The parts between colons that are not in brackets.
fn fields(word: &str) -> Vec<&str> {
    let mut depth = 0_u32;
    word.split(|c| {
        match c {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ':' && depth == 0
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(word: &str) -> (String, String) {
        let Ok(Way::Forward { listen, target }) = forward(word) else { panic!("{word}") };
        (listen.to_string(), target.to_string())
    }

    #[test]
    fn a_forward_has_a_place_to_listen_and_maybe_a_target() {
        for (word, listen, target) in [
            ("2222", "127.0.0.1:2222", "the default target"),
            ("0.0.0.0:2222", "0.0.0.0:2222", "the default target"),
            ("[::1]:2222", "[::1]:2222", "the default target"),
            ("8080:example.org:80", "127.0.0.1:8080", "example.org:80"),
            ("8080:[::1]:80", "127.0.0.1:8080", "[::1]:80"),
            ("0.0.0.0:8080:example.org:80", "0.0.0.0:8080", "example.org:80"),
            ("[::]:8080:[2001:db8::1]:80", "[::]:8080", "[2001:db8::1]:80"),
            ("/run/x.sock:db:5432", "/run/x.sock", "db:5432"),
            ("./x.sock", "./x.sock", "the default target"),
            ("2375:unix:/run/d.sock", "127.0.0.1:2375", "unix:/run/d.sock"),
            ("/x.sock:unix:/run/d.sock", "/x.sock", "unix:/run/d.sock"),
        ] {
            assert_eq!(read(word), (listen.into(), target.into()), "{word}");
        }
    }

    #[test]
    fn a_mistake_in_a_way_has_a_cure_that_fits_there() {
        let cure = |way: Result<Way, BadAddress>| way.unwrap_err().cure;
        for read in [proxy, transparent] {
            assert!(cure(read("1080:localhost:22")).contains("write -L 1080:localhost:22 for"));
            assert!(cure(read("1080:unix:/x")).contains("write -L 1080:unix:/x for"));
            assert!(!cure(read("1080:localhost")).contains("-L"));
        }
        assert!(cure(proxy("ann:secret@127.0.0.1:1080")).contains("--proxy-users"));
        for word in ["a", "a:", "22", "0.0.0.0:22"] {
            let cure = cure(stdio(word));
            assert!(!["LISTEN", "two words"].iter().any(|part| cure.contains(part)), "{cure}");
        }
    }

    #[test]
    fn a_wrong_forward_has_its_reason() {
        for (word, part) in [
            ("8080:example.org", "has no port"),
            ("8080:example.org:", "port is missing"),
            ("8080:80", "HOST:80"),
            ("8080::80", "host is missing"),
            ("8080:0.0.0.0:80", "localhost:80 for the server's machine"),
            ("::1:8080:example.org:80", "too many colons"),
            ("x:8080:example.org:80", "not an IP address"),
            ("/run/x.sock:db", "has no port"),
            ("80800:example.org:80", "not a port"),
            ("2375:unix:d.sock", "absolute path"),
            ("8080:http://example.org/", "leave out \"http://\""),
            ("http://localhost:8080", "[ADDR:]PORT:HOST:PORT"),
        ] {
            let BadAddress { cause, cure } = forward(word).unwrap_err();
            assert!(format!("{cause}; {cure}").contains(part), "{word}: {cause}; {cure}");
        }
    }
}
