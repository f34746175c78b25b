//! `sim --caps`: which transfer, and what to write about it.

use super::option::{self, file, value};
use crate::base::{files, parse_rates, parse_size, parse_time, say, scheduler};
use crate::net::Fault;
use crate::run::{self, FAULTS, Transfer, record};
use crate::show::picture::PAGE;
use lexopt::{Arg, Parser};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use striper_core::limits::MAX_STRIPES;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    pub transfer: Transfer,
    pub json: bool,
    /// Where to write a page about one run.
    pub html: Option<PathBuf>,
    /// Record the only transfer to files whose names begin so.
    pub trace: Option<PathBuf>,
}

impl Options {
    pub fn parse(parser: &mut Parser) -> Result<Option<Options>, String> {
        let mut transfer = Transfer::default();
        let (mut json, mut html, mut trace, mut stripes) = (false, None, None, None);
        while let Some(arg) = option::next(parser)? {
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("json") => json = true,
                Arg::Long("html") => html = Some(file(parser, "html")?),
                Arg::Long("trace") => trace = Some(file(parser, "trace")?),
                Arg::Long("check") => transfer.check = true,
                Arg::Long("key") => transfer.path.key = true,
                Arg::Long("stripes") => stripes = Some(parse_stripes(&value(parser, "stripes")?)?),
                Arg::Long(name @ ("caps" | "idle" | "size" | "fault" | "seed" | "scheduler")) => {
                    let name = name.to_owned();
                    read_option(&mut transfer, &name, &value(parser, &name)?)?;
                }
                Arg::Long(name) if run::Path::OPTIONS.contains(&name) => {
                    let name = name.to_owned();
                    let read = transfer.path.read(&name, &value(parser, &name)?);
                    read.map_err(|error| format!("--{name}: {error}"))?;
                }
                Arg::Long("seeds") => {
                    let cure = "write --seed N, or: sim swarm --seeds A..B";
                    return Err(format!("--seeds belongs to swarm; {cure}"));
                }
                arg => return option::unexpected(arg, "see --help for what there is"),
            }
        }
        if transfer.caps.is_empty() {
            return Err(
                "how fast is a stripe? Give --caps, such as --caps 1mbps (see --help)".into()
            );
        }
        transfer.stripes = stripes.unwrap_or_else(|| usual_counts(transfer.caps.len()));
        let most = transfer.stripes.iter().copied().max().unwrap_or(0);
        if let Some((_, stripe, _)) = transfer.faults.iter().find(|(_, stripe, _)| *stripe >= most)
        {
            return Err(format!(
                "--fault: there is no stripe {stripe}; they are counted from 0, and there are \
                 {most}"
            ));
        }
        if trace.is_some() && (transfer.stripes.len() > 1 || transfer.schedulers.len() > 1) {
            let cure = "give one stripe count and one scheduler, such as --stripes 2";
            return Err(format!("--trace records one transfer: {cure}"));
        }
        Ok(Some(Options { transfer, json, html, trace }))
    }

    /// Exit code 2 if a file can't be written.
    pub fn run(&self) -> ExitCode {
        let Options { transfer, json, html, trace } = self;
        if let Err(message) = write(transfer, *json, [html.as_deref(), trace.as_deref()]) {
            eprintln!("sim: {message}");
            return ExitCode::from(2);
        }
        say(transfer.report(*json));
        ExitCode::SUCCESS
    }
}

/// Writes the page and the traces that are wanted, after a check that it can.
fn write(transfer: &Transfer, json: bool, [html, trace]: [Option<&Path>; 2]) -> Result<(), String> {
    let for_html = |error| format!("--html: {error}");
    let for_trace = |error| format!("--trace: {error}");
    html.map_or(Ok(()), |path| files::check(path, PAGE)).map_err(for_html)?;
    trace.map_or(Ok(()), record::check).map_err(for_trace)?;
    html.map_or(Ok(()), |path| draw(transfer, json, path)).map_err(for_html)?;
    trace.map_or(Ok(()), |path| transfer.write_traces(path)).map_err(for_trace)
}

/// Names the run on standard output, or beside it when JSON is wanted there.
fn draw(transfer: &Transfer, json: bool, path: &Path) -> Result<(), String> {
    let (stripes, kind) = transfer.drawn();
    files::write(path, PAGE, &transfer.draw(stripes, kind))?;
    let (name, plural) = (scheduler::name(kind), if stripes == 1 { "" } else { "s" });
    let said = format!(
        "{}: {name} over {stripes} stripe{plural} (--stripes and --scheduler choose another)\n",
        path.display()
    );
    if json {
        eprint!("{said}")
    } else {
        say(format_args!("{said}\n"))
    }
    Ok(())
}

