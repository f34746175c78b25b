//! Makes a command from the words of a command line.

use super::given::Given;
use super::invocation::{Command, Framing, Place, Verb, Way};
use super::line::Chosen;
use super::options::Declared;
use super::values::SEE_HELP;
use crate::endpoint::{self, BadAddress};
use crate::failure::Failure;
use std::net::SocketAddr;
use striper_runtime::keys::KeyKind;
use striper_runtime::{HostPort, Target};

pub(super) fn assemble(
    chosen: &Chosen,
    words: &[String],
    given: &Given,
) -> Result<Command, Failure> {
    let takes_ways = chosen.verb == Verb::Client && chosen.name == "client";
    if let Some(option) = given.names_way.filter(|_| !takes_ways) {
        return Err(Failure::usage(
            format!("{option} is for the command client, not for {}", chosen.name),
            "striper-cli client SERVER -L [ADDR:]PORT",
        ));
    }
    match chosen.verb {
        Verb::Demo => match words {
            [] => Ok(Command::Demo),
            [extra, ..] => Err(wrong(chosen, format!("demo takes no \"{extra}\""))),
        },
        Verb::Keygen => {
            let file = key_file(chosen, words)?.unwrap_or("striper.key");
            if let Some(option) = Declared::by_name(file) {
                let cause = format!("\"{file}\" is the name of an option");
                let cure = format!(
                    "did you mean --{}? To have a file of that name write ./{file}",
                    option.long
                );
                return Err(Failure::usage(cause, cure));
            }
            let kind = if given.pair { KeyKind::Private } else { KeyKind::Shared };
            Ok(Command::Keygen { file: file.into(), kind })
        }
        Verb::Pubkey => {
            let none = || wrong(chosen, "pubkey needs the file of a private key");
            Ok(Command::Pubkey { file: key_file(chosen, words)?.ok_or_else(none)?.into() })
        }
        Verb::Client if takes_ways => client(chosen, words, &given.ways),
        // The list of peers may have rules, so the server itself looks for a target.
        Verb::Server
            if words.len() == 1 && (chosen.name == "server" || given.rules.allow_any()) =>
        {
            let listen = endpoint::listen(&words[0]).map_err(|bad| wrong_address("LISTEN", bad))?;
            Ok(Command::Server { listen, target: None })
        }
        Verb::Server | Verb::Client | Verb::Relay | Verb::Datagram => proxy(chosen, words),
    }
}

fn form(chosen: &Chosen) -> String {
    let words = match chosen.verb {
        Verb::Server if chosen.name == "server" => "LISTEN [TARGET] [--allow RULE …]",
        Verb::Client if chosen.name == "client" => {
            "SERVER [-L [ADDR:]PORT[:TARGET]] [-D [ADDR:]PORT] [-W TARGET]"
        }
        Verb::Datagram if chosen.side.is_none() => "-c|-s LISTEN CONNECT",
        Verb::Server | Verb::Client | Verb::Relay | Verb::Datagram => "LISTEN CONNECT",
        Verb::Keygen => "[--pair] [FILE]",
        Verb::Pubkey => "FILE",
        Verb::Demo => "",
    };
    format!("{} {words}", chosen.name).trim_end().to_owned()
}

fn wrong(chosen: &Chosen, cause: impl Into<String>) -> Failure {
    Failure::usage(cause, format!("usage: striper-cli {}", form(chosen)))
}

fn wrong_address(what: &str, bad: BadAddress) -> Failure {
    Failure::usage(format!("{what}: {}", bad.cause), bad.cure)
}

/// A command of the form NAME LISTEN CONNECT.
fn proxy(chosen: &Chosen, words: &[String]) -> Result<Command, Failure> {
    let framing = match (chosen.verb, chosen.side) {
        (Verb::Datagram, None) => {
            let cure = "datagram -c LISTEN CONNECT takes plain connections and sends datagrams; \
                        datagram -s takes datagrams and makes plain connections";
            return Err(Failure::usage("datagram needs -c or -s", cure));
        }
        (Verb::Datagram, Some(framing)) => framing,
        _ => Framing::Plain,
    };
    let target = if chosen.name == "server" { "TARGET" } else { "CONNECT" };
    let [listen, connect @ ..] = words else {
        return Err(wrong(chosen, format!("{} needs LISTEN and {target}", chosen.name)));
    };
    let in_order = |failure| swapped(chosen, words).unwrap_or(failure);
    let listen =
        endpoint::listen(listen).map_err(|bad| wrong_address("LISTEN", bad)).map_err(in_order)?;
    let mut targets = targets(chosen, connect, target).map_err(in_order)?;
    ensure_no_circle(&[listen], &targets, target)?;
    Ok(match chosen.verb {
        Verb::Client => {
            let listen = Place::Tcp(listen);
            let ways = vec![Way::Forward { listen, target: Target::Default }];
            Command::Client { ways, servers: targets }
        }
        Verb::Relay | Verb::Datagram => {
            Command::Relay { listen, target: targets.remove(0), framing }
        }
        _ => Command::Server { listen, target: Some(targets.remove(0)) },
    })
}

