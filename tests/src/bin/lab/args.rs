//! The command line.

use lexopt::prelude::*;
use std::ffi::OsString;
use std::path::PathBuf;

pub const HELP: &str = "\
lab - measures striper-cli on the kernel's TCP over an emulated wide-area route

  cargo run --release -p striper-tests --bin lab -- [TESTS] [OPTIONS]

TESTS (all of them if none is named)
  t2   4 x 10 Mbit/s at RTT 0 and 40 ms, 4 x 100 Mbit/s at 40 ms
  t3   unequal caps 20/10/5/1 Mbit/s; two paths of RTT 10 and 100 ms
  t4   a ping-pong beside a bulk transfer
  t6   a reset stripe, a silent one, all silent, 1 % loss
  t9   objects of 100 KiB, 1 MiB and 10 MiB

OPTIONS
      --runs N           runs of each measurement of the pair (3); the direct connection has one
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
    /// Names of tests; empty means all.
    pub tests: Vec<String>,
    pub runs: usize,
    pub quick: bool,
    pub bin: Option<PathBuf>,
    pub congestion: Option<OsString>,
    pub key: Option<OsString>,
    pub json: bool,
    pub picture: Option<PathBuf>,
}

/// Reads the command line; `None` asks for help.
pub fn read(
    args: impl IntoIterator<Item = OsString>,
    known: &[&str],
) -> Result<Option<Args>, String> {
    parse(lexopt::Parser::from_args(args), known).map_err(|error| error.to_string())
}

fn parse(mut parser: lexopt::Parser, known: &[&str]) -> Result<Option<Args>, lexopt::Error> {
    let mut args = Args { runs: 3, ..Args::default() };
    while let Some(arg) = parser.next()? {
        match arg {
            Long("runs") => {
                let runs = parser.value()?;
                let number =
                    runs.to_str().and_then(|runs| runs.parse().ok()).filter(|runs| *runs > 0);
                args.runs =
                    number.ok_or_else(|| format!("--runs {runs:?}: write a number from 1 on"))?;
            }
            Long("quick") => args.quick = true,
            Long("bin") => args.bin = Some(parser.value()?.into()),
            Long("congestion") => args.congestion = Some(parser.value()?),
            Long("key") => args.key = Some(parser.value()?),
            Long("json") => args.json = true,
            Long("picture") => args.picture = Some(parser.value()?.into()),
            Short('h') | Long("help") => return Ok(None),
            Value(test) => {
                let test = test.string()?;
                if !known.contains(&&*test) {
                    return Err(format!("no test {test:?}; there are {}", known.join(", ")).into());
                }
                args.tests.push(test);
            }
            _ => return Err(arg.unexpected()),
        }
    }
    if args.quick && !args.tests.is_empty() {
        return Err("--quick chooses its test itself; leave out the names of tests".into());
    }
    Ok(Some(args))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Result<Option<Args>, String> {
        read(line.split_whitespace().map(OsString::from), &["t2", "t9"])
    }

    #[test]
    fn tests_and_options_are_taken_in_any_order() {
        let read = args("--json t9 --runs 5 t2 --bin /x --congestion cubic").unwrap().unwrap();
        assert_eq!((read.tests, read.runs), (vec!["t9".to_owned(), "t2".to_owned()], 5));
        assert_eq!((read.bin, read.congestion), (Some("/x".into()), Some("cubic".into())));
        assert!(read.json && !read.quick);
        assert_eq!(args("-h").unwrap(), None);
    }

    #[test]
    fn mistakes_are_named() {
        for (line, said) in [
            ("t1", "there are t2, t9"),
            ("--runs 0", "from 1 on"),
            ("--runs x", "--runs"),
            ("--quick t2", "--quick"),
            ("--speed", "--speed"),
            ("--bin", "--bin"),
        ] {
            let error = args(line).unwrap_err();
            assert!(error.contains(said), "{line}: {error}");
        }
    }
}