fn read_option(transfer: &mut Transfer, name: &str, text: &str) -> Result<(), String> {
    let say = |error: String| format!("--{name}: {error}");
    match name {
        "caps" => transfer.caps = parse_rates(text).map_err(say)?,
        "idle" => transfer.idle = parse_time(text).map_err(say)?,
        "size" => transfer.size = parse_size(text).map_err(say)?,
        "fault" => transfer.faults.push(parse_fault(text)?),
        "seed" => {
            let wrong = |_| say(format!("\"{text}\" is no whole number from 0 to 2^64 - 1"));
            transfer.seed = text.parse().map_err(wrong)?;
        }
        _ => {
            transfer.schedulers = match (text, scheduler::named(text)) {
                ("all", _) => scheduler::ALL.to_vec(),
                (_, Some(scheduler)) => vec![scheduler],
                _ => {
                    let cure = "there are earliest, uc, rr and all";
                    return Err(say(format!("\"{text}\" is unknown; {cure}")));
                }
            }
        }
    }
    Ok(())
}

fn parse_fault(text: &str) -> Result<(Duration, usize, Fault), String> {
    let mut parts = text.splitn(3, ':');
    let (time, stripe, what) = (parts.next(), parts.next(), parts.next());
    let names: Vec<&str> = FAULTS.iter().map(|(name, _)| *name).collect();
    let wrong = || {
        let names = names.join(", ");
        format!(
            "--fault: \"{text}\" is not TIME:STRIPE:WHAT, such as 500ms:0:silence; WHAT is one of \
             {names}"
        )
    };
    let fault = FAULTS.iter().find(|(name, _)| Some(*name) == what).ok_or_else(wrong)?;
    let at = parse_time(time.unwrap_or_default()).map_err(|_| wrong())?;
    let stripe = stripe.and_then(|stripe| stripe.parse().ok()).ok_or_else(wrong)?;
    Ok((at, stripe, fault.1.clone()))
}

fn parse_stripes(text: &str) -> Result<Vec<usize>, String> {
    let count =
        |item: &str| item.trim().parse().ok().filter(|count| (1..=MAX_STRIPES).contains(count));
    text.split(',').map(count).collect::<Option<_>>().ok_or_else(|| {
        format!(
            "--stripes: \"{text}\" is no list of numbers from 1 to {MAX_STRIPES}; write it \
            like 1,2,4,8"
        )
    })
}

fn usual_counts(caps: usize) -> Vec<usize> {
    if caps == 1 {
        return vec![1, 2, 4, 8];
    }
    let doubled = std::iter::successors(Some(1), |count| Some(count * 2));
    let mut counts: Vec<usize> = doubled.take_while(|count| *count < caps).collect();
    counts.push(caps.min(MAX_STRIPES));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Rate;
    use striper_core::SchedulerKind;

    fn options(line: &str) -> Options {
        let options = Options::parse(&mut Parser::from_args(line.split_whitespace()));
        options.expect("a good line").expect("no question for help")
    }

    #[test]
    fn one_cap_is_measured_up_to_eight_stripes_and_a_list_up_to_its_length() {
        for (line, stripes) in [
            ("--caps 1mbps", &[1, 2, 4, 8][..]),
            ("--caps 20mbps,10mbps,5mbps,1mbps", &[1, 2, 4]),
            ("--caps 2mbps,1mbps,1mbps", &[1, 2, 3]),
            ("--caps 2mbps,1mbps --stripes 4,1", &[4, 1]),
        ] {
            assert_eq!(options(line).transfer.stripes, stripes, "{line}");
        }
    }

    #[test]
    fn a_page_is_written_where_it_is_asked_for() {
        let Options { transfer, html, .. } = options("--caps 1mbps --html out/run.html");
        assert_eq!((&transfer.caps[..], transfer.size), (&[Rate::mbit(1)][..], 8 << 20));
        assert_eq!(html, Some(PathBuf::from("out/run.html")));
    }

    #[test]
    fn a_printed_command_reads_back() {
        let line = "--caps 20mbps,500kbps --stripes 2 --rtt 35ms --loss 0.5% --idle 2s --seed 9 \
            --size 3MiB --scheduler rr --fault 500ms:1:silence-up --fault 2s:1:heal";
        let command = options(line).transfer.command(2, SchedulerKind::RoundRobin);
        assert_eq!(command, format!("cargo run -p sim -- {line}"));
    }
}
