//! The figures: medians of the runs of each peer, and the target.

use crate::peers::Peer;

#[derive(Clone, Copy, Debug)]
pub struct Measure {
    pub name: &'static str,
    pub unit: Unit,
    pub target: Target,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Unit {
    /// A part of the whole, 0 to 1.
    Share,
    Millis,
    Seconds,
    Mbit,
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    /// At least this part of the better bare connections.
    OfBare(f64),
    None,
}

/// The figures of one peer, one for each run; `None` is a run that failed.
#[derive(Clone, Debug, Default)]
pub struct Series(pub Vec<Option<f64>>);

/// A measure of a case in one direction, for each peer of the table that has it.
pub struct Row {
    pub test: &'static str,
    pub name: String,
    pub direction: &'static str,
    pub measure: Measure,
    pub results: Vec<(Peer, Series)>,
}

/// The peers of a table, one column each.
pub struct Table(pub Vec<Peer>);

impl Table {
    pub fn head(&self) -> String {
        let names = ["test", "conditions", "direction", "what"].into_iter();
        let names = names.chain(self.0.iter().map(|peer| peer.name()));
        let ratios = self.rivals().into_iter().map(|(name, _)| name);
        cells(names.chain(ratios).chain(["target", "met"]).map(str::to_owned))
            + "\n"
            + &"| --- ".repeat(6 + self.0.len() + self.rivals().len())
            + "|"
    }

    pub fn line(&self, row: &Row) -> String {
        let of_case = [row.test, &row.name, row.direction, row.measure.name].map(str::to_owned);
        let unit = row.measure.unit;
        let of_peer =
            |peer: &Peer| row.of(*peer).map_or("-".to_owned(), |series| series.show(unit));
        let of_rivals = |(_, rivals): (_, &[Peer])| {
            row.ratio(rivals).map_or("-".to_owned(), |ratio| Unit::Share.show(ratio))
        };
        let met = row.met().map_or("-", |met| if met { "yes" } else { "NO" });
        let line = of_case.into_iter().chain(self.0.iter().map(of_peer));
        let line = line.chain(self.rivals().into_iter().map(of_rivals));
        cells(line.chain([row.measure.target.show(unit), met.to_owned()]))
    }

    /// The peers in the table that ours is divided by.
    fn rivals(&self) -> Vec<(&'static str, &'static [Peer])> {
        let mut rivals = RIVALS.to_vec();
        rivals.retain(|(_, rivals)| rivals.iter().any(|rival| self.0.contains(rival)));
        rivals
    }
}

const BARE: &[Peer] = &[Peer::Bare("cubic"), Peer::Bare("bbr")];
/// The columns in which ours is divided by the best of these.
const RIVALS: [(&str, &[Peer]); 2] =
    [("ours ÷ bare", BARE), ("ours ÷ aggligator", &[Peer::Aggligator])];

fn cells(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |", cells.collect::<Vec<_>>().join(" | "))
}

impl Row {
    fn of(&self, peer: Peer) -> Option<&Series> {
        self.results.iter().find(|(of, _)| *of == peer).map(|(_, series)| series)
    }

    fn ours(&self) -> Option<f64> {
        self.of(Peer::Ours)?.median()
    }

    /// Our median as a part of the best of the rivals' medians.
    fn ratio(&self, rivals: &[Peer]) -> Option<f64> {
        let medians = rivals.iter().filter_map(|rival| self.of(*rival)?.median());
        let best = medians.max_by(f64::total_cmp).filter(|_| self.measure.unit == Unit::Share)?;
        Some(self.ours()? / best)
    }

    /// Whether our median meets the target, if there is one. A failed run is a miss.
    fn met(&self) -> Option<bool> {
        let ours = self.of(Peer::Ours)?;
        let (value, least, most) = match self.measure.target {
            Target::AtLeast(least) => (self.ours(), least, f64::INFINITY),
            Target::AtMost(most) => (self.ours(), 0.0, most),
            Target::OfBare(least) => (Some(self.ratio(BARE)?), least, f64::INFINITY),
            Target::None => return None,
        };
        Some(ours.failed() == 0 && value.is_some_and(|value| (least..=most).contains(&value)))
    }