fn client(chosen: &Chosen, words: &[String], ways: &[Way]) -> Result<Command, Failure> {
    if let [listen, server] = words
        && endpoint::listen(listen).is_ok()
        && endpoint::servers(server).is_ok()
    {
        return Err(Failure::usage(
            format!(
                "{listen} is an address to listen on, which the command client takes only with -L"
            ),
            format!("striper-cli client {server} -L {listen}"),
        ));
    }
    let servers = targets(chosen, words, "SERVER")?;
    if ways.is_empty() {
        let cause = "client needs at least one way in for local programs: -L, -D, -T, -R or -W";
        return Err(wrong(chosen, cause));
    }
    let takes_stdio = ways.iter().any(|way| matches!(way, Way::Stdio { .. }));
    if takes_stdio && ways.len() > 1 {
        let cause = "-W can't be used with -L, -D, -T or -R: the client ends with its connection";
        return Err(Failure::usage(cause, "start another client for them"));
    }
    let listens: Vec<SocketAddr> = ways.iter().filter_map(listens_on).collect();
    let twice = |(nth, listen): (usize, &SocketAddr)| {
        (listen.port() != 0 && listens[..nth].contains(listen)).then(|| listen.to_string())
    };
    if let Some(listen) = listens.iter().enumerate().find_map(twice) {
        let cause = format!("{listen} is given twice, as an address to listen on");
        return Err(Failure::usage(cause, "leave one of them out, or choose another port"));
    }
    ensure_no_circle(&listens, &servers, "SERVER")?;
    Ok(Command::Client { ways: ways.to_vec(), servers })
}

fn listens_on(way: &Way) -> Option<SocketAddr> {
    match way {
        Way::Forward { listen: Place::Tcp(listen), .. }
        | Way::Proxy { listen }
        | Way::Transparent { listen } => Some(*listen),
        Way::Forward { listen: Place::Unix(_), .. } | Way::Stdio { .. } | Way::Remote { .. } => {
            None
        }
    }
}

fn targets(chosen: &Chosen, words: &[String], name: &str) -> Result<Vec<HostPort>, Failure> {
    let targets = match words {
        [] => return Err(wrong(chosen, format!("{} needs {name}", chosen.name))),
        [word] if chosen.verb == Verb::Client => endpoint::servers(word),
        [word] => endpoint::connect(word).map(|target| vec![target]),
        [host, port] => endpoint::connect_words(host, port).map(|target| vec![target]),
        [_, _, extra, ..] => {
            return Err(wrong(chosen, format!("\"{extra}\" is one word too many")));
        }
    };
    targets.map_err(|bad| wrong_address(name, bad))
}

/// The failure for LISTEN and CONNECT that can only be meant in the other order: the second word is
/// a bare port or an unspecified address.
fn swapped(chosen: &Chosen, words: &[String]) -> Option<Failure> {
    let [connect, listen] = words else { return None };
    let address = endpoint::listen(listen).ok().filter(|listen| listen.port() != 0)?;
    endpoint::servers(connect).ok()?;
    if listen.contains(':') && !address.ip().is_unspecified() {
        return None;
    }
    Some(Failure::usage(
        format!(
            "{connect} and {listen} are in the wrong order: the address to listen on comes first"
        ),
        format!("striper-cli {} {listen} {connect}", chosen.name),
    ))
}

fn ensure_no_circle(
    listens: &[SocketAddr],
    targets: &[HostPort],
    name: &str,
) -> Result<(), Failure> {
    for target in targets {
        if let Some(listen) = listens.iter().find(|listen| endpoint::leads_back(**listen, target)) {
            return Err(Failure::usage(
                format!(
                    "{name} {target} is the address that this program itself would listen on \
                     ({listen}): connections would go round in circles"
                ),
                format!("choose another port for one of them; {SEE_HELP}"),
            ));
        }
    }
    Ok(())
}

fn key_file<'a>(chosen: &Chosen, words: &'a [String]) -> Result<Option<&'a str>, Failure> {
    match words {
        [] => Ok(None),
        [file] if file.is_empty() => Err(wrong(chosen, "the name of the file is empty")),
        [file] => Ok(Some(file)),
        [_, extra, ..] => Err(wrong(chosen, format!("\"{extra}\" is one word too many"))),
    }
}
