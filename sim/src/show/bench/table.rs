//! The figures of many seeds as rows, and the rows as text or JSON.
//!
//! Invariant: all figures are computed in integers, so that the text is the same on every machine.

use super::measure::Outcome;
use super::mixes::{Load, Mix, Trouble};
use super::task::Bench;
use crate::base::{scheduler, write_size};
use std::fmt::Write as _;
use striper_core::SchedulerKind;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Spread {
    median: u64,
    worst: u64,
}

impl Spread {
    /// The median of an even number of figures is the worse one of the two in the middle.
    fn small_is_good(mut figures: Vec<u64>) -> Spread {
        figures.sort_unstable();
        Spread { median: figures[figures.len() / 2], worst: figures[figures.len() - 1] }
    }

    fn large_is_good(figures: Vec<u64>) -> Spread {
        let turned = figures.into_iter().map(|figure| u64::MAX - figure);
        let turned = Self::small_is_good(turned.collect());
        Spread { median: u64::MAX - turned.median, worst: u64::MAX - turned.worst }
    }
}

/// Figures are whole numbers of 10^-`decimals`; a figure of `u64::MAX` was never reached.
struct Column {
    heading: &'static str,
    key: &'static str,
    decimals: u32,
    spread: Spread,
}

pub(super) struct Row {
    mix: &'static Mix,
    /// `None` for the ceiling.
    with: Option<(u64, SchedulerKind)>,
    columns: Vec<Column>,
}

impl Row {
    /// A row of the outcomes of all seeds, at least one.
    pub fn new(
        mix: &'static Mix,
        credit: u64,
        scheduler: SchedulerKind,
        outcomes: &[Outcome],
    ) -> Self {
        let mut columns = Self::first(mix, outcomes);
        let millis = |time: Option<u64>| time.map_or(u64::MAX, |time| time.div_ceil(1_000));
        if matches!(mix.trouble, Trouble::Death | Trouble::OneSilent | Trouble::AllSilent) {
            let pause = |outcome: &Outcome| millis(outcome.pause);
            columns.push(low("longest pause, ms", "longest_pause_ms", 0, outcomes, pause));
        }
        if matches!(mix.trouble, Trouble::OneSilent | Trouble::AllSilent) {
            let back = |outcome: &Outcome| millis(outcome.recovery);
            columns.push(low("full rate after, ms", "full_rate_after_ms", 0, outcomes, back));
        }
        columns.push(low("extra bytes, %", "extra_bytes_percent", 2, outcomes, Outcome::extra));
        Row { mix, with: Some((credit, scheduler)), columns }
    }

    pub fn ceiling(mix: &'static Mix, outcomes: &[Outcome]) -> Self {
        Row { mix, with: None, columns: Self::first(mix, outcomes) }
    }

    fn ceiling_name(&self) -> &'static str {
        if matches!(self.mix.load, Load::Paced(_)) { "oracle" } else { "tcp alone" }
    }

    fn first(mix: &'static Mix, outcomes: &[Outcome]) -> Vec<Column> {
        let delay = |percent| move |outcome: &Outcome| tenths(percentile(&outcome.delays, percent));
        match mix.load {
            Load::Object(_) => {
                vec![low("time / oracle's", "time_over_oracle", 3, outcomes, Outcome::stretch)]
            }
            Load::Paced(_) => vec![
                low("p50 of delay, ms", "delay_p50_ms", 1, outcomes, delay(50)),
                low("p99 of delay, ms", "delay_p99_ms", 1, outcomes, delay(99)),
            ],
            Load::Upload(_) | Load::BothWays(..) => {
                let spread = Spread::large_is_good(outcomes.iter().map(Outcome::share).collect());
                let (heading, key) = ("share of oracle", "share_of_oracle");
                vec![Column { heading, key, decimals: 3, spread }]
            }
        }
    }
}

/// A column of which small figures are good.
fn low(
    heading: &'static str,
    key: &'static str,
    decimals: u32,
    outcomes: &[Outcome],
    figure: impl Fn(&Outcome) -> u64,
) -> Column {
    let spread = Spread::small_is_good(outcomes.iter().map(figure).collect());
    Column { heading, key, decimals, spread }
}

