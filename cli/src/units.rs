//! Numbers for a person: bytes, rates, durations. All units are decimal, as those of providers.

use std::time::Duration;

/// `1.5 MB` for 1,500,000: three significant digits, 1 kB is 1,000 bytes.
pub(crate) fn bytes(count: u64) -> String {
    if count < 1_000 {
        return if count == 1 { "1 byte".into() } else { format!("{count} bytes") };
    }
    scaled(count as f64, &["B", "kB", "MB", "GB", "TB", "PB"])
}

/// `9.6 Mbit/s` for 1,200,000 bytes a second: rates are in bits.
pub(crate) fn rate(bytes_per_second: f64) -> String {
    scaled(bytes_per_second * 8.0, &["bit/s", "kbit/s", "Mbit/s", "Gbit/s", "Tbit/s"])
}

/// `9.6M`: the short form, in bits a second.
pub(crate) fn short_rate(bytes_per_second: f64) -> String {
    let (value, step) = reduce(bytes_per_second * 8.0, 5);
    if value == 0.0 {
        "0".into()
    } else {
        format!("{}{}", significant(value), ["", "k", "M", "G", "T"][step])
    }
}

/// `350 µs`, `12 ms`, `1.23 s`, `2 min 3 s`, `1 h 2 min`.
pub(crate) fn duration(time: Duration) -> String {
    let seconds = time.as_secs();
    match time.as_micros() {
        0..=999 => format!("{} µs", time.as_micros()),
        1_000..=999_499 => format!("{} ms", significant(time.as_secs_f64() * 1e3)),
        999_500..=59_999_999 => format!("{} s", significant(time.as_secs_f64())),
        _ if seconds < 3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// The mean rate in bytes a second; none for a very short time.
pub(crate) fn mean_rate(bytes: u64, time: Duration) -> Option<f64> {
    (time >= Duration::from_millis(1)).then(|| bytes as f64 / time.as_secs_f64())
}

/// `1 stripe`, `2 stripes`.
pub(crate) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

/// `1 stripe is`, `2 stripes are`.
pub(crate) fn are(number: usize, one: &str) -> String {
    count(number, one) + if number == 1 { " is" } else { " are" }
}

/// `1 stripe was`, `2 stripes were`.
pub(crate) fn were(number: usize, one: &str) -> String {
    count(number, one) + if number == 1 { " was" } else { " were" }
}

/// `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn scaled(value: f64, units: &[&str]) -> String {
    let (value, step) = reduce(value, units.len());
    format!("{} {}", significant(value), units[step])
}

/// The value below 1,000 (as printed) and how often it was divided by that.
fn reduce(mut value: f64, steps: usize) -> (f64, usize) {
    let mut step = 0;
    while value >= 999.5 && step + 1 < steps {
        value /= 1e3;
        step += 1;
    }
    (value, step)
}

pub(crate) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

fn significant(value: f64) -> String {
    if value == 0.0 {
        "0".into()
    } else if value < 9.995 {
        format!("{value:.2}")
    } else if value < 99.95 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_three_digits_and_a_unit() {
        for (count, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1.00 kB"),
            (1_536_000, "1.54 MB"),
            (999_999, "1.00 MB"),
            (123_456_789, "123 MB"),
            (u64::MAX, "18447 PB"),
        ] {
            assert_eq!(bytes(count), text);
        }
        assert_eq!((rate(1_250_000.0), rate(0.0)), ("10.0 Mbit/s".into(), "0 bit/s".into()));
        assert_eq!((short_rate(1_206_250.0), short_rate(0.0)), ("9.65M".into(), "0".into()));
        for (micros, text) in [
            (350, "350 µs"),
            (12_300, "12.3 ms"),
            (999_600, "1.00 s"),
            (1_234_000, "1.23 s"),
            (123_000_000, "2 min 3 s"),
            (3_725_000_000, "1 h 2 min"),
        ] {
            assert_eq!(duration(Duration::from_micros(micros)), text);
        }
        assert_eq!((percent(0.0), percent(0.01234)), ("0.0%".into(), "1.2%".into()));
        assert_eq!(mean_rate(10, Duration::ZERO), None);
        assert_eq!(mean_rate(10, Duration::from_secs(2)), Some(5.0));
        let long = [0, 999, 1_000, 123_456, 1_234_567].map(grouped);
        assert_eq!(long, ["0", "999", "1,000", "123,456", "1,234,567"]);
        assert_eq!([1, 0].map(|number| count(number, "stripe")), ["1 stripe", "0 stripes"]);
    }
}
