//! Attacks a server on loopback, and prints the costs for it and its honest clients.
//!
//! The attacked program is the real one with its defaults, unless a run is about a limit.
//! `handshakes` is an attack of a stranger. All others are attacks of a peer that has got in, with
//! the key if there is one.

#![allow(clippy::disallowed_methods, reason = "it measures real time")]

mod handshakes;
mod hoard;
mod wire;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::process::ExitCode;

const HELP: &str = "\
attack - attacks striper-cli -s on loopback and prints the costs

  cargo run --release -p striper-tests --bin attack -- [--key] [RUNS]

  --key        the server has a key, and so have all attackers but those of
               handshakes

RUNS (all of them if none is named)
  handshakes   10,000 callers from 50 addresses say a byte a second; an honest
               client must join within twice its normal time (medians)
  pieces       peers hold large receive buffers by small pieces of them
  crumbs       peers hold single bytes with gaps between them
  early        peers send data of flows that they never open
  floors       peers open flows to a target that reads nothing and fill each
  churn        peers fill flows and reset them, again and again
  unread       peers acknowledge no data of targets that send without end

All but the first run against --limit memory=64MiB and must stay within that and
64 MiB more (VmHWM). Exit code 1: a bound was not held.
";

fn main() -> ExitCode {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    let mut names: Vec<String> = std::env::args().skip(1).collect();
    let key = names.iter().position(|name| name == "--key").map(|at| {
        names.remove(at);
        wire::KeyFile::generate()
    });
    if names.is_empty() {
        let hoards = hoard::ATTACKS.iter().map(|(name, _)| *name);
        names = ["handshakes"].into_iter().chain(hoards).map(String::from).collect();
    }
    let mut held = true;
    for name in names {
        held &= match (name.as_str(), hoard::ATTACKS.iter().find(|(known, _)| *known == name)) {
            ("handshakes", _) => handshakes::run(key.as_ref()),
            (_, Some((name, attack))) => hoard::run(name, *attack, key.as_ref()),
            _ => {
                eprint!("{HELP}");
                return ExitCode::from(if name == "--help" { 0 } else { 2 });
            }
        };
    }
    ExitCode::from(u8::from(!held))
}