    /// The same as a JSON object. An infinite time is null.
    pub fn json(&self) -> String {
        let (bound, target) = match self.measure.target {
            Target::AtLeast(value) => ("\"at least\"", Some(value)),
            Target::AtMost(value) => ("\"at most\"", Some(value)),
            Target::OfBare(value) => ("\"at least, of the better bare\"", Some(value)),
            Target::None => ("null", None),
        };
        let of_peer =
            |(peer, series): &(Peer, Series)| format!("\"{}\":{}", peer.name(), series.json());
        format!(
            "{{\"test\":\"{}\",\"conditions\":\"{}\",\"direction\":\"{}\",\"what\":\"{}\",\
             \"unit\":\"{}\",\"peers\":{{{}}},\"of bare\":{},\"of aggligator\":{},\
             \"bound\":{bound},\"target\":{},\"met\":{}}}",
            self.test,
            self.name,
            self.direction,
            self.measure.name,
            self.measure.unit.name(),
            self.results.iter().map(of_peer).collect::<Vec<_>>().join(","),
            json(self.ratio(BARE)),
            json(self.ratio(&[Peer::Aggligator])),
            json(target),
            self.met().map_or("null".to_owned(), |met| met.to_string()),
        )
    }
}

impl Series {
    pub fn failed(&self) -> usize {
        self.0.iter().filter(|value| value.is_none()).count()
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values: Vec<f64> = self.0.iter().copied().flatten().collect();
        values.sort_by(f64::total_cmp);
        values
    }

    fn median(&self) -> Option<f64> {
        let values = self.sorted();
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            len if len % 2 == 1 => Some(values[middle]),
            _ => Some((values[middle - 1] + values[middle]) / 2.0),
        }
    }

    fn show(&self, unit: Unit) -> String {
        let values = self.sorted();
        let shown = match (self.median(), values.first(), values.last()) {
            (Some(median), Some(least), Some(most)) if values.len() > 1 => {
                format!("{} ({}..{})", unit.show(median), unit.bare(*least), unit.bare(*most))
            }
            (Some(median), ..) => unit.show(median),
            _ => String::new(),
        };
        match self.failed() {
            0 => shown,
            failed => format!("{shown} {failed} FAILED").trim().to_owned(),
        }
    }

    fn json(&self) -> String {
        let values = self.sorted();
        let runs: Vec<String> = self.0.iter().map(|value| json(*value)).collect();
        format!(
            "{{\"median\":{},\"min\":{},\"max\":{},\"runs\":[{}],\"failed\":{}}}",
            json(self.median()),
            json(values.first().copied()),
            json(values.last().copied()),
            runs.join(","),
            self.failed(),
        )
    }
}

impl Target {
    fn show(self, unit: Unit) -> String {
        match self {
            Target::AtLeast(value) => format!("≥ {}", unit.show(value)),
            Target::AtMost(value) => format!("≤ {}", unit.show(value)),
            Target::OfBare(value) => format!("≥ {value} × bare"),
            Target::None => "-".to_owned(),
        }
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Share => "share",
            Unit::Millis => "ms",
            Unit::Seconds => "s",
            Unit::Mbit => "Mbit/s",
        }
    }

    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Share => self.bare(value),
            _ if value.is_infinite() => "never".to_owned(),
            _ => format!("{} {}", self.bare(value), self.name()),
        }
    }

    fn bare(self, value: f64) -> String {
        let digits = match self {
            Unit::Share => 3,
            Unit::Millis => 1,
            Unit::Seconds if value < 1.0 => 3,
            Unit::Seconds | Unit::Mbit => 2,
        };
        format!("{value:.digits$}")
    }
}

