//! The command line.

use crate::emulator::Way;
use crate::peers::Peer;
use lexopt::prelude::*;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

pub const HELP: &str = "\
lab - measures striper-cli on the kernel's TCP over an emulated wide-area route

  cargo run --release -p striper-tests --bin lab -- [TESTS] [OPTIONS]
  cargo run --release -p striper-tests --bin lab -- --routes [ROUTES] [OPTIONS]

TESTS (all of them if none is named)
  t2   4 x 10 Mbit/s at RTT 0 and 40 ms, 4 x 100 Mbit/s at 40 ms
  t3   unequal caps 20/10/5/1 Mbit/s; two paths of RTT 10 and 100 ms
  t4   a ping-pong beside a bulk transfer
  t6   a reset stripe, a silent one, all silent, 1 % loss
  t9   objects of 100 KiB, 1 MiB and 10 MiB

ROUTES (all that have a name if none is given)
  clean, loss-2 and so on   `lab --routes list` lists them
  rtt=40ms,rate=10m,...     any other; `lab --routes list` lists what it may consist of

OPTIONS
      --routes           measures on many kinds of routes, beside other programs, with a new key
      --peers LIST       who is measured: direct,ours,bare-cubic,bare-bbr,aggligator,mptcp
      --directions LIST  up,down
      --runs N           runs of each measurement (3); the direct connection has one
      --quick            4 x 10 Mbit/s at RTT 40 ms only, one run
      --bin PATH         the striper-cli to measure (default: cargo builds it)
      --congestion NAME  passed on to both sides of the pair
      --key FILE         passed on too; without a key, stripes are not encrypted
      --picture FILE     only draws README's picture: one upload without and with the pair, as SVG
      --json             a JSON object in each line instead of the table
  -h, --help             this page

It needs root, iproute2 and /dev/net/tun. docs/lab.md says what the figures mean.
";

#[derive(Default, Debug, PartialEq, Eq)]
pub struct Args {
    /// Names of tests or routes; empty means all.
    pub names: Vec<String>,
    pub routes: bool,
    /// The peers that are measured, if not the usual ones.
    pub peers: Option<Vec<Peer>>,
    pub directions: Vec<Way>,
    pub runs: usize,
    pub quick: bool,
    pub bin: Option<PathBuf>,
    pub congestion: Option<OsString>,
    pub key: Option<OsString>,
    pub json: bool,
    pub picture: Option<PathBuf>,
}

/// Reads the command line; `None` asks for help.
pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Option<Args>, String> {
    parse(lexopt::Parser::from_args(args)).map_err(|error| error.to_string())
}

fn parse(mut parser: lexopt::Parser) -> Result<Option<Args>, lexopt::Error> {
    let directions = vec![Way::Up, Way::Down];
    let mut args = Args { runs: 3, directions, ..Args::default() };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("runs") => {
                let runs = parser.value()?;
                let number =
                    runs.to_str().and_then(|runs| runs.parse().ok()).filter(|runs| *runs > 0);
                args.runs =
                    number.ok_or_else(|| format!("--runs {runs:?}: write a number from 1 on"))?;
            }
            Long("routes") => args.routes = true,
            Long("peers") => args.peers = Some(list(&parser.value()?, &Peer::ALL, Peer::name)?),
            Long("directions") => {
                args.directions = list(&parser.value()?, &[Way::Up, Way::Down], Way::word)?;
            }
            Long("quick") => args.quick = true,
            Long("bin") => args.bin = Some(parser.value()?.into()),
            Long("congestion") => args.congestion = Some(parser.value()?),
            Long("key") => args.key = Some(parser.value()?),
            Long("json") => args.json = true,
            Long("picture") => args.picture = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(None),
            Value(name) => args.names.push(name.string()?),
            _ => return Err(arg.unexpected()),
        }
    }
    if args.quick && (args.routes || !args.names.is_empty()) {
        return Err("--quick chooses its test itself; leave out tests and --routes".into());
    }
    Ok(Some(args))
}

/// The things whose names are in a list.
fn list<T: Copy>(value: &OsStr, all: &[T], name: fn(T) -> &'static str) -> Result<Vec<T>, String> {
    let value = value.to_string_lossy();
    let of_name = |part| {
        let found = all.iter().copied().find(|thing| name(*thing) == part);
        let names = || all.iter().map(|thing| name(*thing)).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| format!("no {part:?}; there are {}", names()))
    };
    value.split(',').map(of_name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Result<Option<Args>, String> {
        read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn tests_and_options_are_taken_in_any_order() {
        let read = args("--json t9 --runs 5 t2 --bin /x --congestion cubic").unwrap().unwrap();
        assert_eq!((read.names, read.runs), (vec!["t9".to_owned(), "t2".to_owned()], 5));
        assert_eq!((read.bin, read.congestion), (Some("/x".into()), Some("cubic".into())));
        assert!(read.json && !read.quick);
        assert_eq!(args("-h").unwrap(), None);
        let read = args("--routes clean --directions down --peers bare-bbr,ours").unwrap().unwrap();
        assert!(read.routes && read.names == ["clean"] && read.directions == [Way::Down]);
        assert_eq!(read.peers, Some(vec![Peer::Bare("bbr"), Peer::Ours]));
    }

    #[test]
    fn mistakes_are_named() {
        for (line, said) in [
            ("--peers ours,them", "no \"them\"; there are direct, ours"),
            ("--directions left", "there are up, down"),
            ("--runs 0", "from 1 on"),
            ("--runs x", "--runs"),
            ("--quick t2", "--quick"),
            ("--quick --routes", "--quick"),
            ("--speed", "--speed"),
            ("--bin", "--bin"),
        ] {
            let error = args(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
