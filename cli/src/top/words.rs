//! Short forms of numbers, as narrow columns have them.

use crate::units;
use std::time::Duration;

/// `999 B`, `1.50 MB`.
pub(super) fn bytes(count: u64) -> String {
    if count < 1_000 { format!("{count} B") } else { units::bytes(count) }
}

/// The same for a column: nothing is a dash.
pub(super) fn some_bytes(count: u64) -> String {
    if count == 0 { "-".to_owned() } else { bytes(count) }
}

/// In bits a second: `9.6M`, or a dash.
pub(super) fn rate(bytes_per_second: f64) -> String {
    if bytes_per_second == 0.0 { "-".to_owned() } else { units::short_rate(bytes_per_second) }
}

/// `12.3 ms`, or a dash.
pub(super) fn micros(time: Option<u64>) -> String {
    time.map_or_else(|| "-".to_owned(), |time| units::duration(Duration::from_micros(time)))
}

/// `59 s`, `59 min`, `47 h`, `12 d`: at most six characters for the first years.
pub(super) fn age(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3_600 => format!("{} min", whole / 60),
        3_600..172_800 => format!("{} h", whole / 3_600),
        _ => format!("{} d", whole / 86_400),
    }
}

/// `12.5 s`, `2 min 3 s`.
pub(super) fn seconds(seconds: f64) -> String {
    units::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_fit_their_columns() {
        let ages = [0.9, 59.9, 60.0, 3_599.0, 3_600.0, 172_799.0, 172_800.0].map(age);
        assert_eq!(ages, ["0 s", "59 s", "1 min", "59 min", "1 h", "47 h", "2 d"]);
        assert_eq!([0, 999, 1_500].map(some_bytes), ["-", "999 B", "1.50 kB"]);
        assert_eq!([0.0, 1_200_000.0].map(rate), ["-", "9.60M"]);
        assert_eq!((micros(None), micros(Some(12_300))), ("-".into(), "12.3 ms".into()));
        assert_eq!([-1.0, f64::NAN, 125.0].map(seconds), ["0 µs", "0 µs", "2 min 5 s"]);
    }
}
