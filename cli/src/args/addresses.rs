//! LISTEN, CONNECT, TARGET and SERVER, as the commands take them.

use super::refusal::Line;
use super::values::SEE_HELP;
use crate::endpoint::{self, BadAddress};
use crate::failure::Failure;
use std::net::SocketAddr;
use striper_runtime::HostPort;

fn wrong(what: &str, bad: BadAddress) -> Failure {
    Failure::usage(format!("{what}: {}", bad.cause), bad.cure)
}

pub(super) fn listen(word: &str) -> Result<SocketAddr, Failure> {
    endpoint::listen(word).map_err(|bad| wrong("LISTEN", bad))
}

/// Reads one address of a target, `name` in the help: one word or two.
pub(super) fn target(line: &Line<'_>, words: &[String], name: &str) -> Result<HostPort, Failure> {
    let target = match words {
        [word] => endpoint::connect(word),
        [host, port] => endpoint::connect_words(host, port),
        [_, _, extra, ..] => return Err(line.wrong(format!("\"{extra}\" is one word too many"))),
        [] => return Err(line.wrong(format!("{} needs {name}", line.name))),
    };
    target.map_err(|bad| wrong(name, bad))
}

/// Reads the addresses of one server: a list in one word, or one address in two.
pub(super) fn servers(
    line: &Line<'_>,
    words: &[String],
    name: &str,
) -> Result<Vec<HostPort>, Failure> {
    match words {
        [word] => endpoint::servers(word).map_err(|bad| wrong(name, bad)),
        words => Ok(vec![target(line, words, name)?]),
    }
}

/// The failure for LISTEN and CONNECT that can only be meant in the other order: the second word is
/// a bare port or an unspecified address.
pub(super) fn swapped<'w>(
    line: &Line<'_>,
    words: impl IntoIterator<Item = &'w String>,
) -> Option<Failure> {
    let words: Vec<&String> = words.into_iter().collect();
    let [connect, listen] = words[..] else { return None };
    let address = endpoint::listen(listen).ok().filter(|listen| listen.port() != 0)?;
    endpoint::servers(connect).ok()?;
    if listen.contains(':') && !address.ip().is_unspecified() {
        return None;
    }
    Some(Failure::usage(
        format!(
            "{connect} and {listen} are in the wrong order: the address to listen on comes first"
        ),
        format!("striper-cli {} {listen} {connect}", line.name),
    ))
}

pub(super) fn ensure_no_circle(
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