fn json(value: Option<f64>) -> String {
    value.filter(|value| value.is_finite()).map_or("null".to_owned(), |value| format!("{value:.4}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CUBIC: Peer = Peer::Bare("cubic");
    const BBR: Peer = Peer::Bare("bbr");

    fn row(target: Target, ours: &[f64]) -> Row {
        let measure = Measure { name: "stall", unit: Unit::Millis, target };
        let results = vec![(Peer::Ours, series(ours))];
        Row { test: "t6", name: "reset".to_owned(), direction: "up", measure, results }
    }

    fn series(values: &[f64]) -> Series {
        Series(values.iter().copied().map(Some).collect())
    }

    fn line(row: &Row) -> String {
        Table(vec![Peer::Direct, Peer::Ours]).line(row)
    }

    #[test]
    fn a_line_has_the_median_the_range_and_the_verdict() {
        let text = line(&row(Target::AtMost(60.0), &[70.0, 50.0, 55.04]));
        let whole = "| t6 | reset | up | stall | - | 55.0 ms (50.0..70.0) | ≤ 60.0 ms | yes |";
        assert_eq!(text, whole);
        let text = line(&row(Target::AtLeast(60.0), &[50.0, 60.0]));
        assert!(text.ends_with("| 55.0 ms (50.0..60.0) | ≥ 60.0 ms | NO |"), "{text}");
        assert!(line(&row(Target::None, &[f64::INFINITY])).ends_with("| never | - | - |"));
    }

    #[test]
    fn ours_is_divided_by_the_better_bare_connections_and_by_the_rival() {
        let mut row = row(Target::OfBare(0.98), &[0.97, 0.99]);
        row.measure.unit = Unit::Share;
        row.results.push((CUBIC, series(&[0.7])));
        row.results.push((BBR, series(&[0.9, 1.1])));
        row.results.push((Peer::Aggligator, series(&[0.5])));
        let table = Table(vec![Peer::Ours, CUBIC, BBR, Peer::Aggligator]);
        let end = "| 0.500 | 0.980 | 1.960 | ≥ 0.98 × bare | yes |";
        assert!(table.line(&row).ends_with(end), "{}", table.line(&row));
        let head = table.head();
        let columns = |line: &str| line.matches('|').count();
        assert_eq!(head.lines().map(columns).collect::<Vec<_>>(), [columns(&table.line(&row)); 2]);
        row.results.truncate(1);
        assert!(table.line(&row).ends_with("| - | - | - | - | - | ≥ 0.98 × bare | - |"));
    }

    #[test]
    fn a_value_has_the_digits_that_matter_and_its_unit() {
        let shown = [
            (Unit::Share, 0.95),
            (Unit::Millis, 41.26),
            (Unit::Mbit, 7.125),
            (Unit::Seconds, 0.0912),
            (Unit::Seconds, 13.516),
        ]
        .map(|(unit, value)| unit.show(value));
        assert_eq!(shown, ["0.950", "41.3 ms", "7.12 Mbit/s", "0.091 s", "13.52 s"]);
        assert_eq!(Unit::Seconds.show(f64::INFINITY), "never");
    }

    #[test]
    fn a_failed_run_is_shown_and_misses_the_target() {
        let mut row = row(Target::AtMost(60.0), &[50.0]);
        row.results[0].1.0.push(None);
        assert!(line(&row).ends_with("| 50.0 ms 1 FAILED | ≤ 60.0 ms | NO |"), "{}", line(&row));
        row.results[0].1 = Series(vec![None; 3]);
        assert!(line(&row).ends_with("| 3 FAILED | ≤ 60.0 ms | NO |"), "{}", line(&row));
    }

    #[test]
    fn json_has_the_same() {
        assert_eq!(
            row(Target::AtMost(60.0), &[70.0, 50.0, f64::INFINITY]).json(),
            "{\"test\":\"t6\",\"conditions\":\"reset\",\"direction\":\"up\",\
             \"what\":\"stall\",\"unit\":\"ms\",\"peers\":{\"ours\":{\
             \"median\":70.0000,\"min\":50.0000,\"max\":null,\
             \"runs\":[70.0000,50.0000,null],\"failed\":0}},\
             \"of bare\":null,\"of aggligator\":null,\"bound\":\"at most\",\
             \"target\":60.0000,\"met\":false}"
        );
    }
}
