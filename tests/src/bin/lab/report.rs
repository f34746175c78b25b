//! The figures: medians of the runs beside the direct connection and the target.

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
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Target {
    AtLeast(f64),
    AtMost(f64),
    None,
}

pub struct Row {
    pub test: &'static str,
    pub name: &'static str,
    pub direction: &'static str,
    pub measure: Measure,
    pub direct: Option<f64>,
    /// The values of the pair, one for each run that went well.
    pub ours: Vec<f64>,
    pub failed: usize,
}

pub fn head() -> String {
    "| test | conditions | direction | what | direct | ours: median (min..max) | target | met |\n\
     | --- | --- | --- | --- | --- | --- | --- | --- |"
        .to_owned()
}

impl Row {
    fn median(&self) -> Option<f64> {
        let values = self.sorted();
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            len if len % 2 == 1 => Some(values[middle]),
            _ => Some((values[middle - 1] + values[middle]) / 2.0),
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.ours.clone();
        values.sort_by(f64::total_cmp);
        values
    }

    /// Whether the median meets the target, if there is one. A failed run is a miss.
    fn met(&self) -> Option<bool> {
        let median = self.median();
        let reached = match self.measure.target {
            Target::AtLeast(least) => median.is_some_and(|median| median >= least),
            Target::AtMost(most) => median.is_some_and(|median| median <= most),
            Target::None => return None,
        };
        Some(reached && self.failed == 0)
    }

    pub fn line(&self) -> String {
        let unit = self.measure.unit;
        let direct = self.direct.map_or("-".to_owned(), |value| unit.show(value));
        let values = self.sorted();
        let mut ours = match (self.median(), values.first(), values.last()) {
            (Some(median), Some(least), Some(most)) if values.len() > 1 => {
                format!("{} ({}..{})", unit.show(median), unit.bare(*least), unit.bare(*most))
            }
            (Some(median), ..) => unit.show(median),
            _ => String::new(),
        };
        if self.failed > 0 {
            ours = format!("{ours} {} FAILED", self.failed).trim().to_owned();
        }
        let target = match self.measure.target {
            Target::AtLeast(value) => format!("≥ {}", unit.show(value)),
            Target::AtMost(value) => format!("≤ {}", unit.show(value)),
            Target::None => "-".to_owned(),
        };
        let met = self.met().map_or("-", |met| if met { "yes" } else { "NO" });
        let (test, name, direction, what) =
            (self.test, self.name, self.direction, self.measure.name);
        format!("| {test} | {name} | {direction} | {what} | {direct} | {ours} | {target} | {met} |")
    }

    /// The same as a JSON object. An infinite time is null.
    pub fn json(&self) -> String {
        let numbers = |values: &[f64]| {
            values.iter().map(|value| json(Some(*value))).collect::<Vec<_>>().join(",")
        };
        let (bound, target) = match self.measure.target {
            Target::AtLeast(value) => ("\"at least\"", Some(value)),
            Target::AtMost(value) => ("\"at most\"", Some(value)),
            Target::None => ("null", None),
        };
        let values = self.sorted();
        format!(
            "{{\"test\":\"{}\",\"conditions\":\"{}\",\"direction\":\"{}\",\"what\":\"{}\",\
             \"unit\":\"{}\",\"direct\":{},\"median\":{},\"min\":{},\"max\":{},\
             \"runs\":[{}],\"failed\":{},\"bound\":{bound},\"target\":{},\"met\":{}}}",
            self.test,
            self.name,
            self.direction,
            self.measure.name,
            self.measure.unit.name(),
            json(self.direct),
            json(self.median()),
            json(values.first().copied()),
            json(values.last().copied()),
            numbers(&self.ours),
            self.failed,
            json(target),
            self.met().map_or("null".to_owned(), |met| met.to_string()),
        )
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Share => "share",
            Unit::Millis => "ms",
            Unit::Seconds => "s",
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
            Unit::Seconds => 2,
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

    fn row(target: Target, ours: &[f64]) -> Row {
        let measure = Measure { name: "stall", unit: Unit::Millis, target };
        let ours = ours.to_vec();
        Row { test: "t6", name: "reset", direction: "up", measure, direct: None, ours, failed: 0 }
    }

    #[test]
    fn a_line_has_the_median_the_range_and_the_verdict() {
        let line = row(Target::AtMost(60.0), &[70.0, 50.0, 55.04]).line();
        let whole = "| t6 | reset | up | stall | - | 55.0 ms (50.0..70.0) | ≤ 60.0 ms | yes |";
        assert_eq!(line, whole);
        let line = row(Target::AtLeast(60.0), &[50.0, 60.0]).line();
        assert!(line.ends_with("| 55.0 ms (50.0..60.0) | ≥ 60.0 ms | NO |"), "{line}");
        assert!(row(Target::None, &[f64::INFINITY]).line().ends_with("| never | - | - |"));
    }

    #[test]
    fn a_value_has_the_digits_that_matter_and_its_unit() {
        let shown = [
            (Unit::Share, 0.95),
            (Unit::Millis, 41.26),
            (Unit::Seconds, 0.0912),
            (Unit::Seconds, 13.516),
        ]
        .map(|(unit, value)| unit.show(value));
        assert_eq!(shown, ["0.950", "41.3 ms", "0.091 s", "13.52 s"]);
        assert_eq!(Unit::Seconds.show(f64::INFINITY), "never");
    }

    #[test]
    fn a_failed_run_is_shown_and_misses_the_target() {
        let row = Row { failed: 1, ..row(Target::AtMost(60.0), &[50.0]) };
        assert!(row.line().ends_with("| 50.0 ms 1 FAILED | ≤ 60.0 ms | NO |"), "{}", row.line());
        let none = Row { failed: 3, ours: Vec::new(), ..row };
        assert!(none.line().ends_with("| 3 FAILED | ≤ 60.0 ms | NO |"), "{}", none.line());
    }

    #[test]
    fn json_has_the_same() {
        assert_eq!(
            row(Target::AtMost(60.0), &[70.0, 50.0, f64::INFINITY]).json(),
            "{\"test\":\"t6\",\"conditions\":\"reset\",\"direction\":\"up\",\
             \"what\":\"stall\",\"unit\":\"ms\",\"direct\":null,\
             \"median\":70.0000,\"min\":50.0000,\"max\":null,\
             \"runs\":[70.0000,50.0000,null],\"failed\":0,\"bound\":\"at most\",\
             \"target\":60.0000,\"met\":false}"
        );
    }
}
