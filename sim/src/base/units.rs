//! Rates, sizes, times and percentages as people write them.
//!
//! A rate is in bits: `1mbps` and `1Mbit` are 10^6 bit/s. A text that could also mean bytes is
//! refused with a hint. A simulation that is silently wrong by a factor of eight is worse than
//! none. Each error says what to write instead.

use crate::base::Rate;
use std::ops::RangeInclusive;
use std::time::Duration;

/// In a microsecond, the unit of time here, 100 Gbit/s move eight packets.
const RATES: RangeInclusive<Rate> = Rate::bits(1_000)..=Rate::mbit(100_000);

/// Reads a rate such as `1mbps`, `10Mbit`, `2.5mbps`, `500kbit` or `1Gbit/s`.
pub fn parse_rate(text: &str) -> Result<Rate, String> {
    let (number, unit) = split(text);
    let lower = unit.to_ascii_lowercase();
    let bits = lower.strip_suffix("/s").unwrap_or(&lower).strip_suffix("bit");
    let scale = match unit.strip_suffix("bps").or(bits) {
        Some("") => 1,
        Some("k" | "K") => 1_000,
        Some("m" | "M") => 1_000_000,
        Some("g" | "G") => 1_000_000_000,
        _ => return Err(rate_hint(text, number, unit)),
    };
    if number.parse::<f64>().is_err() {
        let hint = "does not begin with a number; write a rate like 1mbps or 2.5Mbit";
        return Err(format!("\"{text}\" {hint}"));
    }
    scaled(number, scale)
        .map(Rate::bits)
        .filter(|rate| RATES.contains(rate))
        .ok_or_else(|| format!("\"{text}\" is out of range: rates are 1kbit to 100gbit"))
}

fn rate_hint(text: &str, number: &str, unit: &str) -> String {
    if number.parse::<f64>().is_err() {
        return format!("\"{text}\" is no rate; write one like 1mbps, 10Mbit or 500kbit");
    }
    if unit.is_empty() {
        return format!(
            "\"{text}\" has no unit; write {number}mbps for {number} million bits per second, \
             {number}kbit for thousands"
        );
    }
    let prefix = unit.chars().next().filter(|c| "kKmMgG".contains(*c));
    let looks_like_bytes = unit.contains('B')
        || unit.to_ascii_lowercase().contains("byte")
        || unit.contains('i')
        || unit.len() <= 2;
    match prefix {
        Some(prefix) if looks_like_bytes => {
            let prefix = prefix.to_ascii_lowercase();
            let eight = number.parse::<f64>().unwrap_or(0.0) * 8.0;
            format!(
                "\"{text}\" could mean bytes; write {number}{prefix}bit for bits per second, or \
                 {eight}{prefix}bit if you meant bytes per second"
            )
        }
        _ => format!(
            "\"{text}\" has an unknown unit; rates are in kbit, Mbit, Gbit or kbps, mbps, gbps \
             (bits per second)"
        ),
    }
}

pub fn parse_rates(text: &str) -> Result<Vec<Rate>, String> {
    text.split(',').map(|item| parse_rate(item.trim())).collect()
}

/// Reads an amount of data such as `8MiB`, `100kB` or `65536B`; the answer is in bytes.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "B" => 1,
        "kB" | "KB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "KiB" | "kiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => {
            return Err(format!(
                "\"{text}\" is no clear size; write it with B, kB, MB, GB (powers of 1000) or KiB, \
                 MiB, GiB (powers of 1024), such as 8MiB"
            ));
        }
    };
    scaled(number, scale)
        .filter(|size| (1..=1 << 40).contains(size))
        .ok_or_else(|| format!("\"{text}\" is out of range; sizes go from 1B to 1024GiB"))
}

/// Reads a time such as `40ms`, `250us` or `1.5s`, at most an hour.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let scale = match unit {
        "us" | "µs" => 1,
        "ms" => 1_000,
        "s" => 1_000_000,
        _ => {
            return Err(format!("\"{text}\" is no time; write it with us, ms or s, such as 40ms"));
        }
    };
    scaled(number, scale)
        .filter(|micros| *micros <= 3_600_000_000)
        .map(Duration::from_micros)
        .ok_or_else(|| format!("\"{text}\" is out of range; times go from 0ms to 3600s"))
}

/// Reads a percentage such as `0.5%`, below 100; the answer is in millionths.
pub fn parse_percent(text: &str) -> Result<u32, String> {
    let (number, unit) = split(text);
    if unit != "%" {
        return Err(format!(
            "\"{text}\" is no percentage; write it with a percent sign, such as 0.5%"
        ));
    }
    scaled(number, 10_000)
        .filter(|millionths| *millionths < 1_000_000)
        .map(|millionths| millionths as u32)
        .ok_or_else(|| {
            format!("\"{text}\" is out of range; write a percentage from 0% up to below 100%")
        })
}

