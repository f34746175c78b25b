//! `sim bench-schedulers`: which comparison.

use super::option::{self, value};
use crate::base::{parse_size, scheduler, write_size};
use crate::show::bench::{Bench, MAX_CREDIT, MIXES, Task, Topologies};
use lexopt::{Arg, Parser};
use std::ops::Range;
use striper_core::SchedulerKind;
use striper_core::limits::FLOW_FLOOR;

impl Bench {
    pub fn parse(parser: &mut Parser) -> Result<Option<Task>, String> {
        let mut bench = Bench::default();
        let (mut quick, mut credits, mut seeds) = (false, None, None);
        let (mut topologies, mut of_the_table, mut several) = (None, None, false);
        while let Some(arg) = option::next(parser)? {
            if let Arg::Long(name @ ("quick" | "json" | "mix" | "credit" | "seeds")) = arg {
                of_the_table = Some(name.to_owned());
            }
            match arg {
                Arg::Short('h') | Arg::Long("help") => return Ok(None),
                Arg::Long("quick") => quick = true,
                Arg::Long("json") => bench.json = true,
                Arg::Long("mix") => bench.mixes = parse_mixes(&value(parser, "mix")?)?,
                Arg::Long("scheduler") => {
                    bench.schedulers = parse_schedulers(&value(parser, "scheduler")?)?;
                    several = bench.schedulers.len() > 1;
                }
                Arg::Long("credit") => credits = Some(parse_credits(&value(parser, "credit")?)?),
                Arg::Long("seeds") => seeds = Some(parse_count(parser, "seeds")?),
                Arg::Long("threads") => bench.threads = option::threads(parser)?,
                Arg::Long("topologies") => topologies = Some(parse_count(parser, "topologies")?),
                arg => {
                    let hint = "bench-schedulers takes --quick, --mix, --scheduler, --credit, \
                         --seeds, --threads, --json and --topologies";
                    return option::unexpected(arg, hint);
                }
            }
        }
        if let Some(seeds) = topologies {
            if let Some(name) = of_the_table {
                let hint = "it takes --scheduler NAME and --threads";
                return Err(format!("--{name} has no meaning with --topologies; {hint}"));
            }
            let scheduler = match (bench.schedulers.as_slice(), several) {
                ([one], _) => *one,
                (_, false) => SchedulerKind::Earliest,
                _ => {
                    let hint = "--topologies takes one scheduler at a time, such as --scheduler uc";
                    return Err(hint.into());
                }
            };
            let threads = bench.threads;
            return Ok(Some(Task::Topologies(Topologies { seeds, scheduler, threads })));
        }
        if quick {
            (bench.seeds, bench.credits) = (0..3, vec![1 << 20]);
        }
        bench.seeds = seeds.unwrap_or(bench.seeds);
        bench.credits = credits.unwrap_or(bench.credits);
        Ok(Some(Task::Table(bench)))
    }
}