fn tenths(micros: u64) -> u64 {
    if micros == u64::MAX { micros } else { micros.div_ceil(100) }
}

/// By nearest rank; `u64::MAX` of nothing.
fn percentile(sorted: &[u64], percent: usize) -> u64 {
    let rank = (sorted.len() * percent).div_ceil(100);
    rank.checked_sub(1).map_or(u64::MAX, |nth| sorted[nth])
}

const HEAD: &str = include_str!("head.txt");

pub(super) fn text(bench: &Bench, rows: &[Row]) -> String {
    let mut text = format!(
        "{HEAD}{} seeds; written by\n{}\n",
        bench.seeds.end - bench.seeds.start,
        bench.command()
    );
    let mut mix = "";
    for row in rows {
        if mix != row.mix.name {
            mix = row.mix.name;
            let _ =
                write!(text, "\n{mix}: {}\n  {:>6}  {:<9}", row.mix.about, "credit", "scheduler");
            for column in &row.columns {
                let _ = write!(text, "  {:>19}", column.heading);
            }
            text.push('\n');
        }
        let (credit, name) = match row.with {
            Some((credit, scheduler)) => (write_size(credit), scheduler::name(scheduler)),
            None => ("any".into(), row.ceiling_name()),
        };
        let _ = write!(text, "  {credit:>6}  {name:<9}");
        for Column { decimals, spread, .. } in &row.columns {
            let [median, worst] =
                [spread.median, spread.worst].map(|value| fixed(value, *decimals));
            let _ = write!(text, "  {median:>9} {worst:>9}");
        }
        text.push('\n');
    }
    text
}

pub(super) fn json(bench: &Bench, rows: &[Row]) -> String {
    let mut text =
        format!("{{\n  \"seeds\": [{}, {}],\n  \"rows\": [", bench.seeds.start, bench.seeds.end);
    for (nth, row) in rows.iter().enumerate() {
        let (credit, name) = match row.with {
            Some((credit, scheduler)) => (credit.to_string(), scheduler::name(scheduler)),
            None => ("null".into(), row.ceiling_name()),
        };
        let _ = write!(
            text,
            "{}\n    {{\"mix\": \"{}\", \"credit_bytes\": {credit}, \"scheduler\": \"{name}\"",
            if nth > 0 { "," } else { "" },
            row.mix.name,
        );
        for Column { key, decimals, spread, .. } in &row.columns {
            let show = |figure| match figure {
                u64::MAX => "null".into(),
                figure => fixed(figure, *decimals),
            };
            let [median, worst] = [spread.median, spread.worst].map(show);
            let _ = write!(text, ", \"{key}\": {{\"median\": {median}, \"worst\": {worst}}}");
        }
        text.push('}');
    }
    text + "\n  ]\n}\n"
}

/// A number in units of so many decimals, such as thousandths for 3.
fn fixed(value: u64, decimals: u32) -> String {
    let one = 10u64.pow(decimals);
    match (value, decimals) {
        (u64::MAX, _) => "--".into(),
        (_, 0) => value.to_string(),
        _ => format!("{}.{:0width$}", value / one, value % one, width = decimals as usize),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_two_is_the_worse_one() {
        let never = u64::MAX;
        assert_eq!(Spread::small_is_good(vec![4, 1, 3, 2]), Spread { median: 3, worst: 4 });
        assert_eq!(Spread::large_is_good(vec![4, 1, 3, 2]), Spread { median: 2, worst: 1 });
        assert_eq!(Spread::small_is_good(vec![1, never, 2]), Spread { median: 2, worst: never });
    }

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let delays: Vec<u64> = (1..=200).collect();
        assert_eq!((percentile(&delays, 50), percentile(&delays, 99)), (100, 198));
        assert_eq!((percentile(&[7], 99), percentile(&[], 50)), (7, u64::MAX));
    }

    #[test]
    fn numbers_have_their_decimals() {
        let numbers = [(1_002, 3), (7, 2), (12, 0), (u64::MAX, 1)];
        let shown = numbers.map(|(value, decimals)| fixed(value, decimals));
        assert_eq!(shown, ["1.002", "0.07", "12", "--"]);
    }
}
