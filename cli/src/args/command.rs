//! Makes a command of the words on the line.

use super::line::Chosen;
use super::{Command, Framing, SEE_HELP, Verb};
use crate::endpoint::{self, BadAddress};
use crate::failure::Failure;
use std::net::SocketAddr;
use std::path::PathBuf;
use striper_runtime::keys::KeyKind;

/// Makes a command of its words.
pub fn assemble(
    chosen: &Chosen,
    words: &[String],
    listens: &[String],
    pair: bool,
) -> Result<Command, Failure> {
    let Chosen { verb, name, side } = chosen;
    let (verb, name) = (*verb, name.as_str());
    let long_client = verb == Verb::Client && name == "client";
    if !listens.is_empty() && !long_client {
        return Err(Failure::usage(
            format!("-L belongs to the command client, not to {name}"),
            "striper-cli client SERVER -L [ADDR:]PORT",
        ));
    }
    let form = match (verb, side) {
        (Verb::Server, _) if name == "-s" => "-s LISTEN CONNECT",
        (Verb::Server, _) => "server LISTEN TARGET",
        (Verb::Client, _) if long_client => "client SERVER -L [ADDR:]PORT [-L …]",
        (Verb::Client, _) => "-c LISTEN CONNECT",
        (Verb::Relay, _) => "relay LISTEN CONNECT",
        (Verb::Datagram, None) => "datagram -c|-s LISTEN CONNECT",
        (Verb::Datagram, Some(Framing::Far)) => "datagram -c LISTEN CONNECT",
        (Verb::Datagram, Some(_)) => "datagram -s LISTEN CONNECT",
        (Verb::Keygen, _) => "keygen [--pair] [FILE]",
        (Verb::Pubkey, _) => "pubkey FILE",
        (Verb::Demo, _) => "demo",
    };
    let wrong = |cause: String| Failure::usage(cause, format!("usage: striper-cli {form}"));
    let wrong_address =
        |what: &str, bad: BadAddress| Failure::usage(format!("{what}: {}", bad.cause), bad.cure);
    let framing = match verb {
        Verb::Demo => {
            return match words {
                [] => Ok(Command::Demo),
                [extra, ..] => Err(wrong(format!("demo takes no \"{extra}\""))),
            };
        }
        Verb::Keygen => {
            let file = key_file(words, wrong)?.unwrap_or("striper.key".into());
            let kind = if pair { KeyKind::Private } else { KeyKind::Shared };
            return Ok(Command::Keygen { file, kind });
        }
        Verb::Pubkey => {
            let none = || wrong("pubkey needs the file of a private key".into());
            return Ok(Command::Pubkey { file: key_file(words, wrong)?.ok_or_else(none)? });
        }
        Verb::Datagram => side.ok_or_else(|| {
            Failure::usage(
                "datagram needs its side",
                "datagram -c LISTEN CONNECT takes plain connections and sends datagrams, \
                 datagram -s the other way round",
            )
        })?,
        Verb::Server | Verb::Client | Verb::Relay => Framing::Plain,
    };
    let (listen, connect) = match words {
        words if long_client => (None, words),
        [] => (None, words),
        [listen, connect @ ..] => (Some(listen), connect),
    };
    let target_name = match verb {
        Verb::Client if long_client => "SERVER",
        Verb::Server if name == "server" => "TARGET",
        _ => "CONNECT",
    };
    let listen = match listen {
        Some(word) => Some(endpoint::listen(word).map_err(|bad| wrong_address("LISTEN", bad))?),
        None if long_client => None,
        None => return Err(wrong(format!("{name} needs LISTEN and {target_name}"))),
    };
    let targets = match connect {
        [] => return Err(wrong(format!("{name} needs {target_name}"))),
        [word] if verb == Verb::Client => endpoint::servers(word),
        [word] => endpoint::connect(word).map(|target| vec![target]),
        [host, port] => endpoint::connect_words(host, port).map(|target| vec![target]),
        [_, _, extra, ..] => return Err(wrong(format!("\"{extra}\" is one word too many"))),
    };
    let mut targets = targets.map_err(|bad| wrong_address(target_name, bad))?;
    let command = match (verb, listen) {
        (Verb::Client, Some(listen)) => Command::Client { listens: vec![listen], servers: targets },
        (Verb::Client, None) => {
            if listens.is_empty() {
                let cause = "client needs at least one -L, the port where programs connect to";
                return Err(wrong(cause.into()));
            }
            let read = |word: &String| endpoint::listen(word);
            let listens = listens.iter().map(read).collect::<Result<_, _>>();
            let listens: Vec<SocketAddr> = listens.map_err(|bad| wrong_address("-L", bad))?;
            let twice = |(nth, listen): (usize, &SocketAddr)| {
                (listen.port() != 0 && listens[..nth].contains(listen)).then(|| listen.to_string())
            };
            if let Some(listen) = listens.iter().enumerate().find_map(twice) {
                return Err(Failure::usage(
                    format!("-L {listen} is given twice"),
                    "leave one of them out",
                ));
            }
            Command::Client { listens, servers: targets }
        }
        (Verb::Relay | Verb::Datagram, Some(listen)) => {
            Command::Relay { listen, target: targets.remove(0), framing }
        }
        (_, Some(listen)) => Command::Server { listen, target: targets.remove(0) },
        (_, None) => return Err(wrong(format!("{name} needs LISTEN"))),
    };
    let (listens, targets) = match &command {
        Command::Client { listens, servers } => (&listens[..], &servers[..]),
        Command::Server { listen, target } | Command::Relay { listen, target, .. } => {
            (std::slice::from_ref(listen), std::slice::from_ref(target))
        }
        Command::Help(_)
        | Command::Version
        | Command::Demo
        | Command::Keygen { .. }
        | Command::Pubkey { .. } => (&[][..], &[][..]),
    };
    for target in targets {
        if let Some(listen) = listens.iter().find(|listen| endpoint::leads_back(**listen, target)) {
            return Err(Failure::usage(
                format!(
                    "{target_name} {target} is where this program itself would listen ({listen}): \
                     connections would go round in circles"
                ),
                format!("choose another port for one of them; {SEE_HELP}"),
            ));
        }
    }
    Ok(command)
}

/// The one file that keygen and pubkey take.
fn key_file<W>(words: &[String], wrong: W) -> Result<Option<PathBuf>, Failure>
where
    W: Fn(String) -> Failure,
{
    match words {
        [] => Ok(None),
        [file] if file.is_empty() => Err(wrong("the name of the file is empty".into())),
        [file] => Ok(Some(file.into())),
        [_, extra, ..] => Err(wrong(format!("\"{extra}\" is one word too many"))),
    }
}
