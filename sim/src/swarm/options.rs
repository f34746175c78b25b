//! What `sim swarm` and `sim run` can be told.

use super::Size;
use crate::measure::OPTIONS;
use crate::option::{self, file, value};
use lexopt::{Arg, Parser};
use std::ops::Range;
use std::path::PathBuf;

/// Which scenario, and what to record of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Run {
    /// The scenario.
    pub script: Script,
    /// Record every session to a file whose name begins so.
    pub trace: Option<PathBuf>,
    /// Print the trace of the session of this name.
    pub session: Option<String>,
    /// Do it with this planted bug.
    pub bug: Option<String>,
}

/// Where a script is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Script {
    /// In a file.
    File(PathBuf),
    /// On the command line, its lines parted by semicolons.
    Inline(String),
}

/// Which random worlds, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Swarm {
    /// One a seed.
    pub seeds: Range<u64>,
    /// How large.
    pub size: Size,
    /// How many at a time.
    pub threads: usize,
    /// Print JSON.
    pub json: bool,
    /// Make the first failure smaller, and write it down.
    pub shrink: bool,
    /// The folder in which a failure's folder is made.
    pub out: PathBuf,
    /// Do it with this planted bug.
    pub bug: Option<String>,
}

impl Default for Swarm {
    fn default() -> Self {
        Swarm {
            seeds: 0..1_000,
            size: Size::Small,
            threads: option::all_cores(),
            json: false,
            shrink: true,
            out: PathBuf::new(),
            bug: None,
        }
    }
}

impl Swarm {
    /// Reads what follows `swarm` on the command line; `None` if it asks for the help.
    pub fn parse(parser: &mut Parser) -> Result<Option<Swarm>, String> {
        let mut options = Swarm::default();
        while let Some(arg) = option::next(parser)? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("seeds") => options.seeds = option::seeds(&value(parser, "seeds")?)?,
                Arg::Long("threads") => options.threads = option::threads(parser)?,
                Arg::Long("large") => options.size = Size::Large,
                Arg::Long("json") => options.json = true,
                Arg::Long("no-shrink") => options.shrink = false,
                Arg::Long("out") => {
                    let path = parser.value().ok().filter(|path| !path.is_empty());
                    options.out = path.ok_or("--out needs a folder; see --help")?.into();
                }
                Arg::Long("bug") => options.bug = Some(value(parser, "bug")?),
                Arg::Long(name) if OPTIONS.contains(&name) => {
                    return Err(format!(
                        "--{name} has no meaning for swarm; see --help for what it takes"
                    ));
                }
                arg => return Err(format!("{}; see --help for what there is", arg.unexpected())),
            }
        }
        Ok(Some(options))
    }
}

impl Run {
    /// Reads what follows `run` on the command line; `None` if it asks for the help.
    pub fn parse(parser: &mut Parser) -> Result<Option<Run>, String> {
        let (mut script, mut trace, mut session, mut bug) = (None, None, None, None);
        while let Some(arg) = option::next(parser)? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Value(path) if script.is_none() => script = Some(Script::File(path.into())),
                Arg::Long("script") if script.is_none() => {
                    script = Some(Script::Inline(value(parser, "script")?));
                }
                Arg::Long("script") => {
                    return Err("one scenario at a time: a FILE, or --script".into());
                }
                Arg::Long("trace") => trace = Some(file(parser, "trace")?),
                Arg::Long("session") => session = Some(value(parser, "session")?),
                Arg::Long("bug") => bug = Some(value(parser, "bug")?),
                arg => {
                    return Err(format!("{}; write: sim run FILE [--trace OUT]", arg.unexpected()));
                }
            }
        }
        let script = script.ok_or("which scenario? Write: sim run FILE [--trace OUT]")?;
        Ok(Some(Run { script, trace, session, bug }))
    }
}