/// Mixes by name, or by group: `E` is all mixes whose names begin so.
fn parse_mixes(text: &str) -> Result<Vec<usize>, String> {
    let mut chosen = Vec::new();
    for word in text.split(',').map(str::trim) {
        let lower = word.to_ascii_lowercase();
        let named = |nth: &usize| {
            let name = MIXES[*nth].name.to_ascii_lowercase();
            name == lower
                || name.strip_prefix(lower.as_str()).is_some_and(|rest| {
                    rest.starts_with(|next: char| next == '-' || next.is_ascii_digit())
                })
        };
        let found: Vec<usize> = (0..MIXES.len()).filter(named).collect();
        if lower.is_empty() || found.is_empty() {
            let names: Vec<&str> = MIXES.iter().map(|mix| mix.name).collect();
            return Err(format!(
                "--mix: \"{word}\" is unknown; there are {}, and E, F and objects for all of those",
                names.join(", ")
            ));
        }
        chosen.extend(found);
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

fn parse_schedulers(text: &str) -> Result<Vec<SchedulerKind>, String> {
    if text == "all" {
        return Ok(scheduler::ALL.to_vec());
    }
    let words: Vec<&str> = text.split(',').map(str::trim).collect();
    let known = |word: &&str| scheduler::ALL.iter().any(|kind| scheduler::name(*kind) == *word);
    if let Some(word) = words.iter().find(|word| !known(word)) {
        return Err(format!(
            "--scheduler: \"{word}\" is unknown; there are earliest, uc, rr and all"
        ));
    }
    Ok(scheduler::ALL.into_iter().filter(|kind| words.contains(&scheduler::name(*kind))).collect())
}

fn parse_credits(text: &str) -> Result<Vec<u64>, String> {
    let mut credits = Vec::new();
    for word in text.split(',').map(str::trim) {
        let credit = parse_size(word).map_err(|error| format!("--credit: {error}"))?;
        if !(FLOW_FLOOR..=MAX_CREDIT).contains(&credit) {
            let (low, high) = (write_size(FLOW_FLOOR), write_size(MAX_CREDIT));
            return Err(format!(
                "--credit: \"{word}\" is out of range; it goes from {low} to {high}"
            ));
        }
        credits.push(credit);
    }
    credits.sort_unstable();
    credits.dedup();
    Ok(credits)
}

/// A number of seeds from 0 on, or a range of them.
fn parse_count(parser: &mut Parser, name: &str) -> Result<Range<u64>, String> {
    let text = value(parser, name)?;
    if text.contains("..") {
        return option::seeds(&text)
            .map_err(|error| error.replacen("--seeds", &format!("--{name}"), 1));
    }
    let count = text.parse().ok().filter(|count| (1..=1_000_000).contains(count));
    let count = count.ok_or_else(|| {
        format!(
            "--{name}: \"{text}\" is no number from 1 to 1000000; write it like 20, or like \
            7..8 for the one of that number"
        )
    })?;
    Ok(0..count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(line: &str) -> Result<Option<Task>, String> {
        Bench::parse(&mut Parser::from_args(line.split_whitespace()))
    }

    fn parse(line: &str) -> Result<Bench, String> {
        match task(line)? {
            Some(Task::Table(bench)) => Ok(bench),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn without_options_everything_is_compared() {
        let bench = parse("").unwrap();
        assert_eq!(bench, Bench::default());
        let counts = (bench.mixes.len(), bench.schedulers.len(), bench.credits.len());
        assert_eq!(counts, (MIXES.len(), 3, 3));
        assert_eq!(bench.seeds, 0..20);
    }

    #[test]
    fn mixes_are_chosen_by_name_or_group() {
        for (line, names) in [
            ("--mix C,A", "A C"),
            ("--mix e,F2", "E1 E2 E3 E4 F2"),
            ("--mix objects-C", "objects-C-64K objects-C-512K objects-C-4M"),
        ] {
            let mixes = parse(line).unwrap().mixes;
            let found: Vec<&str> = mixes.iter().map(|mix| MIXES[*mix].name).collect();
            assert_eq!(found.join(" "), names);
        }
        assert_eq!(parse("--mix objects").unwrap().mixes.len(), 6);
    }

    #[test]
    fn quick_yields_to_other_options() {
        let quick = parse("--quick").unwrap();
        assert_eq!((&quick.credits[..], quick.seeds), (&[1 << 20][..], 0..3));
        let quick = parse("--credit 64KiB --quick --seeds 7..9 --scheduler rr,uc").unwrap();
        assert_eq!((&quick.credits[..], quick.seeds), (&[64 << 10][..], 7..9));
        assert_eq!(quick.schedulers, [SchedulerKind::UntilCongested, SchedulerKind::RoundRobin]);
    }

    #[test]
    fn topologies_are_a_number_or_a_range() {
        for (line, seeds, scheduler) in [
            ("--topologies 500", 0..500, SchedulerKind::Earliest),
            ("--scheduler rr --topologies 7..8", 7..8, SchedulerKind::RoundRobin),
        ] {
            let task = task(&format!("{line} --threads 3"));
            let topologies = Topologies { seeds, scheduler, threads: 3 };
            assert_eq!(task, Ok(Some(Task::Topologies(topologies))));
        }
    }

    #[test]
    fn the_printed_command_reads_back() {
        let long = "--credit 64KiB,2MiB --seeds 7..9 --mix objects";
        for line in ["", "--mix A,E3", "--quick --scheduler uc", long] {
            let bench = parse(line).unwrap();
            let printed = bench.command();
            let (_, rest) = printed.split_once("bench-schedulers").unwrap();
            assert_eq!(parse(rest).unwrap(), bench, "{printed}");
        }
    }

    #[test]
    fn mistakes_are_answered_with_a_cure() {
        for (line, hint) in [
            ("--mix H", "there are A, B, C"),
            ("--mix object", "\"object\" is unknown"),
            ("--mix ,", "\"\" is unknown"),
            ("--mix", "--mix needs a value"),
            ("--scheduler best", "there are earliest, uc, rr and all"),
            ("--credit 1", "no clear size"),
            ("--credit 1KiB", "from 16KiB to 64MiB"),
            ("--seeds 0", "no number from 1 to 1000000"),
            ("--seeds 3..3", "no range of seeds"),
            ("--threads 0", "no number from 1 to 256"),
            ("--caps 1mbps", "bench-schedulers takes"),
            ("7", "bench-schedulers takes"),
            ("--topologies few", "--topologies: \"few\" is no number"),
            ("--topologies 5..5", "--topologies: \"5..5\" is no range"),
            ("--topologies 5 --scheduler all", "one scheduler at a time"),
            ("--topologies 5 --mix A", "--mix has no meaning with --topologies"),
        ] {
            let error = parse(line).unwrap_err();
            assert!(error.contains(hint), "{line}: {error}");
        }
    }
}