/// A duration in whole microseconds, rounded down; at most half a million years.
pub const fn micros(time: Duration) -> u64 {
    time.as_micros() as u64
}

fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim_start())
}

/// Rounded down. It is computed in integers, so that 0.1 is a tenth.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 9 {
        return None;
    }
    let whole: u64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let ten_to = 10u64.pow(fraction.len() as u32);
    let fraction: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let part = u128::from(fraction) * u128::from(scale) / u128::from(ten_to);
    whole.checked_mul(scale)?.checked_add(u64::try_from(part).ok()?)
}

/// A rate with three or four digits, `3.97 Mbit/s`, from bit/s.
pub fn show_rate(bits_per_second: f64) -> String {
    let (value, unit) = match bits_per_second {
        r if r >= 1e9 => (r / 1e9, "Gbit/s"),
        r if r >= 1e6 => (r / 1e6, "Mbit/s"),
        r => (r / 1e3, "kbit/s"),
    };
    format!("{value:.2} {unit}")
}

pub fn write_rate(rate: Rate) -> String {
    let units = [(1_000_000_000, "gbps"), (1_000_000, "mbps"), (1_000, "kbps"), (1, "bps")];
    written(rate.as_bits(), &units)
}

pub fn write_size(bytes: u64) -> String {
    written(bytes, &[(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B")])
}

pub fn write_time(time: Duration) -> String {
    written(micros(time), &[(1_000_000, "s"), (1_000, "ms"), (1, "us")])
}

/// A number in the largest unit of which it is a whole multiple.
fn written(number: u64, units: &[(u64, &str)]) -> String {
    let whole = units.iter().find(|(scale, _)| number.is_multiple_of(*scale));
    let (scale, unit) = whole.expect("a unit of 1");
    format!("{}{unit}", number / scale)
}

pub fn write_percent(millionths: u32) -> String {
    let digits = format!("{}.{:04}", millionths / 10_000, millionths % 10_000);
    format!("{}%", digits.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_in_bits() {
        for (text, rate) in [
            ("1mbps", 1_000_000),
            ("1Mbps", 1_000_000),
            ("10Mbit", 10_000_000),
            ("10 Mbit/s", 10_000_000),
            ("2.5mbps", 2_500_000),
            ("0.1mbit", 100_000),
            ("500kbit", 500_000),
            ("64kbps", 64_000),
            ("1gbit", 1_000_000_000),
            ("9600bps", 9_600),
        ] {
            assert_eq!(parse_rate(text), Ok(Rate::bits(rate)), "{text}");
        }
        assert_eq!(parse_rates("20mbps, 1mbps"), Ok(vec![Rate::mbit(20), Rate::mbit(1)]));
    }

    #[test]
    fn a_rate_that_could_mean_bytes_is_refused_with_a_hint() {
        for (text, hint) in [
            ("1MBps", "write 1mbit for bits per second, or 8mbit"),
            ("1MB/s", "or 8mbit if you meant bytes"),
            ("10M", "write 10mbit"),
            ("1MiB", "or 8mbit"),
            ("1mb", "or 8mbit"),
            ("7", "write 7mbps"),
            ("fast", "write one like 1mbps"),
            ("", "write one like"),
            ("1xbps", "unknown unit"),
            ("1..2mbps", "number"),
            ("0mbps", "out of range"),
            ("999gbit", "out of range"),
            ("-1mbps", "is no rate"),
            ("1mbps,", ""),
        ] {
            let error = parse_rates(text).unwrap_err();
            assert!(error.contains(hint), "{text}: {error}");
        }
    }

    #[test]
    fn sizes_times_and_percentages_read_back() {
        for text in ["8MiB", "100KiB", "1GiB", "65537B"] {
            assert_eq!(write_size(parse_size(text).unwrap()), text);
        }
        assert_eq!(parse_size("8MB"), Ok(8_000_000));
        for text in ["8M", "8", "0B", "8mb", "99999GiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        for text in ["40ms", "0s", "250us", "2s"] {
            assert_eq!(write_time(parse_time(text).unwrap()), text);
        }
        for text in ["40", "40m", "2h", "3601s"] {
            assert!(parse_time(text).is_err(), "{text}");
        }
        for text in ["0.5%", "0%", "12%", "0.0001%"] {
            assert_eq!(write_percent(parse_percent(text).unwrap()), text);
        }
        for text in ["0.5", "100%", "x%"] {
            assert!(parse_percent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_read_back() {
        for text in ["20mbps", "2500kbps", "1gbps", "1500bps"] {
            assert_eq!(write_rate(parse_rate(text).unwrap()), text);
        }
        assert_eq!(show_rate(3_971_234.0), "3.97 Mbit/s");
    }
}
