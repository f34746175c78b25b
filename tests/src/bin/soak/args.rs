//! The command line.

use lexopt::{Arg, Parser, ValueExt};
use std::path::PathBuf;
use std::time::Duration;

/// A day, in minutes.
const MOST: u64 = 24 * 60;

pub struct Args {
    pub length: Duration,
    /// The plot of memory and descriptors, if it is wanted.
    pub picture: Option<PathBuf>,
}

impl Args {
    pub fn parse() -> Result<Args, String> {
        let mut args = Args { length: Duration::from_secs(30 * 60), picture: None };
        let mut parser = Parser::from_env();
        while let Some(arg) = parser.next().map_err(|error| error.to_string())? {
            match arg {
                Arg::Long("minutes") => {
                    let word = parser.value().and_then(|value| value.string());
                    let minutes = word.ok().and_then(|word| word.parse().ok());
                    let minutes = minutes.filter(|minutes| (1..=MOST).contains(minutes));
                    let minutes = minutes.ok_or(format!("--minutes takes 1 to {MOST}"))?;
                    args.length = Duration::from_secs(60 * minutes);
                }
                Arg::Long("picture") => {
                    let file = parser.value().map_err(|error| error.to_string())?;
                    args.picture = Some(file.into());
                }
                arg => return Err(arg.unexpected().to_string()),
            }
        }
        Ok(args)
    }
}
